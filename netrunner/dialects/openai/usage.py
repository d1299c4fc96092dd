"""Asks a provider for the counts of a stream, though the caller has not asked.

This module must not change another byte of the request.
"""

from __future__ import annotations

import msgspec

from netrunner.dialects import splice
from netrunner.errors import BadRequest


def ask_for_usage(body: bytes) -> bytes:
    """Return the body of a streamed chat or completion that asks for usage; the same bytes if it does so already.

    Args:
        body: A JSON object that ``splice.read`` has read.

    Raises:
        BadRequest: ``duplicate_key`` if ``stream_options`` stands there twice; ``invalid_value`` if it is no object.
    """
    place = splice.place(body, "stream_options")
    if place is None:
        end = body.rindex(b"}")
        return body[:end] + b',"stream_options":{"include_usage":true}' + body[end:]
    start, end = place
    options = msgspec.json.decode(body[start:end])
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise BadRequest("stream_options: must be an object.", code="invalid_value", param="stream_options")
    if options.get("include_usage") is True:
        return body
    return body[:start] + msgspec.json.encode({**options, "include_usage": True}) + body[end:]
