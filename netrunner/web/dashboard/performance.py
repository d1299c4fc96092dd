"""What answers cost: tokens and time, over all models and for each.

Pure. What no provider counted is estimated: a token is taken for four bytes.

This module must not read anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from netrunner.figures import is_failure
from netrunner.values import Record
from netrunner.web.dashboard.charts import Scatter, scatter
from netrunner.web.dashboard.rows import UNKNOWN

MOST = 1000
"""Records that are looked at."""
_BYTES_PER_TOKEN = 4


class Model(msgspec.Struct, frozen=True):
    """What is known of one model, as its provider knows it."""

    name: str
    provider: str
    requests: int
    failures: int
    median_s: float
    slowest_s: float
    tokens_in: int
    tokens_out: int
    per_second: float | None
    """Tokens of answers for each second they took; None when there were none."""
    estimated: bool
    """Whether any of the tokens is an estimate."""


def tokens(record: Record) -> tuple[int, int, bool]:
    """Return tokens in and out, and whether that is an estimate."""
    usage = record.usage
    spent = None if usage is None else usage.input_total
    made = None if usage is None else usage.output_total
    return (
        record.bytes_in // _BYTES_PER_TOKEN if spent is None else spent,
        record.bytes_out // _BYTES_PER_TOKEN if made is None else made,
        spent is None or made is None,
    )


def picture(records: Sequence[Record]) -> Scatter:
    """Return the picture of tokens against seconds."""
    return scatter((_spent(record), record.duration_s, is_failure(record)) for record in records)


def _spent(record: Record) -> int:
    """Return all tokens of an exchange; of one that failed only those that were counted."""
    taken, made, is_guess = tokens(record)
    return 0 if is_guess and is_failure(record) else taken + made


def by_model(records: Sequence[Record]) -> list[Model]:
    """Return what each model did, the most asked first."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        name = record.upstream_model or record.model or UNKNOWN
        groups.setdefault((name, record.provider or UNKNOWN), []).append(record)
    models = [_model(name, provider, group) for (name, provider), group in groups.items()]
    return sorted(models, key=lambda model: (-model.requests, model.name))


def _model(name: str, provider: str, records: Sequence[Record]) -> Model:
    counted = [tokens(record) for record in records if not is_failure(record)]
    seconds = sum(record.duration_s for record in records if not is_failure(record))
    made = sum(out for _, out, _ in counted)
    return Model(
        name=name,
        provider=provider,
        requests=len(records),
        failures=len(records) - len(counted),
        median_s=median(record.duration_s for record in records),
        slowest_s=max(record.duration_s for record in records),
        tokens_in=sum(taken for taken, _, _ in counted),
        tokens_out=made,
        per_second=made / seconds if seconds and made else None,
        estimated=any(guessed for _, _, guessed in counted),
    )
