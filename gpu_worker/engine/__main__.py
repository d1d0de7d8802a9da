"""`python -m gpu_worker.engine --fd N`: the engine process. Started by `gpu_worker.engine.process` alone."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from multiprocessing.connection import Connection

from gpu_worker.engine.guard import stand_guard


def main() -> int:
    parser = argparse.ArgumentParser(prog="gpu_worker.engine")
    parser.add_argument("--fd", type=int, required=True, help="inherited end of a socket pair")
    fd: int = parser.parse_args().fd
    stand_guard(fd)
    from gpu_worker.engine import device, loop  # after the fork, which must stay small

    logging.basicConfig(level=os.environ.get("ENGINE_LOG_LEVEL", "INFO"), format="engine %(levelname)s %(message)s")
    loop.Engine(Connection(fd), device.detect()).serve()
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except Exception:  # noqa: BLE001  the last boundary: a traceback on stderr, then the end below
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a torch thread alive at an ordinary interpreter exit aborts the process
