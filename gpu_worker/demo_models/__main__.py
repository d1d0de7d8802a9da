"""The command: `python -m gpu_worker.demo_models [--only KIND] [--out FOLDER] [--steps-scale X]`.

Builds one kind after the other, each next to its old folder, and replaces that only when the build is complete.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import monotonic

from gpu_worker.demo_models.cards import write_card

FOLDERS = {
    "chat": "baton-chat",
    "diffusion": "baton-diffusion",
    "voice": "baton-voice",
    "caption": "baton-caption",
}
READABLE = 0o644  # safetensors writes files for its owner alone; an image or a package needs them readable

Build = Callable[[Path, float], dict[str, str]]


def main() -> None:
    arguments = _parser().parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is on a hub; must be set before the libraries load
    for kind in [arguments.only] if arguments.only else FOLDERS:
        rebuild(kind, arguments.out, arguments.steps_scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker.demo_models",
        description="Rebuild the small models of the default catalogue. Deterministic: the same machine and the same "
        "library versions give the same weights.",
        epilog="Takes about fifteen minutes on one core: chat 4, diffusion 7, voice 2, caption 3.",
    )
    parser.add_argument("--only", choices=sorted(FOLDERS), help="build this kind alone")
    parser.add_argument("--out", type=Path, default=Path("models"), help="where the models' folders go (models)")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="share of the training steps (1.0)")
    return parser


def rebuild(kind: str, out: Path, scale: float = 1.0) -> Path:
    """Train one kind and put it into its folder under `out`, which is returned."""
    started, folder = monotonic(), out / FOLDERS[kind]
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    measured = _builder(kind)(unfinished, scale)
    write_card(unfinished, kind, folder.name, measured)
    _make_readable(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    results = ", ".join(f"{what} {value}" for what, value in measured.items())
    print(f"{folder}: {results}; {monotonic() - started:.0f} s")
    return folder


def _builder(kind: str) -> Build:
    """Imported only now: torch and the model libraries take seconds, and --help should not."""
    build: Build = import_module(f"gpu_worker.demo_models.{kind}").build
    return build


def _make_readable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(READABLE)


if __name__ == "__main__":
    main()
