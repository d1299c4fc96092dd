"""Reads a stored message, and reads on while more of it comes.

This module must not know who reads.
"""

from __future__ import annotations

from typing import BinaryIO

from twisted.internet.defer import Deferred

from netrunner.errors import NetrunnerError
from netrunner.logserver.upload import Run, Upload

_READ_BYTES = 65536


class BrokenOff(NetrunnerError):
    """The message came to no proper end."""


class Tail:
    """One reader of one message.

    Args:
        opened: The message's file, at its beginning.
        upload: What brings the rest; None when nothing comes any more.
        whole: Whether all of the message is there already.
        run: Calls what may block.
    """

    def __init__(self, opened: BinaryIO, upload: Upload | None, whole: bool, run: Run) -> None:
        self._opened = opened
        self._upload = upload
        self._whole = whole
        self._run = run
        self._waiting: Deferred[None] | None = None
        self._news = False
        """Whether anything happened since the file was read last."""
        self._gone = False
        self._leave = (lambda: None) if upload is None else upload.follow(self._wake)

    async def next(self) -> bytes | None:
        """Return the next bytes, when there are any; None behind the last, and when nobody reads any more.

        Raises:
            BrokenOff: when there is no proper end.
            OSError: when the file cannot be read.
        """
        while not self._gone:
            ended, self._news = self._upload is None or self._upload.over, False
            data: bytes = await self._run(self._opened.read, _READ_BYTES)
            if data:
                return data
            if ended:
                break
            if not self._news:
                self._waiting = Deferred()
                await self._waiting
        if not self._gone and not (self._whole or (self._upload is not None and self._upload.whole)):
            raise BrokenOff("the message broke off")
        return None

    def stop(self) -> None:
        """Nobody reads any more; idempotent."""
        self._gone = True
        self._leave()
        self._wake()

    def _wake(self) -> None:
        self._news = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
