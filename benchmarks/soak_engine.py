"""`python -m benchmarks.soak_engine`: many requests of all kinds through one engine; does its memory stay what it is?

Needs no server. Prints the engine's resident memory as it goes; ends with 1 if it grew by more than 5 % over the second
half of the run.
"""

from __future__ import annotations

import argparse
import collections
import queue
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from gpu_worker.engine.process import EngineProcess
from gpu_worker.engine.protocol import Completed, Finished, ModelSpec, Ready, Report, Submit

MODELS = Path(__file__).resolve().parents[1] / "models"
ALLOWED_GROWTH = 0.05  # of the resident memory at half-time
READINGS = 20  # in a whole run
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llm": ("baton-chat", {"prompt": "Tell me a story."}, {"max_new_tokens": 8}),
    "image_to_text": ("baton-caption", {}, {"max_new_tokens": 12}),
    "tts": ("baton-voice", {"text": "Hello."}, {"format": "wav"}),
    "stable_diffusion": ("baton-diffusion", {"prompt": "a red circle"}, {"width": 64, "height": 64}),
}
ORDER = ["llm", "image_to_text"] * 9 + ["tts", "stable_diffusion"]  # over and over


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.soak_engine", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=8)
    given = parser.parse_args()
    reports: queue.SimpleQueue[Report | int] = queue.SimpleQueue()
    engine = EngineProcess(reports.put, reports.put, {"ENGINE_THREADS": "1"})
    with tempfile.TemporaryDirectory() as folder:
        engine.start()
        try:
            return report(list(soak(engine, reports, Path(folder), given.requests, given.in_flight)))
        finally:
            engine.stop(3.0)


def soak(
    engine: EngineProcess, reports: queue.SimpleQueue[Report | int], folder: Path, requests: int, in_flight: int
) -> Iterator[float]:
    """Resident MiB of the engine, READINGS times."""
    process = psutil.Process(next(got.pid for got in iter(reports.get, 0) if isinstance(got, Ready)))
    sent = done = 0
    began, ends = time.monotonic(), collections.Counter[str]()
    while done < requests:
        while sent < min(requests, done + in_flight):
            engine.submit(request(sent, folder))
            sent += 1
        match reports.get():
            case Finished(request_id=request_id, outcome=outcome):
                done += 1
                ends[type(outcome).__name__] += 1
                remove(outcome, folder / request_id)
                if done % (requests // READINGS) == 0:
                    mib = process.memory_info().rss / 2**20
                    print(f"{done:>6} requests  {mib:7.1f} MiB  {done / (time.monotonic() - began):6.1f}/s", flush=True)
                    yield mib
            case int(code):
                raise SystemExit(f"the engine ended with status {code}")
    print(", ".join(f"{count} {word.lower()}" for word, count in ends.items()))


def request(number: int, folder: Path) -> Submit:
    kind = ORDER[number % len(ORDER)]
    name, given, parameters = KINDS[kind]
    if kind == "image_to_text":
        path = folder / f"{number % 50}.png"
        if not path.exists():
            Image.effect_noise((64, 64), 20 + number % 50).save(path)
        given = {"image": str(path)}
    if kind == "stable_diffusion":
        parameters = {**parameters, "num_inference_steps": 2}
    spec = ModelSpec(name, kind, "transformers", str(MODELS / name), dtype="float32")
    return Submit(f"r{number}", spec, given, {**parameters, "seed": number}, str(folder / f"r{number}"))


def remove(outcome: object, directory: Path) -> None:
    if isinstance(outcome, Completed) and outcome.files:
        for file in outcome.files:
            Path(file.path).unlink()
        directory.rmdir()


def report(readings: list[float]) -> int:
    half = readings[len(readings) // 2 - 1]
    growth = max(readings[len(readings) // 2 :]) / half - 1
    print(f"from {half:.1f} MiB at half-time it grew by {growth:.1%} at most over the second half")
    return int(growth > ALLOWED_GROWTH)


if __name__ == "__main__":
    raise SystemExit(main())
