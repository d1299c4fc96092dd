"""A thousand values of Host: those that are configured are served alike, all others nowhere (row 55)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.crowd import Figures
from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import Peer, dial

pytestmark = pytest.mark.integration
TOKEN = "token-of-the-callers-1234"
CONFIG = (
    f"{ECHO}server: {{hosts: [llm.example, 127.0.0.1, '[::1]']}}\n"
    "access: {mode: token, token: {env: TOKEN}}\n"
    "default_provider: echo\n"
)
OURS = "llm.example LLM.Example llm.example:80 llm.example:65535 llm.example. 127.0.0.1 127.0.0.1:1 [::1] [::1]:1"
TRICKS = r"""
localhost 127.0.0.2 127.1 127.0.1 0.0.0.0 0 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.1.nip.io
127-0-0-1.sslip.io localtest.me lvh.me llm.example.evil.example evil-llm.example evilllm.example llm.example.evil
xn--llm-example example llm [::] [::2] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [::1%25lo] [fe80::1] [::1.]
169.254.169.254 metadata.google.internal 10.0.0.1 192.168.0.1 host.docker.internal kubernetes.default.svc
llm.example:x llm.example:-1 llm.example:80:80 :80 [::1 ::1 ]::1[ evil@llm.example llm.example@evil llm.example/
/llm.example http://llm.example llm.example?x llm.example#x llm.example,evil.example llm.example\evil llm.example%00
llm.example;evil "llm.example" <llm.example>
"""
"""Other spellings of loopback, names that lead there, names around ours, and what is no name."""
ASKED = [
    ("GET", "/v1/models", True),
    ("GET", "/v1/models", False),
    ("GET", "/health", False),
    ("GET", "/nothing/here", True),
    ("POST", "/v1/chat/completions", False),
]


def foreign(count: int) -> list[str]:
    """Return names that are not ours: known tricks, and names near to ours."""
    chance = random.Random(55)
    names = dict.fromkeys([*TRICKS.split(), "llm.example\tevil", "llm.example evil", "llm.example\x7f"])
    while len(names) < count:
        name = chance.choice(["llm.example", "127.0.0.1", "localhost"])
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(name) + 1)
            name = (
                name[:at]
                + chance.choice("abcdefghijklmnopqrstuvwxyz0123456789.-_%@")
                + name[at + chance.randrange(2) :]
            )
        if name.rstrip(".") not in ("llm.example", "127.0.0.1"):
            names[name] = None
    return list(names)


def ask(client: Peer, method: str, path: str, host: str, authorized: bool) -> tuple[int, bytes, bool]:
    """Return status and body, and whether the connection goes on."""
    body = b'{"model": "echo", "messages": []}' if method == "POST" else b""
    fields = [f"Host: {host}", f"Content-Length: {len(body)}"]
    if authorized:
        fields.append(f"Authorization: Bearer {TOKEN}")
    client.send("\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode() + body)
    head, answer = client.message()
    return int(head.split()[1]), answer, b"\r\nconnection: close\r\n" not in head.lower()


def test_hosts_that_are_not_ours_are_misdirected_and_ours_are_all_the_same(tmp_path: Path, figures: Figures) -> None:
    with Daemon(tmp_path, CONFIG, environ={"TOKEN": TOKEN}) as daemon:
        expected = {}
        for asked in ASKED:
            with dial(daemon.port) as client:
                expected[asked] = {ask(client, asked[0], asked[1], host, asked[2])[:2] for host in OURS.split()}
        assert [len(answers) for answers in expected.values()] == [1] * len(ASKED)
        assert [next(iter(answers))[0] for answers in expected.values()] == [200, 401, 200, 404, 401]
        refused = {421: 0, 400: 0}
        client = dial(daemon.port)
        for number, host in enumerate(foreign(1000)):
            method, path, authorized = ASKED[number % len(ASKED)]
            status, body, goes_on = ask(client, method, path, host, authorized)
            assert b'"code":"misdirected_request"' in body if status == 421 else status == 400, (host, status, body)
            refused[status] += 1
            if not goes_on:
                client._sock.close()
                client = dial(daemon.port)
        client._sock.close()
        assert refused[421] > 500, refused
        figures.add("foreign hosts refused", refused)
