"""Lines to standard output or to a file."""

import os
import stat

import pytest

from netrunner.linefile import LineFile
from netrunner.sinks.access_line import AccessLine
from netrunner.sinks.access_line import line as access_line
from netrunner.sinks.console import Console
from netrunner.sinks.lines import Lines, LineSettings, local_time
from netrunner.sinks.metrics_line import MetricsLine
from netrunner.testing.fakes import FakeEnvironment

each_sink = pytest.mark.parametrize("sink_class", [Console, AccessLine, MetricsLine])


@pytest.fixture
def file(tmp_path):
    file = LineFile(str(tmp_path / "log"))
    yield file
    file.close()


def test_a_new_file_is_its_owners_only(file, tmp_path):
    file.append(b"a\n")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_the_mode_of_a_file_that_is_there_is_kept(file, tmp_path):
    (tmp_path / "log").touch(mode=0o640)
    (tmp_path / "log").chmod(0o640)
    file.append(b"a\n")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o640


@pytest.mark.parametrize("took", [0, 3, -1])
def test_lines_go_in_as_a_whole_or_not_at_all(file, tmp_path, monkeypatch, took):
    file.append(b"one\n")
    whole = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:took]))
        with pytest.raises(OSError, match="bytes"):
            file.append(b"two\n")
    file.append(b"three\n")
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"


def test_a_file_that_was_cut_in_place_is_appended_to(file, tmp_path):
    file.append(b"one\n")
    os.truncate(tmp_path / "log", 0)
    file.append(b"two\n")
    assert (tmp_path / "log").read_bytes() == b"two\n"


def test_a_file_that_was_renamed_or_removed_is_made_anew(file, tmp_path):
    file.append(b"one\n")
    (tmp_path / "log").rename(tmp_path / "older")
    file.append(b"two\n")
    assert (tmp_path / "log").read_bytes() == b"two\n"
    (tmp_path / "log").unlink()
    file.append(b"three\n")
    assert (tmp_path / "log").read_bytes() == b"three\n"
    assert (tmp_path / "older").read_bytes() == b"one\n"


def test_a_file_that_cannot_be_made_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        LineFile(str(tmp_path / "no" / "log")).append(b"a\n")


def test_closing_twice_does_no_harm(file):
    file.append(b"a\n")
    file.close()
    file.close()


@each_sink
def test_a_sink_writes_one_line_a_record_to_standard_output(sink_class, record, run, capsys):
    sink = sink_class(LineSettings(), FakeEnvironment())
    sink.start()
    assert run(sink.write([record(), record()])) is None
    sink.stop()
    assert capsys.readouterr().out.count("\n") == 2


@each_sink
def test_a_sink_mends_its_file_and_appends_to_it(sink_class, record, run, tmp_path):
    path = tmp_path / "log"
    path.write_text("whole\ntorn")
    sink = sink_class(LineSettings(path=str(path)), FakeEnvironment())
    sink.start()
    run(sink.write([record(), record()]))
    sink.stop()
    sink.stop()
    first, *rest = path.read_text().splitlines()
    assert (first, len(rest)) == ("whole", 2)


@each_sink
def test_a_hostile_record_is_one_line(sink_class, hostile, record, run, tmp_path):
    path = tmp_path / "log"
    sink = sink_class(LineSettings(path=str(path)), FakeEnvironment())
    run(sink.write([hostile, record()]))
    sink.stop()
    text = path.read_bytes().decode()
    assert len(text.splitlines()) == 2
    assert not {"\x1b", "\x9b", "\u202e", "\x00"} & set(text)


def test_standard_output_is_flushed_with_each_batch(monkeypatch):
    calls = []

    class Out:
        def write(self, text):
            calls.append(text)

        def flush(self):
            calls.append("flushed")

    monkeypatch.setattr("sys.stdout", Out())
    Lines(None).write("a\nb\n")
    assert calls == ["a\nb\n", "flushed"]


def test_an_access_line_tells_when_a_request_ended(record):
    ended = local_time(1_700_000_001)
    assert access_line(record()) == f"{ended} POST /v1/chat/completions -> 200 (1.234s) [acme]\n"


def test_an_access_line_marks_a_stream(record):
    assert access_line(record(streaming=True)).endswith(" -> 200 (1.234s) [acme] STREAMING\n")


def test_an_access_line_names_the_route_where_nobody_was_called(record):
    assert access_line(record(provider=None, status=401)).endswith(" -> 401 (1.234s) [models]\n")
