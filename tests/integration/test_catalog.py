"""Lists of models through a real daemon: what a real Ollama server of its own lists is told with the rest."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.dialogue import Provider, dial

pytestmark = pytest.mark.integration
TAGS = json.dumps({"models": [{"name": "llama3:latest", "model": "llama3:latest"}]}).encode()


def config(port: int, models: str = "[]") -> str:
    return (
        f"providers: {{local: {{type: ollama, base_url: 'http://127.0.0.1:{port}', api_key: {{env: OLLAMA_KEY}}}}}}\n"
        f"models: {models}\nunknown_model: local\n"
    )


def look(daemon: Daemon, path: str) -> tuple[bytes, Any]:
    """Return the status of a list, and the list."""
    with dial(daemon.port) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer caller\r\n\r\n".encode())
        head, body = client.message()
    return head.split(b" ")[1], json.loads(body)


def test_an_ollama_servers_own_models_are_listed_after_one_question(tmp_path: Path) -> None:
    models = "[{name: fast, targets: [{provider: local, model: qwen}]}]"
    environ = {"OLLAMA_KEY": "sk-local"}
    with (
        Provider() as provider,
        Daemon(tmp_path, config(provider.port, models), environ=environ) as daemon,
        dial(daemon.port) as client,
    ):
        client.send(b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer caller\r\n\r\n")
        with provider.accept() as upstream:
            head, _ = upstream.message()
            assert head.startswith(b"GET /api/tags HTTP/1.1\r\n")
            assert b"authorization: bearer sk-local\r\n" in head.lower()
            assert b"caller" not in head
            upstream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(TAGS), TAGS))
            tags = json.loads(client.message()[1])
            assert [model["name"] for model in tags["models"]] == ["fast", "llama3:latest"]
            status, listed = look(daemon, "/v1/models")
            assert (status, [one["id"] for one in listed["data"]]) == (b"200", ["fast", "llama3:latest"])
            status, listed = look(daemon, "/v1beta/models")
            assert [one["name"] for one in listed["models"]] == ["models/fast", "models/llama3:latest"]
        assert provider.untouched()


def test_a_server_that_is_not_there_is_a_bad_gateway_only_where_nothing_else_is_configured(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    environ = {"OLLAMA_KEY": "sk-local"}
    with Daemon(tmp_path / "alone", config(port), environ=environ) as daemon:
        status, told = look(daemon, "/api/tags")
        assert (status, told["code"]) == (b"502", "ollama_connection_failed")
        status, told = look(daemon, "/v1/models")
        assert (status, told["error"]["code"]) == (b"502", "upstream_connection_failed")
    models = "[{name: fast, targets: [{provider: local, model: qwen}]}]"
    with Daemon(tmp_path / "more", config(port, models), environ=environ) as daemon:
        for _ in range(2):
            status, told = look(daemon, "/api/tags")
            assert (status, [model["name"] for model in told["models"]]) == (b"200", ["fast"])
        assert daemon.log().count("the provider local did not list its models") == 1
        assert "sk-local" not in daemon.log()
