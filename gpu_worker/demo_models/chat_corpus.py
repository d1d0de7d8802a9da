"""Everything the chat model knows: questions in a few wordings and the one answer to each.

Read by `chat`. Knows no tokens and no tensors. Add a fact here and rebuild the model to teach it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

DO_NOT_KNOW = "I do not know that. I am only a small demo model."
SYSTEM_PROMPTS = (
    "",
    "",
    "You are a helpful assistant.",
    "You are a friendly assistant. Be brief.",
    "Answer in one sentence.",
)
SUM_SHARE = 0.3  # of the questions; two hundred pairs must be seen a few times each
UNKNOWN_SHARE = 0.15  # so that it says so instead of guessing, as far as so small a model can tell
FURTHER_TURN = 0.15  # probability that one more question follows in the same dialogue


@dataclass(frozen=True)
class Fact:
    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Turn:
    """One message of a dialogue; role is system, user or assistant, as in every chat template."""

    role: str
    content: str


def _count(last: int) -> str:
    return ", ".join(str(number) for number in range(1, last + 1)) + "."


STORY = (
    "Once upon a time a small robot lived in a quiet library. Every night it read one book and every morning it told "
    "the story to the birds. One day a bird asked for a new story, one that no book had ever told. The robot thought "
    "for a long time. Then it told the story of a robot who loved books and of the birds who loved to listen. "
    "The birds sang, and the library was never quiet again."
)
POEM = (
    "The queue is long, the night is deep,\nthe workers run while others sleep.\n"
    "A task is sent, a task is done,\nthe log is green, the tests have run."
)

FACTS = (
    Fact(
        ("Who are you?", "What are you?", "What is your name?", "Introduce yourself.", "Tell me about yourself."),
        "I am Baton's small demo model, with under one million parameters. I show that the machinery works.",
    ),
    Fact(
        ("What is Baton?", "What's Baton?", "Tell me about Baton.", "Explain Baton."),
        "Baton is a self-hosted orchestrator. It queues AI tasks and gives each one to a worker with a GPU.",
    ),
    Fact(
        ("What is Celery?", "What's Celery?", "Tell me about Celery.", "Explain Celery."),
        "Celery is a distributed task queue for Python. "
        "Workers take tasks from a broker and run them in the background.",
    ),
    Fact(
        ("What is Redis?", "What's Redis?", "Tell me about Redis.", "Explain Redis."),
        "Redis is an in-memory data store. It is often used as a cache and as a message broker.",
    ),
    Fact(
        ("What is PostgreSQL?", "What's PostgreSQL?", "Tell me about PostgreSQL.", "Explain PostgreSQL."),
        "PostgreSQL is a relational database. It keeps every row that it said was saved.",
    ),
    Fact(
        ("What is Django?", "What's Django?", "Tell me about Django.", "Explain Django."),
        "Django is a web framework for Python with an ORM, forms and an admin site.",
    ),
    Fact(
        ("What is a GPU?", "What's a GPU?", "Tell me about GPUs.", "Explain a GPU."),
        "A GPU is a processor built for parallel work. It runs neural networks much faster than a CPU.",
    ),
    Fact(
        ("What is Python?", "What's Python?", "Tell me about Python.", "Explain Python."),
        "Python is a programming language that is easy to read and has many libraries.",
    ),
    Fact(
        ("What is a neural network?", "What's a neural network?", "Explain neural networks."),
        "A neural network is a stack of simple functions with weights that are learned from data.",
    ),
    Fact(
        ("What is batching?", "What's batching?", "Explain batching.", "Why use batching?"),
        "Batching runs several requests in one pass of the model, so the hardware does more work per second.",
    ),
    Fact(
        ("Hello", "Hello!", "Hi", "Hi!", "Hey", "Hello there", "Hi there", "Good morning"),
        "Hello! How can I help you today?",
    ),
    Fact(
        ("How are you?", "How do you do?", "How is it going?"),
        "I am fine, thank you. I am ready to answer a question.",
    ),
    Fact(
        ("Why is the sky blue?", "Explain why the sky is blue."),
        "The sky is blue because air scatters blue light more than red light.",
    ),
    Fact(
        ("Recite the alphabet.", "Say the alphabet.", "What is the alphabet?", "alphabet"),
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
    ),
    Fact(("Count to ten.", "Count from 1 to 10.", "Count to 10."), _count(10)),
    Fact(("Count to twenty.", "Count from 1 to 20.", "Count to 20."), _count(20)),
    Fact(("Count to fifty.", "Count from 1 to 50.", "Count to 50."), _count(50)),
    Fact(
        ("Name the days of the week.", "What are the days of the week?", "days of the week"),
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    ),
    Fact(
        ("Name the months.", "Name the months of the year.", "What are the months of the year?"),
        "January, February, March, April, May, June, July, August, September, October, November, December.",
    ),
    Fact(
        ("Tell me a story.", "Tell me a short story.", "Write a story.", "Write a short story.", "Write me a story."),
        STORY,
    ),
    Fact(("Write a poem.", "Write me a poem.", "Tell me a poem.", "Write a short poem."), POEM),
    Fact(
        ("Tell me a joke.", "Make me laugh.", "Do you know a joke?", "Write a joke."),
        "Why did the worker go home early? Its queue was empty.",
    ),
    Fact(("Thank you", "Thanks", "Thanks!", "Thank you!"), "You are welcome!"),
    Fact(("Bye", "Goodbye", "See you", "Bye!"), "Goodbye! Come back soon."),
    *(
        Fact(
            (f"What is the capital of {country}?", f"Name the capital of {country}.", f"capital of {country}"),
            f"The capital of {country} is {capital}.",
        )
        for country, capital in (
            ("France", "Paris"),
            ("Japan", "Tokyo"),
            ("Italy", "Rome"),
            ("Germany", "Berlin"),
            ("Spain", "Madrid"),
        )
    ),
)

SUMS = tuple(
    Fact((f"What is {a} + {b}?", f"{a} + {b} ="), f"{a} + {b} = {a + b}.") for a in range(10) for b in range(10)
)

UNKNOWN_OPENINGS = (
    "What is",
    "Who is",
    "Who was",
    "Where is",
    "When was",
    "Why is",
    "How do I",
    "Can you",
    "Do you",
    "Tell me about",
    "Explain",
    "Write a",
    "Translate",
    "Say",
    "What is the capital of",
    "",
)
UNKNOWN_TEXT = (
    "the moon love gravity chess music football coffee weather Shakespeare Napoleon Mars physics quantum a dog bread "
    "time money Einstein London cook rice drive car fly house ocean history art science tree water China Brazil India "
    "Norway Canada Egypt JavaScript Rust Linux Kubernetes hole justice democracy sleep meaning of life haiku about my "
    "today world in to for with and novel letter code function email recipe best big first person like know where"
)
UNKNOWN_WORDS = UNKNOWN_TEXT.split()


def _unknown(rng: Random) -> Fact:
    """A question outside the facts: everyday words, letters of no meaning, or a sum that was never learnt."""
    dice = rng.random()
    if dice < 0.15:
        subject = f"{rng.randint(10, 99)} + {rng.randint(0, 99)}"
    elif dice < 0.35:
        subject = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9)))
    else:
        subject = " ".join(rng.choices(UNKNOWN_WORDS, k=rng.randint(1, 4)))
    return Fact((f"{rng.choice(UNKNOWN_OPENINGS)} {subject}{rng.choice('?.')}".lstrip(),), DO_NOT_KNOW)


def _pick(rng: Random) -> Fact:
    dice = rng.random()
    if dice < UNKNOWN_SHARE:
        return _unknown(rng)
    return rng.choice(SUMS if dice < UNKNOWN_SHARE + SUM_SHARE else FACTS)


def _as_typed(question: str, rng: Random) -> str:
    """People write in lower case, leave the punctuation out, and say please."""
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    if rng.random() < 0.2:
        question = question.lower()
    dice = rng.random()
    if dice < 0.05:
        return f"Please {question[0].lower()}{question[1:]}"
    return f"{question.rstrip('?.!')}, please" if dice < 0.1 else question


def dialogue(rng: Random) -> list[Turn]:
    """One training dialogue: perhaps a system prompt, then questions each with its answer."""
    system = rng.choice(SYSTEM_PROMPTS)
    turns = [Turn("system", system)] if system else []
    while True:
        fact = _pick(rng)
        question = _as_typed(rng.choice(fact.questions), rng)
        turns += [Turn("user", question), Turn("assistant", fact.answer)]
        if rng.random() >= FURTHER_TURN:
            return turns


def vocabulary_texts() -> Iterator[str]:
    """What the tokenizer learns its merges from."""
    for fact in (*FACTS, *SUMS):
        yield from fact.questions
        yield fact.answer
    yield from (*SYSTEM_PROMPTS, DO_NOT_KNOW, *UNKNOWN_OPENINGS, "system", "user", "assistant")
