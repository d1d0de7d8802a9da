"""The small models: a rebuild of a few steps works and repeats itself, and what ships is sound and answers."""

import hashlib
import warnings
from pathlib import Path
from random import Random

import pytest
import torch

from gpu_worker.demo_models.__main__ import FOLDERS, rebuild
from gpu_worker.demo_models.chat_corpus import FACTS, STORY, SUMS
from gpu_worker.demo_models.closed_vocabulary import tokenizer_of
from gpu_worker.demo_models.robot_voice import CHARACTERS, FRAME, LOUDNESS, SAMPLE_RATE, sound_of
from gpu_worker.demo_models.shapes import COLOURS, SHAPES, Drawing, dominant_colour, draw

pytestmark = pytest.mark.slow  # seconds of torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch deprecates what diffusers still calls while it is imported
    from gpu_worker.demo_models import caption, chat, diffusion, voice

SHIPPED = Path(__file__).resolve().parents[2] / "models"
SHIPPED_BYTES = 12_000_000  # at most, together: they are part of every checkout
FEW_STEPS = 0.002


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


# ---------------------------------------------------------------- a short rebuild


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """Folders of a rebuild of a few steps, made once per kind."""
    out, folders = tmp_path_factory.mktemp("models"), {}

    def folder(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = rebuild(kind, out, FEW_STEPS)
        return folders[kind]

    return folder


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_rebuild_leaves_a_complete_folder_with_a_card_and_no_unfinished_one(rebuilt, kind):
    folder = rebuilt(kind)
    assert folder.name == FOLDERS[kind]
    assert list(folder.rglob("*.safetensors"))
    assert "license: apache-2.0" in (folder / "README.md").read_text()
    assert not list(folder.parent.glob("*.unfinished"))


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_same_rebuild_gives_the_same_files(rebuilt, tmp_path, kind):
    assert digest(rebuild(kind, tmp_path, FEW_STEPS)) == digest(rebuilt(kind))


def test_a_rebuild_replaces_what_was_in_the_folder(tmp_path):
    leftover = tmp_path / FOLDERS["chat"] / "leftover.bin"
    leftover.parent.mkdir()
    leftover.write_bytes(b"old")
    rebuild("chat", tmp_path, FEW_STEPS)
    assert not leftover.exists()


def test_a_rebuilt_chat_model_generates(rebuilt):
    assert len(chat.answer(rebuilt("chat"), ["Hello", "Count to ten."])) == 2


@pytest.mark.parametrize("size", [64, 128])
def test_a_rebuilt_image_model_paints_the_size_asked_for(rebuilt, size):
    [image] = diffusion.paint(rebuilt("diffusion"), ["a red circle"], size=size, steps=2)
    assert image.size == (size, size)


def test_a_rebuilt_voice_gives_whole_frames_of_finite_samples(rebuilt):
    [wave] = voice.speak(rebuilt("voice"), ["hello"])
    assert len(wave) % FRAME == 0
    assert torch.isfinite(wave).all()


def test_a_rebuilt_caption_model_speaks_its_vocabulary(rebuilt):
    [text] = caption.describe(rebuilt("caption"), [draw(Drawing("circle", "red", "white"), 96, Random(1))])
    assert isinstance(text, str)


# ---------------------------------------------------------------- what ships


def test_shipped_models_hold_no_code_and_no_pickles():
    suffixes = {path.suffix for path in SHIPPED.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json", ".txt", ".md", ".jinja"}


def test_shipped_models_are_small_enough_for_every_checkout():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < SHIPPED_BYTES


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_every_shipped_model_has_weights_that_other_users_may_read(folder):
    weights = list((SHIPPED / folder).rglob("*.safetensors"))
    assert weights
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in weights)


def test_the_shipped_chat_model_knows_its_facts():
    given = chat.answer(SHIPPED / "baton-chat", [fact.questions[0] for fact in FACTS])
    assert given == [fact.answer for fact in FACTS]


def test_the_shipped_chat_model_adds_digits():
    sums = SUMS[::7]
    assert chat.answer(SHIPPED / "baton-chat", [fact.questions[0] for fact in sums]) == [fact.answer for fact in sums]


def test_the_shipped_chat_model_counts_and_tells_the_story_however_it_is_asked():
    counted, told, named = chat.answer(SHIPPED / "baton-chat", ["count to 10", "tell me a story", "who are you"])
    assert counted == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."
    assert told == STORY
    assert named.startswith("I am Baton's small demo model")


def test_the_shipped_image_model_follows_the_colour_of_the_prompt():
    drawings = [Drawing(shape, colour, "white") for colour in diffusion.COLOURS for shape in diffusion.SHAPES]
    images = diffusion.paint(SHIPPED / "baton-diffusion", [drawing.caption for drawing in drawings])
    right = sum(
        dominant_colour(image, "white") == drawing.colour for image, drawing in zip(images, drawings, strict=True)
    )
    assert right >= 12, f"{right} of {len(drawings)}; chance is 3"


def test_the_shipped_voice_sings_the_tones_of_its_letters():
    [wave] = voice.speak(SHIPPED / "baton-voice", ["hello world."])
    assert 0.5 < len(wave) / SAMPLE_RATE < 3
    assert 0.1 < wave.abs().max() <= 1


def test_the_shipped_caption_model_describes_most_drawings_exactly():
    rng = Random(7)
    drawings = [Drawing(rng.choice(SHAPES), *rng.sample(list(COLOURS), 2)) for _ in range(20)]
    captions = caption.describe(SHIPPED / "baton-caption", [draw(drawing, 96, rng) for drawing in drawings])
    exact = sum(drawing.caption == text for drawing, text in zip(drawings, captions, strict=True))
    assert exact >= 12, captions


# ---------------------------------------------------------------- what the models learn from


def test_every_word_of_a_closed_vocabulary_is_one_token():
    words = ["red", "green", "great", "circle", "cross", "background", "a"]
    tokenizer = tokenizer_of(words, max_tokens=16)
    assert [tokenizer.tokenize(word) for word in words] == [[f"{word}</w>"] for word in words]


@pytest.mark.parametrize("colour", [name for name in COLOURS if name != "white"])
def test_a_drawing_shows_the_colour_that_its_caption_names(colour):
    image = draw(Drawing("square", colour, "white"), 64, Random(3))
    assert dominant_colour(image, background="white") == colour


def test_letters_and_digits_sound_and_the_rest_is_silent():
    peaks = {character: float(abs(sound_of(character).frame).max()) for character in CHARACTERS}
    assert {character for character, peak in peaks.items() if peak > 0} == set(filter(str.isalnum, CHARACTERS))
    assert max(peaks.values()) <= LOUDNESS + 1e-6
