"""From what a request asks for to the candidates that may serve it, the way every request goes and ``explain`` too.

Pure: no I/O, no clock. This module must not know of providers beyond their names.
"""

from __future__ import annotations

from netrunner.routing.names import NO_MODEL, Meaning, Names
from netrunner.routing.table import Candidate, Table


def route(
    names: Names, table: Table, model: str | None, source: str, path: bytes, needs_model: bool
) -> tuple[Meaning, tuple[Candidate, ...]]:
    """Return what is meant and who may serve it, best first.

    Args:
        names: What names mean.
        table: Who serves what is meant.
        model: As the caller names it; None if it names none.
        source: The caller's address.
        path: Of the request as it came, without its query.
        needs_model: Whether the endpoint cannot do without a model.

    Raises:
        NotFound: ``model_not_found``, ``endpoint_not_found``.
        BadRequest: ``missing_model``.
    """
    if model is None and needs_model:
        return NO_MODEL, table.without_model(True)
    meaning = names.resolve(model, source, path)
    if meaning.provider is not None:
        return meaning, (Candidate(meaning.provider, meaning.name),)
    return meaning, table.without_model(False) if model is None else table.candidates(meaning.name)
