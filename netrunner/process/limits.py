"""What this process asks of the kernel: no core dump with keys in it, every descriptor it may have, orphans.

This module must not decide how many connections are accepted.
"""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2), linux/prctl.h."""


def forbid_dumps() -> None:
    """Keep provider keys out of core files and away from debuggers of the same user.

    Raises:
        OSError: when the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of whichever descendant loses its own, in the place of the system's first process.

    Raises:
        OSError: when the kernel refuses.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def raise_descriptors() -> int:
    """Raise the soft limit of open descriptors to the hard one; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
