"""Images as OpenAI-like providers are asked for them, and what they answer: base64 in a document, or the bytes.

What providers of this family do differently is read all the same: ``b64_json`` or a ``data:`` URL, Cloudflare's
``result.image``, bytes without a document around them. What an image is shows in how it begins; nobody is believed
about it.

This module must not fetch anything: an image of which only the address is told is an error.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.answers import Document, obj, objects, text, too_large, unreadable
from netrunner.dialects.conversation import Picture, Written
from netrunner.dialects.fields import of_data_url
from netrunner.dialects.interfaces import IDecoder
from netrunner.dialects.media import BEGIN_BYTES, mime_of
from netrunner.dialects.openai.api import OpenAIApi
from netrunner.dialects.openai.failure import failure, found_in
from netrunner.dialects.openai.tap import usage_of
from netrunner.events import Event, Image, UsageSeen
from netrunner.settings import ProviderSettings
from netrunner.values import Call

ENDPOINT = "images/generations"
MIN_IMAGE_BYTES = 500
"""No image is smaller: what is, is a placeholder or a note that something went wrong."""
_ALWAYS_BASE64 = re.compile("gpt-image|chatgpt-image")
"""OpenAI's models that answer with base64 and refuse to be asked for it."""


def write(request: Picture, model: str) -> Written:
    """Return the request in the form that every provider of this family knows."""
    document: Document = {"model": model, "prompt": request.prompt}
    if request.size is not None:
        document["size"] = "{}x{}".format(*request.size)
    if request.quality is not None:
        document["quality"] = request.quality
    if _ALWAYS_BASE64.search(model) is None:
        document["response_format"] = "b64_json"
    return Written(ENDPOINT, sse.compact(document))


def with_sides(body: bytes) -> Document:
    """Return what ``write`` has written, decoded, for providers that take width and height by themselves."""
    document: Document = msgspec.json.decode(body)
    if "size" in document:
        width, _, height = document.pop("size").partition("x")
        document |= {"width": int(width), "height": int(height)}
    return document


def prompt_and_sides(call: Call) -> Document:
    """Return the prompt, width and height of a call that ``write`` has written; the rest is given up and told."""
    document = with_sides(call.body)
    if "quality" in document and call.gaps is not None:
        call.gaps.drop("quality")
    return {name: document[name] for name in ("prompt", "width", "height") if name in document}


def by_model(settings: ProviderSettings, name: str, base_url: str) -> OpenAIApi:
    """Return an API whose endpoints are the names of models.

    Args:
        settings: The provider's; its key goes along, so the origin is to be the same.
        name: The provider's.
        base_url: What stands before the model's name.
    """
    return OpenAIApi(dataclasses.replace(settings, base_url=base_url, endpoints=("*",)), name, {})


@implementer(IDecoder)
class ImageDecoder:
    """Reads the answer to a request for an image.

    Args:
        max_bytes: The most that the answer may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self.complete = False

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the image, and what it took, when the answer is whole.

        Raises:
            UpstreamError: for an answer that is no image, too large, or too small to be one.
        """
        self._buffer += data
        if len(self._buffer) > self._max:
            raise too_large()
        if not last or self.complete:
            return []
        answer, self._buffer = bytes(self._buffer), bytearray()
        events = _events(answer)
        self.complete = True
        return events


def _events(answer: bytes) -> list[Event]:
    if mime_of(answer[:BEGIN_BYTES]) is not None:
        return [_image(answer)]
    try:
        document: Any = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable("is neither an image nor JSON") from error
    wrong = found_in(document)
    if wrong is not None:
        return [failure(wrong)]
    if not isinstance(document, dict):
        raise unreadable("is no JSON object")
    events: list[Event] = [_image(_packed(document))]
    usage = document.get("usage")
    counts = usage_of(msgspec.json.encode(usage)) if usage else None
    if counts is not None:
        events.append(UsageSeen(usage=counts))
    return events


def _packed(document: Document) -> bytes:
    """Return the first image that a document holds."""
    told = (objects(document, "data") or [{}])[0]
    url = text(told, "url")
    inline = of_data_url(url) if url is not None else None
    packed = text(told, "b64_json") or (inline and inline[1]) or text(obj(document, "result"), "image")
    if packed is None and url is not None:
        raise unreadable("has only the address of an image, and nothing is fetched here")
    if packed is None:
        raise unreadable("has no image")
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise unreadable("has an image that is no base64") from error


def _image(data: bytes) -> Image:
    if len(data) < MIN_IMAGE_BYTES:
        raise unreadable(f"is too small to be an image: {len(data)} bytes")
    mime = mime_of(data[:BEGIN_BYTES])
    if mime is None or not mime.startswith("image/"):
        raise unreadable("is in no form of images that is known")
    return Image(data=data, mime=mime)
