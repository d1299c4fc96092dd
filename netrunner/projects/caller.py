"""A token and its project as one process knows them: whether it is let in, with whose key, and what it has spent.

This module must not ask the database, nor count what windows limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from netrunner.claims import Claim
from netrunner.errors import ExchangeError, Forbidden, RateLimited, Unauthenticated
from netrunner.globs import Globs
from netrunner.projects.terms import Terms, read
from netrunner.projects.wither import left
from netrunner.settings import Limits
from netrunner.store.projects import ProjectRow
from netrunner.store.tokens import TokenRow
from netrunner.times import stamp
from netrunner.values import Headers

CHALLENGE = ((b"www-authenticate", b'Bearer realm="netrunner"'),)
_WITHERS = 1000
"""Steps in which a curve is followed over a life."""


class Project:
    """A project, shared by all its tokens that are known here.

    Args:
        id: Its id.
    """

    __slots__ = (
        "__weakref__",
        "active",
        "claim",
        "cost_used",
        "counts_tokens",
        "id",
        "keys",
        "models",
        "terms",
        "tokens_used",
        "turns",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.active = self.counts_tokens = False
        self.terms = Terms()
        self.models = Globs(())
        self.keys: Mapping[str, Sequence[bytes]] = {}
        self.turns: dict[str, int] = {}
        """Whose turn it is among the keys of a provider."""
        self.tokens_used = 0
        self.cost_used = 0.0
        self.claim: Claim | None = None
        """What all its tokens together are counted against."""

    def learn(self, row: ProjectRow, keys: Mapping[str, Sequence[bytes]]) -> None:
        """Take in what the database says."""
        self.active = row.active
        self.terms = read(row.limits)
        self.counts_tokens = self.terms.counts_tokens
        self.models = Globs(self.terms.models)
        self.keys = keys
        limits = self.terms.limits()
        if limits == Limits():
            self.claim = None
        elif self.claim is None or self.claim.limits != limits:
            self.claim = Claim("project", self.id, limits)
        self.tokens_used, self.cost_used = row.tokens_used, row.cost_used


class Caller:
    """A token as it was last read; it is the same object for as long as anybody uses it.

    Args:
        digest: What is kept of it.
        project: Its project.
        row: What the database says.
        per_hour: Requests an hour unless it says otherwise; None for as many as one likes.
    """

    __slots__ = (
        "_claim",
        "_claims_until",
        "_counts_tokens",
        "_expires",
        "_models",
        "_per_hour",
        "cost_used",
        "created_at",
        "digest",
        "exhausted_until",
        "expires_at",
        "id",
        "lease",
        "masked",
        "max_requests",
        "metadata",
        "project_view",
        "read_at",
        "refused",
        "stale",
        "terms",
        "tokens_used",
        "unspent",
    )  # fmt: skip

    def __init__(self, digest: bytes, project: Project, row: TokenRow, per_hour: int | None) -> None:
        self.digest = digest
        self.project_view = project
        self.id = row.id
        self.masked = row.masked
        self.stale = False
        """Whether something about it was changed since it was read."""
        self.lease = 0
        """Requests that were taken of ``max_requests`` for this process to spend."""
        self.exhausted_until = 0.0
        """Until then, in monotonic seconds, nothing is asked of a cap that was found reached."""
        self._per_hour = per_hour
        self._claim = Claim("token", row.id, Limits())
        self._claims_until = -math.inf
        self.read_at = 0.0
        """In monotonic seconds."""
        self.learn(row)

    def learn(self, row: TokenRow | None) -> None:
        """Take in what the database says; None when it is gone."""
        self.refused: Callable[[], ExchangeError] | None = None
        if row is None:
            self.refused = not_found
            return
        self.created_at, self.expires_at = row.created_at, row.expires_at
        self.max_requests = row.max_requests
        self.unspent = 0 if row.max_requests is None else max(0, row.max_requests - row.taken)
        """Requests of ``max_requests`` that no process has taken, as was last heard."""
        self._expires = (b"netrunner-token-expires", stamp(row.expires_at).encode("ascii"))
        self.terms = read(row.limits)
        self._counts_tokens = self.terms.counts_tokens
        self._models = Globs(self.terms.models)
        self.metadata: Mapping[str, str] = {
            name.lower(): value for name, value in msgspec.json.decode(row.metadata, type=dict[str, str]).items()
        }
        self.tokens_used, self.cost_used = row.tokens_used, row.cost_used
        self._claims_until = -math.inf
        if not row.active:
            self.refused = _revoked

    @property
    def project(self) -> str:
        """The id of its project."""
        return self.project_view.id

    @property
    def counts_tokens(self) -> bool:
        """Whether it, or its project, may take so many tokens only."""
        return self._counts_tokens or self.project_view.counts_tokens

    def check(self, wall_s: float) -> None:
        """See whether it is let in at a Unix time.

        Raises:
            Unauthenticated: ``token_inactive``, ``token_expired`` or ``token_not_found``.
            Forbidden: ``project_inactive``.
        """
        if self.refused is not None:
            raise self.refused()
        if wall_s >= self.expires_at:
            raise Unauthenticated("The token has expired.", code="token_expired", headers=CHALLENGE)
        if not self.project_view.active:
            raise Forbidden("The token's project is not active.", code="project_inactive")

    def check_model(self, model: str | None) -> None:
        """See whether a model may be asked for, by the name that the request has for it; None where it has none.

        Raises:
            Forbidden: ``model_not_allowed``.
        """
        for of, allowed in (("token", self._models), ("project", self.project_view.models)):
            if allowed and (model is None or model not in allowed):
                named = "a request that names no model" if model is None else f"the model {model!r}"
                raise Forbidden(f"The {of} is not for {named}.", code="model_not_allowed", param="model")

    def told(self) -> Headers:
        """Return what its holder is told: when it expires, and how many requests of its life are left."""
        if self.refused is not None:
            return []
        if self.max_requests is None:
            return [self._expires]
        return [self._expires, (b"netrunner-token-requests-remaining", b"%d" % (self.lease + self.unspent))]

    def share(self, wall_s: float) -> float:
        """Return the share of its limits that is left at a Unix time."""
        wither = self.terms.wither
        if wither is None:
            return 1.0
        return wither.share(wall_s - self.created_at, self.expires_at - self.created_at)

    def claims(self, wall_s: float) -> Sequence[Claim]:
        """Return what a request is counted against at a Unix time."""
        if wall_s >= self._claims_until:
            self._settle_claim(wall_s)
        shared = self.project_view.claim
        return (self._claim,) if shared is None else (self._claim, shared)

    def _settle_claim(self, wall_s: float) -> None:
        """Find out what is left of the limits now, and for how long that is."""
        share = self.share(wall_s)
        limits = self.terms.limits(share)
        if limits.requests_per_hour is None and self._per_hour is not None:
            limits = dataclasses.replace(limits, requests_per_hour=left(self._per_hour, share))
        if limits != self._claim.limits:
            # Counters take the same object for the same limits.
            self._claim = Claim("token", self.id, limits)
        life_s = self.expires_at - self.created_at
        self._claims_until = math.inf if self.terms.wither is None else wall_s + life_s / _WITHERS

    def key(self, provider: str) -> bytes:
        """Return the project's key for a provider; of several, the one whose turn it is.

        Raises:
            Forbidden: ``project_key_missing`` when it has none.
        """
        project = self.project_view
        keys = project.keys.get(provider, ())
        if not keys:
            raise Forbidden("The project has no key for the model's provider.", code="project_key_missing")
        turn = project.turns.get(provider, 0) % len(keys)
        project.turns[provider] = turn + 1
        return keys[turn]

    def check_budgets(self) -> None:
        """See whether a budget for its life, or its project's, is used up.

        Raises:
            RateLimited: ``budget_exceeded``.
        """
        for of, terms, tokens, cost in (
            ("token", self.terms, self.tokens_used, self.cost_used),
            ("project", self.project_view.terms, self.project_view.tokens_used, self.project_view.cost_used),
        ):
            if terms.max_tokens is not None and tokens >= terms.max_tokens:
                raise RateLimited(f"The {of}'s budget of {terms.max_tokens} tokens is used up.", code="budget_exceeded")
            if terms.max_cost is not None and cost >= terms.max_cost:
                raise RateLimited(f"The {of}'s budget of {terms.max_cost:g} USD is used up.", code="budget_exceeded")


def not_found() -> Unauthenticated:
    """Return the refusal of a token that nobody has issued, or that is deleted."""
    return Unauthenticated("The token is not known.", code="token_not_found", headers=CHALLENGE)


def _revoked() -> Unauthenticated:
    return Unauthenticated("The token was revoked.", code="token_inactive", headers=CHALLENGE)
