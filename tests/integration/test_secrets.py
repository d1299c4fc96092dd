"""What must not be written down is nowhere: secrets in bodies where they are redacted, credentials always."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.cli.main import main
from netrunner.journal.logs import newest_first
from tests.support.canaries import found, hidden_in
from tests.support.daemon import Executed as Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event, whole
from tests.support.logserver import LogServerProcess

pytestmark = pytest.mark.integration

ASKED = "sk-proj-" + "Aq7" * 15
ANSWERED = "ghp_" + "b4XkQ" * 7 + "9"
KEY = "canary-of-the-provider-5d1f"
TOKEN = "canary-of-the-caller-77ab"
ADMIN = "canary-of-the-admin-3e09"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LogServerProcess]:
    (tmp_path / "copies").mkdir()
    with LogServerProcess(tmp_path / "copies") as one:
        yield one


def config(provider: Provider, server: LogServerProcess, folder: Path, more: str) -> str:
    sinks = [
        *({"type": type, "path": str(folder / type)} for type in ("jsonl", "console", "access_line")),
        {"type": "database"},
        {"type": "duplex", "server_url": server.url},
    ]
    return (
        provider.config.replace("type: openai,", "type: openai, api_key: {env: UP_KEY},")
        + f"sinks: {json.dumps(sinks)}\naccess: {{mode: token, token: {{env: TOKEN}}}}\n"
        + f"admin: {{user: ada, password: {{env: ADMIN}}}}\n{more}"
    )


def ask(port: int, text: str, target: str = "/v1/chat/completions") -> bytes:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def api(daemon: Daemon) -> bytes:
    """Return all that the log API tells of all records."""
    shown = {"Authorization": "Basic " + base64.b64encode(f"ada:{ADMIN}".encode()).decode()}
    records = list(newest_first(daemon.state))

    def listed() -> bytes:
        return daemon.request("GET", "/api/logs", headers=shown)[2]

    daemon.wait_for(lambda: all(record.id.encode() in listed() for record in records))
    told = listed()
    for record in records:
        for part, kept in (("", True), ("/request", record.request_copy), ("/response", record.response_copy)):
            status, _, data = daemon.request("GET", f"/api/logs/{record.id}{part}", headers=shown)
            assert status == (200 if kept else 404)
            told += data
    return told


def elsewhere(daemon: Daemon) -> bytes:
    """Return what pages tell that are no log, and what anybody on the machine sees of the process."""
    shown = {"Authorization": "Basic " + base64.b64encode(f"ada:{ADMIN}".encode()).decode()}
    paths = ("/metrics", "/health", "/openapi.json", "/admin/", "/admin/health", "/admin/configuration")
    told = b"".join(daemon.request("GET", path, headers=shown)[2] for path in paths)
    return told + Path(f"/proc/{daemon.pid}/cmdline").read_bytes()


ENVIRON = {"UP_KEY": KEY, "TOKEN": TOKEN, "ADMIN": ADMIN}


def test_secrets_are_relayed_untouched_and_are_nowhere_in_what_is_recorded(
    tmp_path: Path, server: LogServerProcess
) -> None:
    with Provider() as provider:
        text = config(provider, server, tmp_path, "journal: {redact: [secrets]}\n")
        with Daemon(tmp_path / "daemon", text, environ=ENVIRON) as daemon:
            with dial(daemon.port) as client:
                client.send(ask(daemon.port, f"Is {ASKED} mine?"))
                with provider.accept() as upstream:
                    _, body = upstream.message()
                    assert ASKED.encode() in body
                    pieces = [event(f"It is {ANSWERED[:9]}"), event(f"{ANSWERED[9:]} that is."), event("[DONE]")]
                    upstream.send(STREAM_HEAD + b"".join(pieces) + END_OF_BODY)
                    heard = client.until(END_OF_BODY)
            assert all(json.dumps(one).encode()[1:-1] in heard for one in (ANSWERED[:9], ANSWERED[9:]))
            copies = ("request", "response")
            daemon.wait_for(
                lambda: [one["completed"] for type in copies for one in server.metadata(type)] == [True, True]
            )
            told = api(daemon)
            assert b"[redacted:provider_keys]" in told
            assert b"[redacted:service_tokens]" in told
            assert hidden_in(told, (ASKED, ANSWERED, ANSWERED[9:])) == []
        assert b"[redacted:" in server.files("request")[0]
        assert b"[redacted:" in server.files("response")[0]
    assert found(tmp_path, ASKED, ANSWERED, ANSWERED[9:]) == []


def test_credentials_are_in_no_record_copy_line_page_or_log(tmp_path: Path, server: LogServerProcess) -> None:
    with Provider() as provider:
        text = config(provider, server, tmp_path, "")
        with Daemon(tmp_path / "daemon", text, environ=ENVIRON) as daemon:
            for target in ("/v1/chat/completions", f"/v1/chat/completions?key={TOKEN}&api-key={TOKEN}"):
                with dial(daemon.port) as client:
                    client.send(ask(daemon.port, "hi", target))
                    with provider.accept() as upstream:
                        head, _ = upstream.message()
                        assert KEY.encode() in head
                        upstream.send(STREAM_HEAD + event("hi") + event("[DONE]") + END_OF_BODY)
                        client.until(END_OF_BODY)
            wrong = {"Authorization": f"Bearer {TOKEN}x"}
            assert daemon.request("POST", f"/v1/chat/completions?key={TOKEN}x", {"model": "m"}, wrong)[0] == 401
            daemon.wait_for(lambda: len(list(newest_first(daemon.state))) == 3)
            assert hidden_in(api(daemon) + elsewhere(daemon), ENVIRON.values()) == []
    assert found(tmp_path, *ENVIRON.values()) == []


QUOTED = f"the key {KEY}, {base64.b64encode(KEY.encode()).decode()} in base64"
ERROR = {"type": "error", "error": {"type": "overloaded_error", "code": 503, "message": f"no: {KEY}"}}
COUNTED = {"input_tokens": 1, "output_tokens": 1}
ANSWERS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "openai": (
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": QUOTED}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]},
    ),
    "anthropic": (
        {"id": "c", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn", "usage": COUNTED,
         "content": [{"type": "text", "text": QUOTED}]},
        {"type": "message_start", "message": {"id": "c", "type": "message", "role": "assistant", "model": "c",
         "content": [], "usage": COUNTED}},
    ),
    "gemini": (
        {"candidates": [{"content": {"parts": [{"text": QUOTED}]}, "finishReason": "STOP", "index": 0}]},
        {"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}]},
    ),
}  # fmt: skip
"""Of each dialect an answer that quotes the key, and how a stream begins."""


def said(document: object, kind: bytes = b"") -> bytes:
    """Return an event, as a chunk."""
    data = kind + b"data: " + json.dumps(document).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def quoting(dialect: str) -> Iterator[tuple[bool, bytes]]:
    """Yield whether a stream is asked for, and an answer that quotes the key."""
    document, begin = ANSWERS[dialect]
    start, failed = (b"event: message_start\n", b"event: error\n") if dialect == "anthropic" else (b"", b"")
    yield True, STREAM_HEAD + said(begin, start) + said(ERROR, failed) + END_OF_BODY
    yield True, STREAM_HEAD + said(ERROR) + END_OF_BODY
    yield False, whole(json.dumps(document).encode()).replace(b"OK\r\n", f"OK\r\nX-Who: {QUOTED}\r\n".encode())
    long = json.dumps({"error": {"message": "x" * 70000 + QUOTED}}).encode()
    for body in (long, json.dumps({"error": {"message": QUOTED, "code": KEY}}).encode()):
        yield False, whole(body).replace(b"200 OK\r\n", f"422 {KEY}\r\nX-Who: {QUOTED}\r\n".encode())


def looked_into(daemon: Daemon, *arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["journal", "--state", str(daemon.state), *arguments])
    assert ended.value.code == 0


def test_a_key_that_its_provider_quotes_is_told_and_written_nowhere(
    tmp_path: Path, server: LogServerProcess, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with Provider() as provider:
        one = f"base_url: 'http://127.0.0.1:{provider.port}/v1', api_key: {{env: UP_KEY}}"
        up = ", ".join(f"{name}: {{type: {name}, {one}}}" for name in ANSWERS)
        models = ", ".join(f"{{name: {name}, targets: [{{provider: {name}, model: m}}]}}" for name in ANSWERS)
        rest = config(provider, server, tmp_path, "").partition("sinks:")[2]
        text = f"providers: {{{up}}}\nmodels: [{models}]\nsinks:{rest}"
        heard, count = b"", 0
        with Daemon(tmp_path / "daemon", text, environ=ENVIRON) as daemon:
            for dialect in ANSWERS:
                for stream, answer in quoting(dialect):
                    with dial(daemon.port) as client:
                        fields = (f"Authorization: Bearer {TOKEN}", "Connection: close")
                        client.send(chat(*fields, stream=stream, model=dialect))
                        with provider.accept() as upstream:
                            assert KEY.encode() in upstream.message()[0]
                            cut = answer.index(KEY.encode()) + 9
                            upstream.send(answer[:cut])
                            upstream.send(answer[cut:])
                            heard += client.rest()
                            count += 1
            assert heard.count(b"*" * len(KEY)) >= count
            daemon.wait_for(lambda: len(list(newest_first(daemon.state))) == count)
            assert hidden_in(heard, (KEY,)) == []
            assert hidden_in(api(daemon) + elsewhere(daemon), (KEY,)) == []
            for record in newest_first(daemon.state):
                looked_into(daemon, "show", record.id)
                looked_into(daemon, "show", "--response", record.id)
            looked_into(daemon, "export")
            shown = capfdbinary.readouterr().out
            assert shown.count(b"*" * len(KEY)) >= count
            assert hidden_in(shown, (KEY,)) == []
    assert found(tmp_path, KEY) == []
