"""What is arriving, as it arrives: the feed of messages, and one message while it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.logserver.live import MAX_ONLOOKERS
from tests.support.client import Client, answers
from tests.support.logserver import ID, OTHER, REQUEST, RESPONSE, LogSite

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
SENDING = f"PUT /{ID}/response HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(RESPONSE)}\r\n\r\n".encode()


def ask(server: LogSite, path: str) -> Client:
    return server.client().say(GET.format(path).encode())


def events(client: Client) -> list[tuple[str, Any]]:
    """Return the events that came since this was asked last."""
    text = client.heard().partition(b"\r\n\r\n")[2] if client.transport.value()[:5] == b"HTTP/" else client.heard()
    found = []
    for block in text.decode().split("event: ")[1:]:
        name, _, rest = block.partition("\n")
        found.append((name, json.loads(rest.partition("data: ")[2].partition("\n")[0])))
    return found


def body(client: Client) -> bytes:
    """Return what came of a chunked body since this was asked last, without its chunks' sizes."""
    heard = client.heard()
    data = heard.partition(b"\r\n\r\n")[2] if heard.startswith(b"HTTP/") else heard
    out = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        out += rest[: int(size, 16)]
        data = rest[int(size, 16) + 2 :]
    return out


def test_each_message_is_told_as_it_begins_when_its_head_is_there_and_as_it_ends(server: LogSite) -> None:
    feed = ask(server, "/api/live")
    sender = server.client().say(SENDING)
    [(name, log)] = events(feed)
    assert (name, log["id"], log["status"], log["response"]["completed"]) == ("began", ID, None, False)
    sender.say(RESPONSE[:-5])
    [(name, log)] = events(feed)
    assert (name, log["status"]) == ("head", 200)
    sender.say(RESPONSE[-5:])
    [(name, log)] = events(feed)
    assert (name, log["response"]["completed"], log["response"]["bytes"]) == ("ended", True, len(RESPONSE))


def test_a_message_that_breaks_off_and_one_that_is_too_large_are_told(server: LogSite) -> None:
    feed = ask(server, "/api/live")
    sender = server.client().say(SENDING, RESPONSE[:-5])
    events(feed)
    sender.settle()
    [(name, log)] = events(feed)
    assert (name, log["response"]["error"]) == ("ended", "the sender broke off")
    head = f"PUT /{OTHER}/request HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.client().say(head.encode(), b"200000\r\n", b"x" * 0x200000)
    assert events(feed)[-1][0] == "discarded"


def test_a_feed_tells_of_those_only_that_are_wanted(server: LogSite) -> None:
    feed, failures = ask(server, "/api/live?path=chat"), ask(server, "/api/live?status=5xx")
    server.put("request", b"GET /v1/models HTTP/1.1\r\n\r\n", OTHER)
    server.put("request", REQUEST)
    server.put("response", RESPONSE)
    assert {log["id"] for _, log in events(feed)} == {ID}
    assert events(failures) == []


@pytest.mark.parametrize(
    ("query", "param"), [("?colour=red", "colour"), ("?colour=red", "path, status"), ("?status=odd", "status")]
)
def test_a_feed_of_what_is_no_filter_is_refused(server: LogSite, query: str, param: str) -> None:
    answer = server.ask("GET", f"/api/live{query}")
    assert answer.status == 400
    assert param in json.loads(answer.body)["error"]["message"]


def test_there_is_a_bound_of_those_who_look_on_and_who_leaves_makes_room(server: LogSite) -> None:
    feeds = [ask(server, "/api/live") for _ in range(MAX_ONLOOKERS)]
    refused = answers(ask(server, "/api/live").heard())[0]
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (503, "too_many_onlookers")
    feeds[0].settle()
    assert ask(server, "/api/live").heard().startswith(b"HTTP/1.1 200 ")


def test_all_feeds_end_with_the_server(server: LogSite) -> None:
    feed = ask(server, "/api/live")
    server.live.close()
    assert feed.heard().endswith(b"0\r\n\r\n")


def test_a_message_is_followed_from_its_beginning_to_its_end(server: LogSite) -> None:
    sender = server.client().say(SENDING, RESPONSE[:60])
    reader = ask(server, f"/api/logs/{ID}/response?follow=1")
    assert body(reader) == RESPONSE[:60]
    sender.say(RESPONSE[60:-1])
    assert body(reader) == RESPONSE[60:-1]
    sender.say(RESPONSE[-1:])
    told = reader.heard()
    assert told.endswith(b"0\r\n\r\n")
    assert RESPONSE[-1:] in told


def test_a_message_that_is_there_is_followed_to_its_end_at_once(server: LogSite) -> None:
    server.put("response", RESPONSE)
    answer = server.ask("GET", f"/api/logs/{ID}/response?follow=1")
    assert (answer.status, answer.body) == (200, RESPONSE)


def test_a_follower_sees_that_a_message_broke_off(server: LogSite) -> None:
    sender = server.client().say(SENDING, RESPONSE[:60])
    reader = ask(server, f"/api/logs/{ID}/response?follow=1")
    sender.settle()
    told = reader.heard()
    assert RESPONSE[:60] in told
    assert not told.endswith(b"0\r\n\r\n")
    assert reader.is_over()


def test_a_message_of_which_nothing_came_before_it_broke_off_cannot_be_followed(server: LogSite) -> None:
    sender = server.client().say(SENDING)
    reader = ask(server, f"/api/logs/{ID}/response?follow=1")
    assert reader.heard() == b""
    sender.settle()
    assert answers(reader.heard())[0].status == 404


def test_what_comes_while_the_file_is_read_is_not_missed(server: LogSite) -> None:
    sender = server.client().say(SENDING, RESPONSE[:60])
    reader = ask(server, f"/api/logs/{ID}/response?follow=1")
    body(reader)
    server.threads.hold()
    sender.say(RESPONSE[60:])
    server.threads.release()
    assert RESPONSE[60:] in reader.heard()


def test_a_follower_that_leaves_is_waited_for_no_more(server: LogSite) -> None:
    server.client().say(SENDING, RESPONSE[:60])
    [upload] = server.deposit.uploads.values()
    readers = [ask(server, f"/api/logs/{ID}/response?follow=1") for _ in range(2)]
    readers[0].settle()
    assert len(upload._followers) == 1
    readers[1].settle()
    assert not upload._followers


def test_a_follower_that_is_slow_does_not_slow_the_sender_down(server: LogSite) -> None:
    sender = server.client().say(SENDING, RESPONSE[:60])
    reader = ask(server, f"/api/logs/{ID}/response?follow=1")
    body(reader)
    reader.channel.pauseProducing()
    sender.say(RESPONSE[60:])
    assert b" 201 " in sender.heard()
    reader.channel.resumeProducing()
    assert RESPONSE[60:] in reader.heard()


@pytest.mark.parametrize(("query", "param"), [("follow=2", "follow"), ("follow=1&decoded=1", "follow")])
def test_what_cannot_be_followed_is_told(server: LogSite, query: str, param: str) -> None:
    server.put("response", RESPONSE)
    answer = server.ask("GET", f"/api/logs/{ID}/response?{query}")
    assert answer.status == 400
    assert param in json.loads(answer.body)["error"]["message"]
