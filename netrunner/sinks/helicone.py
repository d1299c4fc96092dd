"""The sink ``helicone``: each record as a request of Helicone's, by ``POST /custom/v1/log``.

Helicone takes one record a post, so the records of a batch are posted beside each other. The record's id is that of the
request there, by which one that comes twice can be told.

This module must not know how a record is posted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from netrunner.settings import setting
from netrunner.sinks.accounts import Account, AccountSettings, known
from netrunner.sinks.contents import Contents
from netrunner.sinks.delivery import Parcel, Refused
from netrunner.sinks.shipping import ShippingFactory
from netrunner.values import Record

CUSTOM = "custom-model-nopath"
"""What Helicone wants for a URL of requests that did not go through it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeliconeSettings(AccountSettings):
    """Settings of the sink ``helicone``."""

    url: str = setting(
        "https://api.worker.helicone.ai/custom/v1/log",
        doc="Where requests are posted to; https, or on this machine.",
        form="url",
    )
    max_records: int = setting(8, minimum=1, maximum=100, doc="Records that are posted at once, one a post.")
    dead_letters: str = setting(
        "helicone.dead.jsonl", doc="File for records that Helicone refuses; made with mode 0600.", form="path"
    )


class Helicone(Account):
    """Posts requests and their answers."""

    def told(self, record: Record, said: Contents) -> Any:
        """Return the log of the record."""
        asked = known({"model": record.upstream_model or record.model, "messages": said.turns})
        return {
            "providerRequest": {"url": CUSTOM, "json": asked, "meta": _meta(record)},
            "providerResponse": {"headers": {}, "status": record.status, "json": _answer(record, said)},
            "timing": _timing(record),
        }

    async def send(self, batch: Sequence[Parcel]) -> None:
        """Post the records of a batch, each by itself; one that is refused is put aside at once.

        Raises:
            Undelivered: when any of them was not taken now.
        """
        posts = [Deferred.fromCoroutine(self._one(parcel)) for parcel in batch]
        results: list[tuple[bool, Any]] = await DeferredList(posts, consumeErrors=True)
        for sent, result in results:
            if not sent:
                result.raiseException()

    async def _one(self, parcel: Parcel) -> None:
        try:
            await self.door.send(parcel.document, 1)
        except Refused as refused:
            self.bury(parcel, str(refused))
        else:
            self.delivered([parcel])


def _meta(record: Record) -> dict[str, str]:
    """Return what Helicone reads as the request's header fields: its id, its user, what it can be found by."""
    properties = {
        "Provider": record.provider,
        "Project": record.project,
        "Outcome": record.outcome,
        "Error": record.error,
        "Path": record.path,
    }
    meta = {"Helicone-Request-Id": record.id, "Helicone-User-Id": record.token}
    return known({**meta, **{f"Helicone-Property-{name}": value for name, value in properties.items()}})


def _answer(record: Record, said: Contents) -> dict[str, Any]:
    """Return the answer in the form in which Helicone finds text, tokens and errors: that of OpenAI's chats."""
    fields: dict[str, Any] = {"id": record.id, "model": record.upstream_model or record.model}
    usage = record.usage
    if usage is not None:
        tokens = (usage.input_total, usage.output_total, usage.total)
        fields["usage"] = known(dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), tokens, strict=True)))
    if said.answer is not None:
        message = {"role": "assistant", "content": said.answer}
        fields["choices"] = [{"index": 0, "message": message, "finish_reason": record.finish_reason}]
    if record.error is not None:
        fields["error"] = {"code": record.error}
    return known(fields)


def _timing(record: Record) -> dict[str, Any]:
    timing: dict[str, Any] = {
        "startTime": _moment(record.at_accept),
        "endTime": _moment(record.at_accept + record.duration_s),
    }
    if record.streaming and "first_byte" in record.timings:
        timing["timeToFirstToken"] = int(record.timings["first_byte"] * 1000)
    return timing


def _moment(at_s: float) -> dict[str, int]:
    """Return a Unix time in seconds, as Helicone writes it."""
    seconds, milliseconds = divmod(int(at_s * 1000), 1000)
    return {"seconds": seconds, "milliseconds": milliseconds}


plugin = ShippingFactory(
    name="helicone",
    build=Helicone,
    settings=HeliconeSettings,
    doc="Sends each request to Helicone.",
)
