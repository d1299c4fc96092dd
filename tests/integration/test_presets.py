"""Each preset, used as the manual of the system it stands for shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest

from tests.support.daemon import ROOT, Daemon
from tests.support.logserver import LogServerProcess

pytestmark = pytest.mark.integration

MANAGEMENT = "management-token-0123456789"
AUTH = "auth-token-0123456789"
HELLO: Any = [{"role": "user", "content": "Hello there"}]
THOUGHT = "\n\n"
"""What stood between the thought and the answer."""
THINK: Any = [{"role": "user", "content": "/echo think Hello there"}]
UPSTREAM = """
providers: {echo: {type: echo}}
unknown_model: echo
access: {mode: token, token: "the-projects-own-key"}
"""
"""An API of OpenAI's kind that wants a key, for any model."""


def preset(folder: Path, name: str, **environ: str) -> Daemon:
    """Return the daemon of a preset, at an address and in a folder of the test's."""
    text = (ROOT / "conf" / "presets" / f"{name}.yaml").read_text()
    return Daemon(folder, re.sub(r"(?m)^(listen|state):.*\n", "", text), environ=environ)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemon(tmp_path_factory.mktemp("upstream"), UPSTREAM) as daemon:
        yield f"http://127.0.0.1:{daemon.port}"


def client(daemon: Daemon, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key=key, max_retries=0)


def text_of(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_alias_firewall_a_name_is_registered_and_used_by_openais_client(tmp_path: Path, upstream: str) -> None:
    allowed = json.dumps([upstream.removeprefix("http://")])
    with preset(tmp_path, "alias-firewall", REGISTER_ALLOW=allowed) as daemon:
        alias = {"name": "my-model", "model": "org/model:tag", "api_url": f"{upstream}/v1"}
        status, _, told = daemon.request("POST", "/register-model", alias)
        assert (status, json.loads(told)["name"]) == (200, "my-model")
        (entry,) = json.loads(daemon.request("GET", "/models")[2])["models"]
        assert (entry["name"], entry["model"]) == ("my-model", "org/model:tag")
        with client(daemon, "the-projects-own-key") as openais:
            answer = openais.chat.completions.create(model="my-model", messages=HELLO)
            assert answer.choices[0].message.content == "Hello there"
            assert (
                text_of(openais.chat.completions.create(model="my-model", messages=HELLO, stream=True)) == "Hello there"
            )
            with pytest.raises(openai.BadRequestError, match="max_tokens"):
                openais.chat.completions.create(model="my-model", messages=HELLO, max_tokens=32001)
            with pytest.raises(openai.NotFoundError):
                openais.chat.completions.create(model="nobody", messages=HELLO)
        daemon.wait_for(lambda: daemon.log().count("REQUEST_METRICS") >= 4)


def test_rerouter_names_are_mapped_thinking_is_stripped_and_ollamas_clients_are_served(
    tmp_path: Path, upstream: str
) -> None:
    mapped = json.dumps({"gpt-4": "llama3", "/gpt-(.*)turbo/": "llama3-\\1instruct"})
    environ = {"UPSTREAM_URL": upstream.removeprefix("http://"), "MODEL_MAP": mapped, "DB_PATH": str(tmp_path / "r.db")}
    with (
        preset(tmp_path / "daemon", "rerouter", **environ) as daemon,
        client(daemon, "the-projects-own-key") as openais,
    ):
        answer = openais.chat.completions.create(model="gpt-4", messages=THINK)
        assert (answer.model, answer.choices[0].message.content) == ("llama3", THOUGHT + "Hello there")
        streamed = openais.chat.completions.create(model="gpt-3.5-turbo", messages=THINK, stream=True)
        assert text_of(streamed) == THOUGHT + "Hello there"
        headers = {"Authorization": "Bearer the-projects-own-key"}
        asked = ollama.Client(host=f"http://127.0.0.1:{daemon.port}", headers=headers)
        told = asked.chat(model="gpt-4", messages=THINK)
        assert (told.model, told.message.content) == ("gpt-4", THOUGHT + "Hello there")
        assert "".join(part.response or "" for part in asked.generate("gpt-4", "Hello", stream=True)) == "Hello"

        def rows() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(daemon.request("GET", "/api/logs?limit=100")[2])
            return found

        daemon.wait_for(lambda: len(rows()) >= 4)
        assert ("gpt-3.5-turbo", "llama3-3.5-instruct") in {
            (row["original_model"], row["mapped_model"]) for row in rows()
        }
        assert b"gpt-4" in daemon.request("GET", "/", headers={"Accept": "text/html"})[2]
    assert (tmp_path / "r.db").stat().st_size > 0


def test_duplex_both_directions_lie_at_the_logging_server(tmp_path: Path, upstream: str) -> None:
    (tmp_path / "copies").mkdir()
    with LogServerProcess(tmp_path / "copies") as server:
        environ = {"OPENAI_URL": f"{upstream}/v1/", "LOGGING_SERVER_URL": server.url}
        environ["LOGGING_FILE"] = str(tmp_path / "requests.log")
        with preset(tmp_path / "daemon", "duplex", **environ) as daemon:
            headers = {"Authorization": "Bearer the-projects-own-key"}
            chat = {"model": "m", "messages": HELLO, "stream": True}
            status, _, told = daemon.request("POST", "/openai/chat/completions", chat, headers)
            assert (status, told[-14:]) == (200, b"data: [DONE]\n\n")
            assert daemon.request("GET", "/nowhere")[0] == 404
            # The two come on connections of their own, in any order.
            daemon.wait_for(lambda: [one["completed"] for one in server.metadata("response")] == [True])
            daemon.wait_for(lambda: [one["completed"] for one in server.metadata("request")] == [True])
            (request,), (response,) = server.files("request"), server.files("response")
            assert b"X-Proxy-Path: " in request
            assert response.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"[DONE]" in response
        assert "POST /openai/chat/completions -> 200" in (tmp_path / "requests.log").read_text()


def test_tokens_records_are_sent_to_the_logging_url_as_soon_as_there_is_one(tmp_path: Path) -> None:
    sent: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever).start()
        environ = {"LOGGING_URL": f"http://127.0.0.1:{server.server_port}/logs", "ENV_FILE": str(tmp_path / ".env")}
        environ |= {"LOG_FILE": str(tmp_path / "api_logs.jsonl"), "MANAGEMENT_TOKEN": MANAGEMENT}
        environ |= {"ADMIN_USER": "admin", "ADMIN_PASSWORD": "password-of-the-admin"}
        with preset(tmp_path / "daemon", "tokens", **environ) as daemon:
            assert daemon.request("POST", "/v1/chat/completions", {"model": "gpt-4o", "messages": HELLO})[0] == 401
            daemon.wait_for(lambda: [one["status_code"] for one in sent] == [401])
        server.shutdown()


