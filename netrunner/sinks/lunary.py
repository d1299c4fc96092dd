"""The sink ``lunary``: each record as a run of Lunary's, by ``POST /v1/runs/ingest``.

A run is two events, ``start`` and ``end`` or ``error``, with the record's id. One that Lunary has already is refused
there by its id, so what comes twice stands once.

This module must not know how events are posted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner.settings import setting
from netrunner.sinks.accounts import Account, AccountSettings, known
from netrunner.sinks.contents import Contents
from netrunner.sinks.delivery import Parcel
from netrunner.sinks.shipping import ShippingFactory
from netrunner.times import stamp
from netrunner.values import Record

_THERE_ALREADY = "already exists"
"""In Lunary's words of a run that came twice."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LunarySettings(AccountSettings):
    """Settings of the sink ``lunary``."""

    url: str = setting(
        "https://api.lunary.ai/v1/runs/ingest", doc="Where runs are posted to; https, or on this machine.", form="url"
    )
    dead_letters: str = setting(
        "lunary.dead.jsonl", doc="File for records that Lunary refuses; made with mode 0600.", form="path"
    )


class _Result(msgspec.Struct):
    """What Lunary says of one event."""

    success: bool
    id: str | None = None
    error: str | None = None


class _Results(msgspec.Struct):
    """What it says of all events of a batch."""

    results: list[_Result]


class Lunary(Account):
    """Posts runs."""

    def told(self, record: Record, said: Contents) -> Any:
        """Return the beginning and the end of the record's run."""
        return [_start(record, said), _end(record, said)]

    def body(self, documents: Sequence[bytes]) -> bytes:
        """Return all events together."""
        return b'{"events":[' + b",".join(one[1:-1] for one in documents) + b"]}"

    def answered(self, batch: Sequence[Parcel], answer: bytes) -> None:
        """Put aside what was not taken for all that its status is 200: Lunary tells of each event."""
        try:
            results = msgspec.json.decode(answer, type=_Results).results
        except msgspec.DecodeError:
            return
        failed = {one.id for one in results if not one.success and _THERE_ALREADY not in (one.error or "")}
        for parcel in batch:
            if parcel.id in failed:
                self.bury(parcel, "not ingested")


def _start(record: Record, said: Contents) -> dict[str, Any]:
    metadata = {
        "requestId": record.request_id,
        "path": record.path,
        "status": record.status,
        "outcome": record.outcome,
        "streaming": record.streaming,
        "provider": record.provider,
        "model": record.model,
        "finishReason": record.finish_reason,
        "project": record.project,
        "cached": record.cached,
    }
    fields = {
        "type": "llm",
        "event": "start",
        "runId": record.id,
        "timestamp": stamp(record.at_accept),
        "name": record.upstream_model or record.model,
        "runtime": "netrunner",
        "userId": record.token,
        "input": said.turns,
        "metadata": known(metadata),
    }
    return known(fields)


def _end(record: Record, said: Contents) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": "llm",
        "event": "end",
        "runId": record.id,
        "timestamp": stamp(record.at_accept + record.duration_s),
    }
    if record.error is not None or record.status >= 400:
        return {**fields, "event": "error", "error": {"message": record.error or f"status {record.status}"}}
    if said.answer is not None:
        fields["output"] = {"role": "assistant", "content": said.answer}
    usage = record.usage
    if usage is not None and usage.input_total is not None and usage.output_total is not None:
        fields["tokensUsage"] = {"prompt": usage.input_total, "completion": usage.output_total}
    return fields


plugin = ShippingFactory(
    name="lunary",
    build=Lunary,
    settings=LunarySettings,
    doc="Sends each request to Lunary, as a run.",
)
