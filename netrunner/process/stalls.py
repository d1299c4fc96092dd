"""Who holds up the reactor: code that keeps everything else waiting is named while it does.

Filters, providers and sinks share one thread with every stream, so one that waits or computes for long delays them all.
A second thread looks a few times a second how late the reactor is, and writes down what it is busy with.

This module must not stop what it finds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from twisted.logger import Logger

STALL_S = 0.5
"""How late the reactor is before somebody is named."""
LOOK_S = 0.2
"""Between two looks."""
DEPTH = 6
"""Callers that are named."""
WAITS = ("netrunner.process.tuning", "twisted.internet.epollreactor", "twisted.internet.pollreactor")
"""Modules in which the reactor waits for its sockets: it is late because others have the processor."""


class Stalls:
    """A thread that watches the one it is started from.

    Args:
        late_s: Returns how many seconds the reactor is late now; called in the other thread.
        log: Is told.
        interval_s: Between two looks.
    """

    def __init__(self, late_s: Callable[[], float], log: Logger, interval_s: float = LOOK_S) -> None:
        self._late_s = late_s
        self._log = log
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0

    def start(self) -> None:
        """Begin to look; the calling thread is the reactor's."""
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; idempotent."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        told = False
        looked = time.monotonic()
        while not self._over.wait(self._interval_s):
            before, looked = looked, time.monotonic()
            late = self._late_s()
            if late < STALL_S:
                told = False
            # A look that is late itself tells that the whole process had stood still.
            elif not told and looked - before < self._interval_s + STALL_S:
                frame = sys._current_frames().get(self._watched)
                if frame is not None and frame.f_globals.get("__name__") not in WAITS:
                    told = True
                    self._log.warn(
                        "everything waits, for {late_s:.1f} s now, for {where}", late_s=late, where=described(frame)
                    )


def described(frame: FrameType) -> str:
    """Return where a thread is, and who called that, as ``module:line function``, the innermost first."""
    found: list[str] = []
    caller: FrameType | None = frame
    while caller is not None and len(found) < DEPTH:
        name = caller.f_globals.get("__name__", "?")
        found.append(f"{name}:{caller.f_lineno} {caller.f_code.co_name}")
        caller = caller.f_back
    return " < ".join(found)
