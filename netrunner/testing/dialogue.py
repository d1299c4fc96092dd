"""Checks of a provider that answers in this process: does it talk to its receiver as a connection would?

Its time is the clock of its environment. This module must not know any one provider.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from netrunner.interfaces import IUpstreamCall
from netrunner.testing.fakes import FakeClock, FakeReceiver
from netrunner.values import Call

PATIENCE_S = 3600.0
"""How far the clock is advanced to see an answer end, in seconds."""


class _Interrupting(FakeReceiver):
    """Does something to the call at the first bytes of the body."""

    def __init__(self, interrupt: Callable[[Any], None]) -> None:
        super().__init__()
        self.call: Any = None
        self._interrupt = interrupt
        self.interrupted = False

    def body_received(self, data: bytes, last: bool) -> None:
        """Interrupt, the first time, unless it is over already."""
        super().body_received(data, last)
        if not self.interrupted and not last:
            self.interrupted = True
            self._interrupt(self.call)


def _send(subject: Any, receiver: FakeReceiver, *, stream: bool = True) -> Any:
    body = {"model": "echo", "stream": stream, "messages": [{"role": "user", "content": "one two three four"}]}
    headers = [(b"content-type", b"application/json")]
    data = json.dumps(body).encode()
    request = subject.provider.build(Call(b"POST", "chat/completions", b"", headers, data, "echo", stream))
    return subject.provider.send(request, receiver)


def _let_time_pass(clock: FakeClock) -> None:
    """Go from one scheduled call to the next, as real time would."""
    end = clock.seconds() + PATIENCE_S
    while due := clock.getDelayedCalls():
        at = min(call.getTime() for call in due)
        if at > end:
            return
        clock.advance(max(0.0, at - clock.seconds()))


def _answers(subject: Any) -> Iterator[str]:
    for stream in (False, True):
        receiver = FakeReceiver()
        call = _send(subject, receiver, stream=stream)
        try:
            verifyObject(IUpstreamCall, call)
        except Invalid as error:
            yield " ".join(str(error).split())
        if receiver.dialogue:
            yield "the receiver was called before send had returned"
        _let_time_pass(subject.environment.clock)
        if not receiver.ended:
            yield f"no end of the answer within {PATIENCE_S:.0f} s of the environment's clock"
        elif receiver.error is not None:
            yield f"a plain question failed: {type(receiver.error).__name__}: {receiver.error}"
        yield from receiver.violations
        call.abort()


def _pause_twice(call: Any) -> None:
    call.pause()
    call.pause()


def _pauses(subject: Any) -> Iterator[str]:
    receiver = _Interrupting(_pause_twice)
    receiver.call = _send(subject, receiver)
    _let_time_pass(subject.environment.clock)
    if not receiver.interrupted:
        return  # The whole answer came at once.
    if receiver.dialogue[-1][0] != "body" or sum(call[0] == "body" for call in receiver.dialogue) > 1:
        yield "the answer goes on though it is paused"
    receiver.call.resume()
    receiver.call.resume()
    _let_time_pass(subject.environment.clock)
    if not receiver.ended:
        yield "the answer does not go on after resume"
    yield from receiver.violations


def _aborts(subject: Any) -> Iterator[str]:
    early, late = FakeReceiver(), _Interrupting(lambda call: call.abort())
    call = _send(subject, early)
    call.abort()
    call.abort()
    late.call = _send(subject, late)
    _let_time_pass(subject.environment.clock)
    if early.dialogue:
        yield "the receiver hears of a call that was aborted at once"
    if late.interrupted and late.dialogue[-1][0] != "body":
        yield "the receiver hears of a call after abort"
    if late.interrupted and sum(said[0] == "body" for said in late.dialogue) > 1:
        yield "the receiver hears of a call after abort"


CHECKS: tuple[tuple[str, Callable[[Any], Iterator[str]]], ...] = (
    ("dialogue", _answers),
    ("pause", _pauses),
    ("abort", _aborts),
)
"""Every check of an ``IUpstream``, by name."""
