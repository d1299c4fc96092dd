"""The official ``openai`` SDK as a client of a port of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai

from tests.support.daemon import Daemon

PATIENCE_S = 30.0
"""Seconds before the SDK gives up."""


def options(port: int) -> dict[str, Any]:
    """Return the options of a client, blocking or not: an address, some key, and no second attempt."""
    return {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": "sk-caller", "max_retries": 0, "timeout": PATIENCE_S}


def client(port: int, **more: Any) -> Any:
    """Return a blocking client that asks no other proxy; a context manager.

    It is untyped, since the SDK's overloads know only models and options of OpenAI itself.
    """
    own = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(**{**options(port), "http_client": own, **more})


def async_client(port: int, **more: Any) -> Any:
    """Return the same for coroutines, which ``anyio.run`` runs; it may be cancelled."""
    own = openai.DefaultAsyncHttpxClient(trust_env=False)
    return openai.AsyncOpenAI(**{**options(port), "http_client": own, **more})


def said(text: str) -> list[dict[str, str]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]


def named(request_id: str) -> dict[str, str]:
    """Return the header field by which ``Records.of`` finds a request."""
    return {"X-Request-ID": request_id}


def text_of(stream: Any) -> str:
    """Return all the text of a chat stream with one choice."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class Records:
    """What a daemon's jsonl sink has written; ``config`` belongs into its configuration.

    Args:
        path: Where the sink writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.config = f"sinks: [{{type: jsonl, path: {json.dumps(str(path))}}}]\n"

    def of(self, request_id: str, daemon: Daemon) -> dict[str, Any]:
        """Wait for ``daemon`` to write the record of the one request that said ``X-Request-ID: request_id``."""
        daemon.wait_for(lambda: bool(self._of(request_id)))
        [record] = self._of(request_id)
        return record

    def _of(self, request_id: str) -> list[dict[str, Any]]:
        # The last line may be seen while it is being written, as far as the end of a page of memory.
        lines = self._path.read_text().split("\n")[:-1]
        return [record for record in map(json.loads, lines) if record["request_id"] == request_id]
