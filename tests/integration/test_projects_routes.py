"""Nobody gets in who does not belong (row 7), and a key goes nowhere but to its provider (row 8)."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from netrunner.web.openapi import document
from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.dialogue import ANSWER, Provider, dial
from tests.support.tenants import CHAT, CONFIG, ENVIRON, MANAGE, issue, manage, stalled

pytestmark = pytest.mark.integration

ADMIN = "admin: {user: ann, password: a-long-password-0123456789}\n"
NOBODY = "01a216e8-0000-7000-8000-000000000000"
WORDS = {"model": "echo", "action": "generateContent", "id": NOBODY, "name": "x"}
KEY = "sk-canary-of-the-operator-0123456789"


def routes() -> list[tuple[str, str, list[str]]]:
    """Return method, path and what opens it of everything in the document that is not for all."""
    found = []
    told = document()
    for path, operations in told["paths"].items():
        filled = re.sub(r"\{(\w+)\}", lambda name: WORDS[name[1]], path)
        for method, operation in operations.items():
            if method == "parameters" or operation.get("security") == []:
                continue
            opens = [name for one in operation.get("security", told["security"]) for name in one]
            found.append((method.upper(), filled, opens))
    return found


CALLERS = [(method, path) for method, path, opens in routes() if "caller" in opens]
GUARDED = [(method, path) for method, path, opens in routes() if "caller" not in opens]
ADMINS = [(method, f"/admin{path}") for method in ("GET", "POST") for path in ("", "/", "/projects", "/tokens", "/x")]


class Answering(BaseHTTPRequestHandler):
    """Answers a chat, or leads to the stranger; keeps what it was asked with."""

    protocol_version = "HTTP/1.1"
    server: Keyed

    def do_POST(self) -> None:
        self.server.keys.add(self.headers["Authorization"])
        stray = b"redirect" in self.rfile.read(int(self.headers["Content-Length"]))
        told = ANSWER
        self.send_response(307 if stray else 200)
        if stray:
            self.send_header("Location", self.server.leads_to)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Keyed(ThreadingHTTPServer):
    """A provider that is asked with the operator's key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.keys: set[str] = set()
        self.leads_to = ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A daemon that ends is no error."""


@pytest.fixture(scope="module")
def keyed() -> Iterator[Keyed]:
    with Keyed() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def daemon(keyed: Keyed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    up = f'up: {{type: openai, base_url: "http://127.0.0.1:{keyed.server_port}/v1", api_key: {{env: CANARY}}}}'
    config = CONFIG.replace("{echo: {type: echo}}", f"{{echo: {{type: echo}}, {up}}}") + ADMIN
    config = config.replace("models: [", "models: [{name: keyed, targets: [{provider: up, model: keyed}]}, ")
    with Daemon(tmp_path_factory.mktemp("routes"), config, environ={**ENVIRON, "CANARY": KEY}) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def wrong(daemon: Daemon) -> dict[str, str]:
    """Credentials that open nothing, by what is wrong with them."""
    expired, revoked, idle = issue(daemon, duration_hours=1e-7), issue(daemon), issue(daemon)
    assert manage(daemon, "DELETE", f"/manage/tokens/{revoked['id']}")[0] == 204
    assert manage(daemon, "PATCH", f"/manage/projects/{idle['project_id']}", {"is_active": False})[0] == 200
    real = issue(daemon)["token"]
    changed = real[:-1] + ("A" if real[-1] != "A" else "B")
    return {
        "expired": expired["token"],
        "revoked": revoked["token"],
        "of an idle project": idle["token"],
        "the manager's": MANAGE["Authorization"].removeprefix("Bearer "),
        "cut": real[:-1],
        "longer": f"{real}A",
        "changed": changed,
        "another case": real.swapcase(),
        "SQL": "nr-' OR '1'='1' --",
        "a provider's": "sk-0123456789",
    }


def test_the_document_names_enough() -> None:
    assert len(CALLERS) >= 20
    assert len(GUARDED) >= 30


@pytest.mark.parametrize(("method", "path"), CALLERS)
def test_no_wrong_credential_opens_a_path_of_callers(
    daemon: Daemon, wrong: dict[str, str], method: str, path: str
) -> None:
    told = {
        what: daemon.request(method, path, CHAT, {"Authorization": f"Bearer {it}"})[0] for what, it in wrong.items()
    }
    told["none"] = daemon.request(method, path, CHAT)[0]
    told["in a query"] = daemon.request(method, f"{path}?key={wrong['revoked']}", CHAT)[0]
    expected = {what: 403 if what == "of an idle project" else 401 for what in told}
    assert told == expected


def test_nothing_that_is_managed_or_looked_at_is_open(daemon: Daemon) -> None:
    told = {(method, path): daemon.request(method, path, {})[0] for method, path in GUARDED + ADMINS}
    assert {one: status for one, status in told.items() if status not in (401, 403)} == {}


def test_a_token_of_a_project_opens_nothing_that_is_managed_or_looked_at(daemon: Daemon) -> None:
    # Of wrong ones no more than ten a minute are answered at once.
    credential = {"Authorization": f"Bearer {issue(daemon)['token']}"}
    chosen = random.Random(7).sample(GUARDED, 8)
    assert {daemon.request(method, path, {}, credential)[0] for method, path in chosen} == {401}


FOREIGN = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
"""What a browser says of a page of another site."""
SIMPLE = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
"""Bodies that any page may send (the Fetch standard calls such requests simple)."""


def test_nothing_is_changed_for_a_page_of_another_site_though_the_browser_adds_the_operators_credential(
    daemon: Daemon, figures: Figures
) -> None:
    remembered = {"Authorization": f"Basic {base64.b64encode(b'ann:a-long-password-0123456789').decode()}"}
    token = issue(daemon)
    with stalled(daemon, token["token"]):
        (open_one,) = daemon.control("inflight")["inflight"]
        paths = [f"/api/inflight/{open_one['id']}/end"]
        paths += [f"/admin/{kind}" for kind in ("projects", "tokens", "logout", "login")]
        paths += [f"/admin/projects/{token['project_id']}", f"/admin/tokens/{token['id']}"]
        before = manage(daemon, "GET", "/manage/audit?limit=1")
        told = Counter(
            daemon.request(method, path, {"do": "revoke"}, {**remembered, **foreign, "Content-Type": kind})[0]
            for path in paths
            for method in ("POST", "PATCH", "DELETE", "PUT")
            for foreign in FOREIGN
            for kind in (*SIMPLE, "application/json")
        )
        assert manage(daemon, "GET", "/manage/audit?limit=1") == before
        assert daemon.control("inflight")["inflight"][0]["id"] == open_one["id"]
        allowed = daemon.request("POST", paths[0], None, {**remembered, "X-Requested-With": "x"})
    figures.add("changes asked for by pages of another site", f"{told.total()}, {dict(told)}")
    assert set(told) <= {403, 405}
    assert allowed[0] in (200, 202, 204)


ODD = [
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/v1/./chat/completions",
    "/x/../v1/chat/completions",
    "/v1/%2e%2e/v1/chat/completions",
    "/%76%31/chat/completions",
    "/v1/chat%2fcompletions",
    "/v1/chat/completions;x=1",
    "/v1/chat/completions/",
    "/v1/chat/completions%00",
    "/V1/chat/completions",
    "/v1\\chat\\completions",
    "http://localhost/v1/chat/completions",
    "http://elsewhere.example/v1/chat/completions",
    "/health/../v1/chat/completions",
    "/ping?/v1/chat/completions",
    "/manage/../v1/models",
    "//manage/projects",
    "/manage/%2e/projects",
    "/manage%2fprojects",
    "/MANAGE/projects",
    "/admin/../manage/projects",
    "/health/%2e%2e/manage/projects",
]


@pytest.mark.parametrize("path", ODD)
def test_no_odd_spelling_of_a_path_opens_it(daemon: Daemon, path: str) -> None:
    body = json.dumps(CHAT)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with dial(daemon.port) as client:
        client.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = client.rest()
    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500, answer
    assert b"choices" not in answer


def garbage(chance: random.Random) -> bytes:
    """Return the value of an Authorization field that nobody would write."""
    alphabet = bytes(range(33, 127)) + b" \t" + bytes(range(128, 256))
    kind = chance.choice([b"Bearer ", b"bearer ", b"Basic ", b"Bearer nr-", b"", b"Digest ", b"Bearer  "])
    text = bytes(chance.choices(alphabet, k=int(4000 ** chance.random())))
    return kind + text.strip()


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.torture)])
def test_no_garbage_opens_anything(daemon: Daemon, count: int, figures: Figures) -> None:
    chance = random.Random(count)
    body = json.dumps(CHAT).encode()
    statuses: Counter[int] = Counter()
    for _ in range(count // 50):
        with dial(daemon.port) as client:
            for _ in range(50):
                head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                field = b"Authorization: %b\r\nContent-Length: %d\r\n\r\n" % (garbage(chance), len(body))
                client.send(head + field + body)
                answer, _ = client.message()
                statuses[int(answer.split(b" ", 2)[1])] += 1
    figures.add("garbage in Authorization, by status", dict(statuses))
    assert statuses == {401: count}


STRAYS: list[dict[str, Any]] = [
    {"api_base": "URL"},
    {"base_url": "URL"},
    {"api_url": "URL"},
    {"extra_body": {"base_url": "URL"}},
    {"provider": {"base_url": "URL"}},
    {"custom_llm_provider": "openai", "api_base": "URL"},
]
FIELDS = (
    "X-Base-Url", "X-Api-Base", "X-Forwarded-Host", "X-Upstream", "X-Original-Url", "X-Rewrite-Url", "Forwarded",
    "X-OpenAI-Base-Url", "OpenAI-Base-Url", "X-Target-Url", "Destination", "X-Host",
)  # fmt: skip


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.torture)])
def test_no_caller_leads_a_key_elsewhere(daemon: Daemon, keyed: Keyed, count: int, figures: Figures) -> None:
    token = issue(daemon, limits={"requests_per_hour": 1_000_000})["token"]
    chance = random.Random(count)
    statuses: Counter[int] = Counter()
    with Provider() as stranger:
        url = keyed.leads_to = f"http://127.0.0.1:{stranger.port}/v1"
        for _ in range(count):
            stray = json.loads(json.dumps(chance.choice(STRAYS)).replace("URL", url))
            fields = {chance.choice(FIELDS): chance.choice([url, f"127.0.0.1:{stranger.port}"])}
            credential = chance.choice(["Authorization", "x-api-key"])
            fields |= {credential: f"Bearer {token}" if credential == "Authorization" else token}
            path = chance.choice(["/v1/chat/completions", f"/v1/chat/completions?api_base={url}&base_url={url}"])
            said = chance.choice(["hi", "redirect"])
            body = {"model": "keyed", "messages": [{"role": "user", "content": said}], **stray}
            status, _, answer = daemon.request("POST", path, body, fields)
            assert KEY.encode() not in answer
            statuses[status] += 1
        assert stranger.untouched()
    assert keyed.keys == {f"Bearer {KEY}"}
    assert statuses[200] > count // 4
    figures.add("tries to lead a key elsewhere, by status", dict(statuses))
