"""Tunnels that are looked into: curl and the openai SDK, an upstream in TLS, and the key of the authority."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from cryptography import x509

from tests.integration.test_forward import CREATE, INTERCEPTING
from tests.support.authority import Authority
from tests.support.daemon import ECHO, PATIENCE_S, Daemon, listening_socket
from tests.support.proxies import Tls
from tests.support.sdk import said

pytestmark = pytest.mark.integration


class Looking:
    """A daemon with the page's proxy, and one behind it that answers in TLS, by the authority of a test."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder / "proxy"
        self.folder.mkdir()
        program = str(Path(sys.executable).with_name("netrunner"))
        command = re.sub("^netrunner", program, CREATE)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, capture_output=True, timeout=PATIENCE_S, check=True
        )
        assert done.stderr == b""
        self.ca = str(self.folder / "ca.pem")
        self.key = self.folder / "ca.key"
        authority = Authority(folder)
        authority.certify(x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        bundle = folder / "bundle.pem"
        bundle.write_bytes((folder / "server.pem").read_bytes() + (folder / "key.pem").read_bytes())
        self.real_ca = str(authority.file)
        self.echo = stack.enter_context(Daemon(folder / "echo", ECHO))
        self.tls = stack.enter_context(Tls(folder, bundle, self.echo.port))
        self.proxy = stack.enter_context(Daemon(self.folder, self.config(f"  ca_file: {self.real_ca}\n")))
        self.url = f"http://127.0.0.1:{self.port}"

    def config(self, more: str) -> str:
        """Return the page's configuration, at a free port and with ``more`` of ``forward``."""
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]
        text = INTERCEPTING.replace("tcp:8888", f"tcp:{self.port}").replace(
            "[localhost]\n", "[localhost, '127.0.0.1']\n"
        )
        return str(text) + more

    def curl(self, *arguments: str, ca: str | None = None, proxy: str | None = None) -> str:
        """Return what curl prints: the body, then both statuses."""
        command = [
            "curl",
            "-s",
            "-x",
            proxy or self.url,
            "--cacert",
            ca or self.ca,
            "-w",
            "\n%{http_code} %{http_connect}",
        ]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.stdout

    def records(self) -> list[dict[str, Any]]:
        """Return the newest records of the proxy."""
        return list(json.loads(self.proxy.request("GET", "/api/logs?limit=50")[2]))


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    with ExitStack() as stack:
        yield Looking(tmp_path_factory.mktemp("intercept"), stack)


def test_curl_that_trusts_the_authority_is_answered_and_what_it_said_is_on_record(looking: Looking) -> None:
    question = {"model": "echo", "messages": said("look at this")}
    url = f"https://localhost:{looking.tls.port}/v1/chat/completions"
    told = looking.curl("-d", json.dumps(question), "-H", "Content-Type: application/json", url)
    assert told.endswith("\n200 200")
    assert json.loads(told.rpartition("\n")[0])["choices"][0]["message"]["content"] == "look at this"

    def inside() -> list[dict[str, Any]]:
        return [one for one in looking.records() if one["path"] == "/v1/chat/completions"]

    looking.proxy.wait_for(lambda: bool(inside()))
    (record, *_) = inside()
    assert (record["route"], record["status_code"]) == ("forward", 200)
    line = f"POST /v1/chat/completions -> https://localhost:{looking.tls.port} [forward] 200"
    looking.proxy.wait_for(lambda: line in looking.proxy.log())
    shown = looking.proxy.request("GET", f"/api/logs/{record['id']}/request")[2]
    assert b"look at this" in shown


def test_one_connection_carries_several_requests_and_speaks_http_1_1(looking: Looking) -> None:
    url = f"https://localhost:{looking.tls.port}/ping"
    told = looking.curl("-w", "%{http_version} %{num_connects}\n", url, url)
    assert re.findall(r"1\.1 (\d)", told) == ["1", "0"]


