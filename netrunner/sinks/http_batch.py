"""The sink ``http_batch``: records as JSON arrays, posted to a URL.

This module must not know how a batch is posted, nor what becomes of one that is not taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from netrunner.interfaces import IEnvironment
from netrunner.settings import Secret, setting
from netrunner.sinks.entry import documents
from netrunner.sinks.shipping import Shipping, ShippingFactory, ShippingSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpBatchSettings(ShippingSettings):
    """Settings of the sink ``http_batch``."""

    headers: dict[str, Secret] | None = setting(None, doc="Fields sent with each batch.", form="header")
    dead_letters: str = setting(
        "http_batch.dead.jsonl", doc="File for records that the receiver refuses; made with mode 0600.", form="path"
    )


class HttpBatch(Shipping):
    """Posts arrays of the documents that ``jsonl`` writes."""

    documents = staticmethod(documents)

    def __init__(self, settings: HttpBatchSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment, settings.headers)

    def body(self, documents: Sequence[bytes]) -> bytes:
        """Return an array."""
        return b"[" + b",".join(documents) + b"]"


plugin = ShippingFactory(
    name="http_batch",
    build=HttpBatch,
    settings=HttpBatchSettings,
    doc="Posts records to a URL, as batches of JSON.",
)
