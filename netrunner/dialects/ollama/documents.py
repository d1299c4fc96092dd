"""What Ollama's clients read before they ask anything: which models there are, what they can do, which version this is.

This module must not know where the models come from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from netrunner import sse
from netrunner.dialects.answers import Document
from netrunner.dialects.conversation import Asked, Conversation
from netrunner.dialects.ollama.encoder import DOCUMENT
from netrunner.dialects.ollama.reading import unloads
from netrunner.times import stamp
from netrunner.values import Answer

VERSION = "0.12.0"
"""Of Ollama, whose API this is: clients compare it with the version that brought what they need, so it is three
numbers and nothing else."""
CAPABILITIES = ("completion", "tools", "vision", "thinking")
"""What a model is said to be capable of when nobody knows better; clients ask for nothing else."""
CONTEXT_LENGTH = 131072
"""Tokens, when nobody knows better; clients cut what they send to it."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model as these documents tell it."""

    name: str
    modified_at: float = 0.0
    """Unix time."""
    context_length: int = CONTEXT_LENGTH
    capabilities: tuple[str, ...] = CAPABILITIES
    family: str = "netrunner"


def tags_document(models: Iterable[Model]) -> Document:
    """Return what ``/api/tags`` answers: all models."""
    return {"models": [_listed(model) for model in models]}


def ps_document(models: Iterable[Model]) -> Document:
    """Return what ``/api/ps`` answers: the models that are ready, which are all there are, for good."""
    return {
        "models": [
            {
                **{name: value for name, value in _listed(model).items() if name != "modified_at"},
                "expires_at": "9999-12-31T23:59:59Z",
                "size_vram": 0,
                "context_length": model.context_length,
            }
            for model in models
        ]
    }


def show_document(model: Model) -> Document:
    """Return what ``/api/show`` answers about one model."""
    return {
        "license": "",
        "modelfile": f"FROM {model.name}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": model.family,
            "general.basename": model.name,
            f"{model.family}.context_length": model.context_length,
        },
        "capabilities": list(model.capabilities),
        "modified_at": stamp(model.modified_at),
    }


def version_document() -> Document:
    """Return what ``/api/version`` answers."""
    return {"version": VERSION}


def loaded(asked: Asked) -> Answer | None:
    """Return the answer to a request without a prompt, which asks for a model to be loaded, or let go.

    There is nothing to be loaded here, and no provider of another dialect knows such a request, so it is answered at
    once: one document, also where a stream was asked for, as Ollama does. None for every other request.
    """
    request = asked.request
    if not isinstance(request, Conversation) or request.turns or request.instructions:
        return None
    document: Document = {"model": asked.model, "created_at": stamp(asked.at)}
    if asked.endpoint == "generate":
        document["response"] = ""
    else:
        document["message"] = {"role": "assistant", "content": ""}
    document |= {"done": True, "done_reason": "unload" if unloads(request.native) else "load"}
    return Answer(200, [(b"content-type", DOCUMENT)], sse.line(document))


def _listed(model: Model) -> Document:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": stamp(model.modified_at),
        "size": 0,
        # Clients show the beginning of it.
        "digest": hashlib.sha256(model.name.encode()).hexdigest(),
        "details": _details(model),
    }


def _details(model: Model) -> Document:
    return {
        "parent_model": "",
        "format": "",
        "family": model.family,
        "families": [model.family],
        "parameter_size": "",
        "quantization_level": "",
    }
