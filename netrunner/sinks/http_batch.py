"""The sink ``http_batch``: records as JSON arrays, posted to a URL.

A batch counts as delivered when the answer's status is 2xx. Statuses that speak of the door rather than of what was
brought (a wrong key, a wrong path, too many requests, a redirect, a server's fault) leave the batch where it is, in
the journal, to be sent again; any other 4xx means that something in the batch will never be taken, so it is halved
until that record is found and put aside. A receiver may see a record twice and tells by its ``id``.

This module must not follow redirects, and must not tell the URL or a header in any message: they may hold a secret.
"""

from __future__ import annotations

import dataclasses
import gzip
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import IClock, IEnvironment, ILogSink, ISection, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import Secret, setting
from netrunner.sinks.delivery import DeadLetters, Parcel, Refused, Turn, Undelivered, deliver
from netrunner.sinks.entry import documents
from netrunner.values import Record

ABOUT_THE_DOOR = frozenset({401, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429})
"""Statuses that would meet every batch alike, or that ask for patience: no record is at fault (RFC 9110, 15.5)."""
MAX_ANSWER_BYTES = 65536
MANNERS_S = 1.0
"""So much of an answer's body, and for so long, is read before its connection is cut; nothing in it is used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpBatchSettings:
    """Settings of the sink ``http_batch``."""

    url: str = setting(doc="Where batches are posted to; https, or on this machine.", form="url")
    headers: dict[str, Secret] | None = setting(None, doc="Fields sent with each batch.", form="header")
    max_records: int = setting(100, minimum=1, maximum=10000, doc="Records in one batch.")
    max_bytes: int = setting(1048576, minimum=1024, doc="Bytes of one batch, before compression.")
    flush_s: float = setting(1.0, minimum=0.0, doc="Seconds between two batches that are not full.")
    timeout_s: float = setting(10.0, minimum=0.001, doc="Seconds a batch may take to be answered.")
    gzip: bool = setting(False, doc="Whether batches are compressed.")
    dead_letters: str = setting(
        "http_batch.dead.jsonl", doc="File for records that the receiver refuses; made with mode 0600.", form="path"
    )
    allow_http: bool = setting(False, doc="Whether `url` may be plain http to another machine.")


class HttpBatchFactory(SinkFactory[HttpBatchSettings]):
    """Offers the sink; looks at the URL before anything starts."""

    __slots__ = ()

    def parse(self, section: ISection) -> HttpBatchSettings:
        """Read the section; records are not sent readable for everybody unless that is asked for."""
        settings = super().parse(section)
        parts = urlsplit(settings.url)
        if parts.scheme != "https" and not settings.allow_http and not _loopback(parts.hostname or ""):
            expected = "url: expected https, or a loopback address; allow_http: true sends it unencrypted"
            raise ConfigurationError([Problem(section.where, expected)])
        return settings


def _unanswered(failure: Failure) -> NoReturn:
    raise Undelivered(f"the receiver did not answer: {type(failure.value).__name__}") from failure.value


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@implementer(ILogSink, IStartable)
class HttpBatch:
    """Posts batches, one after another."""

    def __init__(self, settings: HttpBatchSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self.dead_letters = DeadLetters(settings.dead_letters, environment)
        self._environment = environment
        self._delivered: set[str] = set()
        """Ids of the records that the receiver has of a batch whose rest it did not take."""
        self._posted_at = float("-inf")
        self._pause: Deferred[None] | None = None
        self._stopping = False
        self._turn = Turn()
        fields = {"content-type": "application/json", "accept-encoding": "identity"}
        if settings.gzip:
            fields["content-encoding"] = "gzip"
        self._headers = fields | {name: secret.reveal() for name, secret in (settings.headers or {}).items()}

    def start(self) -> None:
        """Nothing is opened before there is something to send."""
        self._stopping = False

    def stop(self) -> Deferred[None]:
        """Send what waits for company at once; fire when that is over. What was not sent is in the journal still."""
        self._stopping = True
        self._go_on()
        return self._turn.ended().addCallback(lambda _: self.dead_letters.close())

    async def write(self, records: Sequence[Record]) -> None:
        """Post the records; those that the receiver has already are left out.

        Raises:
            Undelivered: when it did not take them; the same may be written again.
        """
        with self._turn:
            await self._company(len(records))
            wanted = [record for record in records if record.id not in self._delivered]
            parcels = map(Parcel, (record.id for record in wanted), documents(wanted))
            for batch in self._batches(parcels):
                await deliver(batch, self._post, self._bury)
            self._delivered.clear()

    async def _company(self, count: int) -> None:
        """Let a batch that is not full wait for its time; what ends in between is in the next one."""
        clock = self._environment.clock
        left_s = self._posted_at + self.settings.flush_s - clock.seconds()
        if count < self.settings.max_records and left_s > 0 and not self._stopping:
            self._pause = Deferred()
            call = clock.callLater(left_s, self._go_on)
            try:
                await self._pause
            finally:
                self._pause = None
                if call.active():
                    call.cancel()

    def _go_on(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)

    def _batches(self, parcels: Iterator[Parcel]) -> Iterator[list[Parcel]]:
        batch: list[Parcel] = []
        size = 1
        for parcel in parcels:
            if batch and (
                len(batch) == self.settings.max_records or size + len(parcel.document) + 1 > self.settings.max_bytes
            ):
                yield batch
                batch, size = [], 1
            batch.append(parcel)
            size += len(parcel.document) + 1
        if batch:
            yield batch

    async def _post(self, batch: Sequence[Parcel]) -> None:
        body = b"[" + b",".join(parcel.document for parcel in batch) + b"]"
        status = await self._status(gzip.compress(body, compresslevel=6, mtime=0) if self.settings.gzip else body)
        self._posted_at = self._environment.clock.seconds()
        if 200 <= status < 300:
            self._delivered.update(parcel.id for parcel in batch)
        elif 400 <= status < 500 and status not in ABOUT_THE_DOOR:
            raise Refused(f"status {status}")
        else:
            raise Undelivered(f"the receiver answered a batch of {len(batch)} records with status {status}")

    async def _status(self, body: bytes) -> int:
        environment = self._environment
        answered: Deferred[Any] = environment.http.post(
            self.settings.url, data=body, headers=self._headers, allow_redirects=False, unbuffered=True
        )
        answered.addTimeout(self.settings.timeout_s, environment.clock).addErrback(_unanswered)
        response = await answered
        rest = _Rest(environment.clock)
        response.deliverBody(rest)
        await rest.ended
        status: int = response.code
        return status

    def _bury(self, parcel: Parcel, reason: str) -> None:
        self.dead_letters.bury([parcel], reason)
        self._delivered.add(parcel.id)


class _Rest(Protocol):
    """Reads an answer's body to its end, for good manners, and nothing of it; a long or slow one is cut off."""

    def __init__(self, clock: IClock) -> None:
        self.ended: Deferred[None] = Deferred()
        self._read = 0
        self._call = clock.callLater(MANNERS_S, self._cut)

    def dataReceived(self, data: bytes) -> None:
        self._read += len(data)
        if self._read > MAX_ANSWER_BYTES:
            self._cut()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._call.active():
            self._call.cancel()
        self._end()

    def _cut(self) -> None:
        # Twisted hands out a proxy of the transport that knows no abort, and a lingering close may never end on TLS.
        transport = getattr(self.transport, "_producer", None)
        if transport is not None:
            transport.abortConnection()
        self._end()

    def _end(self) -> None:
        if not self.ended.called:
            self.ended.callback(None)


plugin = HttpBatchFactory(
    name="http_batch",
    build=HttpBatch,
    settings=HttpBatchSettings,
    doc="Posts records to a URL, as batches of JSON.",
)
