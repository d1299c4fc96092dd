"""Records as the pipeline makes them."""

from __future__ import annotations

from typing import Any

from netrunner.values import Record


def make_record(**changes: Any) -> Record:
    """Return the record of an ordinary request, with some of its fields changed."""
    fields: dict[str, Any] = {
        "id": "01939999-aaaa-7bbb-8ccc-dddddddddddd",
        "request_id": "r",
        "correlation_id": None,
        "at_accept": 1_700_000_000.0,
        "source": "127.0.0.1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "route": "models",
        "dialect": "openai",
        "streaming": False,
        "model": "fast",
        "upstream_model": "gpt",
        "provider": "acme",
        "upstream": "https://api.test:443",
        "attempts": [],
        "status": 200,
        "outcome": "done",
        "error": None,
        "finish_reason": "stop",
        "usage": None,
        "bytes_in": 1,
        "bytes_out": 2,
        "duration_s": 1.2345,
        "timings": {},
    }
    return Record(**{**fields, **changes})
