"""Images of a chat: GigaChat takes none in a message, but the ids of files that were sent to it before.

A chat is written with images as data URLs in the place of the ids (``attachments``); whoever sends it sends the files
first.

This module must not send anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.answers import unreadable
from netrunner.dialects.conversation import Media
from netrunner.dialects.fields import data_url, invalid, of_data_url
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.media import BEGIN_BYTES, mime_of
from netrunner.errors import TooLarge

MAX_IMAGES = 10
"""Of one request; a message has one."""
MAX_IMAGE_BYTES = 20 * 1024 * 1024
ENDPOINT = "files"
_INLINE = b'"attachments":["data:'
_MIME = re.compile(r"image/[a-z0-9][a-z0-9.+-]{0,60}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_document = msgspec.json.Decoder(dict[str, msgspec.Raw])
_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_attachments = msgspec.json.Decoder(list[str])


def attachment(media: Media, gaps: Gaps) -> str:
    """Return an image as what stands for its id until it has one.

    Raises:
        BadRequest: for what is no base64.
        TooLarge: for more than ``MAX_IMAGE_BYTES``.
        UnsupportedParameter: for what is no image, or is not there as data.
    """
    if media.kind != "image":
        raise gaps.unsupported(media.kind, "images alone are sent as files")
    inline = of_data_url(media.url) if media.url is not None else None
    mime, text = (media.mime, media.data) if inline is None else inline
    if text is None:
        raise gaps.unsupported("image", "it takes base64 only, and nothing is fetched here")
    for field, given in (("filename", media.name is not None), ("detail", media.detail not in (None, "auto"))):
        if given:
            gaps.drop(field)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(gaps.name("image"), "base64") from None
    if len(data) > MAX_IMAGE_BYTES:
        name = gaps.name("image")
        raise TooLarge(f"{name}: an image of at most {MAX_IMAGE_BYTES} bytes was expected.", param=name)
    if mime is None or _MIME.fullmatch(mime) is None:
        mime = mime_of(data[:BEGIN_BYTES]) or "image/jpeg"
    return data_url(mime, text)


def waiting(body: bytes) -> list[str]:
    """Return what in a written chat stands for ids, each once."""
    if _INLINE not in body:
        return []
    found = [
        one
        for message in _messages.decode(_document.decode(body)["messages"])
        if "attachments" in message
        for one in _attachments.decode(message["attachments"])
    ]
    return list(dict.fromkeys(found))


def with_ids(body: bytes, ids: Mapping[str, str]) -> bytes:
    """Return a written chat with the ids in their places."""
    document: dict[str, Any] = _document.decode(body)
    messages: list[dict[str, Any]] = _messages.decode(document["messages"])
    for message in messages:
        if "attachments" in message:
            message["attachments"] = [ids[one] for one in _attachments.decode(message["attachments"])]
    return sse.compact({**document, "messages": messages})


def form(attachment: str) -> tuple[bytes, bytes]:
    """Return the Content-Type and the body of the request that sends a file (RFC 7578)."""
    mime, _, text = attachment.removeprefix("data:").partition(";base64,")
    data = base64.b64decode(text)
    # None that an image holds by chance, and nobody can write an image that holds the digest of itself.
    boundary = hashlib.blake2b(data, digest_size=20).hexdigest().encode()
    ending = mime.partition("/")[2].partition("+")[0]
    body = (
        b'--%b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ngeneral\r\n'
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="image.%b"\r\nContent-Type: %b\r\n\r\n%b\r\n'
        b"--%b--\r\n"
    ) % (boundary, boundary, ending.encode(), mime.encode(), data, boundary)
    return b"multipart/form-data; boundary=" + boundary, body


def id_in(body: bytes) -> str:
    """Return the id of a file that was sent, as its answer tells it.

    Raises:
        UpstreamError: ``upstream_invalid_response`` for an answer without one.
    """
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    id = found.get("id") if isinstance(found, dict) else None
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        raise unreadable("does not name the file that was sent")
    return id


def removal(id: str) -> str:
    """Return the endpoint that deletes a file."""
    return f"{ENDPOINT}/{id}/delete"
