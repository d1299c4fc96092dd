"""One request and everything that becomes of it, with exactly one end.

Filters are handed this object: they read its public attributes, ask for ``view`` and keep their own state in
``notes``. Only the pipeline calls ``end``.

This module must not send anything anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netrunner.claims import Standing
from netrunner.dialects.expected import OUTPUT_TOKENS, Expected, expected
from netrunner.dialects.interfaces import IDialect, IRequestView
from netrunner.errors import NetrunnerError
from netrunner.interfaces import ICaller, IClock
from netrunner.line import Waiting
from netrunner.pipeline.recording import Recording
from netrunner.pipeline.stages import ServerTiming
from netrunner.routing.names import NO_MODEL
from netrunner.values import Attempt, Envelope, Headers, Origin, Outcome, Record, Trace, Usage

_INTERRUPTED = Outcome.INTERRUPTED.value
_KEY_FIELDS = (b"x-api-key", b"x-goog-api-key", b"api-key")
"""In which some dialects' callers send their key."""


class EndedTwice(NetrunnerError):
    """An exchange was ended a second time: a fault of ours."""


class Exchange:
    """What is known about one request from its head to its end."""

    asked_tokens: int | None
    """About how many tokens its request takes; known once it is committed, if somebody may have to count."""
    cached: str | None
    """The id of the record whose answer is given again; None if it is not."""
    caller: str | None
    """The caller's credential as records name it: masked."""
    holder: ICaller | None
    """The token and project that call; only with ``access.mode: projects``."""
    identity: str | None
    """Tells the caller's credential from every other, for what counts by caller; no secret, and never told."""
    release: Callable[[], object] | None
    """Gives back what an attempt holds, or stops its waiting for it."""
    standings: tuple[Standing, ...]
    """Of the limits that it counts for; its answer tells them."""
    trace: Trace | None
    """Its place in a trace, where traces are kept."""
    tap: Any
    """Reads the answer passing by; None until there is one."""
    upload: Any
    """The request's body where it is passed on as it comes; its ``received`` counts."""
    work: Any
    """Whatever is at work for it now and can be told ``stop(outcome, error)``."""

    __slots__ = (
        "_expected",
        "_on_end",
        "_record",
        "_view",
        "asked_tokens",
        "at_accept",
        "attempts",
        "bytes_in",
        "bytes_out",
        "cached",
        "caller",
        "clock",
        "correlation_id",
        "dialect",
        "dropped",
        "endpoint",
        "envelope",
        "error",
        "headers",
        "holder",
        "id",
        "identity",
        "key",
        "meaning",
        "method",
        "model",
        "notes",
        "outcome",
        "path",
        "provider",
        "query",
        "recording",
        "release",
        "request_id",
        "route",
        "source",
        "stages",
        "standings",
        "started",
        "status",
        "stream",
        "tap",
        "timings",
        "trace",
        "upload",
        "upstream",
        "upstream_model",
        "work",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: str,
        request_id: str,
        correlation_id: str | None,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: Headers,
        source: str,
        route: str,
        endpoint: str,
        dialect: IDialect,
        clock: IClock,
        on_end: Callable[[Exchange], None],
    ) -> None:
        self.id, self.request_id, self.correlation_id = id, request_id, correlation_id
        self.method = method
        self.path, self.query = path, query
        self.headers = headers
        self.source = source
        self.route = route
        self.endpoint = endpoint
        self.dialect = dialect
        self.clock = clock
        self.at_accept = clock.wall()
        self.started = clock.seconds()
        self.timings: dict[str, float] = {}
        self.model: str | None = None
        self.meaning = NO_MODEL
        """What the model's name means; known once it is routed."""
        self.upstream_model: str | None = None
        self.provider: str | None = None
        self.upstream: Origin | None = None
        self.stream = False
        self.envelope: Envelope | None = None
        self.asked_tokens = self.cached = self.caller = self.identity = self.holder = None
        self.key: bytes | None = None
        """The credential that came as ``?key=``; it is no longer in ``query``."""
        self.notes: dict[Any, Any] = {}
        self.attempts: list[Attempt] = []
        self.dropped: list[str] = []
        """The caller's names of what had no place in the provider's dialect."""
        self.standings = ()
        self.outcome: Outcome | None = None
        self.error: str | None = None
        self.status = self.bytes_in = self.bytes_out = 0
        self.tap = self.upload = self.work = self.release = self.trace = None
        self.stages: ServerTiming | None = None
        """Tells the client where the time went; None tells nothing."""
        self.recording: Recording | None = None
        """What is recorded of its messages, and shown to whoever watches."""
        self._view: IRequestView | None = None
        self._expected: Expected | None = None
        self._record: Record | None = None
        self._on_end = on_end

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the request's field called ``name`` (lowercase)."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def credential(self) -> bytes | None:
        """Return the caller's own credential as an Authorization value, in whichever field it came."""
        value = self.header(b"authorization")
        for name in _KEY_FIELDS if value is None else ():
            key = self.header(name)
            if key is not None:
                return b"Bearer " + key
        return value if value is not None or self.key is None else b"Bearer " + self.key

    def view(self) -> IRequestView:
        """Return the request in neutral terms; made at the first call, which has to come before the commit."""
        if self._view is None:
            self._view = self.dialect.view(self.envelope)
        return self._view

    def settle_view(self) -> None:
        """Put what filters changed through the view into the body."""
        view = self._view
        if view is not None and view.changed() and self.envelope is not None:
            self.envelope.body = view.body()

    def expected(self, output_tokens: int = OUTPUT_TOKENS) -> int:
        """Return about how many tokens it will take; the first call has to come before the commit.

        Args:
            output_tokens: Of an answer that its request does not bound.
        """
        if self._expected is None:
            self._expected = expected(self.dialect, self.method, self.endpoint, self.envelope)
        return self._expected.total(output_tokens)

    def taken(self) -> int | None:
        """Return how many tokens the latest attempt has taken; None if nobody has told, so that ``expected`` stands.

        A provider that answers with an error has taken none, and so has one that was sent nothing.
        """
        status = self.attempts[-1].status if self.attempts else None
        if (status is None and "upstream_sent" not in self.timings) or (status is not None and status >= 400):
            return 0
        usage = None if self.tap is None else self.tap.usage
        return None if usage is None else usage.total

    @property
    def stands_in_line(self) -> bool:
        """Whether it waits for a limit."""
        return any(isinstance(note, Waiting) and not note.over for note in self.notes.values())

    def keep_company(self, every_s: float) -> Callable[[], object]:
        """Have a caller that waits told so every ``every_s`` seconds, its stream begun with that.

        Only for a request that has come whole and asks for a stream; nothing is sent where that cannot begin so.

        Returns:
            What is to be called when the wait is over; once more does no harm.
        """
        told: Callable[[], object] = self.work.keep_company(every_s)
        return told

    def mark(self, stage: str) -> None:
        """Note when ``stage`` was reached, in seconds since the request was accepted."""
        self.timings[stage] = self.clock.seconds() - self.started

    def attempt_ended(self) -> None:
        """Note when an attempt failed, if its trace is kept."""
        if self.trace is not None:
            self.trace.attempts[-1].ended_s = self.clock.seconds() - self.started

    def end(self, outcome: Outcome, status: int, error: str | None = None) -> None:
        """End it: the one place from which everything held for it is released and the record is written.

        Args:
            outcome: How it ended.
            status: As the client saw it; 499 if it saw none.
            error: Code of what went wrong.

        Raises:
            EndedTwice: if it has ended before.
        """
        if self.outcome is not None:
            raise EndedTwice(f"{self.id} ended {self.outcome}, then {outcome}")
        self.outcome = outcome
        self.status = status
        self.error = error
        self.work = None
        self.mark("last_byte")
        if self.upload is not None:
            self.upload.observe(None)
            self.bytes_in = self.upload.received
        if self.tap is not None:
            self.tap.close()
            self.error = error or self.tap.error
            if self.tap.usage is None and self.tap.made and self.tap.error is None:
                # A provider that tells no counts is counted for, by a rule of thumb.
                self.tap.usage = Usage(self.asked_tokens, math.ceil(self.tap.made), source="counted")
        if self.release is not None:
            self.let_go()
        self._on_end(self)

    def let_go(self) -> None:
        """Give back what the attempt holds."""
        release, self.release = self.release, None
        if release is not None:
            release()

    def record(self) -> Record:
        """Return what is to be written down; before its end as it would be if the process died now.

        It is the same object each time, brought up to date until the exchange has ended.
        """
        record = self._record
        if record is not None and record.outcome != _INTERRUPTED:
            return record
        tap = self.tap
        outcome = _INTERRUPTED if self.outcome is None else self.outcome.value
        if record is None:
            record = self._record = Record(
                self.id,
                self.request_id,
                self.correlation_id,
                self.at_accept,
                self.source,
                self.method.decode("latin-1"),
                self.path.decode("latin-1"),
                self.route,
                self.dialect.name,
                self.stream,
                self.model,
                self.upstream_model,
                self.provider,
                None,
                self.attempts,
                self.status,
                outcome,
                self.error,
                None,
                None,
                self.bytes_in,
                self.bytes_out,
                0.0,
                self.timings,
                self.caller,
            )
        else:
            record.streaming = self.stream
            record.model = self.model
            record.upstream_model = self.upstream_model
            record.provider = self.provider
            record.status = self.status
            record.outcome = outcome
            record.error = self.error
            record.bytes_in = self.bytes_in
            record.bytes_out = self.bytes_out
            record.token = self.caller
        if self.trace is not None:
            record.trace = self.trace
        if self.holder is not None:
            record.project = self.holder.project
        if self.cached is not None:
            record.cached = self.cached
        if self.dropped:
            record.dropped = self.dropped
        if self.meaning.steps and self.meaning.steps[0].kind != "model":
            record.resolved = [str(step) for step in self.meaning.steps]
        if self.upstream is not None:
            record.upstream = self.upstream.url
        if tap is not None:
            record.finish_reason = tap.finish_reason
            record.usage = tap.usage
        record.duration_s = self.timings.get("last_byte", 0.0)
        return record
