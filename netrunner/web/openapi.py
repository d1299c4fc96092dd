"""``/openapi.json``: what is served here, as OpenAPI 3.1.

This module must not describe anything: ``openapi.yaml`` does.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from netrunner import __version__
from netrunner.http.request import Request
from netrunner.values import Answer
from netrunner.web.pages import JSON, Page

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def document() -> dict[str, Any]:
    """Return the document."""
    text = files("netrunner.web").joinpath("openapi.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.load(text, _LOADER)
    read["info"]["version"] = __version__
    return read


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


class OpenApi(Page):
    """The document; it is read as the daemon starts, since that takes a while."""

    def __init__(self) -> None:
        super().__init__()
        self._encoded = _encoded()

    def content(self, request: Request) -> Answer:
        """Return it as JSON."""
        return Answer(200, JSON, self._encoded)
