"""What the time of a refusal tells (row 47): of a credential that a real one is hidden in, and of any other."""

from __future__ import annotations

import base64
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netrunner.errors import ExchangeError
from netrunner.filters.bearer import Bearer
from netrunner.filters.projects import Projects
from netrunner.projects.office import Office
from netrunner.projects.tokens import Mint
from netrunner.projects.wanted import ProjectChange
from netrunner.settings import Secret
from netrunner.web.admin.entrance import Entrance
from netrunner.web.manage import Key
from tests.support.crowd import Figures
from tests.support.reception import Front, forged, now

pytestmark = [pytest.mark.integration, pytest.mark.torture]

TRIES = 100_000
MOST_T = 4.5
"""Beyond that two samples are not of one kind, as dudect has it."""
POOL = 200
"""Credentials of each kind."""
Kinds = tuple[Callable[[bytes], object], list[bytes], list[bytes]]
"""What judges a credential, some that are made from a real one, and some that are made from nothing."""


def welch(one: list[float], other: list[float]) -> float:
    """Return Welch's t of two samples."""
    means = [statistics.fmean(sample) for sample in (one, other)]
    variances = [statistics.variance(sample) / len(sample) for sample in (one, other)]
    return (means[0] - means[1]) / math.sqrt(sum(variances))


def measured(judges: Callable[[bytes], object], real: list[bytes], made_up: list[bytes]) -> tuple[float, float]:
    """Return Welch's t of the CPU time of refusals of two kinds in random turns, and microseconds that one takes.

    Each credential counts once, by the mean of its tries: where its bytes happen to lie in memory is no chance that
    more tries would even out.
    """
    chance = random.Random(47)
    # Copied in turns, and anew for each try: that place must not tell the two kinds apart either.
    both = [(False, one) for one in real] + [(True, one) for one in made_up]
    chance.shuffle(both)
    tried = [(which, bytes(bytearray(one)), list[int]()) for which, one in both]
    for _ in range(TRIES):
        _, one, took = chance.choice(tried)
        given = b"%b" % one
        before = time.thread_time_ns()
        judges(given)
        took.append(time.thread_time_ns() - before)
    # What is above is the machine's, whichever kind it happens to.
    most = statistics.quantiles([one for *_, took in tried for one in took], n=10)[-1]
    means: tuple[list[float], list[float]] = ([], [])
    for which, _, took in tried:
        means[which].append(statistics.fmean([one for one in took if one <= most]))
    return welch(*means), statistics.fmean(means[0] + means[1]) / 1000


class Request(SimpleNamespace):
    """An exchange, or a request, as far as those who judge credentials look at it."""

    key = outcome = None

    def header(self, name: bytes) -> bytes | None:
        """Return a field."""
        value: bytes | None = self.fields.get(name)
        return value


def refused(code: str, work: Callable[[], object]) -> None:
    """Have something judged that is refused so."""
    given = None
    try:
        work()
    except ExchangeError as error:
        given = error.code
    assert given == code


def caller(
    judge: Any, code: str, form: bytes = b"Bearer %b", name: bytes = b"authorization"
) -> Callable[[bytes], None]:
    """Return what sends a credential to a filter that refuses it."""

    def judges(given: bytes) -> None:
        exchange = Request(fields={name: form % given})
        refused(code, lambda: judge.on_head(exchange).send(None))

    return judges


def operator(gate: Any, code: str, scheme: bytes) -> Callable[[bytes], None]:
    """Return what sends a credential to a gate that refuses it."""

    def judges(given: bytes) -> None:
        request = Request(fields={b"authorization": scheme + b" " + given})
        refused(code, lambda: gate.check(request))

    return judges


def beside(real: list[bytes], at: int) -> list[bytes]:
    """Return credentials that differ from real ones in one place."""
    return [one[:at] + (b"A" if one[at : at + 1] != b"A" else b"B") + one[at + 1 :] for one in real]


def alike(real: list[bytes]) -> list[bytes]:
    """Return credentials of the same lengths that share nothing with them."""
    return [b"nr-" + secrets.token_urlsafe(len(one)).encode()[: len(one) - 3] for one in real]


