"""Log events within the limits of CloudWatch Logs."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.sinks.packing import (
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_SPAN_MS,
    Event,
    batches,
    events,
    in_time,
)


def event(at_ms=0, size=100, id="1"):
    return Event(at_ms, id, b"x" * (size - 26), True)


def test_a_record_that_fits_is_one_event_with_its_own_document():
    document = b"x" * (MAX_EVENT_BYTES - 26)
    assert events(1.5, "1", document) == [Event(1500, "1", document, True)]
    assert events(1.5, "1", document)[0].size == MAX_EVENT_BYTES


@pytest.mark.parametrize("piece", ["a", '"', "\\", "ä", "模", "\U0001f600", '\\"'])
def test_a_larger_one_is_cut_into_parts_that_make_it_again(piece):
    document = json.dumps({"path": piece * 400_000}, ensure_ascii=False).encode()
    parts = events(1.5, "1", document)
    told = [json.loads(part.message) for part in parts]
    assert [(one["id"], one["part"], one["parts"]) for one in told] == [
        ("1", number + 1, len(parts)) for number in range(len(parts))
    ]
    assert "".join(one["text"] for one in told).encode() == document
    assert all(part.size <= MAX_EVENT_BYTES for part in parts)
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.at_ms for part in parts} == {1500}


def test_one_byte_too_many_makes_two_parts_at_least():
    assert len(events(0.0, "1", b'"' + b"x" * (MAX_EVENT_BYTES - 27) + b'"')) >= 2


@pytest.mark.parametrize(
    ("at_ms", "reason"),
    [
        (-MAX_AGE_MS, None),
        (-MAX_AGE_MS - 1, "too old"),
        (MAX_AHEAD_MS, None),
        (MAX_AHEAD_MS + 1, "too new"),
    ],
)
def test_events_are_taken_for_two_weeks_and_two_hours_ahead(at_ms, reason):
    now_s = 1_700_000_000.0
    assert in_time(event(int(now_s * 1000) + at_ms), now_s) == reason


def test_a_batch_is_full_at_its_number_of_events():
    many = [event(size=27) for _ in range(MAX_BATCH_EVENTS + 1)]
    assert [len(batch) for batch in batches(many)] == [MAX_BATCH_EVENTS, 1]


def test_a_batch_is_full_at_its_bytes():
    many = [event(size=MAX_BATCH_BYTES // 4) for _ in range(5)]
    assert [len(batch) for batch in batches(many)] == [4, 1]
    many = [event(size=MAX_BATCH_BYTES // 4) for _ in range(4)] + [event(size=27)]
    assert [len(batch) for batch in batches(many)] == [4, 1]


def test_a_batch_spans_a_day():
    assert [len(batch) for batch in batches([event(0), event(MAX_SPAN_MS)])] == [2]
    assert [len(batch) for batch in batches([event(0), event(MAX_SPAN_MS + 1)])] == [1, 1]


def test_events_are_put_in_order_of_time_and_stay_so_within_one_time():
    mixed = [event(2, id="a"), event(1, id="b"), event(2, id="c"), event(1, id="d")]
    assert [one.id for batch in batches(mixed) for one in batch] == ["b", "d", "a", "c"]


@given(st.lists(st.tuples(st.integers(0, 3 * MAX_SPAN_MS), st.integers(27, MAX_EVENT_BYTES)), max_size=60))
@settings(deadline=None, max_examples=50)
def test_whatever_comes_every_batch_is_within_every_limit_and_nothing_is_lost(shapes):
    made = [event(at_ms, size, str(number)) for number, (at_ms, size) in enumerate(shapes)]
    packed = list(batches(made))
    assert sorted(one.id for batch in packed for one in batch) == sorted(one.id for one in made)
    for batch in packed:
        assert 0 < len(batch) <= MAX_BATCH_EVENTS
        assert sum(one.size for one in batch) <= MAX_BATCH_BYTES
        assert [one.at_ms for one in batch] == sorted(one.at_ms for one in batch)
        assert batch[-1].at_ms - batch[0].at_ms <= MAX_SPAN_MS