def test_openais_sdk_comes_by_the_proxy_of_its_environment(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", looking.url)
    monkeypatch.setenv("SSL_CERT_FILE", looking.ca)
    url = f"https://localhost:{looking.tls.port}/v1"
    sdk: Any = openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=PATIENCE_S)
    with sdk:
        answer = sdk.chat.completions.create(model="echo", messages=said("through the proxy"))
        assert answer.choices[0].message.content == "through the proxy"
        stream = sdk.chat.completions.create(model="echo", messages=said("word by word " * 2000), stream=True)
        assert "".join(one.choices[0].delta.content or "" for one in stream if one.choices) == "word by word " * 2000


def test_a_client_that_does_not_trust_the_authority_says_nothing(looking: Looking) -> None:
    assert looking.curl(f"https://localhost:{looking.tls.port}/ping", ca=looking.real_ca).endswith("\n000 200")


def test_a_host_that_is_not_to_be_looked_into_is_tunnelled(looking: Looking) -> None:
    told = looking.curl(f"https://127.0.0.1:{looking.tls.port}/ping", ca=looking.real_ca)
    assert told == "OK\n200 200"


def test_a_request_to_another_host_than_the_tunnels_is_refused(looking: Looking) -> None:
    told = looking.curl("-H", "Host: elsewhere.example", f"https://localhost:{looking.tls.port}/ping")
    assert told.endswith("\n421 200")


def test_a_host_whose_certificate_does_not_hold_is_refused_and_sent_nothing(tmp_path: Path, looking: Looking) -> None:
    for name in ("ca.pem", "ca.key"):
        shutil.copy(looking.folder / name, tmp_path / name)
    port = looking.port
    config = looking.config("")
    url = f"http://127.0.0.1:{looking.port}"
    looking.port = port
    before = len(json.loads(looking.echo.request("GET", "/api/logs?limit=100")[2]))
    with Daemon(tmp_path, config) as wary:
        told = looking.curl("-d", "{}", f"https://localhost:{looking.tls.port}/v1/chat/completions", proxy=url)
        assert told.endswith("\n502 200")
        assert "upstream_tls_failed" in told
        wary.wait_for(lambda: b"upstream_tls_failed" in wary.request("GET", "/api/logs?limit=5")[2])
    assert len(json.loads(looking.echo.request("GET", "/api/logs?limit=100")[2])) == before


def test_the_key_is_its_owners_alone_and_nowhere_else(looking: Looking) -> None:
    assert looking.key.stat().st_mode & 0o777 == 0o600
    lines = [line for line in looking.key.read_text().splitlines() if "-----" not in line]
    others = [path for path in looking.folder.rglob("*") if path.is_file() and path != looking.key]
    assert [path for path in others if any(line.encode() in path.read_bytes() for line in lines)] == []


def test_an_authority_is_not_made_over_another(looking: Looking) -> None:
    before = looking.key.read_bytes()
    program = str(Path(sys.executable).with_name("netrunner"))
    command = [program, "ca", "create", "--certificate", str(looking.folder / "new.pem"), "--key", str(looking.key)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (1, f"netrunner: {looking.key}: File exists\n")
    assert looking.key.read_bytes() == before
    assert not (looking.folder / "new.pem").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, looking: Looking) -> None:
    for name in ("ca.pem", "ca.key"):
        shutil.copy(looking.folder / name, tmp_path / name)
    (tmp_path / "ca.key").chmod(0o640)
    (tmp_path / "x.yaml").write_text(INTERCEPTING)
    command = [str(Path(sys.executable).with_name("netrunner")), "check", "x.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "only its owner may read the key of an authority" in done.stdout + done.stderr


def test_a_certificate_is_as_strict_clients_want_it(looking: Looking) -> None:
    context = ssl.create_default_context(cafile=looking.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection("127.0.0.1", looking.port, context=context, timeout=PATIENCE_S)
    connection.set_tunnel("localhost", looking.tls.port)
    connection.request("GET", "/ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()
