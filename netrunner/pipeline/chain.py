"""The filters of a configuration, compiled: a phase that nobody declared costs nothing.

A filter that raises anything but an ``ExchangeError`` ends the request with a clean error: filters fail closed.

This module must not know of sockets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netrunner.asked import IRemembers, IRetries
from netrunner.errors import ExchangeError, InternalError
from netrunner.events import Event, ReasoningDelta, TextDelta, ToolArgs
from netrunner.interfaces import (
    IAttemptPhase,
    IEventPhase,
    IFinishPhase,
    IHeadPhase,
    IRequestPhase,
    IResponsePhase,
    IWatcher,
)
from netrunner.values import Answer, Outcome, Recalled, ResponseHead, UpstreamRequest

Phase = Callable[..., Awaitable[Any]]


class Chain:
    """All phases of a list of filters, in the configuration's order."""

    log = Logger()

    def __init__(self, filters: Sequence[Any] = ()) -> None:
        def phases(interface: Any, method: str) -> tuple[Any, ...]:
            return tuple(getattr(one, method) for one in filters if interface.providedBy(one))

        self.head: tuple[Phase, ...] = phases(IHeadPhase, "on_head")
        self.request: tuple[Phase, ...] = phases(IRequestPhase, "on_request")
        self.attempt: tuple[Phase, ...] = phases(IAttemptPhase, "on_attempt")
        self.response: tuple[Phase, ...] = phases(IResponsePhase, "on_response")
        self.finish: tuple[Callable[..., None], ...] = phases(IFinishPhase, "on_finish")
        self.event_filters = tuple(one for one in filters if IEventPhase.providedBy(one))
        self.retries = next((one for one in filters if IRetries.providedBy(one)), None)
        """The filter that says what is tried again."""
        self.memory = next((one for one in filters if IRemembers.providedBy(one)), None)
        """The filter that answers with what was answered before."""
        self._event: tuple[Callable[..., Any], ...] = phases(IEventPhase, "on_event")

    async def on_head(self, exchange: Any) -> None:
        """Let every head phase decide; raise what refuses. Here as below, nobody is asked about what has ended."""
        try:
            for phase in self.head:
                await phase(exchange)
                if exchange.outcome is not None:
                    return
        except ExchangeError:
            raise
        except Exception as error:  # the border to a plugin: whatever it raises becomes a clean answer
            raise self._failed(exchange) from error

    async def on_request(self, exchange: Any) -> Answer | None:
        """Return the first answer a filter gives, or None."""
        for phase in self.request:
            answer = await self._call(phase, exchange)
            if answer is not None:
                return self._answer(answer, exchange)
            if exchange.outcome is not None:
                return None
        return None

    async def on_attempt(self, exchange: Any, request: UpstreamRequest) -> UpstreamRequest:
        """Return the request that is to be sent."""
        for phase in self.attempt:
            changed = await self._call(phase, exchange, request)
            if changed is not None:
                request = self._expect(changed, UpstreamRequest, exchange)
            if exchange.outcome is not None:
                break
        return request

    async def on_response(self, exchange: Any, head: ResponseHead) -> ResponseHead:
        """Return the head that is to be committed."""
        for phase in self.response:
            changed = await self._call(phase, exchange, head)
            if changed is not None:
                head = self._expect(changed, ResponseHead, exchange)
            if exchange.outcome is not None:
                break
        return head

    async def recall(self, exchange: Any, places: Sequence[str]) -> Recalled | IWatcher | None:
        """Return what was answered before, or who is to hear the answer."""
        try:
            found = None if self.memory is None else await self.memory.recall(exchange, places)
        except ExchangeError:
            raise
        except Exception as error:  # the border to a plugin: whatever it raises becomes a clean answer
            raise self._failed(exchange) from error
        if isinstance(found, Recalled):
            self._answer(found, exchange)
        return found

    def on_event(self, exchange: Any, event: Event, first: int = 0) -> Sequence[Event]:
        """Return what the filters, beginning with the one numbered ``first``, make of ``event``."""
        events = [event]
        try:
            for phase in self._event[first:]:
                passed: list[Event] = []
                for one in events:
                    result = phase(exchange, one)
                    if result is one:
                        passed.append(one)
                    elif result is not None:
                        passed += _events(result)
                events = passed
        except ExchangeError:
            raise
        except Exception as error:  # the border to a plugin: whatever it raises becomes a clean end
            raise self._failed(exchange) from error
        return events

    def on_end(self, exchange: Any) -> list[Event]:
        """Return what the filters still held back; each one's passes those after it before they are asked."""
        ended: list[Event] = []
        for number, one in enumerate(self.event_filters):
            try:
                held = _events(one.on_end(exchange))
                if max(_sizes(held).values(), default=0) > one.hold_back_bytes:
                    raise ValueError(f"{type(one).__name__} held back more than it declares")
            except ExchangeError:
                raise
            except Exception as error:  # the border to a plugin: whatever it raises becomes a clean end
                raise self._failed(exchange) from error
            for event in held:
                ended += self.on_event(exchange, event, number + 1)
        return ended

    def on_finish(self, exchange: Any, outcome: Outcome) -> None:
        """Tell every finish phase; one that raises is logged and does not keep the others from hearing it."""
        for phase in self.finish:
            try:
                phase(exchange, outcome)
            except Exception:  # noqa: BLE001 - the border to a plugin: whatever it raises stays here
                self.log.failure("a filter failed in its finish phase", id=exchange.id)

    async def _call(self, phase: Phase, *args: Any) -> Any:
        try:
            return await phase(*args)
        except ExchangeError:
            raise
        except Exception as error:  # the border to a plugin: whatever it raises becomes a clean answer
            raise self._failed(args[0]) from error

    def _failed(self, exchange: Any) -> InternalError:
        self.log.failure("a filter failed", id=exchange.id)
        return InternalError("A filter failed.", code="filter_failed")

    def _expect(self, value: Any, kind: type[Any], exchange: Any) -> Any:
        """Refuse what could not be sent, before anything of it is."""
        try:
            good = isinstance(value, kind) and all(type(n) is type(v) is bytes for n, v in value.headers)
        except (TypeError, ValueError):
            good = False
        if not good or not 200 <= getattr(value, "status", 200) <= 599:
            self.log.error("a filter returned no {kind} that can be sent", kind=kind.__name__, id=exchange.id)
            raise InternalError("A filter failed.", code="filter_failed")
        return value

    def _answer(self, value: Any, exchange: Any) -> Answer:
        answer: Answer = self._expect(value, Answer, exchange)
        if type(answer.body) is not bytes:
            self.log.error("a filter's answer has a body that is not bytes", id=exchange.id)
            raise InternalError("A filter failed.", code="filter_failed")
        return answer


