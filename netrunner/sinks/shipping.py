"""What sinks have in common that post records in batches: settings, and what is sent, sent again or put aside.

A batch counts as delivered when the answer's status is 2xx; ``posting`` tells what other statuses mean. One that is
refused is halved until the record at fault is found and put aside. A receiver may see a record twice and tells by its
``id``.

This module must not know what a batch looks like, nor how it is posted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netrunner.interfaces import IEnvironment, ILogSink, ISection, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import Secret, setting
from netrunner.sinks.delivery import DeadLetters, Parcel, Turn, deliver
from netrunner.sinks.posting import Pace, Post, check_url
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShippingSettings:
    """What all of them understand; a sink's own settings extend this."""

    url: str = setting(doc="Where batches are posted to; https, or on this machine.", form="url")
    max_records: int = setting(100, minimum=1, maximum=10000, doc="Records in one batch.")
    max_bytes: int = setting(1048576, minimum=1024, doc="Bytes of one batch, before compression.")
    flush_s: float = setting(1.0, minimum=0.0, doc="Seconds between two batches that are not full.")
    timeout_s: float = setting(10.0, minimum=0.001, doc="Seconds a batch may take to be answered.")
    gzip: bool = setting(False, doc="Whether batches are compressed.")
    allow_http: bool = setting(False, doc="Whether `url` may be plain http to another machine.")
    dead_letters: str = setting(doc="File for records that the receiver refuses; made with mode 0600.", form="path")


S = TypeVar("S", bound=ShippingSettings)


class ShippingFactory(SinkFactory[S]):
    """Offers such a sink; looks at the URL before anything starts."""

    __slots__ = ()

    def parse(self, section: ISection) -> S:
        """Read the section; records are not sent readable for everybody unless that is asked for."""
        settings = super().parse(section)
        check_url(settings.url, settings.allow_http, section.where)
        return settings


@implementer(ILogSink, IStartable)
class Shipping:
    """Posts batches, one after another; ``documents`` and ``body`` are the subclass's.

    Args:
        settings: Of the sink.
        environment: Of the sink.
        headers: Fields sent with each batch.
    """

    def __init__(
        self, settings: ShippingSettings, environment: IEnvironment, headers: Mapping[str, Secret] | None
    ) -> None:
        self.dead_letters = DeadLetters(settings.dead_letters, environment)
        self.door = Post(environment, settings.url, "application/json", headers, settings.gzip, settings.timeout_s)
        self._max_records = settings.max_records
        self._max_bytes = settings.max_bytes
        self._delivered: set[str] = set()
        """Ids of the records that the receiver has of a batch whose rest it did not take."""
        self._turn = Turn()
        self._pace = Pace(environment.clock, settings.flush_s, settings.max_records)

    def documents(self, records: Sequence[Record]) -> list[bytes]:
        """Return what is sent of each record: JSON on one line."""
        raise NotImplementedError

    def body(self, documents: Sequence[bytes]) -> bytes:
        """Return a batch of documents, as it is posted."""
        raise NotImplementedError

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
            for batch in self._batches(self._parcels(wanted)):
                await deliver(batch, self._post, self.bury)
            self._delivered.clear()

    def _parcels(self, records: Sequence[Record]) -> Iterator[Parcel]:
        # As many at once as one batch takes: a thousand would keep everybody else waiting, and for a try that fails.
        for at in range(0, len(records), self._max_records):
            some = records[at : at + self._max_records]
            yield from map(Parcel, (record.id for record in some), self.documents(some))

    def _batches(self, parcels: Iterator[Parcel]) -> Iterator[list[Parcel]]:
        batch: list[Parcel] = []
        size = 1
        for parcel in parcels:
            if batch and size + len(parcel.document) + 1 > self._max_bytes:
                yield batch
                batch, size = [], 1
            batch.append(parcel)
            size += len(parcel.document) + 1
            if len(batch) == self._max_records:
                yield batch
                batch, size = [], 1
        if batch:
            yield batch

    async def _post(self, batch: Sequence[Parcel]) -> None:
        try:
            await self.send(batch)
        finally:
            self._pace.posted()

    async def send(self, batch: Sequence[Parcel]) -> None:
        """Post one batch and note what is delivered of it.

        Raises:
            Refused: when it will never be taken as it is.
            Undelivered: when it was not taken now.
        """
        answer = await self.door.send(self.body([parcel.document for parcel in batch]), len(batch))
        self.delivered(batch)
        self.answered(batch, answer)

    def answered(self, batch: Sequence[Parcel], answer: bytes) -> None:
        """Look at the beginning of the answer to a batch that was taken, where it tells more than its status."""

    def delivered(self, parcels: Sequence[Parcel]) -> None:
        """Note that the receiver has these."""
        self._delivered.update(parcel.id for parcel in parcels)

    def bury(self, parcel: Parcel, reason: str) -> None:
        """Put one aside that the receiver will never take."""
        self.dead_letters.bury([parcel], reason)
        self.delivered([parcel])
