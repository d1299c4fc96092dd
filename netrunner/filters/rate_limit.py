"""The filter ``rate_limit``: so many requests, tokens, and requests at once, per caller, model or address, or in all.

Where the head of a request tells enough, it is admitted before any of its body is read. Otherwise it is admitted once
it is whole: where tokens are limited, or models, or where its caller is kept company if it waits for a stream.

This module must not count anything itself.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
from collections.abc import Callable
from typing import Any, Literal

from zope.interface import implementer

from netrunner.claims import Claim, Denial, Grant
from netrunner.dialects.expected import OUTPUT_TOKENS
from netrunner.errors import ConfigurationError, Problem, RateLimited
from netrunner.interfaces import IEnvironment, IFinishPhase, IHeadPhase, IRequestPhase, ISection
from netrunner.line import Line, SharedLine, Waiting, line_of
from netrunner.offers import FilterFactory
from netrunner.settings import Limits, setting
from netrunner.values import Outcome

_IPV6_BITS = 64
"""Whoever has one address of such a network has them all (RFC 6177)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Waiting for a limit instead of being refused by it."""

    max_wait_s: float = setting(10.0, doc="Most seconds that a request waits.", minimum=0.001, maximum=600.0)
    max_waiting: int = setting(
        100, doc="Most requests that wait at a time, in a process and in a shared line.", minimum=1
    )
    keepalive_s: float | None = setting(
        None,
        doc="Seconds after which a stream that waits is begun with a sign of life, and from each to the next; its "
        "status is 200 then, whatever comes of it. None sends nothing to who waits.",
        minimum=0.1,
        maximum=300.0,
    )

    def contradictions(self) -> list[str]:
        """Return what cannot be meant, a clause each."""
        if self.keepalive_s is None or self.keepalive_s < self.max_wait_s:
            return []
        return [f"queue: nobody waits for a sign after {self.keepalive_s:g} s, but for max_wait_s at the most"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings(Limits):
    """Settings of the filter ``rate_limit``."""

    per: Literal["caller", "model", "address", "global"] = setting(
        "caller",
        doc="Whose requests are counted together: those of a `caller`'s credential, or of an address where none is "
        "asked for; those for a `model`, from an `address`, or all of them.",
    )
    output_tokens: int = setting(
        OUTPUT_TOKENS,
        doc="Tokens that an answer is expected to take where its request does not bound them.",
        minimum=0,
    )
    queue: QueueSettings | None = setting(None, doc="Lets requests wait instead of refusing them.")


@implementer(IFinishPhase)
class RateLimit:
    """Admits requests, tells callers how they stand, and gives back what they held."""

    def __init__(self, settings: RateLimitSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._scope = environment.name
        self._counters = environment.counters
        self._subject = _SUBJECTS[settings.per]
        self._counts_tokens = settings.counts_tokens
        queue = settings.queue
        self._keepalive_s = None if queue is None else queue.keepalive_s
        self._line: Line | SharedLine | None = None
        if queue is not None:
            self._line = line_of(environment.counters, environment.clock, queue.max_wait_s, queue.max_waiting)

    async def admit(self, exchange: Any, tokens: int) -> None:
        """Admit a request, or refuse it.

        Raises:
            RateLimited: when there have been too many.
        """
        claim = Claim(self._scope, self._subject(exchange), self.settings)
        answer: Grant | Denial | None
        if self._line is None:
            answer = await self._counters.reserve((claim,), tokens)
        else:
            answer = await self._line.admit(claim, tokens, lambda waiting: self._stand(exchange, waiting))
        if answer is None:
            return
        if isinstance(answer, Grant) and exchange.outcome is not None:
            self._counters.withdraw(answer)
            return
        exchange.standings += answer.standings
        if isinstance(answer, Denial):
            exchange.notes.pop(self, None)
            raise _refusal(answer, self.settings.per)
        exchange.notes[self] = answer

    def _stand(self, exchange: Any, waiting: Waiting) -> None:
        """Remember that it waits, so that its place is given up with its end; that may have come before."""
        if exchange.outcome is None:
            exchange.notes[self] = waiting
            if self._keepalive_s is not None and exchange.stream:
                waiting.company = exchange.keep_company(self._keepalive_s)
        elif self._line is not None:
            self._line.leave(waiting)

    def on_finish(self, exchange: Any, outcome: Outcome) -> None:
        """Give back what the request held; one that no provider was asked for was none."""
        held = exchange.notes.pop(self, None)
        if isinstance(held, Waiting):
            assert self._line is not None
            self._line.leave(held)
        elif held is not None:
            if outcome is Outcome.REFUSED and not exchange.attempts:
                self._counters.withdraw(held)
            else:
                self._counters.release(held, exchange.taken() if self._counts_tokens else None)
            if self._line is not None:
                self._line.freed(self._subject(exchange))


@implementer(IHeadPhase)
class AtTheHead(RateLimit):
    """Admits by the head alone; raw routes too."""

    async def on_head(self, exchange: Any) -> None:
        """Admit the request, or refuse it."""
        await self.admit(exchange, 0)


@implementer(IRequestPhase)
class AtTheRequest(RateLimit):
    """Admits what has come whole."""

    async def on_request(self, exchange: Any) -> None:
        """Admit the request, or refuse it."""
        tokens = exchange.expected(self.settings.output_tokens) if self._counts_tokens else 0
        await self.admit(exchange, tokens)


@implementer(IHeadPhase, IRequestPhase)
class AtEither(RateLimit):
    """Admits what may ask for a stream once it has come whole, and all else by the head alone; raw routes too."""

    async def on_head(self, exchange: Any) -> None:
        """Admit the request, or refuse it."""
        if not _may_stream(exchange):
            await self.admit(exchange, 0)

    async def on_request(self, exchange: Any) -> None:
        """Admit the request, or refuse it."""
        if _may_stream(exchange):
            await self.admit(exchange, 0)


def _may_stream(exchange: Any) -> bool:
    return bool(exchange.dialect.stream_type(exchange.method, exchange.endpoint, exchange.query))


def _build(settings: RateLimitSettings, environment: IEnvironment) -> RateLimit:
    if settings.per == "model" or settings.counts_tokens:
        return AtTheRequest(settings, environment)
    kept_company = settings.queue is not None and settings.queue.keepalive_s is not None
    return (AtEither if kept_company else AtTheHead)(settings, environment)


def _address(exchange: Any) -> str:
    source: str = exchange.source
    if ":" not in source:
        return source
    try:
        address = ipaddress.IPv6Address(source)
    except ValueError:
        return source
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, _IPV6_BITS), strict=False))


_SUBJECTS: dict[str, Callable[[Any], str]] = {
    # The two kinds cannot be taken for one another: an address holds no space.
    "caller": lambda exchange: f"caller {exchange.identity}" if exchange.identity is not None else _address(exchange),
    "model": lambda exchange: exchange.model or "",
    "address": _address,
    "global": lambda exchange: "",
}


def _refusal(denial: Denial, per: str) -> RateLimited:
    whose = "in all" if per == "global" else f"per {per}"
    when = "" if denial.wait_s is None else f" Try again in {max(1, math.ceil(denial.wait_s))} s."
    message = f"Too many requests: the limit {denial.what} is {denial.limit:g} {whose}.{when}"
    never = ((b"x-should-retry", b"false"),) if denial.wait_s is None else ()
    return RateLimited(message, retry_after_s=denial.wait_s, headers=never)


class _RateLimitFactory(FilterFactory[RateLimitSettings]):
    """Offers the filter, and refuses limits that make no sense together."""

    __slots__ = ()

    def parse(self, section: ISection) -> RateLimitSettings:
        """Read the section."""
        parsed: RateLimitSettings = section.read(RateLimitSettings)
        problems = parsed.contradictions()
        if parsed.queue is not None:
            problems += parsed.queue.contradictions()
        if not problems and not parsed.limiting:
            problems = ["expected at least one limit"]
        if problems:
            raise ConfigurationError([Problem(section.where, f"rate_limit: {problem}") for problem in problems])
        return parsed


plugin = _RateLimitFactory(
    name="rate_limit",
    build=_build,
    settings=RateLimitSettings,
    doc="Admits so many requests and tokens, of each caller or in all.",
)
