"""What a client's handshake for another protocol tells, and what of it goes upstream.

Pure. This module must not know of exchanges.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote_to_bytes

from netrunner.errors import BadRequest
from netrunner.values import Headers

_CREDENTIAL_OFFER = b"openai-insecure-api-key."
"""How a browser, which can set no header field, sends its key to OpenAI's realtime API: as a subprotocol."""


def handshake(headers: Headers, passthrough: bool) -> Headers:
    """Return the fields of a WebSocket's handshake; a browser's credential in them only for ``passthrough``."""
    fields = [field for field in headers if field[0].startswith(b"sec-websocket-")]
    if passthrough:
        return fields
    offered = ((name, _without_credential(value) if name.endswith(b"-protocol") else value) for name, value in fields)
    return [field for field in offered if field[1]]


def _without_credential(offers: bytes) -> bytes:
    kept = [offer.strip() for offer in offers.split(b",")]
    return b", ".join(offer for offer in kept if not offer.lower().startswith(_CREDENTIAL_OFFER))


def named_model(query: bytes) -> str | None:
    """Return the model that a query names.

    Raises:
        BadRequest: ``duplicate_key`` if it names several.
    """
    named = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == "model"]
    if len(named) > 1:
        raise BadRequest("The query names more than one model.", code="duplicate_key", param="model")
    return named[0] if named and named[0] else None


def with_model(query: bytes, model: str) -> bytes:
    """Return ``query`` with the model's name replaced and every other byte as it came."""
    fields = query.split(b"&")
    return b"&".join(b"model=" + quote(model, safe="").encode() if _is_model(field) else field for field in fields)


def _is_model(field: bytes) -> bool:
    return unquote_to_bytes(field.partition(b"=")[0].replace(b"+", b" ")) == b"model"
