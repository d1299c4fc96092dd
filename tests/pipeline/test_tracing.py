"""The place of exchanges in traces: what callers tell, what upstreams are told, what the record keeps."""

from __future__ import annotations

import random
from typing import Any

import pytest

from netrunner.filters.retry import Retry, RetrySettings
from netrunner.pipeline.tracing import Tracing
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Trace
from tests.pipeline.test_pools import ANSWER, FAILURE
from tests.support.stage import JSON, Stage, request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"


def traced(*filters: Any, share: float = 1.0, follows: bool = True, **kw: Any) -> Stage:
    return Stage(*filters, tracing=Tracing(share, follows, random.Random(7).getrandbits), **kw)


def asks(*fields: str) -> bytes:
    return request("/v1/chat/completions", {"model": "m", "messages": []}, *fields)


def asked(stage: Stage, *fields: str) -> Trace:
    """Return the trace of one request that was answered."""
    stage.client().say(asks(*fields))
    stage.call.head(200, JSON).body(ANSWER, True)
    trace = stage.record().trace
    assert trace is not None
    return trace


def test_a_callers_trace_goes_on_to_the_upstream_with_a_span_of_its_own() -> None:
    stage = traced(share=0.0)
    trace = asked(stage, PARENT, "tracestate: acme=1, other=2", "tracestate: third=3")
    assert (trace.id, trace.parent, trace.state, trace.sampled) == (TRACE, SPAN, "acme=1,other=2,third=3", True)
    (attempt,) = trace.attempts
    assert len({attempt.id, trace.span, SPAN}) == 3
    assert stage.call.header(b"traceparent") == [f"00-{TRACE}-{attempt.id}-01".encode()]
    assert stage.call.header(b"tracestate") == [b"acme=1,other=2,third=3"]


def test_a_caller_who_keeps_no_trace_is_followed_in_that() -> None:
    stage = traced()
    assert not asked(stage, PARENT.removesuffix("1") + "0").sampled
    assert stage.call.header(b"traceparent")[0].endswith(b"-00")


@pytest.mark.parametrize(
    "parent",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        "",
    ],
)
def test_a_malformed_context_begins_a_trace_of_its_own(parent: str) -> None:
    stage = traced()
    trace = asked(stage, f"traceparent: {parent}", "tracestate: acme=1")
    assert trace.id != TRACE
    assert (trace.parent, trace.state, len(trace.id), len(trace.span)) == (None, None, 32, 16)
    assert stage.call.header(b"tracestate") == []


def test_a_later_version_may_tell_more() -> None:
    assert asked(traced(), f"traceparent: 01-{TRACE}-{SPAN}-01-more").id == TRACE


def test_two_contexts_are_none() -> None:
    assert asked(traced(), PARENT, PARENT).parent is None


@pytest.mark.parametrize("state", ["nothing", "A=b", "=1", ",".join(f"k{n}=" for n in range(3))])
def test_a_malformed_state_is_not_passed_on(state: str) -> None:
    assert asked(traced(), PARENT, f"tracestate: {state}").state is None


def test_a_long_state_loses_its_last_members() -> None:
    members = [f"k{number}={'v' * 100}" for number in range(9)]
    assert asked(traced(), PARENT, f"tracestate: {','.join(members)}").state == ",".join(members[:4])


def test_callers_are_not_followed_where_that_is_not_wanted() -> None:
    stage = traced(follows=False)
    assert asked(stage, PARENT).id != TRACE
    assert TRACE.encode() not in b"".join(stage.call.header(b"traceparent"))


def test_the_share_of_traces_is_kept() -> None:
    tracing = Tracing(0.25, True, random.Random(1).getrandbits)
    assert 450 < sum(tracing.begin([]).sampled for _ in range(2000)) < 550


def test_each_attempt_has_a_span_with_its_own_times() -> None:
    stage = traced(Retry(RetrySettings(jitter=0.0, base_delay_s=2.0), FakeEnvironment()))
    stage.ask()
    stage.clock.advance(1.0)
    stage.call.head(503, JSON).body(FAILURE, True)
    stage.clock.advance(2.0)
    stage.call.head(200, JSON).body(ANSWER, True)
    trace = stage.record().trace
    assert trace is not None
    assert [(one.upstream, one.began_s, one.ended_s) for one in trace.attempts] == [
        ("http://up.example:80", 0.0, 1.0),
        ("http://up.example:80", 3.0, None),
    ]
    sent = [call.header(b"traceparent")[0].decode().split("-")[2] for call in stage.upstream.calls]
    assert sent == [one.id for one in trace.attempts]


def test_a_request_that_is_refused_has_its_place_too() -> None:
    stage = traced(models={})
    stage.client().say(asks(PARENT))
    trace = stage.record().trace
    assert trace is not None
    assert (trace.id, trace.attempts) == (TRACE, [])


def test_a_raw_route_tells_its_upstream_the_new_span_alone() -> None:
    stage = traced(routes={"/raw/": ("http://raw.example/", "keep")})
    stage.client().say(f"GET /raw/x HTTP/1.1\r\nHost: localhost\r\n{PARENT}\r\n\r\n".encode())
    (sent,) = stage.call.header(b"traceparent")
    assert sent.startswith(b"00-" + TRACE.encode())
    assert SPAN.encode() not in sent


def test_without_tracing_no_model_route_passes_a_context_on() -> None:
    stage = Stage()
    stage.client().say(asks(PARENT))
    stage.call.head(200, JSON).body(ANSWER, True)
    assert stage.call.header(b"traceparent") == []
    assert stage.record().trace is None
