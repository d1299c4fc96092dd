"""One attempt: the upstream's answer on its way to the client.

Until the answer is committed it can still be given up in favour of another; a stream commits at its first event.
From then on bytes go through as they come, one write per read, and a broken upstream shows: an error event where
the dialect has one, and a connection that closes without the end of the message.

This module must not choose candidates.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from netrunner.dialects.answers import truncated
from netrunner.errors import ExchangeError, UpstreamError
from netrunner.http.call import IBreaks
from netrunner.http.inflate import Inflater
from netrunner.http.request import Request
from netrunner.http.turn import COMMIT
from netrunner.interfaces import IResponseReceiver, IUpstreamCall
from netrunner.journal.entry import RESPONSE
from netrunner.pipeline import heads
from netrunner.pipeline.breaking import Breakable
from netrunner.pipeline.cut import is_cut, judged
from netrunner.pipeline.empty import nothing_said
from netrunner.pipeline.ends import break_off, last_event, rests
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.failures import status_of, told_in
from netrunner.pipeline.lane import EventLane, PlainLane, RepairLane
from netrunner.pipeline.translation import TranslatingLane
from netrunner.values import Attempt, Outcome, ResponseHead
from netrunner.veil import Veil

if TYPE_CHECKING:
    from netrunner.pipeline.run import Run

DRAIN_S = 300.0
"""How long an answer is read on for a client that has left, where its model says ``on_disconnect: drain``."""
MAX_HELD_BYTES = 65536
"""Most of an answer kept before it is committed: an error's body, or a stream's first event."""

Lane = EventLane | PlainLane | RepairLane | TranslatingLane


class State(enum.Enum):
    """How far an attempt has come; it only moves down this list."""

    WAITING = enum.auto()
    """For the head."""
    DECIDING = enum.auto()
    """Filters look at the head; the upstream is paused."""
    HOLDING = enum.auto()
    """For the first event of a stream, or the body of an error; filters may look at the head after it."""
    RELAYING = enum.auto()
    ENDED = enum.auto()


@implementer(IResponseReceiver, IPushProducer, IBreaks)
class Relay(Breakable):
    """Receives one response and passes it on.

    Args:
        run: Whoever tries the candidates; told of failures before the commit.
        exchange: What this is for.
        request: The client's side.
        attempt: The record of this attempt.
    """

    __slots__ = (
        "_attempt",
        "_call",
        "_draining",
        "_exchange",
        "_head",
        "_held",
        "_inflater",
        "_lane",
        "_last",
        "_reasons",
        "_request",
        "_run",
        "_state",
        "_tail",
        "_veil",
    )

    def __init__(self, run: Run, exchange: Exchange, request: Request, attempt: Attempt) -> None:
        self._run = run
        self._exchange = exchange
        self._request = request
        self._attempt = attempt
        self._call: IUpstreamCall | None = None
        self._state = State.WAITING
        self._head: ResponseHead | None = None
        self._held: list[bytes] = []
        self._last = False
        """What is held is all there is."""
        self._tail = b""
        self._inflater: Inflater | None = None
        self._veil: Veil | None = None
        self._lane: Lane | None = None
        self._reasons: frozenset[str] = frozenset()  # empty, it is one for all
        self._draining: IDelayedCall | None = None
        """The client has left, and the answer is read on until then: what it cost is to be known."""

    def started(self, call: IUpstreamCall) -> None:
        """Take the handle of the request just sent."""
        self._call = call

    # What the upstream tells.

    def sent(self, reused: bool) -> None:
        """The request is on its way."""
        self._attempt.reused = reused
        self._exchange.mark("upstream_sent")

    def head_received(self, head: ResponseHead) -> None:
        """Decide what to do with the answer."""
        self._head = head = self._seen(head)
        self._attempt.request_id = heads.told_id(head)
        if not self._run.verbatim:
            coding = head.get(b"content-encoding")
            if coding is not None and Inflater.knows(coding.lower()):
                self._inflater = Inflater(coding.lower())
            if head.status >= 400:
                self._state = State.HOLDING
                return
            if self._run.translates:
                self._lane = lane = self._run.translating_lane(heads.is_stream(head))
                self._exchange.tap = lane.tap
                head = lane.head(head, recoded=self._inflater is not None)
        self._decide(head)

    def _seen(self, head: ResponseHead) -> ResponseHead:
        """Take note that an answer begins; return its head without our keys, as the body will come."""
        self._exchange.mark("first_byte")
        self._attempt.status = head.status
        keys = self._run.keys
        if keys is None:
            return head
        self._veil = keys.veil(events=head.status < 400 and heads.is_stream(head))
        return keys.masked_head(head)

    def _decide(self, head: ResponseHead) -> None:
        if self._run.decides_on_heads:
            self._state = State.DECIDING
            self._hold("decision")
            self._run.decide(self, head)
        else:
            self.decided(head)

    def decided(self, head: ResponseHead) -> None:
        """Go on with ``head`` as filters left it."""
        if self._state is State.ENDED:
            return
        self._head = head
        exchange = self._exchange
        readable = self._is_readable()
        if self._lane is None:
            exchange.stream = heads.is_stream(head)
            if (self._attempt.status or 0) < 400:
                self._lane = self._run.lane(head, readable)
            lane = self._lane
            exchange.tap = lane.tap if isinstance(lane, RepairLane) else self._run.tap(lane is None and readable)
        streaming, begun = exchange.stream, self._run.begun
        if begun is not None and not (readable and begun.fits(head)):
            self._abort()
            self.failed(UpstreamError("The provider's answer is no stream.", code="upstream_invalid_response"))
        elif self._lane is not None and not readable:
            self._abort()
            self.failed(UpstreamError("The provider's answer is in a coding.", code="upstream_bad_encoding"))
        elif self._lane is not None or (streaming and readable and head.status < 400 and not self._run.verbatim):
            self._state = State.HOLDING
            held, self._held = self._held, []
            if held:
                self._weigh(b"".join(held), self._last)
        else:
            for piece in self._held:
                exchange.tap.feed(piece)
            self._commit()
        self._release("decision")

    def body_received(self, data: bytes, last: bool) -> None:
        """Pass on the next bytes."""
        if self._inflater is not None:
            try:
                data = self._inflater.feed(data)
                if last and not self._inflater.complete:
                    raise truncated()
            except UpstreamError as error:
                self._abort()
                self.failed(error)
                return
        if self._veil is not None:
            data = self._veil.feed(data, last)
        if self._state is State.RELAYING:
            if self._lane is None and not last:
                # The client comes first: what the tap learns is of use at the end.
                self._pass(data, False)
                self._exchange.tap.feed(data)
                return
            self._exchange.tap.feed(data)
            if self._lane is not None:
                self._pass_filtered(self._lane, data, last)
            elif last and self._exchange.stream and self._is_cut():
                if data:
                    self._pass(data, False)
                self.failed(truncated())
            else:
                self._pass(data, last)
        elif self._state is State.HOLDING:
            self._weigh(data, last)
        else:
            self._held.append(data)
            self._last = last

    def failed(self, error: UpstreamError) -> None:
        """The upstream broke off."""
        if error.code == "upstream_request_incomplete":
            # The upstream is not to blame: the client broke off its own body.
            self.client_gone()
            return
        state, self._state = self._state, State.ENDED
        self._attempt.error = error.code
        error.of(self._attempt.provider, self._attempt.model)
        if self._draining is not None:
            self._leave()
        elif state is State.RELAYING:
            self._truncate(Outcome.UPSTREAM_TRUNCATED, error)
        elif state is not State.ENDED:
            self._run.attempt_failed(error)

    # Before the commit.

    def _weigh(self, data: bytes, last: bool) -> None:
        """Take what came before the commit; commit, give up, or wait for more."""
        if self._lane is not None and not self._exchange.stream:
            self._collect(self._lane, data, last)
            return
        if isinstance(self._lane, TranslatingLane | RepairLane):
            self._weigh_written(self._lane, data, last)
            return
        self._held.append(data)
        self._last = last
        head = self._head
        assert head is not None
        enough = last or sum(map(len, self._held)) > MAX_HELD_BYTES
        if head.status >= 400 and self._lane is None:
            if enough:
                self._weigh_error(head)
            return
        tap = self._exchange.tap
        tap.feed(data)
        if tap.error is not None:
            told = told_in(b"".join(self._held))
            self._reject(self._run.rejection(status_of(tap.error), head.headers, told))
        elif last and not tap.began:
            self.failed(nothing_said())
        elif last and self._lane is None and self._is_cut():
            self.failed(truncated())
        elif enough or tap.began:
            if self._lane is not None:
                filtered = self._filtered(self._lane, b"".join(self._held), last)
                if filtered is None:
                    return
                self._held = [filtered]
            self._commit()

    def _weigh_written(self, lane: TranslatingLane | RepairLane, data: bytes, last: bool) -> None:
        """Take what comes of a stream whose lane tells when it has begun; commit then."""
        written = self._filtered(lane, data, last)
        if written is None:
            return
        self._held.append(written)
        self._last = last
        if last or lane.tap.began or sum(map(len, self._held)) > MAX_HELD_BYTES:
            self._commit()

    def _is_readable(self) -> bool:
        """Return whether the answer is in no coding by now."""
        assert self._head is not None
        return self._inflater is not None or self._head.get(b"content-encoding") in (None, b"identity")

    def _is_cut(self) -> bool:
        """Return whether a stream of events that can be read has ended without saying so."""
        assert self._head is not None
        return not self._run.verbatim and self._head.status < 400 and self._is_readable() and is_cut(self._exchange)

    def _collect(self, lane: Lane, data: bytes, last: bool) -> None:
        """Take an answer that passes filters as a whole; commit when it has."""
        self._exchange.tap.feed(data)
        filtered = self._filtered(lane, data, last)
        if filtered is None:
            return
        self._held.append(filtered)
        if last:
            self._last = True
            if isinstance(lane, TranslatingLane) and self._head is not None:
                self._head = lane.typed(self._head)
            try:
                self._run.check(b"".join(self._held))
            except UpstreamError as error:
                self.failed(error)
            else:
                self._request.site.later(COMMIT, self)

    def _weigh_error(self, head: ResponseHead) -> None:
        held = b"".join(self._held)
        rejection = self._run.rejection(head.status, head.headers, held[:MAX_HELD_BYTES])
        self._attempt.error = rejection.code
        if self._run.tries_on(rejection) or self._run.keeps_to_itself(rejection):
            self._reject(rejection)
            return
        self._exchange.error = rejection.code
        self._decide(ResponseHead(head.status, head.reason, heads.advised(head, rejection)))

    def _reject(self, rejection: UpstreamError) -> None:
        if self._run.translates and self._head is not None:
            rejection.headers += tuple(heads.foreign_limits(self._head))
        self._abort()
        self.failed(rejection)

    def take_turn(self) -> None:
        """Commit the whole answer that is held, unless it has ended in the meantime."""
        if self._state is State.HOLDING:
            self._commit()

    def _commit(self) -> None:
        head = self._head
        assert head is not None
        held, self._held = b"".join(self._held), []
        last = self._last
        if self._draining is not None:
            self._state = State.RELAYING
            self._run.committed()
            self._pass(held, last)
            return
        if self._run.begun is None:
            self._begin(head, len(held))
        else:
            self._run.begun.follow()
        self._run.committed()
        self._state = State.RELAYING
        if not last:
            self._request.registerProducer(self, True)
        if held or last or self._run.verbatim:
            self._pass(held, last)

    def _begin(self, head: ResponseHead, held_bytes: int) -> None:
        """Commit to ``head``; so many bytes of the answer are held."""
        headers = self._run.own_headers
        if self._run.verbatim:
            headers = heads.verbatim(head, headers)
        else:
            recoded, rewritten_bytes = self._inflater is not None, None if self._lane is None else held_bytes
            headers = heads.down(head, headers, self._exchange, recoded, rewritten_bytes)
        recording = self._exchange.recording
        if recording is not None:
            recording.answer(b"HTTP/1.1 %d %b" % (head.status, head.reason), headers, self._run.verbatim)
        self._request.begin(head.status, head.reason, headers)

    def _filtered(self, lane: Lane, data: bytes, last: bool) -> bytes | None:
        """Return what a lane makes of ``data``; None if that has ended the attempt."""
        try:
            written = lane.feed(data, last)
        except UpstreamError as error:
            self._abort()
            self.failed(judged(self._exchange, error))
        except ExchangeError as error:
            self.stop(Outcome.REFUSED, error)
        else:
            if lane.error is None or self._state is State.RELAYING:
                return written
            self._reject(judged(self._exchange, lane.error))
        return None

    # After it.

    def _pass_filtered(self, lane: Lane, data: bytes, last: bool) -> None:
        written = self._filtered(lane, data, last)
        if written is None:
            return
        ends = last and lane.error is None
        if written or ends:
            self._pass(written, ends)
        if lane.error is not None:
            self._abort()
            self.failed(lane.error)

    def _pass(self, data: bytes, last: bool) -> None:
        exchange = self._exchange
        if self._draining is not None:
            if last:
                self._leave()
            return
        exchange.bytes_out += len(data)
        if exchange.recording is not None:
            exchange.recording.piece(RESPONSE, data)
        if last:
            # The outcome is settled before the last byte leaves.
            self._state = State.ENDED
            exchange.end(Outcome.DONE, self._request.code, exchange.error)
        elif data:
            self._tail = data[-4:] if len(data) > 3 else (self._tail + data)[-4:]
        self._request.send(data, last)

    def keep_alive(self, sign: bytes) -> None:
        """Send ``sign`` to a client that waits between two events of a stream; it is no part of the answer."""
        waits = self._state is State.RELAYING and not self._reasons and self._draining is None
        goes_on = rests(self._exchange, self._tail) and not self._exchange.tap.complete
        if waits and goes_on and self._is_readable() and not self._run.verbatim:
            self._request.send(sign)

    def _truncate(self, outcome: Outcome, error: ExchangeError) -> None:
        """End a committed answer so that it cannot be taken for a complete one."""
        exchange = self._exchange
        if self._veil is not None and self._lane is None:
            self._pass(self._veil.close(), False)
        if isinstance(self._lane, TranslatingLane) and exchange.stream:
            event = self._lane.error_event(error)
        else:
            event = b"" if self._run.verbatim else last_event(exchange, error, self._tail)
        break_off(exchange, self._request, error, outcome, event)

    # What ends it from our side.

    def client_gone(self) -> None:
        """The client left: nobody works for nobody, unless the answer is to be read on so that its cost is known."""
        if self._state is State.ENDED or self._draining is not None:
            return
        if self._call is None or not self._run.drains:
            self._abort()
            self._leave()
            return
        self._draining = self._exchange.clock.callLater(DRAIN_S, self._drained)
        self._release("client")

    def _drained(self) -> None:
        """It takes too long."""
        self._abort()
        self._leave()

    def _leave(self) -> None:
        """End it for a client that has left."""
        if self._draining is not None and self._draining.active():
            self._draining.cancel()
        self._state = State.ENDED
        status = self._request.code if self._request.startedWriting else 499
        self._exchange.end(Outcome.CLIENT_GONE, status, "client_gone")

    def stop(self, outcome: Outcome, error: ExchangeError) -> None:
        """End it for a reason of ours."""
        state, self._state = self._state, State.ENDED
        if state is State.ENDED:
            return
        self._abort()
        if self._draining is not None:
            self._leave()
        elif state is State.RELAYING:
            self._truncate(outcome, error)
        else:
            self._run.fail(error, outcome)

    def _abort(self) -> None:
        if self._call is not None:
            self._call.abort()

    # Back-pressure: the upstream is read while no reason is left to hold it.

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        self._hold("client")

    def resumeProducing(self) -> None:
        """The client has caught up."""
        self._release("client")

    def stopProducing(self) -> None:
        """The client's transport is lost; ``client_gone`` tells the rest."""

    def _hold(self, reason: str) -> None:
        if not self._reasons and self._call is not None:
            self._call.pause()
        self._reasons |= {reason}

    def _release(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons -= {reason}
            if not self._reasons and self._call is not None and self._state is not State.ENDED:
                self._call.resume()
