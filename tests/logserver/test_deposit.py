"""Messages on their way to the disk: every byte, in constant memory, whatever breaks."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable
from typing import Any

import pytest

from netrunner.logserver import folder as folder_module
from netrunner.logserver.metadata import Metadata
from netrunner.logserver.upload import MAX_PENDING_BYTES
from tests.support.client import Client, answers
from tests.support.logserver import ID, OTHER, REQUEST, RESPONSE, LogSite

NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}_dddddddd_(request|response)(-\d+)?\.bin")
START = f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\n".encode()


def test_a_message_is_stored_byte_for_byte_and_answered_with_its_name_and_size(server: LogSite) -> None:
    answer = server.put("request", REQUEST)
    told = json.loads(answer.body)
    assert (answer.status, told["bytes"]) == (201, len(REQUEST))
    assert server.files() == {told["file"]: REQUEST}
    assert NAME.fullmatch(told["file"])


def test_the_name_tells_the_time_in_utc_to_the_millisecond(server: LogSite) -> None:
    server.clock.advance(0.0625)
    assert json.loads(server.put("request", REQUEST).body)["file"] == "2025-06-15_15-06-40.062_dddddddd_request.bin"


def test_request_and_response_share_time_and_id_in_their_names(server: LogSite) -> None:
    request = json.loads(server.put("request", REQUEST).body)["file"]
    server.clock.advance(3)
    response = json.loads(server.put("response", RESPONSE).body)["file"]
    assert response == request.replace("_request", "_response")
    assert server.files() == {request: REQUEST, response: RESPONSE}


def test_files_are_private_to_their_owner(server: LogSite) -> None:
    server.put("request", REQUEST)
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in server.path.iterdir()} == {0o600}


def test_what_would_have_the_same_name_gets_a_number(server: LogSite) -> None:
    alike = ID.replace("aaaa", "abcd")
    first, second, third = (
        json.loads(server.put("request", body, id).body)["file"]
        for id, body in [(ID, b"a"), (alike, b"b"), (OTHER, b"c")]
    )
    assert second == first.replace("_request", "_request-2")
    assert third == first.replace("_request", "_request-3")
    assert server.files() == {first: b"a", second: b"b", third: b"c"}
    assert [server.metadata(name)["id"] for name in (first, second, third)] == [ID, alike, OTHER]


def test_a_file_that_lies_there_already_is_never_overwritten(server: LogSite) -> None:
    name = "2025-06-15_15-06-40.000_dddddddd_request.bin"
    (server.path / name).write_bytes(b"somebody's")
    told = json.loads(server.put("request", REQUEST).body)
    assert server.files() == {name: b"somebody's", told["file"]: REQUEST}


def test_the_senders_word_about_the_time_of_the_exchange_is_taken(server: LogSite) -> None:
    server.put("request", REQUEST, ID, "Netrunner-Accepted-At: 1700000000.5")
    (name,) = server.files()
    assert name.startswith("2023-11-14_22-13-20.500_")
    assert server.metadata(name)["at_accept"] == 1700000000.5


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "1e300", "soon", "5000000000", ""])
def test_a_time_that_makes_no_sense_is_not_taken(server: LogSite, said: str) -> None:
    assert server.put("request", REQUEST, ID, f"Netrunner-Accepted-At: {said}").status == 201
    (name,) = server.files()
    assert server.metadata(name)["at_accept"] == server.clock.wall()


def test_a_message_is_on_the_disk_and_marked_incomplete_while_it_comes(server: LogSite) -> None:
    client = server.client().say(START + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nGET \r\n")
    (name,) = server.files()
    assert server.files() == {name: b"GET "}
    assert server.metadata(name)["completed"] is False
    client.say(b"3\r\n/ H\r\n0\r\n\r\n")
    assert answers(client.heard())[0].status == 201
    assert server.files() == {name: b"GET / H"}
    assert server.metadata(name)["completed"] is True


def test_metadata_tells_what_the_head_says_and_when_it_came(server: LogSite) -> None:
    client = server.client().say(START + b"Content-Length: %d\r\n\r\n" % len(REQUEST), REQUEST[:30])
    server.clock.advance(1)
    client.say(REQUEST[30:])
    server.clock.advance(1)
    server.put("response", RESPONSE)
    request, response = (server.metadata(name) for name in server.files())
    now = server.clock.wall()
    assert request == {
        **{"id": ID, "type": "request", "file": next(iter(server.files())), "bytes": len(REQUEST)},
        **{"at_accept": now - 2, "at_began": now - 2, "at_head": now - 1, "at_end": now - 1},
        **{"url": "http://llm.example/v1/chat/completions?x=1", "host": "llm.example"},
        **{"method": "POST", "path": "/v1/chat/completions", "status": None, "header_latency_s": None},
        **{"content_type": None, "content_encoding": None, "decoded_bytes": None, "decode_error": None},
        **{"head_error": None, "completed": True, "error": None},
    }
    assert (response["status"], response["content_type"], response["header_latency_s"]) == (200, "text/plain", 2)
    assert (response["url"], response["method"]) == (request["url"], "POST")


def test_the_senders_word_about_the_latency_is_taken(server: LogSite) -> None:
    server.put("request", REQUEST)
    server.clock.advance(100)
    server.put("response", RESPONSE, ID, "Netrunner-Header-Latency: 0.25")
    assert server.metadata(list(server.files())[1])["header_latency_s"] == 0.25


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the message is empty"),
        (b"GET / HT", "the message ends within its head"),
        (b"\x16\x03\x01\x02\x00", "no well-formed HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000 + b"\r\n\r\n", "larger than 65536 bytes"),
    ],
    ids=["empty", "cut short", "no HTTP", "too long"],
)
def test_a_broken_head_is_noted_and_the_bytes_are_stored_all_the_same(server: LogSite, body: bytes, error: str) -> None:
    assert server.put("request", body).status == 201
    (name,) = server.files()
    assert server.files() == {name: body}
    assert error in server.metadata(name)["head_error"]
    assert server.metadata(name)["completed"] is True


def test_a_sender_that_breaks_off_leaves_what_came_marked_incomplete(server: LogSite) -> None:
    client = server.client().say(START + b"Content-Length: %d\r\n\r\n" % len(REQUEST), REQUEST[:30])
    client.settle()
    (name,) = server.files()
    metadata = server.metadata(name)
    assert server.files() == {name: REQUEST[:30]}
    assert (metadata["completed"], metadata["error"], metadata["bytes"]) == (False, "the sender broke off", 30)
    assert not server.deposit.uploads


def test_a_message_that_broke_off_may_be_sent_again(server: LogSite) -> None:
    server.client().say(START + b"Content-Length: 9\r\n\r\n", b"part").settle()
    assert server.put("request", REQUEST).status == 201
    assert list(server.files().values()) == [REQUEST, b"part"]
    assert server.json(f"/api/logs/{ID}")["request"]["bytes"] == len(REQUEST)


def test_a_complete_message_is_stored_once_however_often_it_is_sent(make: Callable[..., LogSite]) -> None:
    server = make()
    first = json.loads(server.put("request", REQUEST).body)
    for one in (server, make()):
        again = one.put("request", REQUEST)
        assert (again.status, json.loads(again.body)) == (200, {**first, "stored": "before"})
    assert len(server.files()) == 1


def test_a_message_that_is_sent_again_is_read_to_its_end_but_not_beyond_the_limit(make: Callable[..., LogSite]) -> None:
    server = make(max_bytes=100)
    server.put("request", b"x")
    client = server.client().say(START + b"Transfer-Encoding: chunked\r\n\r\n", b"32\r\n" + b"x" * 50 + b"\r\n")
    assert client.heard() == b""
    client.say(b"33\r\n" + b"x" * 51 + b"\r\n")
    assert answers(client.heard(), b"PUT", closed=True)[0].status == 413
    assert list(server.files().values()) == [b"x"]


def test_ids_are_the_same_in_either_case(server: LogSite) -> None:
    server.put("request", REQUEST, ID.upper())
    assert server.put("request", REQUEST).status == 200


def test_a_sender_faster_than_the_disk_is_not_read_and_loses_nothing(server: LogSite) -> None:
    size = 4 * MAX_PENDING_BYTES
    client = server.client().say(START + b"Content-Length: %d\r\n\r\n" % size)
    server.threads.hold()
    sent = 0
    while not client.is_paused() and sent < size - 65536:
        client.channel.dataReceived(b"x" * 65536)
        sent += 65536
    assert sent <= 2 * MAX_PENDING_BYTES + 65536
    server.threads.release()
    assert not client.is_paused()
    while sent < size:
        client.channel.dataReceived(b"x" * 65536)
        sent += 65536
    assert answers(client.heard())[0].status == 201
    assert [len(data) for data in server.files().values()] == [size]


def test_pieces_that_come_while_the_disk_is_busy_are_written_together(
    server: LogSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    whole = os.write

    def write(descriptor: int, data: Any) -> int:
        written.append(len(data))
        return whole(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    client = server.client().say(START + b"Content-Length: 1000\r\n\r\n", b"x")
    server.threads.hold()
    client.say(*[b"x"] * 998)
    server.threads.release()
    client.say(b"x")
    assert answers(client.heard())[0].status == 201
    assert [size for size in written if size < 900].count(1) <= 3
    assert list(server.files().values()) == [b"x" * 1000]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_takes_no_more_is_a_clear_500_and_the_part_is_removed(
    server: LogSite, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    client = server.client().say(START + b"Content-Length: 20\r\n\r\n", b"1234567890")
    whole = os.write

    def write(descriptor: int, data: Any) -> int:
        if bytes(data) == b"abcdefghij":
            raise OSError(code, os.strerror(code))
        return whole(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    client.say(b"abcdefghij")
    answer = answers(client.heard(), b"PUT", closed=True)[0]
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (500, "storage_failed")
    assert os.strerror(code) in json.loads(answer.body)["error"]["message"]
    assert list(server.path.iterdir()) == []
    assert server.index.get(ID) is None


def test_short_writes_lose_nothing(server: LogSite, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:7]))
    assert server.put("request", REQUEST).status == 201
    assert list(server.files().values()) == [REQUEST]


def test_a_folder_that_takes_no_files_is_a_500_before_the_body_is_asked_for(
    server: LogSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_module, "write_all", refuse)
    client = server.client().say(START + b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n")
    assert answers(client.heard(), b"PUT", closed=True)[0].status == 500
    assert list(server.path.iterdir()) == []


def test_metadata_that_cannot_be_replaced_is_a_500_and_nothing_is_left(
    server: LogSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(server.folder, "replace", refuse)
    assert server.put("request", REQUEST).status == 500
    assert list(server.path.iterdir()) == []


def test_a_declared_size_over_the_limit_is_refused_instead_of_continued(make: Callable[..., LogSite]) -> None:
    server = make(max_bytes=100)
    client = server.client().say(START + b"Expect: 100-continue\r\nContent-Length: 101\r\n\r\n")
    assert answers(client.heard(), b"PUT", closed=True)[0].status == 413
    assert list(server.path.iterdir()) == []


def test_a_message_that_grows_over_the_limit_is_refused_and_removed(make: Callable[..., LogSite]) -> None:
    server = make(max_bytes=100)
    client = server.client().say(START + b"Transfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n")
    assert [len(data) for data in server.files().values()] == [100]
    client.say(b"1\r\nx\r\n")
    assert answers(client.heard(), b"PUT", closed=True)[0].status == 413
    assert client.is_over()
    assert list(server.path.iterdir()) == []
    assert server.index.get(ID) is None


def test_a_message_of_exactly_the_limit_is_stored(make: Callable[..., LogSite]) -> None:
    server = make(max_bytes=len(REQUEST))
    assert server.put("request", REQUEST).status == 201


def two_senders(server: LogSite) -> tuple[Client, Client]:
    """Return two clients in the middle of the same message."""
    one, two = (server.client().say(START + b"Content-Length: 4\r\n\r\n", part) for part in (b"aa", b"bb"))
    return one, two


def test_of_two_senders_of_one_message_the_first_to_be_whole_is_kept_and_they_do_not_mix(server: LogSite) -> None:
    one, two = two_senders(server)
    two.say(b"BB")
    one.say(b"AA")
    first, second = answers(two.heard())[0], answers(one.heard())[0]
    told = json.loads(first.body)
    assert (first.status, server.files()) == (201, {told["file"]: b"bbBB"})
    assert (second.status, json.loads(second.body)) == (200, {**told, "stored": "before"})
    assert server.files("metadata.json").keys() == {told["file"].replace(".bin", "_metadata.json")}
    assert server.json(f"/api/logs/{ID}")["request"]["bytes"] == 4


def test_a_message_that_comes_again_while_the_disk_has_the_first_is_stored_once(server: LogSite) -> None:
    one, two = two_senders(server)
    server.threads.hold()
    one.say(b"AA")
    two.say(b"BB")
    assert one.heard() == two.heard() == b""
    server.threads.release()
    assert sorted(answers(client.heard())[0].status for client in (one, two)) == [200, 201]
    assert len(server.files()) == 1
    assert not server.deposit.uploads


def test_a_message_that_comes_again_is_stored_when_the_disk_does_not_take_the_first(
    server: LogSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_senders(server)
    whole = server.folder.replace

    def refuse_once(metadata: Metadata) -> None:
        monkeypatch.setattr(server.folder, "replace", whole)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(server.folder, "replace", refuse_once)
    server.threads.hold()
    one.say(b"AA")
    two.say(b"BB")
    server.threads.release()
    statuses = [answers(client.heard(), b"PUT", closed=True)[0].status for client in (one, two)]
    assert sorted(statuses) == [201, 500]
    assert [list(server.files().values())] == [[b"bbBB"] if statuses[0] == 500 else [b"aaAA"]]


def test_a_sender_that_breaks_off_beside_another_leaves_the_whole_message_to_that_one(server: LogSite) -> None:
    one, two = two_senders(server)
    one.settle()
    two.say(b"BB")
    assert answers(two.heard())[0].status == 201
    assert sorted(server.files().values()) == [b"aa", b"bbBB"]


def test_a_sender_that_breaks_off_does_not_undo_another_that_did_not(server: LogSite) -> None:
    broken = server.client().say(START + b"Content-Length: 4\r\n\r\n", b"aa")
    server.put("request", REQUEST)
    broken.settle()
    assert server.json(f"/api/logs/{ID}")["request"]["bytes"] == len(REQUEST)
    assert server.put("request", REQUEST).status == 200


def test_metadata_is_replaced_in_one_step(server: LogSite) -> None:
    client = server.client().say(START + b"Content-Length: 4\r\n\r\n", b"aa")
    (path,) = server.path.glob("*_metadata.json")
    with path.open("rb") as before:
        client.say(b"aa")
        assert json.loads(before.read())["completed"] is False
    assert json.loads(path.read_bytes())["completed"] is True
    assert len(list(server.path.iterdir())) == 2


def test_metadata_is_never_there_in_part_from_its_first_writing_on(
    server: LogSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, bytes]] = []
    whole = os.write

    def write(descriptor: int, data: Any) -> int:
        seen.append(server.files("metadata.json"))
        return whole(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    server.put("request", REQUEST)
    assert len(seen) >= 3
    assert [json.loads(text)["id"] for files in seen for text in files.values()] == [ID] * (len(seen) - 1)


def test_metadata_that_lies_there_already_is_never_overwritten(server: LogSite) -> None:
    left = server.path / "2025-06-15_15-06-40.000_dddddddd_request_metadata.json"
    left.write_bytes(b"somebody's")
    assert json.loads(server.put("request", REQUEST).body)["file"].endswith("_request-2.bin")
    assert left.read_bytes() == b"somebody's"
    assert list(server.files().values()) == [REQUEST]


def test_a_connection_carries_one_message_after_the_other(server: LogSite) -> None:
    client = server.client()
    for type in ("request", "response"):
        client.say(f"PUT /{ID}/{type} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi".encode())
    assert [answer.status for answer in answers(client.heard(), b"PUT", b"PUT")] == [201, 201]


def test_a_message_that_pauses_for_minutes_is_not_dropped(server: LogSite) -> None:
    client = server.client().say(START + b"Content-Length: 4\r\n\r\n", b"aa")
    client.pass_time(800)
    assert not client.is_over()
    client.say(b"aa")
    assert answers(client.heard())[0].status == 201
