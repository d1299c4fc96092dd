"""The sink ``otlp``: a trace of each request, exported to an OpenTelemetry collector over OTLP/HTTP.

The path of a request knows its place in a trace and passes it on (``ITraces``); the spans are made here, of records
that have ended, outside of any request. An export that the collector does not take now comes again; see ``posting``.

This module must not know what is in a span.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import IEnvironment, ILogSink, ISection, IStartable, ITraces
from netrunner.offers import SinkFactory
from netrunner.settings import Secret, setting
from netrunner.sinks.delivery import Turn, deliver
from netrunner.sinks.posting import Pace, Post, check_url
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OtlpSettings:
    """Settings of the sink ``otlp``."""

    url: str = setting(
        "http://127.0.0.1:4318/v1/traces", doc="Where traces are posted to; https, or on this machine.", form="url"
    )
    headers: dict[str, Secret] | None = setting(None, doc="Fields sent with each export.", form="header")
    service: str = setting("netrunner", doc="`service.name` of every span.", form="text")
    share: float = setting(
        1.0, minimum=0.0, maximum=1.0, doc="The share of traces that are kept, of those that begin here."
    )
    follow: bool = setting(
        True,
        doc="Whether a caller's `traceparent` is gone on with, and its decision whether the trace is kept; else every "
        "trace begins here.",
    )
    max_records: int = setting(50, minimum=1, maximum=10000, doc="Requests in one export.")
    flush_s: float = setting(1.0, minimum=0.0, doc="Seconds between two exports that are not full.")
    timeout_s: float = setting(10.0, minimum=0.001, doc="Seconds an export may take to be answered.")
    gzip: bool = setting(True, doc="Whether exports are compressed.")
    allow_http: bool = setting(False, doc="Whether `url` may be plain http to another machine.")


class OtlpFactory(SinkFactory[OtlpSettings]):
    """Offers the sink; sees to it that its messages can be made before anything starts."""

    __slots__ = ()

    def parse(self, section: ISection) -> OtlpSettings:
        """Read the section; what makes the messages is looked for, not loaded."""
        settings = super().parse(section)
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.proto") is None:
            needed = "the sink otlp needs opentelemetry-proto: pip install 'netrunner[otel]'"
            raise ConfigurationError([Problem(section.where, needed)])
        check_url(settings.url, settings.allow_http, section.where)
        return settings


@implementer(ILogSink, IStartable, ITraces)
class Otlp:
    """Exports spans, one batch after another."""

    def __init__(self, settings: OtlpSettings, environment: IEnvironment) -> None:
        self.share = settings.share
        self.follows = settings.follow
        self._settings = settings
        self._environment = environment
        self._delivered: set[str] = set()
        """Ids of the records that need not be sent again of a batch whose rest was not taken."""
        self._turn = Turn()
        self._pace = Pace(environment.clock, settings.flush_s, settings.max_records)
        self._door = Post(
            environment, settings.url, "application/x-protobuf", settings.headers, settings.gzip, settings.timeout_s
        )

    def start(self) -> None:
        """Nothing is opened before there is something to send."""
        self._pace.hurry(False)

    def stop(self) -> Deferred[None]:
        """Send what waits for company at once; fire when that is over. What was not sent is in the journal still."""
        self._pace.hurry()
        return self._turn.ended()

    async def write(self, records: Sequence[Record]) -> None:
        """Export the records whose traces are sampled.

        Raises:
            Undelivered: when the collector did not take them; the same may be written again.
        """
        sampled = [one for one in records if one.trace is not None and one.trace.sampled]
        with self._turn:
            if sampled:
                await self._pace.wait(len(sampled))
            wanted = [record for record in sampled if record.id not in self._delivered]
            most = self._settings.max_records
            for start in range(0, len(wanted), most):
                await deliver(wanted[start : start + most], self._post, self._give_up)
            self._delivered.clear()

    async def _post(self, batch: Sequence[Record]) -> None:
        # Protocol Buffers are loaded by those who use them only.
        from netrunner.sinks.spans import export

        try:
            await self._door.send(export(batch, self._settings.service), len(batch))
        finally:
            self._pace.posted()
        self._delivered.update(record.id for record in batch)

    def _give_up(self, record: Record, reason: str) -> None:
        """A trace that the collector will never take is left out: its record stands elsewhere."""
        self._environment.log.warn("the trace of {id} was refused ({reason})", id=record.id, reason=reason)
        self._delivered.add(record.id)


plugin = OtlpFactory(
    name="otlp",
    build=Otlp,
    settings=OtlpSettings,
    doc="Exports a trace of each request to an OpenTelemetry collector.",
)