def begun(real: list[bytes]) -> list[bytes]:
    """Return credentials of which the first half is right, and no two are alike."""
    return [one[: len(one) // 2] + other[len(one) // 2 :] for one, other in zip(real, alike(real), strict=True)]


def basic(user: str, password: str) -> bytes:
    """Return what Basic authentication sends."""
    return base64.b64encode(f"{user}:{password}".encode())


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    front = Front(tmp_path)
    yield front
    front.close()


def known(front: Front, count: int, project: str) -> list[bytes]:
    """Return tokens that are known to the process."""
    tokens = [front.token(project)[1] for _ in range(count)]
    for token in tokens:
        now(front.reception.ask(token))
    return tokens


def test_a_refusal_takes_as_long_whatever_a_real_credential_is_hidden_in_it(front: Front, figures: Figures) -> None:
    real = known(front, POOL, front.project())
    elsewhere = Mint(secrets.token_bytes(32))
    judge = Projects(front.reception, front.counters, front.clock)
    shared = Secret(real[0].decode())
    bearer, key = Bearer(shared), Key(shared, None)  # type: ignore[arg-type]  # nothing is answered late here
    user, word = "operator", secrets.token_urlsafe(16)
    entrance = Entrance(Secret(user), Secret(word), SimpleNamespace(), SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    logins = [[basic(name, secrets.token_urlsafe(16)) for _ in range(POOL)] for name in (user, "somebody")]
    words = [[basic(user, right + secrets.token_urlsafe(8)) for _ in range(POOL)] for right in (word[:11], "~" * 11)]
    nobody, form = "token_not_found", "invalid_token"
    one = [real[0]] * POOL
    branches: dict[str, Kinds] = {
        "forged, right but for its end": (caller(judge, nobody), beside(real, 49), alike(real)),
        "forged, right but for its beginning": (caller(judge, nobody), beside(real, 3), alike(real)),
        "forged, in x-api-key": (caller(judge, nobody, b"%b", b"x-api-key"), beside(real, 49), alike(real)),
        "of another database": (
            caller(judge, nobody),
            [elsewhere.make(secrets.token_bytes).encode() for _ in range(POOL)],
            [forged()[:54] for _ in range(POOL)],
        ),
        "truncated": (caller(judge, form), [token[:-1] for token in real], [token[:-1] for token in alike(real)]),
        "oversized": (caller(judge, form, b"Bearer %b" + b"A" * 4000), real, alike(real)),
        "with SQL behind it": (caller(judge, form, b"Bearer %b' OR '1'='1"), real, alike(real)),
        "by the wrong scheme": (caller(judge, form, b"Basic %b"), real, alike(real)),
        "the shared token, right in its first half": (caller(bearer, form), begun(one), alike(one)),
        "the management token, likewise": (operator(key, form, b"Bearer"), begun(one), alike(one)),
        "the management token, truncated": (
            operator(key, form, b"Bearer"),
            [token[:-1] for token in begun(one)],
            [token[:-1] for token in alike(one)],
        ),
        "an operator's name and any other": (operator(entrance, "admin_required", b"Basic"), logins[0], logins[1]),
        "a password, right in its first half": (operator(entrance, "admin_required", b"Basic"), words[0], words[1]),
    }
    found = {}
    for name, (judges, mine, made_up) in branches.items():
        found[name], took_us = measured(judges, mine, made_up)
        figures.add(name, f"t = {found[name]:.2f}, {took_us:.1f} us")
    assert {name: t for name, t in found.items() if abs(t) >= MOST_T} == {}


def test_what_became_of_a_token_is_told_to_its_holder_by_its_code(front: Front, figures: Figures) -> None:
    """Expired, revoked, deleted: the code says so, to whoever holds a token only; no other credential gets there."""
    judge = Projects(front.reception, front.counters, front.clock)
    inactive = front.project()
    tokens = {"project_inactive": known(front, 1, inactive)[0]}
    front.change("project.change", Office.change_project, inactive, ProjectChange(is_active=False))
    of = front.project()
    id, tokens["token_inactive"] = front.token(of)
    front.change("token.revoke", Office.revoke, id)
    tokens["token_expired"] = front.token(of, duration_minutes=1, duration_hours=None)[1]
    front.clock.advance(61)
    gone = front.project()
    tokens["token_not_found"] = front.token(gone)[1]
    front.change("project.delete", Office.delete_project, gone)
    for code, token in tokens.items():
        judges = caller(judge, code)
        judges(token)
        _, took_us = measured(judges, [token], [token])
        figures.add(code, f"{took_us:.1f} us")
