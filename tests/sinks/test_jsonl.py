"""The sink ``jsonl``."""

import errno
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
    assert second["endpoint"] == "/a\nb\u2028c"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_error_log_holds_the_failures_and_nothing_else(record, run, tmp_path):
    path = tmp_path / "errors.jsonl"
    sink = Jsonl(JsonlSettings(path=str(path), only="failures"), FakeEnvironment())
    mark = run(sink.write([record(), record(status=502, error="upstream_timeout", outcome="upstream_failed")]))
    assert run(sink.write([record(), record(status=499, outcome="client_gone")])) == mark
    run(sink.write([record(error="upstream_truncated", outcome="upstream_truncated")]))
    sink.stop()
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["status_code"], one["error"]) for one in told] == [
        (502, "upstream_timeout"),
        (200, "upstream_truncated"),
    ]


def test_a_batch_is_one_write(sink, record, run, monkeypatch):
    sink.start()
    writes: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    run(sink.write([record(), record()]))
    assert [data.count(b"\n") for data in writes] == [2]


def test_a_hostile_record_is_one_line_for_every_reader(sink, hostile, record, run, tmp_path):
    run(sink.write([hostile, record()]))
    first, second = (tmp_path / "records.jsonl").read_text().splitlines()
    assert json.loads(first)["endpoint"] == json.loads(first)["model"] == hostile.path
    assert json.loads(second)["endpoint"] == "/v1/chat/completions"


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
    assert path.read_bytes().startswith(kept + b'{"timestamp":')
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


def ids(path):
    return [json.loads(text)["id"] for text in path.read_text().splitlines()]


@pytest.fixture
def again(tmp_path):
    """Return a maker of sinks that go on in the same files after a crash; ``max_bytes`` and ``keep`` as given."""
    made = []

    def make(**changes):
        made.append(Jsonl(JsonlSettings(path=str(tmp_path / "records.jsonl"), **changes), FakeEnvironment()))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_what_was_written_after_the_mark_is_cut_off_since_it_comes_again(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    sink = again()
    mark = run(sink.write([record(id="1")]))
    run(sink.write([record(id="2"), record(id="3")]))
    sink = again()
    sink.resume(mark)
    assert ids(path) == ["1"]
    run(sink.write([record(id="2"), record(id="3")]))
    assert ids(path) == ["1", "2", "3"]


def test_a_mark_at_the_end_of_the_file_changes_nothing(again, record, run, tmp_path):
    mark = run(again().write([record(id="1")]))
    again().resume(mark)
    assert ids(tmp_path / "records.jsonl") == ["1"]


@pytest.mark.parametrize("mark", [None, "", "nonsense", "1:2:3", "-1:0:0"])
def test_a_mark_of_no_file_there_is_leaves_the_lines_alone(again, record, run, tmp_path, mark):
    run(again().write([record(id="1")]))
    again().resume(mark)
    assert ids(tmp_path / "records.jsonl") == ["1"]


def test_what_a_first_start_wrote_is_cut_off_back_to_where_it_began(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    run(again().write([record(id="1")]))
    sink = again()
    mark = sink.resume(None)
    run(sink.write([record(id="2"), record(id="3")]))
    again().resume(mark)
    assert ids(path) == ["1"]


def test_a_file_cut_short_in_place_is_left_as_it_is(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    sink = again()
    mark = run(sink.write([record(id="1"), record(id="2")]))
    os.truncate(path, 0)
    run(sink.write([record(id="3")]))
    again().resume(mark)
    assert ids(path) == ["3"]


def test_a_mark_in_the_middle_of_a_line_is_of_other_content_and_cuts_nothing(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    device, inode, size = run(again().write([record(id="1")])).split(":")
    again().resume(f"{device}:{inode}:{int(size) - 5}")
    assert ids(path) == ["1"]


def test_a_renamed_file_is_followed_by_a_new_one(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    sink = again()
    run(sink.write([record(id="1")]))
    path.rename(tmp_path / "taken")
    run(sink.write([record(id="2")]))
    (tmp_path / "taken").unlink()
    path.unlink()
    run(sink.write([record(id="3")]))
    assert ids(path) == ["3"]


def test_a_full_file_that_was_renamed_is_not_rotated_once_more(again, record, run, tmp_path):
    sink = again(max_bytes=1)
    run(sink.write([record(id="1")]))
    (tmp_path / "records.jsonl").rename(tmp_path / "taken")
    run(sink.write([record(id="2")]))
    assert {path.name: ids(path) for path in tmp_path.iterdir()} == {"taken": ["1"], "records.jsonl": ["2"]}


def test_a_full_file_is_kept_under_a_number_and_the_oldest_goes(again, record, run, tmp_path):
    sink = again(max_bytes=1, keep=2)
    for number in range(5):
        run(sink.write([record(id=str(number))]))
    found = {path.name: ids(path) for path in tmp_path.iterdir()}
    assert found == {"records.jsonl": ["4"], "records.jsonl.1": ["3"], "records.jsonl.2": ["2"]}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_is_not_larger_than_it_may_be(again, record, run, tmp_path):
    path = tmp_path / "records.jsonl"
    sink = again(max_bytes=4000)
    for number in range(20):
        run(sink.write([record(id=str(number))]))
        assert path.stat().st_size <= 4000
    assert (tmp_path / "records.jsonl.1").stat().st_size > 3000


def test_without_older_files_a_full_one_is_begun_anew(again, record, run, tmp_path):
    sink = again(max_bytes=1, keep=0)
    for number in range(3):
        run(sink.write([record(id=str(number))]))
    assert {path.name: ids(path) for path in tmp_path.iterdir()} == {"records.jsonl": ["2"]}


def test_zero_never_begins_a_new_file(again, record, run, tmp_path):
    sink = again(max_bytes=0)
    for number in range(3):
        run(sink.write([record(id=str(number))]))
    assert [path.name for path in tmp_path.iterdir()] == ["records.jsonl"]


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_a_mark_in_an_older_file_cuts_that_and_empties_those_begun_since(again, record, run, tmp_path, rotations):
    sink = again(max_bytes=1, keep=5)
    mark = run(sink.write([record(id="1")]))
    behind = [record(id=str(number)) for number in range(2, 2 + rotations)]
    for one in behind:
        run(sink.write([one]))
    assert (tmp_path / f"records.jsonl.{rotations}").exists()
    sink = again(max_bytes=1, keep=5)
    sink.resume(mark)
    for one in behind:
        run(sink.write([one]))
    found = sorted((id for path in tmp_path.iterdir() for id in ids(path)), key=int)
    assert found == ["1", *(one.id for one in behind)]


def test_a_full_disk_leaves_the_file_as_it_was(again, record, run, monkeypatch, tmp_path):
    sink = again()
    run(sink.write([record(id="1")]))

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            run(sink.write([record(id="2")]))
    run(sink.write([record(id="2")]))
    assert ids(tmp_path / "records.jsonl") == ["1", "2"]
