"""Senders that come before the folder is read: none is believed to be new until that is known."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from netrunner.logserver.reading import RETRY_S, WAIT_S
from tests.support.client import Answer, Client, answers
from tests.support.logserver import ID, OTHER, REQUEST, LogSite

Make = Callable[..., LogSite]


def head(id: str = ID) -> bytes:
    return f"PUT /{id}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(REQUEST)}\r\n\r\n".encode()


def refusal(client: Client) -> tuple[Answer, str]:
    """Return the answer that ended a connection, and its code."""
    (answer,) = answers(client.heard(), b"PUT", closed=True)
    return answer, json.loads(answer.body)["error"]["code"]


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let no folder be listed until this is called."""
    whole = os.scandir

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", refuse)
    return lambda: monkeypatch.setattr(os, "scandir", whole)


def test_a_message_that_comes_again_before_the_folder_is_read_is_stored_once(make: Make) -> None:
    first = json.loads(make().put("request", REQUEST).body)
    server = make(read=False)
    again = server.client().say(head() + REQUEST)
    new = server.client().say(head(OTHER) + REQUEST)
    assert again.heard() == new.heard() == b""
    assert len(server.files()) == 1
    server.read()
    told = answers(again.heard(), b"PUT")[0]
    assert (told.status, json.loads(told.body)) == (200, {**first, "stored": "before"})
    assert answers(new.heard(), b"PUT")[0].status == 201
    assert len(server.files()) == 2


def test_a_body_is_not_read_before_the_folder_is(make: Make) -> None:
    server = make(read=False)
    client = server.client().say(head())
    assert client.is_paused()
    server.read()
    assert not client.is_paused()
    assert answers(client.say(REQUEST).heard(), b"PUT")[0].status == 201
    assert list(server.files().values()) == [REQUEST]


def test_a_sender_that_waits_too_long_for_the_folder_is_told_to_come_again(make: Make) -> None:
    server = make(read=False)
    client = server.client().say(head())
    client.pass_time(WAIT_S - 1)
    assert client.heard() == b""
    client.pass_time(1)
    answer, code = refusal(client)
    assert (answer.status, answer.headers[b"retry-after"], code) == (503, b"1", "not_indexed")
    server.read()
    assert server.put("request", REQUEST).status == 201
    assert len(server.files()) == 1


def test_the_wait_for_the_folder_ends_when_the_sender_goes(make: Make) -> None:
    server = make(read=False)
    client = server.client().say(head() + REQUEST)
    calls = len(server.clock.getDelayedCalls())
    client.settle()
    assert len(server.clock.getDelayedCalls()) == calls - 1
    server.read()
    assert list(server.path.iterdir()) == []


def test_a_folder_that_cannot_be_read_is_a_503_until_it_can(make: Make, unreadable: Callable[[], None]) -> None:
    server = make(read=False)
    waiting = server.client().say(head())
    server.read()
    coming = server.client().say(head())
    for client in (waiting, coming):
        answer, code = refusal(client)
        assert (answer.status, answer.headers[b"retry-after"], code) == (503, b"5", "folder_unreadable")
    assert server.ask("GET", "/api/logs").status == 503
    assert server.json("/health")["indexed"] is False
    unreadable()
    server.clock.advance(RETRY_S)
    assert server.json("/health")["indexed"] is True
    assert server.put("request", REQUEST).status == 201


def test_a_folder_that_cannot_be_read_is_not_tried_again_after_the_end(
    make: Make, unreadable: Callable[[], None]
) -> None:
    server = make()
    server.reading.stop()
    unreadable()
    server.clock.advance(2 * RETRY_S)
    assert not server.reading.over


def test_a_message_older_than_all_that_are_known_is_stored_again(make: Make) -> None:
    server = make(max_logs=1)
    for id, at_s in ((ID, 1), (OTHER, 2), (ID, 1)):
        assert server.put("request", REQUEST, id, f"Netrunner-Accepted-At: {at_s}").status == 201
    assert len(server.files()) == 3
