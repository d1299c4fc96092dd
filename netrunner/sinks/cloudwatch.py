"""The sink ``cloudwatch``: records as log events of Amazon CloudWatch Logs.

boto3 blocks, so it runs in a thread of this sink's own and is imported there, when the first batch is sent. It finds
its credentials where it always does: environment, shared files, instance role. It is told not to try again by
itself: a batch that was not taken stays in the journal and comes again.

This module must not touch anything of boto3 on the reactor's thread while that one runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import IEnvironment, ILogSink, ISection, IStartable
from netrunner.offers import SinkFactory
from netrunner.settings import setting
from netrunner.sinks.delivery import DeadLetters, Parcel, Refused, Turn, Undelivered, deliver
from netrunner.sinks.entry import documents
from netrunner.sinks.packing import Event, batches, events, in_time
from netrunner.values import Record

CONNECT_S = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchSettings:
    """Settings of the sink ``cloudwatch``."""

    log_group: str = setting(doc="The log group; made when it is missing.", form="text")
    log_stream: str = setting("netrunner", doc="The log stream in it; made when it is missing.", form="text")
    region: str | None = setting(None, doc="The region; boto3's own choice when absent.", form="name")
    endpoint_url: str | None = setting(None, doc="Where the API is, if not at AWS.", form="url")
    timeout_s: float = setting(10.0, minimum=0.001, doc="Seconds a batch may take to be answered.")
    dead_letters: str = setting(
        "cloudwatch.dead.jsonl", doc="File for records that CloudWatch refuses; made with mode 0600.", form="path"
    )


class CloudWatchFactory(SinkFactory[CloudWatchSettings]):
    """Offers the sink; sees to it that boto3 is there before anything starts."""

    __slots__ = ()

    def parse(self, section: ISection) -> CloudWatchSettings:
        """Read the section; boto3 is looked for, not imported."""
        settings = super().parse(section)
        if find_spec("boto3") is None:
            needed = "the sink cloudwatch needs boto3: pip install 'netrunner[aws]'"
            raise ConfigurationError([Problem(section.where, needed)])
        return settings


@implementer(ILogSink, IStartable)
class CloudWatch:
    """Puts log events, one batch after another."""

    def __init__(self, settings: CloudWatchSettings, environment: IEnvironment) -> None:
        self.dead_letters = DeadLetters(settings.dead_letters, environment)
        self._environment = environment
        self._logs = Logs(settings)
        self._pool: ThreadPool | None = None
        self._delivered: set[str] = set()
        """Ids of the records that CloudWatch has of a batch whose rest it did not take."""
        self._turn = Turn()

    def start(self) -> None:
        """Get the thread ready; nothing is connected before there is something to send."""
        self._pool = ThreadPool(minthreads=0, maxthreads=1, name=f"netrunner-{self._environment.name}")
        # A request that hangs must not keep the process from ending.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]  # Twisted only calls it
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Let the batch in progress end, within its time; then release the thread."""
        return self._turn.ended().addCallback(lambda _: self._release())

    def _release(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
        self._logs.close()
        self.dead_letters.close()

    async def write(self, records: Sequence[Record]) -> None:
        """Put the records; those that CloudWatch has already are left out.

        Raises:
            Undelivered: when it did not take them; the same may be written again.
        """
        with self._turn:
            for batch in batches(self._events(records)):
                await deliver(batch, self._put, lambda event, reason: self._bury([event], reason))
            self._delivered.clear()

    def _events(self, records: Sequence[Record]) -> list[Event]:
        """Return what can be sent, and bury what is too old or too new to be taken."""
        now_s = self._environment.clock.wall()
        wanted = [record for record in records if record.id not in self._delivered]
        found: list[Event] = []
        for record, document in zip(wanted, documents(wanted), strict=True):
            of_record = events(record.at_accept, record.id, document)
            reason = in_time(of_record[0], now_s)
            if reason is None:
                found += of_record
            else:
                self.dead_letters.bury([Parcel(record.id, document)], reason)
                self._delivered.add(record.id)
        return found

    async def _put(self, batch: Sequence[Event]) -> None:
        rejected = await self._environment.in_thread(self._pool, self._logs.put, batch)
        for reason, some in rejected:
            self._bury(some, reason)
        self._delivered.update(event.id for event in batch if event.last)

    def _bury(self, refused: Sequence[Event], reason: str) -> None:
        if refused:
            self.dead_letters.bury([Parcel(event.id, event.message) for event in refused], reason)
            self._delivered.update(event.id for event in refused if event.last)


class Logs:
    """What runs in the thread: one log stream, by boto3."""

    def __init__(self, settings: CloudWatchSettings) -> None:
        self._settings = settings
        self._stream = {"logGroupName": settings.log_group, "logStreamName": settings.log_stream}
        self._client: Any = None

    def put(self, batch: Sequence[Event]) -> list[tuple[str, Sequence[Event]]]:
        """Put one batch; return which of its events were rejected, and why.

        Raises:
            Refused: if the batch will never be taken as it is.
            Undelivered: if it was not taken this time.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            try:
                return _rejected(batch, self._put(batch))
            except ClientError as error:
                if _code(error) != "ResourceNotFoundException":
                    raise
                self._make_stream()
                return _rejected(batch, self._put(batch))
        except ClientError as error:
            if _code(error) == "InvalidParameterException":
                raise Refused("InvalidParameterException") from error
            raise Undelivered(f"CloudWatch did not take {len(batch)} events: {_code(error)}") from error
        except BotoCoreError as error:
            raise Undelivered(f"CloudWatch did not take {len(batch)} events: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _put(self, batch: Sequence[Event]) -> dict[str, Any]:
        told = [{"timestamp": event.at_ms, "message": event.message.decode()} for event in batch]
        answer: dict[str, Any] = self._connected().put_log_events(**self._stream, logEvents=told)
        return answer

    def _connected(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.session.Session().client(
                "logs",
                region_name=self._settings.region,
                endpoint_url=self._settings.endpoint_url,
                config=Config(
                    connect_timeout=CONNECT_S,
                    read_timeout=self._settings.timeout_s,
                    retries={"total_max_attempts": 1},
                ),
            )
        return self._client

    def _make_stream(self) -> None:
        client = self._connected()
        group = {"logGroupName": self._settings.log_group}
        for make, what in ((client.create_log_group, group), (client.create_log_stream, self._stream)):
            try:
                make(**what)
            except client.exceptions.ResourceAlreadyExistsException:
                continue


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _rejected(batch: Sequence[Event], answer: dict[str, Any]) -> list[tuple[str, Sequence[Event]]]:
    """Return the rejected ones: too old and expired before an index, too new from one on."""
    info = answer.get("rejectedLogEventsInfo") or {}
    expired, old = info.get("expiredLogEventEndIndex", 0), info.get("tooOldLogEventEndIndex", 0)
    new = info.get("tooNewLogEventStartIndex", len(batch))
    return [("expired", batch[:expired]), ("too old", batch[expired:old]), ("too new", batch[new:])]


plugin = CloudWatchFactory(
    name="cloudwatch",
    build=CloudWatch,
    settings=CloudWatchSettings,
    doc="Puts records into Amazon CloudWatch Logs.",
)