def _events(result: Any) -> list[Event]:
    """Return what an event phase gave as a list; anything that is no event is a fault of the filter."""
    events = [result] if isinstance(result, Event) else result
    if not isinstance(events, (list, tuple)) or not all(isinstance(one, Event) for one in events):
        raise TypeError("an event phase returned something else than events")
    return list(events)


def _sizes(events: list[Event]) -> Counter[int]:
    """Return the bytes of text in UTF-8, by choice."""
    sizes: Counter[int] = Counter()
    for event in events:
        if isinstance(event, (TextDelta, ReasoningDelta, ToolArgs)):
            text = event.fragment if isinstance(event, ToolArgs) else event.text
            sizes[event.choice] += len(text.encode("utf-8", "surrogatepass"))
    return sizes


def begin(coroutine: Coroutine[Any, Any, None]) -> Deferred[None] | None:
    """Run a coroutine up to its first wait; return None if it never waits, else a Deferred of its end.

    Most requests wait for nothing before they are sent, and pay for no Deferred then.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return Deferred.fromCoroutine(_rest(coroutine, awaited))


async def _rest(coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
    while True:
        try:
            value = await awaited
        except BaseException as error:  # noqa: BLE001 - handed on to the coroutine that awaits it
            step: Callable[[Any], Any] = coroutine.throw
            value = error
        else:
            step = coroutine.send
        try:
            awaited = step(value)
        except StopIteration:
            return
