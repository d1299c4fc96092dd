"""A record as other programs read it."""

import json

import pytest

from netrunner.sinks.entry import documents, lines, milliseconds
from netrunner.values import Attempt, Copy, Record, Usage


def told(record):
    (document,) = documents([record])
    return json.loads(document)


def test_the_names_that_readers_of_such_logs_know_come_first(record):
    line = told(
        record(
            token="nr_ab…",
            project="p-1",
            at_accept=1_700_000_000.25,
            usage=Usage(input_total=3, output_total=4),
            timings={"body": 0.1, "first_byte": 2.0},
        )
    )
    assert list(line.items())[:8] == [
        ("timestamp", "2023-11-14T22:13:20.250Z"),
        ("token", "nr_ab…"),
        ("project_id", "p-1"),
        ("endpoint", "/v1/chat/completions"),
        ("method", "POST"),
        ("status_code", 200),
        ("duration_ms", 1234.5),
        (
            "metadata",
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 7,
                "model": "gpt",
                "created": 1_700_000_002,
            },
        ),
    ]


@pytest.mark.parametrize("usage", [None, Usage(), Usage(input_total=3), Usage(output_total=3)])
def test_a_total_is_told_only_of_two_counts(record, usage):
    assert told(record(usage=usage))["metadata"]["total_tokens"] is None


def test_a_request_that_nobody_answered_has_no_time_of_an_answer(record):
    metadata = told(record(upstream_model=None))["metadata"]
    assert (metadata["model"], metadata["created"]) == ("fast", None)


def test_everything_else_of_a_record_is_there_under_its_own_name(record):
    whole = record(
        correlation_id="c",
        attempts=[Attempt("acme", "gpt", 500, "provider_error"), Attempt("acme", "gpt", 200)],
        usage=Usage(1, 2, 3, 4, 5, 6),
        timings={"body": 0.1},
        request_sha256="a",
        response_sha256="b",
        error="e",
    )
    line = told(whole)
    renamed = {"at_accept", "path", "status", "duration_s", "timings", "project", "request_copy", "response_copy"}
    names = set(Record.__struct_fields__) - renamed
    assert {name: line[name] for name in names if name not in ("attempts", "usage")} == {
        name: getattr(whole, name) for name in names if name not in ("attempts", "usage")
    }
    assert [attempt["status"] for attempt in line["attempts"]] == [500, 200]
    assert line["usage"]["reasoning"] == 5
    assert line["timings_s"] == {"body": 0.1}


def test_where_the_journal_keeps_a_body_is_nobody_elses_business(record):
    assert b"a-folder" not in lines([record(request_copy=Copy("a-folder", 1, 2, True))])


def test_a_hostile_record_is_one_line_for_every_reader(hostile, record):
    text = lines([hostile, record()]).decode()
    assert len(text.splitlines()) == 2
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert json.loads(text.splitlines()[0])["error"] == hostile.error


def test_text_of_other_scripts_stays_readable(record):
    assert "größer 模型".encode() in lines([record(model="größer 模型")])


@pytest.mark.parametrize(("seconds", "told"), [(0.0, 0.0), (1.2345, 1234.5), (0.0000014, 0.001), (86400.0, 86400000.0)])
def test_durations_are_milliseconds_to_the_microsecond(seconds, told):
    assert milliseconds(seconds) == told
