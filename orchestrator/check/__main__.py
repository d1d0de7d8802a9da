"""`python -m orchestrator.check`: the checks from a machine that has none of the server's settings."""

import sys

from orchestrator.check.command import main

if __name__ == "__main__":
    sys.exit(main())
