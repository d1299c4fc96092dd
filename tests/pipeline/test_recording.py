"""What is recorded of an exchange while it flows."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from zope.interface import implementer

from netrunner.interfaces import IWatcher
from netrunner.journal.copies import Copies
from netrunner.journal.entry import RESPONSE
from netrunner.journal.journal import Journal, Policy
from netrunner.pipeline.recording import SLICE_BYTES, Recording
from netrunner.pipeline.shared import Unrecorded
from netrunner.redaction.redact import compile_redaction
from netrunner.values import Copy, MessageHead, Record
from tests.support.stage import JSON, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage with a real journal."""
    (tmp_path / "journal" / "boot").mkdir(parents=True)
    stage = Stage()
    bits = iter(range(1, 1 << 20))
    folder = tmp_path / "journal" / "boot"
    stage.pipeline.journal = Journal(folder, Policy(), stage.clock, lambda _: next(bits), reserve_bytes=4096)
    return stage


def take_turn(recording: Recording) -> None:
    """Let one turn pass: a fake clock also calls at once what a call makes due."""
    call: Any = recording._turn
    if call is not None:
        call.func(*call.args)


def large() -> bytes:
    return b'{"model": "m", "messages": [], "filler": "' + b"x" * (3 * SLICE_BYTES) + b'"}'


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
def test_a_large_request_is_taken_in_slices_and_whole_whenever_its_exchange_ends(
    stage: Stage, tmp_path: Path, turns: int
) -> None:
    journal = stage.pipeline.journal
    assert isinstance(journal, Journal)
    body = large()
    stage.ask(body)
    recording = next(iter(stage.pipeline.inflight.values())).recording
    assert recording is not None
    for _ in range(turns):
        take_turn(recording)
    stage.call.head(200, JSON).body(b"{}", True)
    journal.commit()
    record = journal.tails["main"].after(0, journal.lane.written, 1)[0][0]
    assert record.request_sha256 == sha256(body).hexdigest()
    assert isinstance(record.request_copy, Copy)
    assert b"".join(Copies(tmp_path / "journal").pieces(record.request_copy)) == body
    assert record.request_copy.complete


def test_a_turn_takes_one_slice(stage: Stage) -> None:
    journal = stage.pipeline.journal
    assert isinstance(journal, Journal)
    stage.ask(large())
    before = journal.lane.offset
    recording = next(iter(stage.pipeline.inflight.values())).recording
    assert recording is not None
    take_turn(recording)
    assert SLICE_BYTES <= journal.lane.offset - before < SLICE_BYTES + 1000


@implementer(IWatcher)
class Onlooker:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.heads: dict[str, MessageHead] = {}
        self.bodies: dict[str, bytes] = {}

    def message(self, direction: str, head: MessageHead) -> None:
        """Keep how a message begins."""
        self.heads[direction] = head

    def piece(self, direction: str, data: bytes) -> None:
        """Keep more of its body."""
        self.bodies[direction] = self.bodies.get(direction, b"") + data

    def ended(self, record: Record) -> None:
        """Nothing follows."""


def test_an_onlooker_is_told_the_length_of_the_body_that_it_is_shown_or_none(stage: Stage) -> None:
    watcher = Onlooker()
    recording = Recording(compile_redaction(("/s[0-9]+/",), stage.clock.seconds))
    recording.watch([watcher])
    asked, answered = b'{"secret": "s12345678"}', b'{"other": "s1"}'
    fields = [(b"content-type", b"application/json")]
    lengths = [(b"content-length", b"%d" % len(body)) for body in (asked, answered)]
    record: Any = None
    recording.begin(Unrecorded(), lambda: record, lambda: None, b"POST / HTTP/1.1", [*fields, lengths[0]], asked)
    recording.answer(b"HTTP/1.1 200 OK", [*fields, lengths[1]])
    recording.piece(RESPONSE, answered)
    recording.end(lambda: record)
    shown = watcher.bodies["request"]
    assert b"s12345678" not in shown
    assert watcher.heads["request"].headers == [*fields, (b"content-length", b"%d" % len(shown))]
    assert watcher.heads["response"].headers == fields
    assert watcher.bodies["response"] == b'{"other": "[redacted:pattern]"}'
