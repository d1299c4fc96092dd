"""The exchanges that ended last."""

from __future__ import annotations

from netrunner.pipeline.live import Live
from netrunner.query import Query
from netrunner.web.recent import Recent
from tests.support.dashboard import NOW_S, record


def test_only_the_last_records_are_kept() -> None:
    recent = Recent(Live(), 2)
    records = [record(number, NOW_S + number) for number in range(3)]
    for one in records:
        recent.ended(one)
    assert [recent.one(one.id) for one in records] == [None, *records[1:]]


def test_a_page_of_the_log_is_completed_by_what_it_does_not_know_yet() -> None:
    recent = Recent(Live())
    old, known, new = (record(number, NOW_S + number) for number in range(3))
    recent.ended(known)
    recent.ended(new)
    assert recent.merged([known, old], 10) == [new, known, old]
    assert recent.merged([known, old], 2) == [new, known]


def test_what_the_log_was_not_asked_for_is_not_added() -> None:
    recent = Recent(Live())
    old, new = record(1, NOW_S, model="a"), record(2, NOW_S + 1, model="b")
    recent.ended(old)
    recent.ended(new)
    assert recent.merged([], 10, Query(before=new.id)) == [old]
