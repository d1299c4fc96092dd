"""The audit's file: whole lines from everybody, what it does not take, and what is dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from netrunner.config.settings import AuditSettings
from netrunner.projects.trail import AGAIN_S, MAX_WAITING, Trail, append
from netrunner.store.audit import Entry
from netrunner.testing.fakes import FakeClock
from tests.support.reception import now

numbers = count()


def entry(actor: str = "ann") -> Entry:
    return Entry(
        str(next(numbers)), 1_750_000_000.0, actor, "token.create", "done", "p", "t", "r", "10.0.0.1", '{"a":1}'
    )


def ids(*paths: Path) -> list[str]:
    return [json.loads(line)["id"] for path in paths for line in path.read_text().splitlines()]


class Place:
    """A trail that leads into a file, and a disk that may be full."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.jsonl"
        self.settings = AuditSettings(file=str(self.path))
        self.clock = FakeClock()
        self.full = False
        self.trail = Trail(self._in_thread, self.clock)

    def _in_thread(self, work: object, settings: AuditSettings, entries: Sequence[Entry]) -> Deferred[None]:
        if self.full:
            return maybeDeferred(self._no_room)
        return maybeDeferred(append, settings, entries)

    def _no_room(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_entry_is_one_line_as_the_api_tells_it_in_a_file_of_its_owners(place: Place) -> None:
    place.trail.apply(place.settings)
    place.trail.add([one := entry("ann\u2028\nbob")])
    (line,) = place.path.read_text().splitlines()
    assert json.loads(line) == {
        "id": one.id,
        "timestamp": "2025-06-15T15:06:40.000Z",
        "actor": "ann\u2028\nbob",
        "action": "token.create",
        "outcome": "done",
        "project_id": "p",
        "token_id": "t",
        "request_id": "r",
        "address": "10.0.0.1",
        "details": {"a": 1},
    }
    assert place.path.stat().st_mode & 0o777 == 0o600


def test_without_a_file_nothing_is_kept_for_one(place: Place) -> None:
    place.trail.apply(AuditSettings())
    place.trail.add([entry()])
    place.trail.apply(place.settings)
    assert ids(place.path) == []


def test_a_file_that_somebody_renamed_is_made_anew(place: Place) -> None:
    place.trail.apply(place.settings)
    place.trail.add([one := entry()])
    place.path.rename(place.path.with_suffix(".old"))
    place.trail.add([other := entry()])
    assert (ids(place.path.with_suffix(".old")), ids(place.path)) == ([one.id], [other.id])


def test_everybody_appends_whole_lines_while_files_are_begun(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    settings = AuditSettings(file=str(path), max_bytes=2000, keep=100)
    made = [[entry() for _ in range(2)] for _ in range(60)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda entries: append(settings, entries), made))
    files = list(tmp_path.iterdir())
    assert sorted(ids(*files)) == sorted(one.id for entries in made for one in entries)
    assert len(files) > 5
    assert all(file.stat().st_size <= 2000 for file in files)


def test_what_a_full_disk_does_not_take_is_appended_later_in_its_order(place: Place) -> None:
    made = [entry() for _ in range(10)]
    place.full = True
    place.trail.apply(place.settings)
    for one in made:
        place.trail.add([one])
    place.clock.advance(AGAIN_S)
    place.full = False
    place.clock.advance(AGAIN_S)
    assert ids(place.path) == [one.id for one in made]
    assert place.trail.counts == {"written": 10, "dropped": 0}


def test_what_is_beyond_the_bound_is_dropped_oldest_first_and_counted(place: Place) -> None:
    made = [entry() for _ in range(MAX_WAITING + 5)]
    place.full = True
    place.trail.apply(place.settings)
    for one in made:
        place.trail.add([one])
    place.full = False
    place.clock.advance(AGAIN_S)
    assert ids(place.path) == [one.id for one in made[-MAX_WAITING:]]
    assert place.trail.counts == {"written": MAX_WAITING, "dropped": 5}


def test_nobody_waits_for_a_thread_that_hangs_and_what_comes_meanwhile_follows(tmp_path: Path) -> None:
    hanging: list[Deferred[None]] = []
    batches: list[Sequence[Entry]] = []

    def in_thread(work: object, settings: AuditSettings, entries: Sequence[Entry]) -> Deferred[None]:
        batches.append(entries)
        hanging.append(Deferred())
        return hanging[-1]

    trail = Trail(in_thread, FakeClock())
    trail.apply(AuditSettings(file=str(tmp_path / "audit.jsonl")))
    made = [entry() for _ in range(3)]
    trail.add(made[:2])
    trail.add(made[2:])
    stopped = Deferred.fromCoroutine(trail.stop())
    hanging[0].callback(None)
    hanging[1].callback(None)
    assert batches == [[], made]
    assert stopped.called


def test_the_end_appends_what_waits_or_counts_it_as_dropped(place: Place) -> None:
    place.full = True
    place.trail.apply(place.settings)
    place.trail.add([kept := entry()])
    place.full = False
    now(place.trail.stop())
    assert ids(place.path) == [kept.id]
    place.full = True
    place.trail.add([entry(), entry()])
    now(place.trail.stop())
    assert place.trail.counts == {"written": 1, "dropped": 2}
    assert place.clock.getDelayedCalls() == []


def test_another_file_takes_what_waits_from_then_on(place: Place, tmp_path: Path) -> None:
    place.full = True
    place.trail.apply(place.settings)
    place.trail.add([one := entry()])
    place.full = False
    other = tmp_path / "other.jsonl"
    place.trail.apply(AuditSettings(file=str(other)))
    assert ids(other) == [one.id]
    assert not place.path.exists()
