"""The images of a request, as classifiers are asked about them: all that are there, or a refusal.

Images are found as they are for a translation, in whatever dialect the request is. What cannot be read so, might show
anything. Nothing is fetched: an image that is named and not there is not seen.

This module must not judge any image itself.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from netrunner.dialects.conversation import Conversation, Media, Operation, Part, ToolResult
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import ITranslates
from netrunner.dialects.media import BEGIN_BYTES, mime_of
from netrunner.errors import BadRequest, Forbidden, TooLarge

_ASKS = frozenset({Operation.CHAT, Operation.COUNT})
_FORMS = frozenset({"images/edits", "images/variations"})
"""Endpoints that take images of which nothing is read here."""

Named = Literal["refuse", "ask", "admit"]
"""What becomes of images that are named and not there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is looked at.

    Args:
        everything: Whether images of all turns are, or of the last only.
        named: As of ``Named``.
        count: Most images.
        size_bytes: Most bytes of each.
    """

    everything: bool
    named: Named
    count: int
    size_bytes: int


def images_of(exchange: Any, bounds: Bounds) -> list[dict[str, str]]:
    """Return what classifiers are told of each image: ``image``, base64, with its ``media_type``; or ``url``.

    Raises:
        Forbidden: ``firewall_unseen``, for an image that nobody could look at.
        TooLarge: ``image_too_large``, or ``too_many_images``.
        BadRequest: for what is no base64; and whatever is wrong with a request that cannot be read.
    """
    if exchange.envelope is None:
        return []
    dialect, endpoint = exchange.dialect, exchange.endpoint
    operation = dialect.operation(exchange.method, endpoint) if ITranslates.providedBy(dialect) else None
    if operation not in _ASKS:
        if endpoint in _FORMS and bounds.named != "admit":
            raise Forbidden("The firewall cannot look at images that are edited.", code="firewall_unseen")
        return []
    envelope = msgspec.structs.replace(exchange.envelope, body=exchange.view().body())
    request = dialect.read(envelope, endpoint, Gaps(target="the firewall"))
    turns = request.turns if isinstance(request, Conversation) else ()
    shown = [one for turn in (turns if bounds.everything else turns[-1:]) for one in _shown(turn.parts)]
    found = [told for told in (_told(one, bounds) for one in shown) if told is not None]
    if len(found) > bounds.count:
        raise TooLarge(f"The firewall looks at {bounds.count} images at most.", code="too_many_images")
    return found


def _shown(parts: tuple[Part, ...]) -> Iterator[Media]:
    for part in parts:
        if isinstance(part, Media) and part.kind == "image":
            yield part
        elif isinstance(part, ToolResult):
            yield from _shown(part.content)


def _told(media: Media, bounds: Bounds) -> dict[str, str] | None:
    """Return what a classifier is told of an image; None for one that is let on unseen."""
    if media.data is not None:
        return _held(media.mime, media.data, bounds.size_bytes)
    if bounds.named == "ask" and media.url is not None:
        return {"url": media.url}
    if bounds.named == "admit":
        return None
    raise Forbidden(
        "The firewall looks at images that are in the request, as base64, and not at what a URL or an id names.",
        code="firewall_unseen",
    )


def _held(mime: str | None, data: str, limit_bytes: int) -> dict[str, str]:
    text = "".join(data.split())
    # Base64 writes three bytes with four characters.
    if len(text) > (limit_bytes + 2) // 3 * 4:
        raise TooLarge(f"The firewall looks at images of {limit_bytes} bytes at most.", code="image_too_large")
    try:
        begin = base64.b64decode(text, validate=True)[:BEGIN_BYTES]
    except (binascii.Error, ValueError) as error:
        raise BadRequest("An image is not valid base64.", code="invalid_value") from error
    return {"image": text, "media_type": mime_of(begin) or mime or "application/octet-stream"}
