"""The forward proxy of a real daemon: curl, the openai SDK, TLS inside, and addresses it does not lead to."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from cryptography import x509

from tests.support.authority import Authority
from tests.support.daemon import ECHO, PATIENCE_S, ROOT, Daemon, listening_socket
from tests.support.proxies import Tls
from tests.support.sdk import said

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "forward-proxy.md").read_text()
CONFIG, INTERCEPTING = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
COMMANDS, CREATE = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)


class Neighbourhood:
    """A daemon with the page's proxy, one behind it that answers, and the same in TLS."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]
        config = CONFIG.replace("tcp:8888", f"tcp:{self.port}")
        environ = {"PROXY_USER": "me", "PROXY_PASSWORD": "secret"}
        self.proxy = stack.enter_context(Daemon(folder / "proxy", config, environ=environ))
        self.echo = stack.enter_context(Daemon(folder / "echo", ECHO))
        authority = Authority(folder)
        authority.certify(x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        bundle = folder / "bundle.pem"
        bundle.write_bytes((folder / "server.pem").read_bytes() + (folder / "key.pem").read_bytes())
        self.tls = stack.enter_context(Tls(folder, bundle, self.echo.port))
        self.ca_file = str(authority.file)
        self.url = f"http://me:secret@127.0.0.1:{self.port}"

    def curl(self, *arguments: str) -> str:
        """Return what curl prints, the status last."""
        command = ["curl", "-s", "-x", self.url, "--cacert", self.ca_file, "-w", "\n%{http_code} %{http_connect}"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.stdout


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbourhood]:
    with ExitStack() as stack:
        yield Neighbourhood(tmp_path_factory.mktemp("forward"), stack)


def test_the_commands_of_the_page_get_their_answer(near: Neighbourhood) -> None:
    for line in COMMANDS.splitlines():
        command = line.replace("8888", str(near.port)).replace("8080", str(near.echo.port))
        environ = {"PROXY_USER": "me", "PROXY_PASSWORD": "secret", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-c", command], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        assert done.stdout == "OK"


def test_curl_gets_through_to_tls(near: Neighbourhood) -> None:
    assert near.curl(f"https://localhost:{near.tls.port}/ping") == "OK\n200 200"
    path = f'"path":"localhost:{near.tls.port}"'.encode()
    near.proxy.wait_for(lambda: path in near.proxy.request("GET", "/api/logs?limit=5")[2])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_openais_sdk_comes_by_the_proxy_that_its_environment_names(
    near: Neighbourhood, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", near.url)
    monkeypatch.setenv("HTTPS_PROXY", near.url)
    monkeypatch.setenv("SSL_CERT_FILE", near.ca_file)
    port = near.echo.port if scheme == "http" else near.tls.port
    sdk: Any = openai.OpenAI(base_url=f"{scheme}://localhost:{port}/v1", api_key="k", max_retries=0)
    with sdk:
        answer = sdk.chat.completions.create(model="echo", messages=said("through the proxy"))
        assert answer.choices[0].message.content == "through the proxy"
        stream = sdk.chat.completions.create(model="echo", messages=said("and streamed"), stream=True)
        assert "".join(one.choices[0].delta.content or "" for one in stream if one.choices) == "and streamed"


def test_who_does_not_know_the_password_gets_nowhere(near: Neighbourhood) -> None:
    wrong = ("-x", near.url.replace("secret", "wrong"))
    assert near.curl(*wrong, f"http://localhost:{near.echo.port}/ping").endswith("\n407 000")
    assert near.curl(*wrong, f"https://localhost:{near.tls.port}/ping").endswith("\n000 407")


def test_hosts_that_it_is_not_meant_for_are_refused(near: Neighbourhood) -> None:
    assert near.curl("http://other.example/").endswith("\n403 000")
    assert near.curl("https://127.0.0.1:9/").endswith("\n000 403")


def test_no_name_leads_to_a_private_address(tmp_path: Path, near: Neighbourhood) -> None:
    with listening_socket() as sock:
        port = sock.getsockname()[1]
    config = f"{ECHO}forward: {{listen: 'tcp:{port}:interface=127.0.0.1'}}\n"
    with Daemon(tmp_path, config) as proxy, listening_socket() as bait:
        bait.setblocking(False)
        for target in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"):
            for arguments in ([f"http://{target}/"], ["--proxytunnel", f"http://{target}/"]):
                told = near.curl("-x", f"http://127.0.0.1:{port}", *arguments)
                assert re.search(r"\n(502 000|000 502)\Z", told), (target, told)
        told = near.curl("-x", f"http://127.0.0.1:{port}", f"http://localhost:{bait.getsockname()[1]}/")
        assert told.endswith("\n403 000")
        with pytest.raises(BlockingIOError):
            bait.accept()
        told = proxy.request("GET", "/api/logs?limit=100")[2].decode()
        assert (told.count("upstream_address_denied"), told.count("host_denied")) == (12, 1)
