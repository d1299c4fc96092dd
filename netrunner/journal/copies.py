"""Reads recorded messages: from the last frame back to the first, then forward.

This module must not write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from zope.interface import implementer

from netrunner.errors import Expired
from netrunner.interfaces import ICopies
from netrunner.journal.frames import NOWHERE, Part, part_in
from netrunner.journal.segments import Reader
from netrunner.values import Copy, MessageHead

PIECE_BYTES = 65536
_decode = msgspec.msgpack.Decoder(MessageHead).decode


@implementer(ICopies)
class Copies:
    """What the journals of a state folder hold of messages.

    Args:
        folder: That holds the journals' folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def head(self, copy: Copy) -> MessageHead:
        """Return the start line and fields."""
        offsets, reader = self._offsets(copy)
        try:
            return _decode(_part(reader, offsets[-1]).head)
        except msgspec.MsgspecError as error:
            raise Expired("The journal no longer holds the beginning of this message.") from error
        finally:
            reader.close()

    def pieces(self, copy: Copy) -> Iterator[bytes]:
        """Yield the body."""
        offsets, reader = self._offsets(copy)
        try:
            for offset in reversed(offsets):
                data = _part(reader, offset).data
                for at in range(0, len(data), PIECE_BYTES):
                    yield data[at : at + PIECE_BYTES]
        finally:
            reader.close()

    def _offsets(self, copy: Copy) -> tuple[list[int], Reader]:
        """Return where the message's parts are, the last one first."""
        if "/" in copy.folder or copy.folder.startswith("."):
            raise Expired("There is no such journal.")
        reader = Reader(self._folder / copy.folder, "main")
        offsets = []
        offset = copy.offset
        try:
            while offset != NOWHERE:
                before = _part(reader, offset).before
                if before != NOWHERE and before >= offset:
                    raise Expired("The journal cannot read this any more.")
                offsets.append(offset)
                offset = before
        except BaseException:
            reader.close()
            raise
        return offsets, reader


def _part(reader: Reader, offset: int) -> Part:
    part = part_in(reader.frame(offset))
    if part is None:
        raise Expired("The journal cannot read this any more.")
    return part
