"""Finding stored messages again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import answers
from tests.support.logserver import ID, OTHER, REQUEST, RESPONSE, LogSite


def id_of(number: int) -> str:
    return f"01939999-0000-7000-8000-{number:012x}"


def exchange(server: LogSite, number: int, method: str = "POST", path: str = "/v1/chat", status: int = 200) -> str:
    """Store one exchange a second after the one before; return its id."""
    server.clock.advance(1)
    id = id_of(number)
    server.put("request", f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), id)
    server.put("response", f"HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n".encode(), id)
    return id


def listed(server: LogSite, query: str = "") -> list[str]:
    return [log["id"] for log in server.json(f"/api/logs{query}")["logs"]]


def test_the_newest_exchange_comes_first(server: LogSite) -> None:
    ids = [exchange(server, number) for number in (3, 1, 2)]
    assert listed(server) == ids[::-1]


def test_an_exchange_is_listed_with_what_its_messages_tell(server: LogSite) -> None:
    server.put("request", REQUEST)
    server.put("response", RESPONSE)
    (log,) = server.json("/api/logs")["logs"]
    request, response = server.files()
    assert log == {
        **{"id": ID, "at_accept": server.clock.wall(), "method": "POST", "path": "/v1/chat/completions", "status": 200},
        **{"url": "http://llm.example/v1/chat/completions?x=1", "header_latency_s": 0.0},
        "request": {"file": request, "bytes": len(REQUEST), "completed": True, "error": None},
        "response": {"file": response, "bytes": len(RESPONSE), "completed": True, "error": None},
    }


def test_an_exchange_in_progress_is_listed_as_soon_as_its_head_is_there(server: LogSite) -> None:
    server.client().say(
        f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n".encode(), REQUEST
    )
    (log,) = server.json("/api/logs")["logs"]
    assert (log["method"], log["request"]["completed"], log["response"]) == ("POST", False, None)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("method=GET", [2]),
        ("method=get", [2]),
        ("path=embed", [3]),
        ("path=/v1/", [3, 2, 1]),
        ("status=404", [2]),
        ("status=2xx", [3, 1]),
        ("status=5xx", []),
        ("name=_0000000", [3, 2, 1]),
        ("name=.000_00000002_response", [2]),
        ("name=nothing", []),
        ("method=POST&status=200&path=chat", [1]),
    ],
)
def test_filters_choose(server: LogSite, query: str, numbers: list[int]) -> None:
    exchange(server, 1)
    exchange(server, 2, "GET", "/v1/models", 404)
    exchange(server, 3, "POST", "/v1/embeddings")
    assert listed(server, f"?{query}") == [id_of(number) for number in numbers]


def test_pages_follow_each_other_without_a_gap(server: LogSite) -> None:
    ids = [exchange(server, number) for number in range(7)][::-1]
    page = server.json("/api/logs?limit=3")
    seen = []
    while True:
        seen += [log["id"] for log in page["logs"]]
        if page["next"] is None:
            break
        exchange(server, 100 + len(seen))
        page = server.json(f"/api/logs?limit=3&before={page['next']}")
    assert seen == ids


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=20", "status"),
        ("status=2x", "status"),
        ("status=abc", "status"),
        (f"path={'x' * 257}", "path"),
        ("colour=red", "colour"),
        (f"before={OTHER}", "before"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_400_naming_what(server: LogSite, query: str, param: str) -> None:
    answer = server.ask("GET", f"/api/logs?{query}")
    assert answer.status == 400
    assert param in json.loads(answer.body)["error"]["message"]


def test_one_exchange_is_told_with_the_metadata_of_both(server: LogSite) -> None:
    server.put("request", REQUEST)
    assert server.json(f"/api/logs/{ID}")["response"] is None
    server.put("response", RESPONSE)
    told = server.json(f"/api/logs/{ID}")
    request, response = server.files()
    assert (told["request"], told["response"]) == (server.metadata(request), server.metadata(response))


@pytest.mark.parametrize("path", [f"/{OTHER}", f"/{OTHER}/request", f"/{ID}/response"])
def test_what_is_not_there_is_a_404(server: LogSite, path: str) -> None:
    server.put("request", REQUEST)
    assert server.ask("GET", f"/api/logs{path}").status == 404


@pytest.mark.parametrize(
    ("path", "status"), [("/x", 400), ("/../x", 400), (f"/{ID}/x", 400), (f"/{ID}/request/x", 404)]
)
def test_a_wrong_id_or_type_is_refused(server: LogSite, path: str, status: int) -> None:
    assert server.ask("GET", f"/api/logs{path}").status == status


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/other", "/health/x"])
def test_nothing_else_is_there(server: LogSite, path: str) -> None:
    assert server.ask("GET", path).status == 404


@pytest.mark.parametrize("path", ["/api/logs", f"/api/logs/{ID}", "/health"])
def test_nothing_is_changed_by_the_api(server: LogSite, path: str) -> None:
    answer = server.ask("PUT", path, b"x")
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


def test_the_exact_bytes_are_given_back_as_a_file_and_never_as_a_page(server: LogSite) -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<script>" + bytes(range(256)) * 1000
    server.put("response", body)
    answer = server.ask("GET", f"/api/logs/{ID}/response")
    assert answer.body == body
    assert answer.headers[b"content-type"] == b"application/octet-stream"
    assert answer.headers[b"content-disposition"].startswith(b"attachment; filename=")
    assert answer.headers[b"x-content-type-options"] == b"nosniff"


def test_head_tells_the_size_only(server: LogSite) -> None:
    server.put("request", REQUEST)
    answer = server.ask("HEAD", f"/api/logs/{ID}/request")
    assert (answer.headers[b"content-length"], answer.body) == (b"%d" % len(REQUEST), b"")


def test_a_message_in_progress_can_be_read_as_far_as_it_came(server: LogSite) -> None:
    server.client().say(f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf".encode())
    assert server.ask("GET", f"/api/logs/{ID}/request").body == b"half"


def test_a_file_that_somebody_removed_is_a_404(server: LogSite) -> None:
    server.put("request", REQUEST)
    (name,) = server.files()
    (server.path / name).unlink()
    for query in ("", "?decoded=1"):
        assert server.ask("GET", f"/api/logs/{ID}/request{query}").status == 404


def test_a_reader_that_does_not_keep_up_pauses_the_reading(server: LogSite) -> None:
    size = 1 << 20
    server.put("request", b"x" * size)
    client = server.client()
    client.channel.pauseProducing()
    client.say(f"GET /api/logs/{ID}/request HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    heard = client.heard()
    assert len(heard) < 70000
    client.channel.resumeProducing()
    assert answers(heard + client.heard())[0].body == b"x" * size


def test_a_reader_that_goes_away_ends_the_reading(server: LogSite) -> None:
    server.put("request", b"x" * (1 << 20))
    client = server.client()
    client.channel.pauseProducing()
    client.say(f"GET /api/logs/{ID}/request HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    client.settle()
    assert server.ask("GET", "/health").status == 200


def test_health_is_told_to_whoever_asks_and_says_nothing_of_the_logs(server: LogSite) -> None:
    exchange(server, 1)
    answer = server.ask("GET", "/health", b"", "X-Forwarded-For: 1.2.3.4", listener="10.0.0.1")
    assert answer.status == 200
    assert json.loads(answer.body).keys() == {"status", "version", "indexed"}


def test_before_the_folder_is_read_nothing_is_told_of_it(make: Callable[..., LogSite]) -> None:
    exchange(make(), 1)
    server = make(read=False)
    answer = server.ask("GET", "/api/logs")
    assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
    assert server.json("/health")["indexed"] is False
    server.read()
    assert listed(server) == [id_of(1)]
    assert server.json("/health")["indexed"] is True


def test_everything_is_found_again_after_a_restart(make: Callable[..., LogSite]) -> None:
    server = make()
    ids = [exchange(server, number, status=200 + number) for number in range(5)]
    before = server.json("/api/logs")
    server = make()
    assert server.json("/api/logs") == before
    assert listed(server) == ids[::-1]


def test_only_the_newest_are_known_and_the_files_of_the_others_stay(make: Callable[..., LogSite]) -> None:
    server = make(max_logs=3)
    ids = [exchange(server, number) for number in range(5)]
    assert listed(server) == ids[:1:-1]
    assert listed(make(max_logs=3)) == ids[:1:-1]
    assert len(server.files()) == 10


def test_a_request_does_not_list_the_folder(server: LogSite, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange(server, 1)

    def never(*_: Any) -> None:
        raise AssertionError("the folder was listed")

    monkeypatch.setattr("os.scandir", never)
    monkeypatch.setattr("os.listdir", never)
    assert listed(server) == [id_of(1)]
    assert server.ask("GET", f"/api/logs/{id_of(1)}").status == 200


def test_a_paused_message_survives_the_death_of_the_server_as_incomplete(make: Callable[..., LogSite]) -> None:
    make().client().say(f"PUT /{ID}/request HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf".encode())
    server = make()
    (name,) = server.files()
    metadata = server.metadata(name)
    assert (metadata["completed"], metadata["bytes"]) == (False, 4)
    assert "ended while the message was coming" in metadata["error"]
    (log,) = server.json("/api/logs")["logs"]
    assert log["request"]["completed"] is False
    assert server.put("request", REQUEST).status == 201
