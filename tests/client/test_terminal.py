"""`baton` at a terminal: what it draws and asks there, and what Ctrl-C does."""

from __future__ import annotations

import signal

import pytest
from baton_client import Client

from tests.client.program import Program
from tests.client.terminal import Terminal
from tests.client.test_tasks import simulated
from tests.faults.stack import Stack, wait_until

pytestmark = pytest.mark.slow


def test_a_terminal_sees_the_steps_and_ctrl_c_cancels(process: Program, client: Client) -> None:
    terminal = Terminal(process, "run", "image", "on a terminal", "-m", "simulated", "-p", "simulate.seconds=30",
                        "-p", "simulate.steps=300")  # fmt: skip
    terminal.read(r"step \d+ of 300")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert "Cancelled." in terminal.text
    assert "Traceback" not in terminal.text
    [task] = client.list(q="on a terminal")
    assert task.status == "cancelled"


@pytest.mark.thorough
def test_a_terminal_sees_text_as_it_comes(process: Program, client: Client) -> None:
    slow = ("-m", "simulated", "-p", "simulate.seconds=8", "-p", "simulate.steps=40")
    terminal = Terminal(process, "run", "chat", "as it comes", *slow)
    terminal.read("You said")
    [task] = client.list(q="as it comes")
    assert task.status == "running"
    assert terminal.end() == 0
    assert client.get(task.task_id).text in terminal.text


@pytest.mark.thorough
def test_text_of_an_attempt_that_was_lost_is_told_apart(process: Program, client: Client, stack: Stack) -> None:
    slow = ("-m", "simulated", "-p", "simulate.seconds=5", "-p", "simulate.steps=40")
    terminal = Terminal(process, "run", "chat", "twice", *slow)
    terminal.read("You said")
    stack.kill_engine()
    assert terminal.end() == 0
    [task] = client.list(q="twice")
    assert task.attempt == 2
    _, told, rest = terminal.text.partition("That attempt was lost; the text begins again.")
    assert told
    assert task.text in rest


def test_text_of_others_does_not_steer_the_terminal(process: Program, client: Client) -> None:
    client.run("llm", {"prompt": "\x1b]0;stolen\x07 escape"}, **simulated())
    terminal = Terminal(process, "ls", "-q", "escape")
    assert terminal.end() == 0
    assert "stolen" in terminal.text
    assert "\x1b]0;" not in terminal.text


@pytest.mark.thorough
def test_top_is_drawn_again_and_again_also_while_the_server_is_away(process: Program, stack: Stack) -> None:
    terminal = Terminal(process, "top", "--interval", "0.3")
    terminal.read("w1")
    stack.kill("web")
    terminal.text = ""
    terminal.read("Server disconnected|refused|does not answer")
    stack.start_web()
    terminal.text = ""
    terminal.read("w1")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0
    wait_until(lambda: stack.is_ready(workers=1), 60, "the web process")
