"""Many records summed up: who called how much, how calls failed, and what was asked again.

Pure: made from records as they are, newest first, so that nothing is counted while a request runs.

This module must not know where records are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median, quantiles

import msgspec

from netrunner.figures import is_failure, point
from netrunner.values import Record

AGAIN_S = 60.0
"""Seconds within which the same body from the same client counts as asked again."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller did."""

    client: str
    """The identity of its credential; its address, where it gave none."""
    project: str | None
    addresses: int
    """How many it came from."""
    requests: int
    failures: int
    repeats: int
    """Those whose body was the same as that of one of its requests shortly before."""
    median_s: float
    p95_s: float
    slowest_s: float
    input_tokens: int
    output_tokens: int
    estimated: bool
    """Whether nobody counted some of the tokens."""
    last_at: float
    """Unix time of its newest request."""
    error: str | None
    """What its requests failed with most."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A way to fail, and how often it was met: by attempts whose request was answered in the end, too."""

    provider: str | None
    """None where nobody was asked."""
    model: str | None
    """As the provider knows it."""
    status: int | None
    """What the provider answered; without a provider, what the client got. None for no answer at all."""
    code: str
    count: int
    answered: int
    """Of these, how many belong to requests that were answered all the same, by another attempt."""
    clients: int
    first_at: float
    last_at: float
    """Unix times."""
    id: str
    """Of the newest record."""


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """One body that one client sent several times, each time shortly after the one before."""

    client: str
    path: str
    model: str | None
    sha256: str
    """Of the body, in hexadecimal."""
    repeats: int
    """Requests after the first one."""
    first_at: float
    last_at: float
    """Unix times of the first and of the newest of them."""
    id: str
    """Of the newest record."""


def caller(record: Record) -> str:
    """Return who is meant by one client: the identity of a credential, else an address."""
    return record.token or record.source


def clients(records: Sequence[Record]) -> list[Client]:
    """Return what each client did, the busiest first; ``records`` come newest first."""
    groups: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        groups.setdefault((caller(record), record.project), []).append(record)
    again = _again(records)
    found = [_client(name, project, group, again) for (name, project), group in groups.items()]
    return sorted(found, key=lambda one: (-one.requests, one.client))


def _client(name: str, project: str | None, records: Sequence[Record], again: set[str]) -> Client:
    durations = [record.duration_s for record in records]
    points = [point(record) for record in records if not is_failure(record)]
    errors = [failure_code(record) for record in records if is_failure(record)]
    return Client(
        client=name,
        project=project,
        addresses=len({record.source for record in records}),
        requests=len(records),
        failures=len(errors),
        repeats=sum(record.id in again for record in records),
        median_s=median(durations),
        p95_s=quantiles(durations, n=20, method="inclusive")[-1] if len(durations) > 1 else durations[0],
        slowest_s=max(durations),
        input_tokens=sum(one.input_tokens for one in points),
        output_tokens=sum(one.output_tokens for one in points),
        estimated=any(one.estimated for one in points),
        last_at=max(record.at_accept for record in records),
        error=Counter(errors).most_common(1)[0][0] if errors else None,
    )


def failures(records: Sequence[Record]) -> list[Failure]:
    """Return how calls failed, the most frequent first; ``records`` come newest first."""
    groups: dict[tuple[str | None, str | None, int | None, str], list[Record]] = {}
    for record in records:
        for signature in _signatures(record):
            groups.setdefault(signature, []).append(record)
    found = [
        Failure(
            provider=provider,
            model=model,
            status=status,
            code=code,
            count=len(group),
            answered=sum(not is_failure(record) for record in group),
            clients=len({caller(record) for record in group}),
            first_at=min(record.at_accept for record in group),
            last_at=max(record.at_accept for record in group),
            id=max(record.id for record in group),
        )
        for (provider, model, status, code), group in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.count, -one.last_at))


def _signatures(record: Record) -> Iterable[tuple[str | None, str | None, int | None, str]]:
    """Yield each failed attempt, and the end of the exchange where no attempt is to blame for it."""
    for attempt in record.attempts:
        if attempt.error is not None:
            yield attempt.provider, attempt.model, attempt.status, attempt.error
    if is_failure(record) and not (record.attempts and record.attempts[-1].error is not None):
        yield record.provider, record.upstream_model, record.status, failure_code(record)


def failure_code(record: Record) -> str:
    """Return what a failed exchange failed with: the error's code, else its status in words."""
    return record.error or f"status_{record.status}"


def repeats(records: Sequence[Record], within_s: float = AGAIN_S) -> list[Repeat]:
    """Return the bodies that clients sent again, the most frequent first; ``records`` come newest first.

    Args:
        records: Where they are looked for; those of which no body was recorded are passed over.
        within_s: Seconds that may lie between two requests, one after the other.
    """
    found = [
        Repeat(
            client=caller(run[0]),
            path=run[0].path,
            model=run[0].model,
            sha256=sha256,
            repeats=len(run) - 1,
            first_at=run[0].at_accept,
            last_at=run[-1].at_accept,
            id=run[-1].id,
        )
        for sha256, run in _runs(records, within_s)
    ]
    return sorted(found, key=lambda one: (-one.repeats, -one.last_at))


def _again(records: Sequence[Record]) -> set[str]:
    """Return the ids of the records that ask what was asked shortly before."""
    return {record.id for _, run in _runs(records, AGAIN_S) for record in run[1:]}


def _runs(records: Sequence[Record], within_s: float) -> list[tuple[str, list[Record]]]:
    """Return each body that came again, with the records that brought it, the oldest first."""
    open_runs: dict[tuple[str, str, str, str], list[Record]] = {}
    found: list[tuple[str, list[Record]]] = []
    for record in sorted(records, key=lambda one: one.at_accept):
        if not record.request_sha256 or not record.bytes_in:
            continue
        key = (caller(record), record.method, record.path, record.request_sha256)
        run = open_runs.get(key)
        if run is None or record.at_accept - run[-1].at_accept > within_s:
            open_runs[key] = [record]
            continue
        if len(run) == 1:
            found.append((record.request_sha256, run))
        run.append(record)
    return found
