"""What is not kept for ever: which messages are removed, and which never are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from netrunner.logserver.folder import File
from netrunner.logserver.retention import DAY_S, LOOK_S, Keep, outdated
from tests.support.logserver import ID, OTHER, REQUEST, RESPONSE, LogSite

Make = Callable[..., LogSite]
COMING = f"PUT /{OTHER}/response HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n".encode()


def ids_of(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"


def store(server: LogSite, *numbers: int) -> None:
    """Store exchanges, a second apart."""
    for number in numbers:
        server.clock.advance(1)
        server.put("request", REQUEST, ids_of(number))
        server.put("response", RESPONSE, ids_of(number))


def listed(server: LogSite) -> list[str]:
    return [log["id"] for log in server.json("/api/logs")["logs"]]


def look(server: LogSite) -> None:
    """Let it be looked once."""
    Deferred.fromCoroutine(server.retention.remove())


def test_without_a_bound_nothing_is_ever_looked_at(make: Make) -> None:
    server = make()
    store(server, 1)
    server.clock.advance(1000 * DAY_S)
    server.retention.begin()
    assert server.retention._again is None
    assert len(server.files()) == 2


def test_what_is_older_than_the_days_is_removed_with_all_that_is_known_of_it(make: Make) -> None:
    server = make(keep=Keep(days=2))
    store(server, 1)
    server.clock.advance(DAY_S)
    store(server, 2)
    server.clock.advance(DAY_S)
    look(server)
    assert listed(server) == [ids_of(2)]
    assert len(server.files()) == len(server.files("_metadata.json")) == 2
    assert server.ask("GET", f"/api/logs/{ids_of(1)}").status == 404
    assert server.ask("GET", f"/api/logs/{ids_of(1)}/request").status == 404


def test_the_oldest_exchanges_make_room_whole(make: Make) -> None:
    server = make()
    store(server, 1, 2, 3, 4)
    size = sum(file.bytes for file in server.folder.files())
    server = make(keep=Keep(bytes=size // 2))
    look(server)
    assert listed(server) == [ids_of(4), ids_of(3)]
    assert sum(file.bytes for file in server.folder.files()) <= size // 2


def test_the_newest_exchange_stays_however_large_it_is(make: Make) -> None:
    server = make(keep=Keep(bytes=1))
    store(server, 1, 2)
    look(server)
    assert listed(server) == [ids_of(2)]


@pytest.mark.parametrize("keep", [Keep(days=0.001), Keep(bytes=1)])
def test_what_is_coming_stays_until_it_has_come(make: Make, keep: Keep) -> None:
    server = make(keep=keep)
    sender = server.client().say(COMING, RESPONSE)
    store(server, 1)
    server.clock.advance(300)
    look(server)
    assert OTHER in listed(server)
    sender.say(b"x" * (500 - len(RESPONSE)))
    assert b" 201 " in sender.heard()
    store(server, 2)
    server.clock.advance(300)
    look(server)
    assert OTHER not in listed(server)


def test_what_comes_once_more_after_its_removal_is_stored_once_more(make: Make) -> None:
    server = make(keep=Keep(days=1))
    server.put("request", REQUEST)
    server.clock.advance(2 * DAY_S)
    look(server)
    assert server.put("request", REQUEST).status == 201
    assert listed(server) == [ID]


def test_it_is_looked_again_and_again_until_the_end(make: Make) -> None:
    server = make(keep=Keep(days=1))
    server.retention.begin()
    for number in (1, 2):
        store(server, number)
        server.clock.advance(DAY_S + LOOK_S)
        assert server.files() == {}
    server.retention.stop()
    store(server, 3)
    server.clock.advance(2 * DAY_S)
    assert len(server.files()) == 2


def test_nothing_is_removed_before_the_folder_is_read(make: Make) -> None:
    store(make(), 1)
    server = make(keep=Keep(days=1), read=False)
    server.clock.advance(400 * DAY_S)
    server.retention.begin()
    server.clock.advance(10)
    assert len(server.files()) == 2
    server.read()
    server.clock.advance(1)
    assert server.files() == {}


def test_nothing_but_messages_is_removed(make: Make) -> None:
    server = make(keep=Keep(days=1))
    names = ["notes.txt", "2001-01-01.bin", "2001-01-01_00-00-00.000_0193a1b2_request.bin.gz"]
    for name in names:
        (server.path / name).write_bytes(b"mine")
    (server.path / "2001-01-01_00-00-00.000_0193a1b2_request-2.bin").write_bytes(b"left alone by a dead process")
    look(server)
    assert sorted(path.name for path in server.path.iterdir()) == sorted(names)
    server.folder.remove(names)
    assert len(list(server.path.iterdir())) == 3


def test_an_exchange_keeps_the_message_that_is_left_of_it(make: Make) -> None:
    server = make()
    store(server, 1, 2)
    request = next(name for name in server.files() if name.endswith("_request.bin"))
    server.index.forget_files(frozenset([request]))
    assert [log["request"] is None for log in server.json("/api/logs")["logs"]] == [False, True]


def test_a_folder_that_cannot_be_read_is_tried_again(make: Make, tmp_path: Path) -> None:
    server = make(keep=Keep(days=1))
    store(server, 1)
    away = tmp_path / "away"
    server.path.rename(away)
    server.clock.advance(2 * DAY_S)
    server.retention.begin()
    server.clock.advance(1)
    away.rename(server.path)
    server.clock.advance(LOOK_S)
    assert server.files() == {}


def name(second: int) -> str:
    return f"2026-11-25_09-00-{second:02}.000_0193a1b2_request.bin"


def test_bytes_that_are_coming_count_and_are_made_room_for() -> None:
    files = [File(name(2), 100, True), File(name(1), 10, False), File(name(3), 10, False)]
    assert list(outdated(files, Keep(bytes=110), 0.0)) == [name(1)]
    assert list(outdated(files, Keep(bytes=50), 0.0)) == [name(1)]
    assert list(outdated(files, Keep(bytes=120), 0.0)) == []
    assert list(outdated([], Keep(days=1, bytes=1), 0.0)) == []
