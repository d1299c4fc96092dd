"""Whether a journal is as it was written: every checksum, and the chain of digests over all of it.

Each write ends with a seal, the SHA-256 of the seal before and everything in between; a segment begins with the digest
where the one before it ended, and a lane ends with an END. So what was altered, taken out or cut off shows, unless the
whole journal was made anew.

This module must not repair anything.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec

from netrunner.journal import frames
from netrunner.journal.frames import Damage, Kind
from netrunner.journal.segments import BLOCK, VERSION, Span, segments, spans

LANES = ("main", "refused")


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was written."""

    path: Path
    offset: int
    """In the lane."""
    what: str


def verify(folder: Path, live: bool = False) -> list[Finding]:
    """Return everything that is wrong with a journal.

    Args:
        folder: Of the journal.
        live: Whether its process lives: it then has no end yet, and its last write may be under way.
    """
    return [finding for lane in LANES for finding in _verify_lane(folder, lane, live)]


def _verify_lane(folder: Path, lane: str, live: bool) -> list[Finding]:
    findings: list[Finding] = []
    digest: bytes | None = None
    last = 0
    held = spans(segments(folder, lane))
    for span in held:
        digest, last = _verify_span(span, digest, live and span.end is None, findings)
    if held and last != Kind.END and not live:
        what = "it ends without its end: it was cut off, or its process died and none has started since"
        findings.append(Finding(held[-1].segment.path, held[-1].segment.start, what))
    return findings


def _verify_span(span: Span, before: bytes | None, live: bool, findings: list[Finding]) -> tuple[bytes | None, int]:
    """Check one file; return the digest at its end, and the kind of the last frame that is sealed."""
    segment = span.segment
    data = segment.path.read_bytes()
    if len(data) < BLOCK.size or data[:8] != VERSION:
        findings.append(Finding(segment.path, segment.start, "the file does not begin as a segment does"))
        return None, 0
    _, start, _, digest = BLOCK.unpack_from(data)
    if start != segment.start or (before is not None and before != digest):
        findings.append(Finding(segment.path, segment.start, "it does not continue what came before it"))
    data = data[BLOCK.size :]
    if span.end is not None:
        data = data[: span.end - segment.start]
    at = behind = segment.start
    kind = last = 0
    for found in frames.scan(data, at, segment.salt, not live):
        if isinstance(found, Damage) or found.offset != at:
            findings.append(Finding(segment.path, at, f"{found.end - at} bytes cannot be read"))
        elif found.kind == Kind.SEAL:
            expected = sha256(digest + data[behind - segment.start : found.offset - segment.start]).digest()
            if expected != found.payload:
                findings.append(Finding(segment.path, found.offset, "what was written is not what stands here"))
            digest, behind, last = found.payload, found.end, kind
        else:
            kind = found.kind
        at = found.end
    rest = data[behind - segment.start : at - segment.start]
    return (sha256(digest + rest).digest() if rest else digest), last


def journals(state: Path) -> list[Path]:
    """Return the journals of a state folder, oldest first."""
    folder = state / "journal"
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except FileNotFoundError:
        return []
