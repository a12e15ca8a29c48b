"""Runs a program that ends when the process that started it does, whatever ends that one.

    python child.py PARENT PROGRAM ARGUMENT...

Linux signals the program when its parent dies, which survives `exec`. It stands in a process of its own
because code between fork and exec is not safe where there are threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def become(parent: int, command: list[str]) -> None:
    """Turn into the program, unless the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606  (the shell is what we avoid)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
