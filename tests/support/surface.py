"""All that can be asked of a daemon with projects, pages and a log, for scanners to change: one right request for each
operation of the API's document, each page and each form, with a mark behind every value but those in JSON.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from netrunner.web.openapi import document
from tests.support.daemon import Daemon
from tests.support.scanners import MARK, Attack
from tests.support.tenants import CHAT, MANAGE, chat, issue

USER, PASSWORD = "ann", "a-long-password-0123456789"
ADMIN = f"admin: {{user: {USER}, password: {PASSWORD}}}\nsinks: [{{type: database}}]\n"
"""What a configuration of ``tests.support.tenants`` needs besides."""
OPERATOR = {"Authorization": f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
UNLIMITED = {"requests_per_hour": 1_000_000}

_VALUES = {
    "model": "echo",
    "action": "token",
    "limit": "5",
    "hours": "24",
    "within_s": "60",
    "q": "echo",
    "service_type": "openai",
    "outcome": "done",
    "failed": "false",
    "envelope": "false",
    "active": "true",
    "actor": "management",
    "since": "2026-01-01T00:00:00Z",
    "until": "2099-01-01T00:00:00Z",
    "alt": "sse",
    "name": "alias",
    "X-Requested-With": "x",
    "anthropic-version": "2023-06-01",
}
"""Of parameters, by their names; those of ids are made for each request."""
_BODIES: Mapping[str, Any] = {
    "completions": {"model": "echo", "prompt": "hi"},
    "embeddings": {"model": "echo", "input": "hi"},
    "responses": {"model": "echo", "input": "hi"},
    "responses_input_tokens": {"model": "echo", "input": "hi"},
    "image": {"model": "echo", "prompt": "hi", "size": "64x64", "quality": "low"},
    "messages": {**CHAT, "max_tokens": 5},
    "messages_count_tokens": CHAT,
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "show_ollama_model": {"model": "echo", "name": "echo"},
    "ollama_generate": {"model": "echo", "prompt": "hi", "stream": False},
    "ollama_embed": {"model": "echo", "input": "hi"},
    "ollama_embeddings": {"model": "echo", "prompt": "hi"},
    "ollama_chat": {**CHAT, "stream": False},
    "register_model": {"name": "alias", "model": "m", "api_url": "https://llm.example/v1"},
    "register_model_below_model": {"name": "alias", "model": "m", "api_url": "https://llm.example/v1"},
    "create_project": {"name": "p", "keys": {}, "is_active": True, "limits": UNLIMITED},
    "change_project": {"name": "p", "is_active": True, "limits": UNLIMITED},
    "create_token": {"project_id": "PROJECT", "name": "t", "duration_hours": 1, "metadata": {"A": "b"}},
    "change_token": {"name": "t", "is_active": True, "max_requests": 9, "metadata": {"A": "b"}},
    "refresh_token": {"duration_hours": 1},
    "revoke_named_token": {"token": "TOKEN"},
    "revoke_several_tokens": {"ids": ["ID"]},
}
"""By operation; a chat for those that are not named."""
_PAGES = (
    ("/logs", "q=echo", "service=openai", "status=ok", "since=2026-01-01", "until=2099-01-01"),
    ("/logs", "before=RECORD"),
    ("/logs", "after=RECORD"),
    ("/api/logs", "after=RECORD"),
    ("/logs/RECORD*",),
    ("/performance", "span=24h", "model=echo"),
    ("/clients", "q=echo", "hours=24"),
    ("/admin/projects", "q=team", "active=true", "before=PROJECT"),
    ("/admin/projects/PROJECT*",),
    ("/admin/tokens", "q=t", "project_id=PROJECT", "active=true", "before=ID"),
    ("/admin/tokens/ID*",),
    ("/admin/audit", "actor=management", "action=token", "outcome=done", "project_id=PROJECT", "token_id=ID"),
    ("/admin/audit", "since=2026-01-01", "until=2099-01-01", "before=ID"),
    ("/admin/usage", "span=24h"),
)
_FORMS = (
    ("/admin/projects", {"do": "create", "name": "p", "requests_per_hour": "9", "models": "echo"}),
    ("/admin/projects/PROJECT", {"do": "change", "name": "p", "is_active": "1", "requests_per_hour": "9"}),
    (
        "/admin/tokens",
        {"do": "create", "project_id": "PROJECT", "name": "t", "duration_hours": "1", "wither": "linear"},
    ),
    ("/admin/tokens/ID", {"do": "change", "name": "t", "max_requests": "9", "metadata": "A: b"}),
)


class Surface:
    """Makes the requests.

    Args:
        daemon: Is asked for what they name.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._issued = issue(daemon, duration_hours=24, limits=UNLIMITED)
        self._token = self._issued["token"]
        assert chat(daemon, self._token) == (200, None)
        daemon.wait_for(lambda: json.loads(self._asked("/api/logs")) != [])
        self._record = json.loads(self._asked("/api/logs"))[0]["id"]

    def _asked(self, path: str) -> bytes:
        status, _, told = self._daemon.request("GET", path, headers=OPERATOR)
        assert status == 200, told
        return told

    def operations(self, *tags: str) -> Iterator[Attack]:
        """Yield one request for each operation of those tags; of all but the feeds, which do not end, without any."""
        told = document()
        for path, operations in told["paths"].items():
            shared = operations.get("parameters", [])
            for method, operation in operations.items():
                if method != "parameters" and (
                    set(operation["tags"]) & set(tags) if tags else "feeds" not in operation["tags"]
                ):
                    parameters = [_resolved(told, one) for one in (*shared, *operation.get("parameters", []))]
                    attack = self._operation(
                        method.upper(), path, operation, parameters, operation.get("security", told["security"])
                    )
                    if attack.body is not None or MARK in attack.target + str(attack.headers):
                        yield attack

    def _operation(self, method: str, path: str, operation: Any, parameters: list[Any], opens: Any) -> Attack:
        headers = self._credential(opens)
        own = self._own(fresh=method != "GET")
        values = {**_VALUES, **_special(path, own)}
        target = re.sub(r"\{(\w+)\}", lambda name: quote(values[name[1]]) + MARK, path)
        # A page of the log comes before a record or after it; of that the pages have one more.
        names = [one["name"] for one in parameters if one["in"] == "query" and one["name"] != "after"]
        query = [(name, values[name]) for name in names]
        if query:
            target += "?" + "&".join(f"{name}={quote(value)}{MARK}" for name, value in query)
        headers |= {one["name"]: values[one["name"]] + MARK for one in parameters if one["in"] == "header"}
        body = None
        if "requestBody" in operation:
            headers["Content-Type"] = "application/json"
            body = _filled(json.dumps(_BODIES.get(operation["operationId"], CHAT)), own)
        return Attack(method, target, headers, body)

    def _credential(self, opens: list[dict[str, Any]]) -> dict[str, str]:
        names = {name for one in opens for name in one}
        if "operator" in names:
            return dict(OPERATOR)
        return dict(MANAGE) if "manager" in names else {"Authorization": f"Bearer {self._token}"}

    def credentials(self) -> Iterator[Attack]:
        """Yield requests in which the caller's token is changed, and the id of an operator's session.

        Of an operator's and a manager's own no more than ten wrong ones a minute are answered.
        """
        yield Attack("GET", "/v1/models", {"Authorization": f"Bearer {self._token}{MARK}"})
        yield Attack("GET", "/v1/models", {"x-api-key": self._token + MARK})
        yield Attack("GET", f"/v1/models?key={self._token}{MARK}", {})
        yield Attack("GET", "/admin/", {"Cookie": f"netrunner_session={self._session()}{MARK}"})

    def _session(self) -> str:
        typed = urlencode({"user": USER, "password": PASSWORD})
        connection = self._daemon.connect()
        try:
            fields = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/admin/login", typed, fields)
            answer = connection.getresponse()
            answer.read()
            cookie = answer.getheader("Set-Cookie", "")
        finally:
            connection.close()
        return cookie.partition("=")[2].partition(";")[0]

    def pages(self) -> Iterator[Attack]:
        """Yield requests for pages, as a browser sends them."""
        for path, *query in _PAGES:
            own = self._own()
            marked = "&".join(f"{one}{MARK}" for one in query)
            yield Attack(
                "GET", _filled(f"{path}?{marked}" if query else path, own), {**OPERATOR, "Accept": "text/html"}
            )

    def forms(self) -> Iterator[Attack]:
        """Yield forms of the admin pages, but for the login's: of wrong ones no more than ten a minute are answered."""
        page = self._daemon.request("GET", "/admin/projects", headers={**OPERATOR, "Accept": "text/html"})[2].decode()
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found is not None
        fields = {**OPERATOR, "Content-Type": "application/x-www-form-urlencoded"}
        for path, typed in _FORMS:
            own = self._own(fresh=True)
            marked = "&".join(f"{name}={quote(_filled(value, own))}{MARK}" for name, value in typed.items())
            yield Attack("POST", _filled(path, own), fields, f"csrf={found[1]}&{marked}")

    def _own(self, fresh: bool = False) -> dict[str, str]:
        """Return what the names of rows stand for; rows that nobody else is sent for, where they may be changed."""
        issued = issue(self._daemon, limits=UNLIMITED) if fresh else self._issued
        return {"PROJECT": issued["project_id"], "TOKEN": issued["token"], "ID": issued["id"], "RECORD": self._record}

    def everything(self) -> list[Attack]:
        """Return all of them."""
        return [*self.operations(), *self.credentials(), *self.pages(), *self.forms()]


def _resolved(told: Any, parameter: Any) -> Any:
    reference = parameter.get("$ref")
    return told["components"]["parameters"][reference.rpartition("/")[2]] if reference else parameter


def _special(path: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the values that are other ones at other paths: of what names a row, and Gemini's verb."""
    row = own["PROJECT"] if "/projects" in path else own["RECORD"] if path.startswith("/api/") else own["ID"]
    found = {"id": row, "before": row, "after": row, "project_id": own["PROJECT"], "token_id": own["ID"]}
    return found | ({"action": "generateContent"} if "{action}" in path else {})


def _filled(text: str, own: Mapping[str, str]) -> str:
    for name, value in own.items():
        text = text.replace(name, value)
    return text
