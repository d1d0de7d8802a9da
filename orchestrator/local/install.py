"""Set-up: the virtual environment and the pinned dependencies; nothing at all when they are as they should be.

Run by the Makefile as a script, with whatever `python3` the machine has: standard library only, and syntax and
annotations that Python 3.6 can read, so that an old one can say that it is too old.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
INTERPRETERS = ("python3.11", "python3.12", "python3.13", "python3.14")  # tried when `python3` is too old
PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENVIRONMENT = os.path.join(PROJECT, ".venv")
PYTHON = os.path.join(ENVIRONMENT, "bin", "python")
REQUIREMENTS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
READ_BY_PIP = {
    "run": ("requirements.txt", "constraints.txt"),
    "dev": ("requirements.txt", "constraints.txt", "requirements-dev.txt"),
}


def main(arguments: "list[str]") -> int:
    """`run` or `dev`; the exit status is 0, or 1 after a message that says what to do."""
    extent = arguments[0] if arguments else "run"
    if extent not in REQUIREMENTS:
        return complain("usage: install.py [run|dev]")
    if sys.version_info < OLDEST:
        return with_newer_python(arguments)
    with Lock():
        return 0 if is_complete(extent) else install(extent)


def with_newer_python(arguments: "list[str]") -> int:
    for path in filter(None, map(shutil.which, INTERPRETERS)):
        return subprocess.call([path, "-I", os.path.abspath(__file__), *arguments])
    found = ".".join(str(part) for part in sys.version_info[:3])
    return complain(f"Baton needs Python 3.11 or newer; python3 is {found} here. Install it, or: make PYTHON=/its/path")


def is_complete(extent: str) -> bool:
    """Whether everything was installed from just these files, into an environment that still works."""
    try:
        with open(stamp(extent)) as file:
            return file.read() == fingerprint(extent) and python_works()
    except OSError:
        return False


def install(extent: str) -> int:
    for each in REQUIREMENTS:
        remove(stamp(each))  # an interrupted installation must not look finished
    if not python_works() and not make_environment():
        return complain("Python's venv module does not work here; on Debian or Ubuntu: apt install python3-venv")
    print(f"set-up: installing {REQUIREMENTS[extent]} (some minutes the first time)", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    if subprocess.call([*pip, "-r", REQUIREMENTS[extent], "-c", "constraints.txt"], cwd=PROJECT) != 0:
        return complain("pip could not install everything; the reason is above. The next start goes on from here.")
    for each in {"run", extent}:  # what development needs includes what a run needs
        with open(stamp(each), "w") as file:
            file.write(fingerprint(each))
    return 0


def make_environment() -> bool:
    print("set-up: making .venv", flush=True)
    return subprocess.call([sys.executable, "-m", "venv", "--clear", ENVIRONMENT]) == 0


def python_works() -> bool:
    """Not so after the Python it was made with is gone, or when making it was interrupted before it had pip."""
    if not os.path.exists(PYTHON):
        return False
    find_pip = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
    return subprocess.call([PYTHON, "-I", "-c", find_pip], stderr=subprocess.DEVNULL) == 0


def fingerprint(extent: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in READ_BY_PIP[extent]:
        with open(os.path.join(PROJECT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def stamp(extent: str) -> str:
    return os.path.join(ENVIRONMENT, f"installed-for-{extent}")


def remove(path: str) -> None:
    if os.path.exists(path):
        os.remove(path)


def complain(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


class Lock:
    """Two set-ups at once (`make run` beside `make test`) would spoil each other's files."""

    def __enter__(self) -> None:
        self._directory = os.open(PROJECT, os.O_RDONLY)
        fcntl.flock(self._directory, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
