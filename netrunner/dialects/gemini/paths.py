"""Gemini's paths, which name the model and what is asked of it: ``models/gemini-2.5-flash:generateContent``.

A model's name here is what stands behind ``models/``; that prefix is tolerated wherever a name is given. A tuned model
keeps its own, ``tunedModels/NAME``.

This module must not know what an action answers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

GENERATE = "generateContent"
STREAM = "streamGenerateContent"
COUNT = "countTokens"
EMBED = "embedContent"
BATCH_EMBED = "batchEmbedContents"
ACTIONS = frozenset({GENERATE, STREAM, COUNT, EMBED, BATCH_EMBED})
"""What is served; Google knows more of them."""

_CALL = re.compile(r"((?:models|tunedModels)/.+)(?::|%3a)([a-z]+)", re.IGNORECASE | re.DOTALL)
_SAFE = "/~!$&'()*+,;=:@"


@lru_cache(256)
def parsed(endpoint: str) -> tuple[str | None, str | None]:
    """Return the model's name and the action of a path below ``/v1beta/``; None twice for one that calls no model."""
    found = _CALL.fullmatch(endpoint)
    if found is None:
        return None, None
    return unquote(found[1]).removeprefix("models/"), found[2]


def resource(model: str) -> str:
    """Return a model's name as Google's documents have it."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


@lru_cache(256)
def path(model: str, action: str) -> str:
    """Return the path that asks ``action`` of a model."""
    return f"{quote(resource(model), safe=_SAFE)}:{action}"
