"""Language models, four ways in the same run: 32 requests of mixed lengths at once, greedy.

    python -m benchmarks.engine [--size 42M] [--requests 32] [--repeat 3] [--device cpu] [--dtype float32]

OMP_NUM_THREADS (1) is the number of cores. Prints a table, then one line of JSON: how many times the tokens per second
of each peer Baton's engine reaches. The table also counts processor time, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.engine import made
from benchmarks.engine.made import Request
from benchmarks.engine.ours import Baton
from benchmarks.engine.peers import Run, Transformers
from gpu_worker.engine import device as devices

LOAD, NEWCOMERS = 16, 5  # requests that write while a new one comes; how many come, one after the other
SAMPLED = {"temperature": 0.9, "top_p": 0.95, "seed": 1}


def main() -> None:
    options = _options()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    requests = made.requests(options.requests)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        made.make(folder, options.size)
        model, tokenizer = made.load(folder, options.device, getattr(torch, options.dtype))
        peers = Transformers(model, tokenizer)
        baton = Baton(folder, _device(options), options.dtype)
        try:
            runs = _measure(peers, baton, requests, options)
            waiting = _first_token_under_load(baton)
            overhead = _overhead(peers, baton)
        finally:
            baton.close()
    _check(runs, tokenizer)
    _report(runs, sum(request.new_tokens for request in requests), waiting, overhead, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=made.SIZES, default="42M")
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    return parser.parse_args()


def _device(options: argparse.Namespace) -> devices.Device:
    found = devices.detect()
    if found.type != options.device:
        raise SystemExit(f"this machine offers {found.type}, not {options.device}")
    return found


def _measure(
    peers: Transformers, baton: Baton, requests: list[Request], options: argparse.Namespace
) -> dict[str, list[Run]]:
    """In turn, so that what else the machine does falls on all of them."""
    ways: dict[str, Callable[[], Run]] = {
        "one at a time": lambda: peers.in_batches(requests, 1),
        "static batch": lambda: peers.in_batches(requests, len(requests)),
        "transformers' continuous": lambda: peers.continuously(requests),
        "baton": lambda: baton.answers(requests),
        "baton, sampling": lambda: baton.answers(requests, SAMPLED),
    }
    peers.in_batches(requests[:2], 2)  # warm
    baton.answers(requests[:2])
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(options.repeat):
        for name, run in ways.items():
            runs[name].append(run())
    return runs


def _first_token_under_load(baton: Baton) -> float:
    """Seconds until a newcomer with 64 tokens has its first, while others write; the median of some."""
    letters = "newcomer" * 8
    writing = [baton.submit(Request(letters[:20], 1500)) for _ in range(LOAD)]
    for request_id in writing:
        baton.first(request_id)
    firsts = []
    for _ in range(NEWCOMERS):
        request_id = baton.submit(Request(letters, 2))
        firsts.append(baton.first(request_id))
        baton.text(request_id)
    for request_id in writing:
        baton.cancel(request_id)
    return statistics.median(firsts)


def _overhead(peers: Transformers, baton: Baton) -> float:
    """Milliseconds that a lone request of one token takes longer than `generate` takes for it."""
    lone = [Request("a lone request", 1)]
    theirs = statistics.median(peers.in_batches(lone, 1).seconds for _ in range(20))
    return (statistics.median(baton.answers(lone).seconds for _ in range(20)) - theirs) * 1000


def _check(runs: dict[str, list[Run]], tokenizer: Any) -> None:
    """Greedy answers are the same whichever way they came; else the figures compare different work."""
    expected = [tokenizer.decode(answer) for answer in runs["one at a time"][0].answers]
    for name in ("static batch", "transformers' continuous", "baton"):
        answers = runs[name][0].answers
        texts = [answer if isinstance(answer, str) else tokenizer.decode(answer) for answer in answers]
        equal = sum(
            text.rstrip("\ufffd") == other.rstrip("\ufffd") for text, other in zip(texts, expected, strict=True)
        )
        print(f"{name:26} {equal} of {len(expected)} answers are those of one at a time")


def _report(
    runs: dict[str, list[Run]], tokens: int, waiting: float, overhead: float, options: argparse.Namespace
) -> None:
    speed = {name: _speed(several, tokens, lambda run: run.seconds) for name, several in runs.items()}
    busy = {name: _speed(several, tokens, lambda run: run.processor_seconds) for name, several in runs.items()}
    for name, several in runs.items():
        firsts = [first for run in several for first in run.firsts]
        print(
            f"{name:26} {speed[name]:8.1f} tokens/s {busy[name]:8.1f} per processor second   "
            f"first token: median {statistics.median(firsts):6.2f} s, last {max(firsts):6.2f} s"
        )
    figures = {
        **_ratios(speed),
        "ttft_under_load_seconds": round(waiting, 3),
        "overhead_ms": round(overhead, 2),
        "by_processor_time": _ratios(busy),
    }
    about = {"benchmark": "engine", "model": options.size, "device": options.device, "dtype": options.dtype}
    machine = {"threads": torch.get_num_threads(), "load_average": round(os.getloadavg()[0], 1)}
    print(json.dumps({**about, **machine, **figures}))


def _speed(several: Sequence[Run], tokens: int, seconds: Callable[[Run], float]) -> float:
    return tokens / statistics.median(seconds(run) for run in several)


def _ratios(speed: dict[str, float]) -> dict[str, float]:
    return {
        "llm_vs_single": round(speed["baton"] / speed["one at a time"], 2),
        "llm_vs_static": round(speed["baton"] / speed["static batch"], 2),
        "llm_vs_transformers": round(speed["baton"] / speed["transformers' continuous"], 2),
    }


if __name__ == "__main__":
    main()