def test_tokens_a_token_stands_for_the_projects_key_until_it_is_revoked(tmp_path: Path, upstream: str) -> None:
    log = tmp_path / "api_logs.jsonl"
    environ = {"OPENAI_API_URL": upstream, "LOG_FILE": str(log), "ENV_FILE": str(tmp_path / ".env")}
    environ |= {"MANAGEMENT_TOKEN": MANAGEMENT, "ADMIN_USER": "admin", "ADMIN_PASSWORD": "password-of-the-admin"}
    with preset(tmp_path / "daemon", "tokens", **environ) as daemon:
        manage = {"Authorization": f"Bearer {MANAGEMENT}"}
        assert daemon.request("POST", "/manage/projects", {"name": "p", "api_key": "k"})[0] == 401
        daemon.wait_for(lambda: daemon.request("GET", "/manage/projects", headers=manage)[0] == 200)
        made = {"name": "team", "api_key": "the-projects-own-key"}
        status, _, told = daemon.request("POST", "/manage/projects", made, manage)
        assert status == 201, told
        project = json.loads(told)["id"]
        wanted = {"project_id": project, "duration_hours": 1}
        token = json.loads(daemon.request("POST", "/manage/tokens", wanted, manage)[2])["token"]
        with client(daemon, token) as openais:
            answer = openais.chat.completions.create(model="gpt-4o", messages=HELLO)
            assert answer.choices[0].message.content == "Hello there"
        program = str(Path(sys.executable).with_name("netrunner"))
        where = ("--base-url", f"http://127.0.0.1:{daemon.port}", "--endpoint", "/v1/chat/completions")
        how = ("--token", "env:TOKEN", "--requests", "4", "--concurrency", "2", "--quiet")
        what = ("--payload", json.dumps({"model": "gpt-4o", "messages": HELLO}))
        output = ("--output", str(tmp_path / "report.json"))
        command = [program, "bench", *where, *how, *what, *output]
        subprocess.run(command, check=True, env={"TOKEN": token}, capture_output=True)
        assert json.loads((tmp_path / "report.json").read_text())["error_rate"] == 0
        assert daemon.request("DELETE", "/manage/tokens", {"token": token}, manage)[0] == 204
        with client(daemon, token) as openais, pytest.raises(openai.AuthenticationError) as refused:
            openais.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert refused.value.code == "token_inactive"
        daemon.wait_for(lambda: len(log.read_text().splitlines()) >= 6)
        assert token not in log.read_text()


def test_pool_a_size_is_asked_for_and_the_next_provider_serves_when_the_first_is_away(
    tmp_path: Path, upstream: str
) -> None:
    environ = {"GROQ_URL": "http://127.0.0.1:9/v1", "OPENROUTER_URL": f"{upstream}/v1", "AUTH_TOKEN": AUTH}
    environ |= {"GROQ_TOKEN": "x", "OPENROUTER_TOKEN": "the-projects-own-key", "ENV_FILE": str(tmp_path / ".env")}
    with preset(tmp_path / "daemon", "pool", **environ) as daemon:
        assert daemon.request("GET", "/ping")[2] == b"OK"
        status, headers, _ = daemon.request("GET", "/models")
        assert (status, headers["www-authenticate"][:6]) == (401, "Bearer")
        with client(daemon, AUTH) as openais:
            assert {"BIG", "SMALL", "llama-3.1-8b"} <= {model.id for model in openais.models.list()}
            for size in ("BIG", "SMALL"):
                answer = openais.chat.completions.create(model=size, messages=HELLO)
                assert answer.choices[0].message.content == "Hello there"
            with pytest.raises(openai.NotFoundError):
                openais.chat.completions.create(model="huge", messages=HELLO)
