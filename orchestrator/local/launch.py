"""Becomes another program that dies with its parent: `launch.py DEATH_SIGNAL PARENT UMASK UID GID PROGRAM ARGUMENTS…`.

Run by `program.spawn` as a script of its own, on the bare interpreter, and not as a `preexec_fn`: that one runs Python
between fork and exec, which may deadlock in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(numbers: list[int], command: list[str]) -> None:
    """Replaces this process; returns never."""
    death_signal, parent, umask, uid, gid = numbers
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(umask)
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)  # after setuid, which clears it
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:6]], sys.argv[6:])
