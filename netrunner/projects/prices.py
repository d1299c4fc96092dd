"""What models cost, by the table that is shipped with the package; what is not in it costs nobody knows how much.

This module must not ask anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Self

import msgspec
import yaml

from netrunner.values import Usage

TABLE = "prices.yaml"
_MILLION = 1_000_000
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4})$")
"""What a name may end in: a date or a number of a version. ``claude-opus-4-5`` is a model of its own."""


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """US dollars for a million tokens."""

    input: float
    output: float
    cached: float | None = None
    """Of the request, read from a cache; as ``input`` when absent."""
    written: float | None = None
    """Of the request, written to a cache; likewise."""


class Long(Rate, frozen=True):
    """What a request costs, all of it, that is longer than others."""

    over: int
    """Tokens of the request."""


class Price(Rate, frozen=True):
    """What a model costs."""

    long: Long | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    date: str
    models: dict[str, Price]


class Prices:
    """A price list.

    Args:
        date: When it was true.
        models: Prices by the names that providers know.
    """

    def __init__(self, date: str, models: Mapping[str, Price]) -> None:
        self.date = date
        self._models = models

    @classmethod
    def shipped(cls) -> Self:
        """Return the list of the package."""
        text = files("netrunner.projects").joinpath(TABLE).read_text(encoding="utf-8")
        table = msgspec.convert(yaml.safe_load(text), _Table, strict=False)
        return cls(table.date, table.models)

    def of(self, model: str | None) -> Price | None:
        """Return the price of a model, None if it is not known; a name may end in the date of a version."""
        if model is None:
            return None
        price = self._models.get(model)
        return self._models.get(_VERSION.sub("", model)) if price is None else price

    def cost(self, model: str | None, usage: Usage) -> float | None:
        """Return what an exchange cost in US dollars; None if nobody knows."""
        price: Rate | None = self.of(model)
        if price is None or usage.input_total is None or usage.output_total is None:
            return None
        if isinstance(price, Price) and price.long is not None and usage.input_total > price.long.over:
            price = price.long
        read, written = usage.cache_read or 0, usage.cache_write or 0
        plain = max(0, usage.input_total - read - written)
        return (
            plain * price.input
            + read * (price.input if price.cached is None else price.cached)
            + written * (price.input if price.written is None else price.written)
            + usage.output_total * price.output
        ) / _MILLION
