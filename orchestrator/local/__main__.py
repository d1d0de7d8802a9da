"""`python -m orchestrator.local`: the one-command start. `make run` sets up the virtual environment and runs this."""

import argparse
import os
import sys

from orchestrator.local import configuration, stack
from orchestrator.local.errors import StartError
from orchestrator.local.parent import Parent


def main() -> int:
    """The exit status: 0 after an orderly stop, 1 if Baton could not start, 130 if it was interrupted before."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.local", description="Start all of Baton here.")
    parser.add_argument("--follow-parent", action="store_true", help="stop when the process that started this is gone")
    arguments = parser.parse_args()
    try:
        stack.run(configuration.read(os.environ), Parent() if arguments.follow_parent else None)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:  # before there was anything to stop
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
