"""What sinks have in common that tell a service, by an account there, about each exchange.

This module must not send what was said unless ``contents`` asks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner.interfaces import IEnvironment
from netrunner.linefile import one_line
from netrunner.settings import Secret, setting
from netrunner.sinks.contents import Contents, contents
from netrunner.sinks.shipping import Shipping, ShippingSettings
from netrunner.values import Record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings(ShippingSettings):
    """What all of them understand; a sink's own settings extend this."""

    key: Secret = setting(doc="The key of the account.")
    contents: bool = setting(False, doc="Whether prompts and answers are sent, as far as the journal keeps them.")
    max_content_bytes: int = setting(65536, minimum=1, doc="Bytes of a message; what a larger one says is not sent.")


class Account(Shipping):
    """Posts what ``told`` makes of each record, which is the subclass's."""

    def __init__(self, settings: AccountSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment, {"authorization": Secret(f"Bearer {settings.key.reveal()}")})
        self._copies = environment.copies if settings.contents else None
        self._max_content_bytes = settings.max_content_bytes

    def told(self, record: Record, said: Contents) -> Any:
        """Return what the service is told of a record, to be written as JSON."""
        raise NotImplementedError

    def documents(self, records: Sequence[Record]) -> list[bytes]:
        """Return what is told of each record."""
        return [one_line(msgspec.json.encode(self.told(record, self._said(record)))) for record in records]

    def _said(self, record: Record) -> Contents:
        if self._copies is None:
            return Contents()
        return contents(record, self._copies, self._max_content_bytes)


def known(fields: dict[str, Any]) -> dict[str, Any]:
    """Return those fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
