"""Records to be written down."""

from __future__ import annotations

from typing import Any

from netrunner.values import Record


def record(**changes: Any) -> Record:
    """Return the record of a chat that went well, but for ``changes``."""
    fields: dict[str, Any] = {
        **{"id": "01939999-aaaa-7bbb-8ccc-dddddddddddd", "request_id": "r", "correlation_id": None},
        **{"at_accept": 1_700_000_000.0, "source": "127.0.0.1", "method": "POST", "path": "/v1/chat"},
        **{"route": "models", "dialect": "openai", "streaming": False, "model": "fast", "upstream_model": "gpt"},
        **{"provider": "acme", "upstream": "https://api.test:443", "attempts": [], "status": 200, "outcome": "done"},
        **{"error": None, "finish_reason": "stop", "usage": None, "bytes_in": 5, "bytes_out": 11},
        **{"duration_s": 1.25, "timings": {"first_byte": 0.5}},
    }
    return Record(**{**fields, **changes})
