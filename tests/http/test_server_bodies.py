"""Bodies of requests: caps, expectations, streaming with back-pressure, and the accounts of what is buffered."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH

from netrunner.errors import Forbidden, Unauthenticated
from netrunner.http.body import RequestBody
from netrunner.http.request import Request
from tests.support.client import Asked, Client, Echo, answers, connect, leaf

EXPECTS = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
LONG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Consumer:
    """Takes a streamed body."""

    def __init__(self, pause_after: int = 0, body: RequestBody | None = None) -> None:
        self.data = b""
        self.ends: list[Any] = []
        self.pause_after, self.body = pause_after, body

    def write(self, data: bytes) -> None:
        self.data += data
        if self.body is not None and self.pause_after and len(self.data) >= self.pause_after:
            self.body.pauseProducing()

    def take(self, body: RequestBody) -> None:
        self.body = body
        body.startProducing(self).addBoth(self.ends.append)


def streaming(**kinds: Any) -> tuple[Client, list[Request], list[RequestBody]]:
    """Return a client of a resource that streams every body, its requests and their bodies."""
    requests: list[Request] = []
    bodies: list[RequestBody] = []

    def head(request: Request) -> None:
        requests.append(request)
        bodies.append(request.stream_body())

    return connect(Asked(head), **kinds), requests, bodies


def test_continue_is_sent_when_the_head_is_accepted() -> None:
    client = connect(Echo().resource)
    client.say(EXPECTS + b"Content-Length: 6\r\n\r\n")
    assert client.heard() == CONTINUE
    client.say(b"abcdef")
    assert answers(client.heard())[0].body == b"abcdef"


@pytest.mark.parametrize(
    "data",
    [
        EXPECTS + b"Content-Length: 6\r\n\r\nabcdef",
        EXPECTS + b"Content-Length: 6\r\n\r\nabc",
        EXPECTS + b"Content-Length: 0\r\n\r\n",
        EXPECTS.replace(b"1.1", b"1.0") + b"Content-Length: 6\r\n\r\n",
    ],
)
def test_continue_is_not_sent_when_it_is_of_no_use(data: bytes) -> None:
    client = connect(Echo().resource).say(data)
    assert not client.heard().startswith(CONTINUE)


@pytest.mark.parametrize("late", [False, True])
def test_a_declared_size_over_the_cap_is_refused_instead_of_continued(late: bool) -> None:
    decided: Deferred[None] = Deferred()
    echo = Echo()
    client = connect(Asked(lambda _: decided if late else None, echo.take), max_body_bytes=5)
    client.say(EXPECTS + b"Content-Length: 6\r\n\r\n")
    decided.callback(None)
    answer = answers(client.heard())[0]
    assert (answer.status, answer.headers[b"connection"]) == (413, b"close")
    assert client.is_over()
    assert echo.seen == []


def test_no_more_than_64_kib_of_a_refused_body_are_read() -> None:
    client = connect(Echo().resource, max_body_bytes=5)
    client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
    sent = 0
    while not client.is_paused():
        client.channel.dataReceived(b"x" * 4096)
        sent += 4096
    assert sent <= 65536 + 4096
    client.pass_time(2.5)
    assert client.transport.aborted


def test_a_chunked_body_is_refused_when_it_passes_the_cap() -> None:
    echo = Echo()
    client = connect(echo.resource, max_body_bytes=10000)
    client.say(CHUNKED, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 10)
    assert client.heard() == b""
    client.say(b"1\r\nx\r\n")
    assert answers(client.heard())[0].status == 413
    assert echo.seen == []
    assert client.site.buffered_bytes == 0


def test_a_body_of_one_byte_chunks_is_taken() -> None:
    echo = Echo()
    client = connect(echo.resource)
    mib = 1 << 20
    segments = (b"1\r\nx\r\n" * 10000,) * (mib // 10000)
    client.say(CHUNKED, *segments, b"0\r\n\r\n")
    assert len(echo.seen[0].body) == mib // 10000 * 10000


@pytest.mark.parametrize(
    "segment",
    [b";" + b"x" * 8000, b"1;" + b"x" * 8000 + b"\r\ny\r\n"],
    ids=["an extension without end", "an extension at every byte"],
)
def test_endless_chunk_extensions_are_refused(segment: bytes) -> None:
    echo = Echo()
    client = connect(echo.resource)
    start = b"1" if segment.startswith(b";") else b""
    client.say(CHUNKED + start, *[segment if start == b"" or i == 0 else b"x" * 8000 for i in range(40)])
    assert answers(client.heard())[0].status == 400
    assert echo.seen == []


@pytest.mark.parametrize("line", [b"X: y\r\n" * 1000, b"x" * 6000], ids=["lines", "one line"])
def test_endless_trailers_are_refused_however_long_the_body_was(line: bytes) -> None:
    echo = Echo()
    client = connect(echo.resource)
    client.say(CHUNKED, b"100000\r\n" + b"x" * (1 << 20) + b"\r\n0\r\nX: y", *[line] * 20)
    assert answers(client.heard())[0].status == 400
    assert echo.seen == []


def test_more_than_may_be_buffered_in_all_is_refused_with_the_time_to_retry() -> None:
    held: list[Request] = []
    resource = leaf(held.append)
    client = connect(resource, max_buffered_bytes=10)
    second = Client(client.site, client.clock)
    client.say(SIZED + b"abcdef")
    second.say(SIZED + b"abcdef")
    answer = answers(second.heard())[0]
    assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
    assert client.site.buffered_bytes == 6
    held[0].discard_body()
    assert client.site.buffered_bytes == 0
    third = Client(client.site, client.clock).say(SIZED + b"abcdef")
    held[1].respond(200, [], b"")
    assert client.site.buffered_bytes == 0
    assert answers(third.heard())[0].status == 200


@pytest.mark.parametrize("end", ["answer", "lose", "break off", "refuse", "bad chunk", "fin"])
def test_the_account_of_buffered_bytes_is_settled_at_every_end(end: str) -> None:
    held: list[Request] = []
    client = connect(leaf(held.append))
    client.say(CHUNKED + b"6\r\nabcdef\r\n")
    assert client.site.buffered_bytes == 6
    if end == "bad chunk":
        client.say(b"g\r\n")
    elif end == "fin":
        client.finish()
    else:
        client.say(b"0\r\n\r\n")
        request = held[0]
        match end:
            case "answer":
                request.respond(200, [], b"")
            case "refuse":
                request.refuse(Forbidden("no"))
            case "break off":
                request.begin(200, b"", [])
                request.break_off()
    client.settle()
    assert client.site.buffered_bytes == 0
    assert len(client.site.channels) == len(client.site.sweep) == 0


def test_a_refusal_at_the_head_comes_before_the_body() -> None:
    def head(_: Request) -> None:
        raise Unauthenticated("Who are you?")

    client = connect(Asked(head))
    client.say(EXPECTS + b"Content-Length: 6\r\n\r\n")
    assert answers(client.heard())[0].status == 401
    assert client.is_over()
    client = connect(Asked(head))
    client.say(SIZED + b"abcdef" + SIZED + b"abcdef")
    assert [answer.status for answer in answers(client.heard())] == [401, 401]
    assert not client.is_over()


def early(**limits: Any) -> Client:
    """Return a client that is answered at the head of its request."""
    return connect(Asked(lambda request: request.respond(200, [], b"early")), **limits)


def test_an_answer_at_the_head_is_the_only_one_and_ends_what_the_client_was_sending() -> None:
    client = early(max_body_bytes=5)
    client.say(LONG)
    answer = answers(client.heard())[0]
    assert (answer.body, answer.headers[b"connection"]) == (b"early", b"close")
    assert client.is_over()


def test_a_failed_thought_about_the_head_is_an_error_500(logged_failures: Any) -> None:
    decided: Deferred[None] = Deferred()
    client = connect(Asked(lambda _: decided)).say(SIZED)
    decided.errback(Failure(RuntimeError("secret")))
    data = client.heard()
    assert answers(data)[0].status == 500
    assert b"secret" not in data
    assert client.is_over()
    assert len(logged_failures.flush(RuntimeError)) == 1


def test_a_late_refusal_of_the_head_is_answered() -> None:
    decided: Deferred[None] = Deferred()
    client = connect(Asked(lambda _: decided)).say(LONG)
    decided.errback(Failure(Forbidden("no")))
    assert answers(client.heard())[0].status == 403
    assert client.is_over()


@pytest.mark.parametrize("cut", range(len(SIZED), len(SIZED) + 6))
def test_an_answer_at_the_head_waits_for_a_small_body_and_leaves_the_connection_open(cut: int) -> None:
    # A reverse proxy has sent the head of the answer on by then, and closes its client's connection all the same.
    client = early()
    request = SIZED + b"abcdef"
    for _ in range(3):
        client.say(request[:cut])
        assert client.heard() == b""
        client.say(request[cut:])
        (answer,) = answers(client.heard())
        assert (answer.body, b"connection" in answer.headers) == (b"early", False)
    assert client.site.buffered_bytes == 0
    assert not client.is_over()


def test_an_answer_waits_for_a_body_for_two_seconds_and_not_for_one_that_does_not_come() -> None:
    client = early().say(SIZED + b"abc")
    client.pass_time(1.75)
    assert client.heard() == b""
    client.pass_time(0.5)
    answer = answers(client.heard())[0]
    assert (answer.body, answer.headers[b"connection"]) == (b"early", b"close")
    assert client.is_over()


def test_an_answer_that_waits_reaches_a_client_that_sends_no_more() -> None:
    client = early().say(SIZED + b"abc")
    client.finish()
    assert answers(client.heard())[0].body == b"early"
    assert client.is_over()


@pytest.mark.parametrize(
    "head",
    [
        SIZED.replace(b"Host", b"Connection: close\r\nHost"),
        EXPECTS + b"Content-Length: 6\r\n\r\n",
        CHUNKED,
    ],
)
def test_an_answer_does_not_wait_for_a_body_that_may_not_come_or_of_which_nothing_hangs(head: bytes) -> None:
    client = early().say(head)
    answer = answers(client.heard())[0]
    assert (answer.body, answer.headers[b"connection"]) == (b"early", b"close")


@pytest.mark.parametrize("data", [SIZED + b"abcdef", CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
def test_a_streamed_body_arrives_whole_however_it_is_cut(data: bytes) -> None:
    for cut in range(len(data)):
        client, requests, bodies = streaming()
        client.say(data[:cut] or data[:1], data[max(cut, 1) :])
        consumer = Consumer()
        consumer.take(bodies[0])
        assert (consumer.data, consumer.ends) == (b"abcdef", [None]), cut
        assert bodies[0].length == (6 if data.startswith(SIZED) else UNKNOWN_LENGTH)
        requests[0].respond(200, [], b"")
        assert not client.is_over()


def test_a_streamed_body_nobody_takes_is_not_read_on() -> None:
    client, _, bodies = streaming()
    client.say(SIZED, b"abc")
    assert client.is_paused()
    consumer = Consumer()
    consumer.take(bodies[0])
    assert not client.is_paused()
    client.say(b"def")
    assert (consumer.data, consumer.ends) == (b"abcdef", [None])


def test_a_pause_at_the_first_piece_holds() -> None:
    client, _, bodies = streaming()
    client.say(SIZED, b"abc")
    consumer = Consumer(pause_after=1)
    consumer.take(bodies[0])
    assert client.is_paused()
    bodies[0].resumeProducing()
    assert not client.is_paused()


def test_an_answer_to_a_body_nobody_took_leaves_the_connection_alive() -> None:
    client, requests, _ = streaming()
    client.say(SIZED + b"abcdef")
    requests[0].respond(200, [], b"")
    assert not client.is_paused()
    client.say(SIZED + b"abcdef")
    assert len(requests) == 2


def test_a_refusal_of_a_held_body_is_followed_by_reading_it_away() -> None:
    client, requests, _ = streaming()
    client.say(SIZED, b"abc")
    requests[0].refuse(Forbidden("no"))
    assert answers(client.heard())[0].status == 403
    assert not client.is_paused()


def test_a_stopped_body_is_thrown_away() -> None:
    client, requests, bodies = streaming()
    consumer = Consumer()
    client.say(SIZED)
    consumer.take(bodies[0])
    bodies[0].stopProducing()
    client.say(b"abcdef")
    requests[0].respond(200, [], b"")
    assert (consumer.data, consumer.ends) == (b"", [])
    assert not client.is_over()


@pytest.mark.parametrize("taken", [True, False])
def test_a_streamed_body_fails_when_the_client_breaks_off(taken: bool) -> None:
    client, _, bodies = streaming()
    consumer = Consumer()
    client.say(SIZED)
    if taken:
        consumer.take(bodies[0])
    client.settle()
    if not taken:
        consumer.take(bodies[0])
    assert isinstance(consumer.ends[0], Failure)


def test_a_bad_chunk_ends_a_streamed_request_visibly() -> None:
    client, _, bodies = streaming()
    consumer = Consumer()
    client.say(CHUNKED + b"3\r\nabc\r\n")
    consumer.take(bodies[0])
    client.say(b"g\r\n")
    assert client.transport.aborted


def test_a_bad_chunk_beside_the_head_reaches_no_resource() -> None:
    client, requests, _ = streaming()
    client.say(CHUNKED + b"g\r\n")
    assert requests == []
    assert answers(client.heard())[0].status == 400


def test_a_form_is_read_into_args() -> None:
    args: list[Any] = []
    client = connect(leaf(lambda request: args.append(request.args)))
    client.say(b"POST /?q=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n")
    client.say(b"Content-Length: 7\r\n\r\nq=2&r=3")
    assert args == [{b"q": [b"1", b"2"], b"r": [b"3"]}]
