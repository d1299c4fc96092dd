"""The sink ``jsonl``."""

import json
import os
import stat

import pytest

from netrunner.sinks.jsonl import Jsonl, JsonlSettings
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Attempt, Usage


@pytest.fixture
def sink(tmp_path):
    """A sink that is stopped at the end."""
    made = Jsonl(JsonlSettings(path=str(tmp_path / "records.jsonl")), FakeEnvironment())
    yield made
    made.stop()


def test_every_record_is_a_line_of_json(sink, record, run, tmp_path):
    sink.start()
    run(
        sink.write([record(attempts=[Attempt("acme", "gpt")], usage=Usage(input_total=3)), record(path="/a\nb\u2028c")])
    )
    run(sink.write([record()]))
    path = tmp_path / "records.jsonl"
    first, second, _ = map(json.loads, path.read_bytes().removesuffix(b"\n").split(b"\n"))
    assert (first["attempts"][0]["provider"], first["usage"]["input_total"]) == ("acme", 3)
    assert second["path"] == "/a\nb\u2028c"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_batch_is_one_write(sink, record, run, monkeypatch):
    sink.start()
    writes: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    run(sink.write([record(), record()]))
    assert [data.count(b"\n") for data in writes] == [2]


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (b"", b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":1}\n{"b', b'{"a":1}\n'),
        (b'{"a', b""),
        (b'{"a":1}\n' + b"x" * 200_000, b'{"a":1}\n'),
    ],
)
def test_a_torn_last_line_is_cut_off_at_the_start(sink, record, run, tmp_path, left, kept):
    path = tmp_path / "records.jsonl"
    path.write_bytes(left)
    run(sink.write([record()]))
    assert path.read_bytes().startswith(kept + b'{"id":')
    assert path.read_bytes().count(b"\n") == kept.count(b"\n") + 1


def test_a_write_that_is_cut_short_leaves_no_torn_line_and_fails(sink, record, run, monkeypatch, tmp_path):
    sink.start()
    run(sink.write([record()]))
    before = (tmp_path / "records.jsonl").read_bytes()
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:10]))
    with pytest.raises(OSError, match="took 10 of"):
        run(sink.write([record()]))
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_stopping_twice_does_no_harm(sink):
    sink.start()
    sink.stop()
    sink.stop()
