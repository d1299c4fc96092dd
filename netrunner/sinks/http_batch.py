"""The sink ``http_batch``: records as JSON arrays, posted to a URL.

A batch counts as delivered when the answer's status is 2xx; ``posting`` tells what other statuses mean. One that is
refused is halved until the record at fault is found and put aside. A receiver may see a record twice and tells by its
``id``.

This module must not know how a batch is posted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, ISection, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import Secret, setting
from netrunner.sinks.delivery import DeadLetters, Parcel, Turn, deliver
from netrunner.sinks.entry import documents
from netrunner.sinks.posting import Pace, Post, check_url
from netrunner.values import Record


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
        check_url(settings.url, settings.allow_http, section.where)
        return settings


@implementer(ILogSink, IStartable)
class HttpBatch:
    """Posts batches, one after another."""

    def __init__(self, settings: HttpBatchSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self.dead_letters = DeadLetters(settings.dead_letters, environment)
        self._delivered: set[str] = set()
        """Ids of the records that the receiver has of a batch whose rest it did not take."""
        self._turn = Turn()
        self._pace = Pace(environment.clock, settings.flush_s, settings.max_records)
        self._door = Post(
            environment, settings.url, "application/json", settings.headers, settings.gzip, settings.timeout_s
        )

    def start(self) -> None:
        """Nothing is opened before there is something to send."""
        self._pace.hurry(False)

    def stop(self) -> Deferred[None]:
        """Send what waits for company at once; fire when that is over. What was not sent is in the journal still."""
        self._pace.hurry()
        return self._turn.ended().addCallback(lambda _: self.dead_letters.close())

    async def write(self, records: Sequence[Record]) -> None:
        """Post the records; those that the receiver has already are left out.

        Raises:
            Undelivered: when it did not take them; the same may be written again.
        """
        with self._turn:
            await self._pace.wait(len(records))
            wanted = [record for record in records if record.id not in self._delivered]
            parcels = map(Parcel, (record.id for record in wanted), documents(wanted))
            for batch in self._batches(parcels):
                await deliver(batch, self._post, self._bury)
            self._delivered.clear()

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
        try:
            await self._door.send(body, len(batch))
        finally:
            self._pace.posted()
        self._delivered.update(parcel.id for parcel in batch)

    def _bury(self, parcel: Parcel, reason: str) -> None:
        self.dead_letters.bury([parcel], reason)
        self._delivered.add(parcel.id)


plugin = HttpBatchFactory(
    name="http_batch",
    build=HttpBatch,
    settings=HttpBatchSettings,
    doc="Posts records to a URL, as batches of JSON.",
)
