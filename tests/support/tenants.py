"""Projects of a real daemon: managed, given tokens, and used."""

from __future__ import annotations

import json
from typing import Any

from tests.support.daemon import Daemon
from tests.support.dialogue import Peer, dial

MANAGE = {"Authorization": f"Bearer {'m' * 32}"}
CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
secrets: {key: {env: NETRUNNER_SECRET_KEY}}
providers: {echo: {type: echo}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
"""
ENVIRON = {"MANAGEMENT_TOKEN": "m" * 32, "NETRUNNER_SECRET_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
STALLED = json.dumps({**CHAT, "messages": [{"role": "user", "content": "/echo stall=1 hi"}], "stream": True})


def manage(daemon: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and answer of a request to ``/manage/``."""
    status, _, told = daemon.request(method, path, body, MANAGE)
    return status, json.loads(told) if told else None


def issue(daemon: Daemon, **wanted: Any) -> dict[str, Any]:
    """Issue a token of a project of its own."""
    project = manage(daemon, "POST", "/manage/projects", {"name": "team"})[1]["id"]
    status, told = manage(daemon, "POST", "/manage/tokens", {"project_id": project, **{"duration_hours": 1, **wanted}})
    assert status == 201
    return dict(told)


def chat(daemon: Daemon, token: str) -> tuple[int, str | None]:
    """Return status and code of a chat's answer."""
    status, _, told = daemon.request("POST", "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {token}"})
    return status, json.loads(told).get("error", {}).get("code")


def stalled(daemon: Daemon, token: str) -> Peer:
    """Open a stream that says one word."""
    client = dial(daemon.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    client.send(f"{head}Content-Type: application/json\r\nContent-Length: {len(STALLED)}\r\n\r\n{STALLED}".encode())
    client.until(b'"content":"hi"')
    return client
