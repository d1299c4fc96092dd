"""A journal in a folder, its clock, and what it is told."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netrunner.journal.entry import RESPONSE, Entry
from netrunner.journal.journal import Journal, Policy
from netrunner.testing.fakes import FakeClock
from netrunner.values import MessageHead, Outcome, Record
from tests.support import records

MakeRecord = Callable[..., Record]
MakeJournal = Callable[..., Journal]


def make_record(number: int = 1, **changes: Any) -> Record:
    """Return a record; ``number`` makes its id and the time of its accept."""
    id = f"0193a1b2-0000-7000-8000-{number:012x}"
    own = {"id": id, "request_id": f"r{number}", "at_accept": 1_750_000_000.0 + number, "duration_s": 0.5}
    return records.make_record(**{"model": "m", "upstream_model": "m", "provider": "up", **own, **changes})


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder."""
    (tmp_path / "journal").mkdir()
    return tmp_path


@pytest.fixture
def journal_in(state: Path, clock: FakeClock) -> MakeJournal:
    """Make a journal; each in a folder of its own."""
    made = 0

    def make(name: str | None = None, **policy: Any) -> Journal:
        nonlocal made
        made += 1
        folder = state / "journal" / (name or f"boot-{made}")
        folder.mkdir()
        bits = random.Random(made).getrandbits
        return Journal(folder, Policy(**policy), clock, bits, reserve_bytes=4096)

    return make


def head() -> MessageHead:
    """Return the head of a request."""
    return MessageHead(b"POST / HTTP/1.1", [])


def begin(journal: Journal, number: int, request: bytes = b"", lost: Callable[[], None] = lambda: None) -> Entry:
    """Begin an exchange."""
    fields = [(b"x-number", b"%d" % number)]
    record = make_record(number, outcome=Outcome.INTERRUPTED.value)
    entry = journal.begin(lambda: record, lost, lambda: MessageHead(b"POST / HTTP/1.1", fields), request, request)
    assert entry is not None
    return entry


def tell(journal: Journal, number: int, request: bytes = b"question", response: bytes = b"answer") -> Entry:
    """Begin an exchange and let both messages flow; it stays open."""
    entry = begin(journal, number, request)
    answer = entry.message(RESPONSE)
    answer.head(MessageHead(b"HTTP/1.1 200 OK", [(b"x-number", b"%d" % number)]))
    answer.piece(response, response)
    return entry


def complete(journal: Journal, number: int, **messages: bytes) -> Record:
    """Let an exchange happen from its beginning to its end; return its record."""
    entry = tell(journal, number, **messages)
    record = make_record(number)
    entry.end(lambda: record)
    return record


def same(one: Record, other: Record) -> bool:
    """Return whether two records say the same."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)
