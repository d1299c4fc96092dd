"""fdatasync in a thread of its own: whoever waits meanwhile is served by the next one together.

This module must not write.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class Syncer:
    """Syncs what it is told.

    Args:
        reactor: Its thread hears of what is done.
        done: Called there with the last offset that is safe, and what went wrong.
    """

    def __init__(self, reactor: Any, done: Callable[[int, OSError | None], None]) -> None:
        self._reactor = reactor
        self._done = done
        self._ready = threading.Condition()
        self._wanted: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def ask(self, descriptor: int, offset: int) -> None:
        """Make what was written to ``descriptor`` up to ``offset`` safe; takes the place of an ask not begun."""
        copy = os.dup(descriptor)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="netrunner-sync", daemon=True)
            self._thread.start()
        with self._ready:
            if self._wanted is not None:
                os.close(self._wanted[0])
            self._wanted = (copy, offset)
            self._ready.notify()

    def stop(self) -> None:
        """Finish what was asked, and end the thread."""
        if self._thread is not None:
            with self._ready:
                self._stopped = True
                self._ready.notify()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._ready:
                while self._wanted is None:
                    if self._stopped:
                        return
                    self._ready.wait()
                (descriptor, offset), self._wanted = self._wanted, None
            failure: OSError | None = None
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                failure = error
            finally:
                os.close(descriptor)
            self._reactor.callFromThread(self._done, offset, failure)
