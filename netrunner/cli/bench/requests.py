"""The requests of a benchmark, one after the other.

This module must not send them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from netrunner.cli.bench import targets
from netrunner.cli.bench.settings import BenchSettings, wrong
from netrunner.cli.bench.targets import Target
from netrunner.cli.bench.templates import Rotation, Template, texts_of, with_fields
from netrunner.values import Origin, UpstreamRequest

MAX_FILE_BYTES = 67_108_864


class Requests:
    """Makes the request of each number.

    Args:
        settings: What is asked for.
        chance: Fills in placeholders.

    Raises:
        ConfigurationError: naming the flag.
    """

    def __init__(self, settings: BenchSettings, chance: random.Random) -> None:
        self.target = targets.target_of(settings)
        self.payloads = _rotation(settings, self.target, chance)
        self._headers = targets.headers(settings, self.target, len(self.payloads) > 0)
        self._origin = Origin.of(settings.base_url)
        prefix = quote(urlsplit(settings.base_url).path.rstrip("/"), safe="/%~:@!$&'()*+,;=")
        self._path = (prefix + self.target.path).encode("ascii")

    def of(self, number: int) -> UpstreamRequest:
        """Return the request of a number, counted from 1."""
        if not self.payloads:
            return UpstreamRequest(self._origin, b"GET", self._path, self._headers)
        return UpstreamRequest(self._origin, b"POST", self._path, self._headers, self.payloads.render(number))


def _rotation(settings: BenchSettings, target: Target, chance: random.Random) -> Rotation:
    texts = [text for given in settings.payload for text in _texts(given)] or _built_in(settings, target)
    return Rotation([_template(text, settings, target, chance) for text in texts])


def _built_in(settings: BenchSettings, target: Target) -> list[str]:
    document = targets.payload(target, settings.model)
    if document is None:
        return []
    if target.dialect == "ollama" and not settings.stream and target.endpoint in ("chat", "generate"):
        document["stream"] = False  # It streams unless it is told not to.
    return [msgspec.json.encode(document).decode()]


def _texts(given: str) -> list[str]:
    if not given.startswith("@"):
        return [given]
    path = Path(given[1:])
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise wrong("payload", f"{path} is larger than {MAX_FILE_BYTES} bytes")
        return texts_of(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise wrong("payload", f"{path} cannot be read: {reason}") from None


def _template(text: str, settings: BenchSettings, target: Target, chance: random.Random) -> Template:
    try:
        template = Template(text, settings.model, chance)
    except ValueError as error:
        raise wrong("payload", str(error)) from None
    if not settings.stream:
        return template
    fields: dict[str, Any] = targets.stream_fields(target)
    if not fields:
        return template
    if not isinstance(template.sample, dict) or not template.sample:
        raise wrong("payload", "expected a JSON object with at least one field")
    if template.sample.get("stream", True) is not True:
        raise wrong("payload", "says that it wants no stream, and --stream that it does")
    return Template(with_fields(text, template.sample, fields), settings.model, chance)
