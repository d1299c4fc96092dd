"""What this process asks of the kernel: no core dump with keys in it, and every descriptor it may have.

This module must not decide how many connections are accepted.
"""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4
"""prctl(2), linux/prctl.h."""


def forbid_dumps() -> None:
    """Keep provider keys out of core files and away from debuggers of the same user.

    Raises:
        OSError: when the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def raise_descriptors() -> int:
    """Raise the soft limit of open descriptors to the hard one; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
