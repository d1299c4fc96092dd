"""Stand-ins for Lunary and Helicone: they take what their documentation says, and nothing else.

Lunary: https://docs.lunary.ai/docs/api and its open ingestion schema. Helicone:
https://docs.helicone.ai/getting-started/integration-method/manual-logger-curl.
"""

from __future__ import annotations

import json
import threading
import uuid
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_TYPES = {"llm", "chain", "agent", "tool", "log", "embed", "retriever", "chat", "convo", "message", "thread"}


def check_lunary(document: Any) -> list[str]:
    """Return the ids of the runs whose events these are; an assertion fails for what Lunary would not understand."""
    assert document.keys() == {"events"}
    for event in document["events"]:
        assert event["type"] in _TYPES
        assert event["event"] in {"start", "end", "error"}
        assert str(uuid.UUID(event["runId"])) == event["runId"]
        datetime.fromisoformat(event["timestamp"])
        assert all(isinstance(value, str | int | float | bool) for value in event.get("metadata", {}).values())
        assert all(isinstance(value, int) for value in event.get("tokensUsage", {}).values())
        assert event.get("tokensUsage", {}).keys() <= {"prompt", "completion"}
        assert isinstance(event.get("error", {}).get("message", ""), str)
        assert isinstance(event.get("name", ""), str)
    return list(dict.fromkeys(event["runId"] for event in document["events"]))


def check_helicone(document: Any) -> list[str]:
    """Return the id of the request that this logs; an assertion fails for what Helicone would not understand."""
    assert document.keys() == {"providerRequest", "providerResponse", "timing"}
    asked, told, timing = document["providerRequest"], document["providerResponse"], document["timing"]
    assert asked.keys() == {"url", "json", "meta"}
    assert asked["url"] == "custom-model-nopath"
    assert isinstance(asked["json"], dict)
    assert all(isinstance(value, str) for value in asked["meta"].values())
    assert told.keys() == {"headers", "status", "json"}
    assert isinstance(told["status"], int)
    assert isinstance(told["json"], dict)
    for moment in (timing["startTime"], timing["endTime"]):
        assert moment.keys() == {"seconds", "milliseconds"}
        assert all(isinstance(value, int) for value in moment.values())
        assert moment["milliseconds"] < 1000
    id = asked["meta"]["Helicone-Request-Id"]
    assert str(uuid.UUID(id)) == id
    return [id]


class Services:
    """Both, on one port of this machine: ``/v1/runs/ingest`` and ``/custom/v1/log``; a context manager.

    Args:
        key: What both ask for.
    """

    def __init__(self, key: str) -> None:
        self.lunary: dict[str, list[dict[str, Any]]] = {}
        """Events by the run's id."""
        self.helicone: dict[str, dict[str, Any]] = {}
        """Logs by the request's id."""
        self.wrong: list[str] = []
        """What would not have been understood."""
        services = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = services.take(self.path, self.headers.get("authorization", ""), body, key)
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path: str, authorization: str, document: Any, key: str) -> tuple[int, bytes]:
        """Take a post; return status and body of the answer."""
        if authorization != f"Bearer {key}":
            return 401, b"{}"
        try:
            if path == "/v1/runs/ingest":
                check_lunary(document)
                return 200, json.dumps({"results": [self._event(event) for event in document["events"]]}).encode()
            (id,) = check_helicone(document)
        except (AssertionError, KeyError, ValueError) as error:
            self.wrong.append(f"{path}: {error!r}")
            return 400, b"{}"
        self.helicone[id] = document
        return 200, b"{}"

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        id = event["runId"]
        if event["event"] == "start" and id in self.lunary:
            return {"id": id, "success": False, "error": "Run with this ID already exists in the database."}
        self.lunary.setdefault(id, []).append(event)
        return {"id": id, "success": True}
