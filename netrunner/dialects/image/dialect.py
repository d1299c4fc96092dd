"""The dialect ``image``: ``POST /image`` asks for one image by a prompt and is answered with its bytes.

Callers speak it and no provider does, so that every request is translated. Envelopes, errors and headers are OpenAI's.

This module must not know which provider is behind a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from zope.interface import implementer, implementer_only

from netrunner.dialects import splice
from netrunner.dialects.conversation import Asked, Operation, Picture, Request, Written
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.image.view import ImageView
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, ITranslates
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import InternalError
from netrunner.events import Event, Image
from netrunner.values import Envelope

ALL = "all"
"""Stands for whichever model makes images."""
MAX_SIDE = 16384
"""Pixels."""
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


@implementer_only(IDialect, ITranslates)
class ImageDialect(OpenAIDialect):
    """Images by their prompt."""

    name = "image"
    view_type = ImageView
    needs_model: frozenset[str] = frozenset()
    """Where none is named, any model that makes images may answer."""

    def has_events(self, method: bytes, endpoint: str) -> bool | None:
        """Return None: nobody answers in this dialect."""
        return None

    def envelope(self, endpoint: str, content_type: bytes, body: bytes, query: bytes) -> Envelope:
        """Read what routing needs; the body is JSON whatever it says it is. An empty name, or ``all``, is none.

        Raises:
            BadRequest: see ``splice.read``.
        """
        model = splice.read(body, nameless=True).model
        return Envelope(body, b"", None if model is None or model.strip() in ("", ALL) else model)

    def operation(self, method: bytes, endpoint: str) -> Operation | None:
        """Return what an endpoint asks for: there is one."""
        return Operation.IMAGE if method == b"POST" else None

    def read(self, envelope: Envelope, endpoint: str, gaps: Gaps) -> Picture:
        """Return the image that is asked for; its prompt may be called ``inputs``.

        Raises:
            BadRequest: naming the field.
        """
        fields = Fields(document(envelope.body), "", gaps)
        fields.value("model")
        name = "prompt" if "prompt" in fields or "inputs" not in fields else "inputs"
        prompt = fields.needed_text(name)
        if not prompt.strip():
            raise invalid(name, "a non-empty string")
        picture = Picture(prompt=prompt, size=_size(fields), quality=fields.text("quality"))
        if (fields.integer("n", 1) or 1) > 1:
            raise gaps.unsupported("n", "the answer is one image")
        if fields.boolean("stream"):
            gaps.drop("stream")
        fields.drop_rest()
        return picture

    def write(self, request: Request, model: str, stream: bool, gaps: Gaps) -> Written:
        """Raise: no provider speaks this."""
        raise InternalError("No provider is asked at /image.")

    def decoder(self, endpoint: str, streaming: bool, max_bytes: int) -> IDecoder:
        """Raise: no provider speaks this."""
        raise InternalError("No provider answers as /image does.")

    def encoder(self, asked: Asked) -> IEncoder:
        """Return a writer of one answer."""
        return Encoder()


def _size(fields: Fields) -> tuple[int, int] | None:
    """Return width and height; None where they are left to the model."""
    size = fields.text("size")
    if size is None or size == "auto":
        return None
    found = _SIZE.fullmatch(size)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise invalid("size", f"auto, or width and height up to {MAX_SIDE} such as 1024x768")
    return width, height


@implementer(IEncoder)
class Encoder:
    """Writes an answer: the image and nothing else."""

    def __init__(self) -> None:
        self._image: Image | None = None

    @property
    def content_type(self) -> bytes:
        """The image's, once there is one."""
        return b"application/octet-stream" if self._image is None else self._image.mime.encode()

    def write(self, events: Iterable[Event]) -> bytes:
        """Keep the image; return nothing."""
        for event in events:
            if isinstance(event, Image):
                self._image = event
        return b""

    def end(self) -> bytes:
        """Return the image.

        Raises:
            InternalError: if there was none.
        """
        if self._image is None:
            raise InternalError("There is no image to be sent.")
        return self._image.data
