"""`baton` as a person or a script runs it, against a running Baton."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from baton_client import Batch, Client
from baton_client.cli.main import app
from typer.testing import CliRunner

from tests.client.program import Command, Program
from tests.client.test_tasks import NOBODY, PROMPT, simulated
from tests.faults.stack import wait_until

pytestmark = pytest.mark.slow
SIMULATED = ("--model", "simulated", "-p", "simulate.seconds=0.05")
LONG = ("--model", "simulated", "-p", "simulate.seconds=30", "-p", "simulate.steps=300")


def test_run_prints_the_text_and_nothing_else(baton: Command) -> None:
    done = baton("run", "llm", "Hello", *SIMULATED)
    assert done.stdout.strip()
    assert done.stderr == ""
    assert baton("run", "chat", "-", *SIMULATED, stdin="Hello").stdout.strip()


def test_run_as_json_is_the_task_of_the_api(baton: Command, client: Client) -> None:
    task = baton.json("run", "llm", "Hello", *SIMULATED, "--metadata", "order=17", "--priority", "7")
    assert (task["status"], task["metadata"], task["priority"]) == ("completed", {"order": "17"}, 7)
    assert client.get(task["task_id"]).raw == task


def test_run_saves_an_image_under_the_name_that_was_asked_for(baton: Command, tmp_path: Path) -> None:
    done = baton("run", "image", "a red circle", *SIMULATED, "-o", tmp_path / "circle")
    assert Path(done.stdout.strip()) == tmp_path / "circle.png"
    assert (tmp_path / "circle.png").read_bytes().startswith(b"\x89PNG")
    baton("run", "speech", "Hello.", *SIMULATED, "-o", tmp_path)
    [sound] = tmp_path.glob("*.wav")
    assert sound.read_bytes().startswith(b"RIFF")
    text = baton("run", "caption", tmp_path / "circle.png", *SIMULATED).stdout
    assert text.strip()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_a_task_that_fails_is_exit_status_1_and_says_why(baton: Command) -> None:
    done = baton("run", "llm", "Hello", *SIMULATED, "-p", "simulate.fail=error", "--max-attempts", "1", status=1)
    assert "failed (internal_error): simulated failure" in done.stderr
    assert done.stdout == ""


def test_invalid_input_is_exit_status_2_and_names_the_field_and_its_bound(baton: Command) -> None:
    done = baton("run", "image", "x", "-p", "num_inference_steps=151", status=2)
    assert "num_inference_steps" in done.stderr
    assert "150" in done.stderr
    as_json = baton("run", "image", "x", "-p", "num_inference_steps=151", "--json", status=2)
    assert json.loads(as_json.stderr)["error"]["param"] == "parameters.num_inference_steps"
    assert "no task type" in baton("run", "poem", "x", status=2).stderr
    assert "NAME=VALUE" in baton("run", "llm", "x", "-p", "seed", status=2).stderr


def test_what_does_not_exist_is_exit_status_3(baton: Command) -> None:
    for command in ("get", "watch", "cancel", "explain"):
        assert f"There is no task {NOBODY}" in baton(command, NOBODY, status=3).stderr
    assert "no-such-model" in baton("run", "llm", "x", "-m", "no-such-model", status=3).stderr


def test_a_time_that_is_up_is_exit_status_4_and_the_task_goes_on(baton: Command, client: Client) -> None:
    done = baton("run", "llm", "Hello", *LONG, "--timeout", "0.5s", status=4)
    task_id = done.stderr.split()[1].rstrip(":")
    assert not client.get(task_id).has_ended
    assert baton("cancel", task_id).stdout.split() == [task_id, "cancelled"]
    assert baton("cancel", task_id).stdout.split() == [task_id, "cancelled"]
    ended = client.run("llm", PROMPT, **simulated()).task_id
    assert "already ended" in baton("cancel", ended, status=1).stderr


def test_nobody_who_answers_is_exit_status_1_with_advice(baton: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("FIRST_PAUSE", "LONGEST_PAUSE"):  # longer than the command's patience, so that it gives up at once
        monkeypatch.setattr(f"baton_client.plans.{pause}", 100.0)
    done = baton("ls", status=1, BATON_URL="http://127.0.0.1:1")
    assert "does not answer" in done.stderr
    assert "BATON_URL" in done.stderr


def test_no_credentials_are_exit_status_2_and_say_what_to_set(baton: Command) -> None:
    assert "BATON_API_KEY" in baton("ls", status=2, BATON_URL="", BATON_API_KEY="").stderr
    assert "BATON_API_KEY" in baton("ls", status=1, BATON_API_KEY="baton_aaaaaaaa_" + "x" * 43).stderr


def test_ctrl_c_while_run_waits_cancels_the_task(process: Program, client: Client) -> None:
    for options, ended in ((), "cancelled"), (("--keep",), None):
        running = process.start("run", "llm", "interrupted", *LONG, *options)
        [task] = wait_until(lambda: list(client.list(q="interrupted", status=["running"])), 60, "the task")
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
        assert (running.returncode, output) == (130, "")
        assert task.task_id in errors
        assert "Traceback" not in errors
        now = client.get(task.task_id)
        assert (now.status if now.has_ended else None) == ended
    client.cancel(task.task_id, wait=20)


def test_submit_get_ls_retry_and_explain_work_together(baton: Command, client: Client) -> None:
    task_id = baton("submit", "llm", "a needle", *SIMULATED).stdout.strip()
    client.wait(task_id, timeout=60)
    shown = baton("get", task_id).stdout
    assert task_id in shown
    assert "completed" in shown
    assert baton("ls", "-q", "a needle", "--ids").stdout.split() == [task_id]
    assert "a needle" in baton("ls", "-q", "a needle", "--since", "1h").stdout
    assert [task["task_id"] for task in baton.json("ls", "-q", "a needle")] == [task_id]
    again = baton("retry", task_id).stdout.strip()
    assert client.wait(again, timeout=60).retry_of == task_id
    assert "does not wait" in baton("explain", task_id).stdout
    assert "No task matches" in baton("ls", "-q", "no such needle").stderr


def test_a_batch_goes_in_as_a_file_and_its_results_come_out_in_its_order(baton: Command, tmp_path: Path) -> None:
    prompts = ["One.", "Two.", "Drei: ä\u2028"]
    body = {"task_type": "llm", **simulated()}
    lines = [json.dumps({**body, "input": {"prompt": prompt}}, ensure_ascii=False) for prompt in prompts]
    (tmp_path / "tasks.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    batch_id = baton("batch", "submit", tmp_path / "tasks.jsonl", "--metadata", "day=monday").stdout.strip()
    assert baton.json("batch", "wait", batch_id, "--timeout", "60")["counts"]["completed"] == 3
    assert "3 of 3 (100%)" in baton("batch", "status", batch_id).stdout
    results = baton("batch", "results", batch_id).stdout.rstrip("\n").split("\n")
    assert [json.loads(line)["input"]["prompt"] for line in results] == prompts
    assert "3 had finished" in baton("batch", "cancel", batch_id).stdout


def test_a_bad_batch_names_each_bad_task_and_stores_none(baton: Command, tmp_path: Path) -> None:
    bad = {"task_type": "llm", "input": {}}
    (tmp_path / "tasks.json").write_text(json.dumps([bad, {"task_type": "llm", "input": PROMPT}, bad]))
    done = baton("batch", "submit", tmp_path / "tasks.json", status=2)
    assert "tasks[0].input" in done.stderr
    assert "tasks[2].input" in done.stderr
    (tmp_path / "broken.jsonl").write_text('{"task_type": "llm"\n')
    assert "line 1" in baton("batch", "submit", tmp_path / "broken.jsonl", status=2).stderr


def test_an_operator_sees_and_steers_workers_and_queues(baton: Command) -> None:
    assert "w1" in baton("workers").stdout
    try:
        assert "draining" in baton("drain", "w1", "--wait", "--timeout", "60", "--reason", "test").stdout
        baton("pause", "queue", "tts", "--for", "30m", "--reason", "new driver")
        [queue] = [each for each in baton.json("queues")["results"] if each["name"] == "tts"]
        assert queue["paused"]["reason"] == "new driver"
        assert "new driver" in baton("queues").stdout
        [worker] = baton.json("workers")
        assert worker["state"] == "draining"
    finally:
        baton("resume", "queue", "tts")
        baton("resume", "worker", "w1")
    assert baton.json("workers")[0]["state"] == "active"
    baton("pause", "model", "no/such model", status=3)
    assert "baton-chat" in baton("models", "--type", "chat").stdout
    assert {model["task_type"] for model in baton.json("models", "-T", "sd")} == {"stable_diffusion"}


def test_top_draws_workers_queues_and_what_runs(baton: Command, client: Client) -> None:
    task = client.submit("llm", PROMPT, **simulated(30))
    wait_until(lambda: client.get(task.task_id).status == "running", 60, "the task to run")
    drawn = baton("top", "--once").stdout
    assert "w1" in drawn
    assert "stable_diffusion" in drawn
    assert task.task_id in drawn
    assert task.task_id in {each["task_id"] for each in baton.json("top")["running"]}
    client.cancel(task.task_id, wait=20)


def test_the_doctor_finds_nothing_wrong_and_leaves_nothing_behind(baton: Command, client: Client) -> None:
    before = {task.task_id for task in client.list()}
    done = baton("doctor")
    assert "✗" not in done.stdout
    assert "baton-chat" in done.stdout
    assert {task.task_id for task in client.list()} == before


def test_the_doctor_says_what_is_wrong_and_what_to_do(baton: Command) -> None:
    away = baton("doctor", status=1, BATON_URL="http://127.0.0.1:1").stdout
    assert "Start Baton there" in away
    stranger = baton("doctor", status=1, BATON_API_KEY="baton_aaaaaaaa_" + "x" * 43).stdout
    assert "Take a key that the server knows" in stranger


def test_every_command_teaches_with_help() -> None:
    def help_of(*command: str) -> str:
        return CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "100"}).output

    names = (
        "run submit get watch cancel retry priority ls explain top workers drain pause resume queues models batch bulk "
        "usage doctor"
    )
    overview = help_of()
    for name in names.split():
        assert f"\n  {name} " in overview
        assert "Usage:" in help_of(name)
    assert "Exit status" in overview


def test_usage_is_told_by_what_is_asked_for(baton: Command, client: Client) -> None:
    client.run("llm", PROMPT, **simulated())
    told = client.usage(group_by=["model"], task_type="llm")
    [row] = [row for row in told.results if row.model == "simulated"]
    assert 1 <= row.completed_tasks <= row.tasks <= told.total.tasks
    assert told.since < told.to
    shown = baton("usage", "--since", "1d", "--by", "user,model", "-T", "llm").stdout
    assert "simulated" in shown
    assert "total" in shown
    assert baton.json("usage", "--by", "model")["group_by"] == ["model"]
    assert "group_by" in baton("usage", "--by", "moon", status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "http://[::1", "ls"), "no address"),
        (("--url", "http://a b:x/", "ls"), "address"),
        (("--url", "baton.example", "ls"), "http://"),
        (("run", "llm", "x", "-p", "temperature=NaN"), "temperature"),
        (("run", "llm", "bad \udce4 bytes"), "UTF-8"),
        (("run", "llm"), "prompt"),
        (("run", "llm", "x", "-p", "no_such=1"), "no_such"),
        (("run", "caption", "no/such/file.png"), "no/such/file.png"),
        (("run", "llm", "x", "--timeout", "soon"), "duration"),
        (("run", "llm", "x", "--metadata", "=1"), "NAME=VALUE"),
        (("ls", "--status", "sleeping"), "status must be one of"),
        (("ls", "--since", "yesterday"), "created_after"),
        (("batch", "submit", "/no/such/file"), "/no/such/file"),
        (("pause", "worker", "w1", "--for", "5m"), "--for"),
        (("cancel",), "TASK"),
    ],
)
def test_whatever_is_wrong_is_told_in_a_line_or_two(baton: Command, arguments: tuple[str, ...], told: str) -> None:
    done = baton(*arguments, status=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 5


def test_a_reader_that_leaves_early_is_no_error_to_see(process: Program, many: Batch) -> None:
    results = process.start("batch", "results", many.batch_id)
    assert results.stdout is not None
    assert results.stderr is not None
    results.stdout.readline()
    results.stdout.close()
    assert results.wait(60) in (0, 1)
    assert results.stderr.read() == ""
    results.stderr.close()


def test_a_process_ends_with_the_status_of_the_command(process: Program) -> None:
    assert process("run", "chat", "-", *SIMULATED, stdin="Hello").stdout.strip()
    assert f"There is no task {NOBODY}" in process("get", NOBODY, status=3).stderr
    assert "UTF-8" in process("run", "llm", "bad \udce4 bytes", status=2).stderr
