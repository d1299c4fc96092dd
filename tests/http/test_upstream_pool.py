"""The pool in memory: which connection carries a call, how calls end, what waits how long."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError

from netrunner.errors import UpstreamTimeout
from netrunner.http.flush import Flush
from netrunner.http.pool import Pool
from netrunner.settings import PoolLimits, Timeouts
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Origin, ResponseHead
from tests.http.upstreams import ORIGIN, Upstreams, answer, request


def code(receiver: FakeReceiver) -> tuple[str, bool]:
    """Return the code of the failure that was heard, and whether the request may have been sent."""
    assert receiver.error is not None
    assert receiver.violations == []
    return receiver.error.code, receiver.error.sent


# What goes out.


def test_head_and_body_go_out_in_one_write() -> None:
    upstreams = Upstreams()
    upstreams.send(request(b"POST", b"{}"))
    assert (
        upstreams.accept().heard()
        == b"POST / HTTP/1.1\r\nhost: 192.0.2.1\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("method", "framing"),
    [(b"GET", b""), (b"DELETE", b""), (b"POST", b"content-length: 0\r\n"), (b"PUT", b"content-length: 0\r\n")],
)
def test_an_empty_body_is_declared_where_one_is_expected(method: bytes, framing: bytes) -> None:
    upstreams = Upstreams()
    upstreams.send(request(method))
    assert upstreams.accept().heard().endswith(b"accept: */*\r\n" + framing + b"\r\n")


@pytest.mark.parametrize("evil", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b"])
@pytest.mark.parametrize("place", ["name", "value", "target", "method", "upgrade"])
def test_nothing_can_be_injected_into_a_head(evil: bytes, place: str) -> None:
    upstreams = Upstreams()
    one = request()
    if place == "name":
        one.headers = [(evil, b"x")]
    elif place == "value":
        one.headers = [(b"x", evil)]
    else:
        setattr(one, place, evil)
    _, receiver = upstreams.send(one)
    assert receiver.dialogue == []
    upstreams.reactor.advance(0)
    assert code(receiver) == ("upstream_invalid_request", False)
    assert upstreams.attempts == 0


def test_a_target_with_a_space_is_not_sent() -> None:
    upstreams = Upstreams()
    one = request()
    one.target = b"/ HTTP/1.1"
    _, receiver = upstreams.send(one)
    upstreams.reactor.advance(0)
    assert code(receiver) == ("upstream_invalid_request", False)


# Warm connections.


def test_a_warm_connection_takes_the_next_request_at_once() -> None:
    upstreams = Upstreams()
    peer = upstreams.warm()
    _, receiver = upstreams.send()
    assert receiver.dialogue == [("sent", True)]
    assert peer.heard().startswith(b"GET / ")
    peer.says(answer(b"again"))
    assert receiver.dialogue[1:] == [
        ("head", ResponseHead(200, b"OK", [(b"content-length", b"5")])),
        ("body", b"again", True),
    ]
    assert upstreams.attempts == 1
    assert upstreams.pool.stats() == {"active": 0, "idle": 1, "waiting": 0}


def test_a_connection_whose_trailer_says_close_is_not_used_again() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nConnection: close\r\n\r\n")
    assert (receiver.body, receiver.error) == (b"hello", None)
    assert peer.aborted


def test_the_connection_used_last_is_used_first() -> None:
    upstreams = Upstreams()
    upstreams.send()
    first = upstreams.accept()
    upstreams.send()
    second = upstreams.accept()
    first.says(answer())
    second.says(answer())
    first.heard(), second.heard()
    upstreams.send()
    assert (first.heard(), second.heard()[:5]) == (b"", b"GET /")


def test_an_origin_never_gets_the_connection_of_another() -> None:
    upstreams = Upstreams()
    peer = upstreams.warm()
    for other in (Origin("http", "192.0.2.2", 80), Origin("http", "192.0.2.1", 81)):
        upstreams.send(request(origin=other))
    assert peer.heard() == b""
    assert upstreams.attempts == 3


def test_no_more_connections_than_allowed_stay_idle() -> None:
    upstreams = Upstreams(limits=PoolLimits(max_idle=1))
    upstreams.send()
    first = upstreams.accept()
    upstreams.send()
    second = upstreams.accept()
    first.says(answer())
    second.says(answer())
    assert (first.aborted, second.aborted) == (False, True)
    assert upstreams.pool.stats()["idle"] == 1


def test_an_idle_connection_is_dropped_in_time() -> None:
    upstreams = Upstreams(limits=PoolLimits(idle_s=10))
    peer = upstreams.warm()
    upstreams.pass_time(9.5)
    assert upstreams.pool.stats()["idle"] == 1
    upstreams.pass_time(1)
    assert peer.aborted
    peer.is_gone()
    assert upstreams.pool.stats()["idle"] == 0
    assert len(upstreams.sweep) == 0


@pytest.mark.parametrize("end", ["closes", "speaks"])
def test_an_idle_connection_that_ends_or_speaks_is_not_used_again(end: str) -> None:
    upstreams = Upstreams()
    peer = upstreams.warm()
    if end == "closes":
        peer.closes()
    else:
        peer.says(answer())
    assert peer.aborted
    upstreams.send()
    assert upstreams.attempts == 2
    assert peer.heard() == b""


@pytest.mark.parametrize(
    "data",
    [answer(b"hello", b"Connection: close"), answer().replace(b"1.1", b"1.0"), answer() + b"HTTP/1.1 200 OK\r\n\r\n"],
)
def test_a_spent_connection_is_closed_after_its_answer(data: bytes) -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(data)
    assert receiver.body == b"hello"
    assert receiver.ended
    assert peer.aborted
    assert upstreams.pool.stats()["idle"] == 0


def test_a_request_sent_from_within_the_last_body_call_takes_the_same_connection() -> None:
    upstreams = Upstreams()

    class Eager(FakeReceiver):
        def body_received(self, data: bytes, last: bool) -> None:
            super().body_received(data, last)
            upstreams.send(receiver=follower)

    follower = FakeReceiver()
    upstreams.send(receiver=Eager())
    peer = upstreams.accept()
    peer.says(answer())
    assert follower.dialogue == [("sent", True)]
    peer.says(answer(b"second"))
    assert follower.body == b"second"


def test_with_a_flush_the_requests_of_a_turn_leave_at_its_end() -> None:
    upstreams = Upstreams()
    upstreams.pool = Pool(upstreams.reactor, upstreams.sweep, Timeouts(), PoolLimits(), flush=Flush(upstreams.reactor))
    _, first = upstreams.send()
    call, aborted = upstreams.send()
    call.abort()
    assert upstreams.attempts == 0
    upstreams.reactor.advance(0)
    assert upstreams.attempts == 1
    peer = upstreams.accept()
    peer.says(answer())
    upstreams.reactor.advance(0)
    assert first.body == b"hello"
    assert aborted.dialogue == []
    _, late = upstreams.send()
    upstreams.pool.close()
    upstreams.reactor.advance(0)
    upstreams.reactor.advance(0)
    assert code(late) == ("upstream_pool_closed", False)


# What comes back.


def test_one_read_is_one_call_of_the_receiver() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.says(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n")
    peer.says(b"1\r\nd\r\n0\r\n\r\n")
    assert [call for call in receiver.dialogue if call[0] == "body"] == [("body", b"abc", False), ("body", b"d", True)]
    assert receiver.violations == []


def test_the_end_of_the_connection_ends_an_answer_without_a_length() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\nhel")
    peer.says(b"lo")
    assert not receiver.ended
    peer.closes()
    assert receiver.dialogue[-1] == ("body", b"", True)
    assert receiver.body == b"hello"


def test_a_reset_does_not_end_an_answer_without_a_length() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\nhello")
    peer.closes(clean=False)
    assert receiver.body == b"hello"
    assert code(receiver) == ("upstream_truncated", True)


@pytest.mark.parametrize(
    "whole",
    [answer(b"x" * 50), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n" + b"x" * 25 + b"\r\n0\r\n\r\n"],
)
@pytest.mark.parametrize("clean", [True, False])
def test_an_answer_cut_anywhere_is_truncated_and_what_came_was_delivered(whole: bytes, clean: bool) -> None:
    for position in range(1, len(whole)):
        upstreams = Upstreams()
        _, receiver = upstreams.send()
        peer = upstreams.accept()
        peer.says(whole[:position])
        peer.closes(clean=clean)
        assert code(receiver) == ("upstream_truncated", True), position
        assert not any(call[0] == "body" and call[2] for call in receiver.dialogue)
        after_head = whole[whole.index(b"\r\n\r\n") + 4 : position]
        assert receiver.body == b"x" * after_head.count(b"x")


def test_an_evil_answer_fails_shortly_and_closes() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
    assert code(receiver) == ("upstream_invalid_response", True)
    assert receiver.error is not None
    assert receiver.error.status == 502
    assert len(receiver.error.message) < 150
    assert peer.aborted


@pytest.mark.parametrize(
    "evil",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"Content-Length: 5\r\n\r\nhello",
    ],
    ids=["a switch nobody asked for", "too many fields"],
)
def test_nothing_of_an_answer_with_a_bad_head_is_passed_on(evil: bytes) -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    upstreams.accept().says(evil)
    assert [call[0] for call in receiver.dialogue] == ["sent", "failed"]
    assert code(receiver) == ("upstream_invalid_response", True)


def test_a_chunk_gone_wrong_fails_after_the_good_bytes() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    upstreams.accept().says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
    assert [call[0] for call in receiver.dialogue] == ["sent", "head", "body", "failed"]
    assert receiver.body == b"hello"


# Failing to connect, dying, sending again.


def test_a_refused_connection_was_not_sent() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send()
    upstreams.refuse(ConnectionRefusedError())
    assert code(receiver) == ("upstream_connection_failed", False)
    assert upstreams.pool.stats() == {"active": 0, "idle": 0, "waiting": 0}


@pytest.mark.parametrize(
    ("resend", "warm", "again"),
    [("unsent", True, False), ("never", True, False), ("no_response", True, True), ("no_response", False, False)],
)
@pytest.mark.parametrize("clean", [True, False])
def test_an_unanswered_request_is_sent_again_only_by_policy_and_from_a_warm_connection(
    resend: Any, warm: bool, again: bool, clean: bool
) -> None:
    upstreams = Upstreams(resend=resend)
    peer = upstreams.warm() if warm else None
    _, receiver = upstreams.send(request(b"POST", b"{}"))
    if peer is None:
        peer = upstreams.accept()
    before = upstreams.attempts
    peer.closes(clean=clean)
    assert upstreams.attempts - before == upstreams.pool.resent == again
    if again:
        fresh = upstreams.accept()
        assert fresh.heard() == peer.heard()
        fresh.closes()
    assert receiver.error is not None
    assert (receiver.error.code, receiver.error.sent) == ("upstream_connection_failed", True)
    assert upstreams.attempts - before == again


def test_a_request_is_not_sent_again_once_a_byte_of_the_answer_came() -> None:
    upstreams = Upstreams(resend="no_response")
    peer = upstreams.warm()
    _, receiver = upstreams.send()
    peer.says(b"H")
    peer.closes()
    assert code(receiver) == ("upstream_truncated", True)
    assert upstreams.attempts == 1


# Pausing and giving up.


def test_pause_and_resume_are_states_not_counters() -> None:
    upstreams = Upstreams()
    call, _ = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\n")
    call.pause()
    call.pause()
    assert peer.producerState == "paused"
    call.resume()
    assert peer.producerState == "producing"
    call.resume()
    assert peer.producerState == "producing"


def test_a_pause_before_the_connection_holds_once_there_is_one() -> None:
    upstreams = Upstreams()
    call, _ = upstreams.send()
    call.pause()
    peer = upstreams.accept()
    assert peer.producerState == "paused"
    call.resume()
    assert peer.producerState == "producing"


def test_a_call_that_is_over_does_not_touch_the_next_one() -> None:
    upstreams = Upstreams()
    call, _ = upstreams.send()
    peer = upstreams.accept()
    peer.says(answer())
    upstreams.send()
    for leftover in (call.pause, call.abort, call.resume, call.end):
        leftover()
    call.write(b"x")
    assert peer.producerState == "producing"
    assert not peer.aborted


def test_an_answer_completed_while_paused_leaves_a_reading_connection() -> None:
    upstreams = Upstreams()
    call, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(answer()[:-1])
    call.pause()
    peer.says(answer()[-1:])
    assert receiver.body == b"hello"
    assert peer.producerState == "producing"


@pytest.mark.parametrize("when", ["connecting", "sent", "head", "body"])
def test_an_aborted_call_hears_nothing_more_and_takes_its_connection_along(when: str) -> None:
    upstreams = Upstreams()
    call, receiver = upstreams.send()
    peer = None
    if when != "connecting":
        peer = upstreams.accept()
    if peer is not None and when == "head":
        peer.says(b"HTTP/1.1 200 OK\r\nContent-Le")
    if peer is not None and when == "body":
        peer.says(answer()[:-2])
    heard = len(receiver.dialogue)
    call.abort()
    call.abort()
    if peer is None:
        late = upstreams.accept()
        assert late.aborted
    else:
        assert peer.aborted
        peer.says(b"lo")
        peer.is_gone()
    assert len(receiver.dialogue) == heard
    assert upstreams.pool.stats() == {"active": 0, "idle": 0, "waiting": 0}
    assert len(upstreams.sweep) == 0


def test_an_abort_within_head_received_stops_the_body_of_the_same_read() -> None:
    upstreams = Upstreams()

    class Fickle(FakeReceiver):
        def head_received(self, head: ResponseHead) -> None:
            super().head_received(head)
            call.abort()

    call, receiver = upstreams.send(receiver=Fickle())
    upstreams.accept().says(answer()[:-1])
    assert receiver.dialogue[-1][0] == "head"


# Time.

TIMES = Timeouts(connect_s=5, first_byte_s=60, between_bytes_s=30)


def timed_out(receiver: FakeReceiver) -> bool:
    """Return whether the call failed for time."""
    return isinstance(receiver.error, UpstreamTimeout)


def test_connecting_is_bounded_and_was_not_sent() -> None:
    upstreams = Upstreams(TIMES)
    _, receiver = upstreams.send()
    upstreams.pass_time(4.5)
    assert receiver.error is None
    upstreams.pass_time(1)
    assert timed_out(receiver)
    assert code(receiver) == ("upstream_timeout", False)


def test_the_first_byte_is_bounded() -> None:
    upstreams = Upstreams(TIMES)
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    upstreams.pass_time(59.5)
    assert receiver.error is None
    upstreams.pass_time(1)
    assert timed_out(receiver)
    assert code(receiver) == ("upstream_timeout", True)
    assert peer.aborted


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"HTTP/1.1 2"])
def test_the_time_between_two_reads_is_bounded(start: bytes) -> None:
    upstreams = Upstreams(TIMES)
    _, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(start[:-1])
    upstreams.pass_time(29)
    peer.says(start[-1:])
    upstreams.pass_time(29)
    assert receiver.error is None
    upstreams.pass_time(2)
    assert timed_out(receiver)


def test_the_upstreams_time_stands_still_while_we_do_not_read() -> None:
    upstreams = Upstreams(TIMES)
    call, receiver = upstreams.send()
    peer = upstreams.accept()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\na")
    call.pause()
    upstreams.pass_time(300)
    assert receiver.error is None
    call.resume()
    upstreams.pass_time(29)
    assert receiver.error is None
    upstreams.pass_time(2)
    assert timed_out(receiver)


# The bound on connections.


def test_calls_over_the_bound_wait_in_order() -> None:
    upstreams = Upstreams(limits=PoolLimits(max_connections=1))
    _, first = upstreams.send()
    _, second = upstreams.send()
    gone, third = upstreams.send()
    _, fourth = upstreams.send()
    peer = upstreams.accept()
    assert upstreams.pool.stats() == {"active": 1, "idle": 0, "waiting": 3}
    gone.abort()
    for receiver in (first, second, fourth):
        assert receiver.dialogue[0][0] == "sent"
        peer.says(answer())
        assert receiver.ended
    assert third.dialogue == []
    assert upstreams.attempts == 1


def test_a_failed_connection_makes_room_for_the_next_call() -> None:
    upstreams = Upstreams(limits=PoolLimits(max_connections=1))
    upstreams.send()
    _, second = upstreams.send()
    upstreams.refuse(ConnectionRefusedError())
    upstreams.accept().says(answer())
    assert second.body == b"hello"


def test_waiting_for_a_connection_is_bounded_by_the_time_to_connect() -> None:
    upstreams = Upstreams(TIMES, PoolLimits(max_connections=1))
    upstreams.send()
    upstreams.accept()
    _, waiting = upstreams.send()
    upstreams.pass_time(6)
    assert timed_out(waiting)
    assert code(waiting) == ("upstream_timeout", False)
    assert upstreams.pool.stats()["waiting"] == 0


def test_close_aborts_all_and_fails_what_is_under_way() -> None:
    upstreams = Upstreams(limits=PoolLimits(max_connections=2))
    idle = upstreams.warm()
    _, active = upstreams.send(request(origin=Origin("http", "192.0.2.9", 80)))
    peer = upstreams.accept()
    _, connecting = upstreams.send(request(origin=Origin("http", "192.0.2.8", 80)))
    _, waiting = upstreams.send()
    upstreams.pool.close()
    assert idle.aborted
    assert peer.aborted
    for receiver, sent in ((active, True), (connecting, False), (waiting, False)):
        assert code(receiver) == ("upstream_pool_closed", sent)
    _, late = upstreams.send()
    assert late.dialogue == []
    upstreams.reactor.advance(0)
    assert code(late) == ("upstream_pool_closed", False)
    assert len(upstreams.sweep) == 0
    assert upstreams.pool.stats() == {"active": 0, "idle": 0, "waiting": 0}


def test_https_without_contexts_fails_softly() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send(request(origin=Origin("https", "192.0.2.1", 443)))
    upstreams.reactor.advance(0)
    assert code(receiver) == ("upstream_tls_failed", False)


# Streamed request bodies.


class Body:
    """A streamed body that the test writes."""

    def __init__(self, length: Any) -> None:
        self.length = length
        self.done: Deferred[None] = Deferred()
        self.calls: list[str] = []
        self.consumer: Any = None

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def uploading(length: Any, **kw: Any) -> tuple[Upstreams, Body, FakeReceiver, Any]:
    """Return a request whose body is under way."""
    upstreams = Upstreams(TIMES, **kw)
    body = Body(length)
    _, receiver = upstreams.send(request(b"POST", body))
    return upstreams, body, receiver, upstreams.accept()


def test_a_body_of_known_length_is_declared_and_sent_as_it_comes() -> None:
    _, body, receiver, peer = uploading(5)
    assert peer.heard().endswith(b"\r\ncontent-length: 5\r\n\r\n")
    body.consumer.write(b"he")
    body.consumer.write(b"llo")
    assert peer.heard() == b"hello"
    body.done.callback(None)
    peer.says(answer())
    assert receiver.body == b"hello"
    assert not peer.aborted


def test_a_body_of_unknown_length_is_chunked() -> None:
    _, body, _, peer = uploading("unknown")
    assert peer.heard().endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n")
    body.consumer.write(b"hello")
    body.consumer.write(b"")
    body.done.callback(None)
    assert peer.heard() == b"5\r\nhello\r\n0\r\n\r\n"


def test_the_upstreams_pace_is_the_bodys_pace_and_a_stall_is_bounded() -> None:
    upstreams, body, receiver, peer = uploading("unknown")
    upstreams.pass_time(600)
    assert receiver.error is None
    peer.producer.pauseProducing()
    upstreams.pass_time(59)
    peer.producer.resumeProducing()
    upstreams.pass_time(59)
    assert body.calls == ["pause", "resume"]
    assert receiver.error is None
    peer.producer.pauseProducing()
    upstreams.pass_time(61)
    assert timed_out(receiver)
    assert body.calls == ["pause", "resume", "pause", "stop"]


def test_the_first_byte_is_bounded_from_the_end_of_the_body() -> None:
    upstreams, body, receiver, _ = uploading(0)
    upstreams.pass_time(600)
    body.done.callback(None)
    upstreams.pass_time(61)
    assert timed_out(receiver)


def test_an_early_answer_stops_the_body_and_spends_the_connection() -> None:
    _, body, receiver, peer = uploading("unknown")
    body.consumer.write(b"part")
    peer.says(answer(b"no thanks"))
    assert receiver.body == b"no thanks"
    assert body.calls == ["stop"]
    assert peer.aborted
    body.consumer.write(b"more")
    body.done.callback(None)


@pytest.mark.parametrize(("length", "written"), [(3, b"four"), (5, b"four")])
def test_a_body_of_another_length_than_declared_fails(length: int, written: bytes) -> None:
    _, body, receiver, peer = uploading(length)
    peer.heard()
    body.consumer.write(written)
    body.done.callback(None)
    assert code(receiver) == ("upstream_request_incomplete", True)
    assert peer.aborted


def test_a_body_that_breaks_off_fails_the_call() -> None:
    _, body, receiver, peer = uploading("unknown")
    body.done.errback(ValueError("gone"))
    assert code(receiver) == ("upstream_request_incomplete", True)
    assert peer.aborted


@pytest.mark.parametrize("resend", ["unsent", "no_response", "never"])
def test_a_streamed_body_is_never_sent_again(resend: Any) -> None:
    upstreams = Upstreams(resend=resend)
    peer = upstreams.warm()
    body = Body("unknown")
    _, receiver = upstreams.send(request(b"POST", body))
    peer.closes()
    assert code(receiver) == ("upstream_connection_failed", True)
    assert upstreams.attempts == 1
    assert body.calls == ["stop"]


# After a protocol switch.

SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def tunnel() -> tuple[Upstreams, Any, FakeReceiver, Any]:
    """Return a call after its protocol switch."""
    upstreams = Upstreams(TIMES)
    call, receiver = upstreams.send(request(upgrade=b"websocket"))
    peer = upstreams.accept()
    assert peer.heard().endswith(b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    peer.says(SWITCH + b"early")
    return upstreams, call, receiver, peer


def test_after_a_switch_bytes_go_both_ways_untouched() -> None:
    upstreams, call, receiver, peer = tunnel()
    peer.says(b"\0raw")
    call.write(b"HTTP/1.1 ")
    assert receiver.body == b"early\0raw"
    assert peer.heard() == b"HTTP/1.1 "
    upstreams.pass_time(1000)
    assert receiver.error is None


def test_the_end_of_either_direction_leaves_the_other_open() -> None:
    _, call, receiver, peer = tunnel()
    call.end()
    assert peer.half_closed
    assert not peer.disconnecting
    peer.says(b"still")
    peer.closes()
    assert receiver.body == b"earlystill"
    assert receiver.dialogue[-1] == ("body", b"", True)
    _, call, receiver, peer = tunnel()
    peer.closes()
    assert receiver.dialogue[-1] == ("body", b"", True)
    assert not peer.disconnecting
    call.write(b"still")
    assert peer.heard() == b"still"
    call.end()
    assert peer.disconnecting
    peer.is_gone()
    assert receiver.violations == []
    assert receiver.error is None


def test_the_source_of_raw_bytes_is_paced_by_the_upstream() -> None:
    _, call, _, peer = tunnel()
    source = Body(None)
    call.register_producer(source)
    peer.producer.pauseProducing()
    assert source.calls == ["pause"]
    call.end()
    assert peer.producer is None


def test_a_tunnel_that_breaks_fails_and_one_that_is_aborted_closes() -> None:
    _, _, receiver, peer = tunnel()
    peer.closes(clean=False)
    assert code(receiver) == ("upstream_truncated", True)
    _, call, receiver, peer = tunnel()
    call.abort()
    assert peer.aborted
    assert receiver.error is None


def test_a_refused_switch_is_an_answer_like_any_other() -> None:
    upstreams = Upstreams()
    _, receiver = upstreams.send(request(upgrade=b"websocket"))
    peer = upstreams.accept()
    peer.says(answer())
    assert receiver.body == b"hello"
    upstreams.send()
    assert upstreams.attempts == 1
    assert ORIGIN.authority in peer.heard()


@pytest.mark.parametrize("peer_ended", [True, False])
def test_a_tunnel_ended_by_us_is_not_kept_for_ever(peer_ended: bool) -> None:
    upstreams, call, receiver, peer = tunnel()
    if peer_ended:
        peer.closes()
    call.end()
    upstreams.pass_time(31)
    assert peer.aborted
    assert (receiver.error is None) is peer_ended
    assert receiver.violations == []
    call.write(b"late")
