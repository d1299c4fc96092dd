"""From the model name a caller uses to the candidates that may serve it.

Pure: no I/O, no clock. This module must not know of providers beyond their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from netrunner.claims import Claim
from netrunner.errors import BadRequest, NotFound
from netrunner.settings import Timeouts


class Candidate(msgspec.Struct, frozen=True):
    """One provider and the name by which it knows the model."""

    provider: str
    model: str
    priority: int = 1
    """Lower ones are asked first."""
    weight: float = 1.0
    """Its share of the requests among those of one priority, where they are shared by weight."""
    max_request_bytes: int | None = None
    """Of a body that it takes; None for any."""
    timeouts: Timeouts | None = None
    """How long it may take; None for what its provider says."""
    claims: tuple[Claim, ...] = ()
    """Whom an attempt is counted for, and what they may have."""


class Table:
    """The names of the configuration.

    Args:
        models: Candidates by the caller's name, best first.
        unknown_model: Provider that unknown names are passed to as they are; None refuses them.
        default_provider: Provider that serves requests naming no model; None refuses them.
        draining: Names whose answers are read on when the client has left.
        images: Who makes images where no model is named, in the order in which they are asked.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[Candidate, ...]],
        unknown_model: str | None,
        default_provider: str | None,
        draining: frozenset[str] = frozenset(),
        images: tuple[Candidate, ...] = (),
    ) -> None:
        self.draining = draining
        self.images = images
        self._models = dict(models)
        self.unknown_model = unknown_model
        self._default = default_provider

    def names(self) -> Iterable[str]:
        """Return the names a caller may use, in the configuration's order."""
        return self._models

    def candidates(self, model: str) -> tuple[Candidate, ...]:
        """Return who may serve ``model``, best first.

        Raises:
            NotFound: ``model_not_found`` when nobody is configured for it.
        """
        found = self._models.get(model)
        if found is not None:
            return found
        if self.unknown_model is not None:
            return (Candidate(self.unknown_model, model),)
        raise NotFound(f"The model {model!r} does not exist.", code="model_not_found", param="model")

    def without_model(self, needs_model: bool) -> tuple[Candidate, ...]:
        """Return who serves a request that names no model.

        Raises:
            BadRequest: when the endpoint cannot do without one.
            NotFound: ``endpoint_not_found`` when there is no default provider.
        """
        if needs_model:
            raise BadRequest(
                "The field 'model' is required and must be a non-empty string.", code="missing_model", param="model"
            )
        if self._default is None:
            raise NotFound("No such endpoint.", code="endpoint_not_found")
        return (Candidate(self._default, ""),)
