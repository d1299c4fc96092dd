"""The tutorial and the how-tos are followed, step by step, with a real daemon that all of them share."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import ECHO, ROOT, Daemon, listening_socket
from tests.support.nginx import SNIPPET, Nginx
from tests.support.pages import PIDFILE, Reader, blocks
from tests.support.upgrades import end, replaced

pytestmark = pytest.mark.integration

DOCS = ROOT / "docs"
HOW_TO = DOCS / "how-to"
INSTALL = "python3 -m venv .venv\n. .venv/bin/activate\npip install . openai\n"
"""What `.ci/run` does with the wheel, and `.venv` has done before a test can run."""
KEY = "sk-0123456789-0123456789"
SECRETS = {"OPENAI_API_KEY": KEY, "MANAGEMENT_TOKEN": "m" * 32, "AUTH_TOKEN": "t" * 32}
UPSTREAM = f"providers: {{echo: {{type: echo}}}}\nunknown_model: echo\naccess: {{mode: token, token: {KEY}}}\n"
"""An API of OpenAI's kind that wants a key, for any model."""
FOLLOWED = [
    "put-an-application-behind-it",
    "move-a-key-out-of-an-application",
    "limit-a-team",
    "fall-back-to-another-provider",
    "strip-thinking",
    "watch-live",
    "find-a-request",
    "write-a-plugin",
    "set-up-and-ask",
    "back-up-and-restore",
]
"""Those that are nothing but files and commands; the others have tests of their own."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemon(tmp_path_factory.mktemp("upstream"), UPSTREAM) as daemon:
        yield f"http://127.0.0.1:{daemon.port}"


@pytest.fixture(scope="module")
def nobody() -> str:
    """An address at which nobody listens."""
    with listening_socket() as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def at_a_desk(folder: Path) -> Iterator[Daemon]:
    for name in ("bash", "curl", "jq", "openssl", "sqlite3"):
        require_binary(name)
    with Daemon(folder, ECHO, state=folder / "var", twistd=PIDFILE, environ=SECRETS) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with at_a_desk(tmp_path_factory.mktemp("desk")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def changes(upstream: str, nobody: str) -> dict[str, str]:
    """Who stands in for whom the pages name."""
    return {
        "type: openai, api_key": f'type: openai, base_url: "{upstream}/v1", api_key',
        "127.0.0.1:11434": nobody,
        "sk-your-key-of-openai": KEY,
    }


@pytest.fixture
def reader(daemon: Daemon, changes: dict[str, str]) -> Reader:
    return Reader(daemon, SECRETS, changes)


def test_every_page_is_followed_somewhere() -> None:
    others = {"upgrade-without-a-dropped-stream", "run-behind-nginx", "run-in-docker-or-kubernetes"}
    # What that page types is in test_install_steps.py, and done in test_install.py.
    others.add("install-as-a-service")
    assert {path.stem for path in HOW_TO.glob("*.md")} == {*FOLLOWED, *others}


def test_the_tutorial_leads_to_a_watched_application(reader: Reader, daemon: Daemon) -> None:
    assert ("sh", INSTALL) in blocks(DOCS / "tutorial.md")
    assert reader.follow(DOCS / "tutorial.md", passed_over=(INSTALL,)) >= 15
    assert b"parrot" in daemon.request("GET", "/", headers={"Accept": "text/html"})[2]


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_how_to_does_what_it_says(name: str, reader: Reader, daemon: Daemon) -> None:
    daemon.write_config(ECHO)
    daemon.control("reload")
    assert reader.follow(HOW_TO / f"{name}.md") >= 2


def test_nginx_with_a_certificate_publishes_the_api_and_nothing_else(daemon: Daemon, tmp_path: Path) -> None:
    page = HOW_TO / "run-behind-nginx.md"
    (changed,) = (text for language, text in blocks(page) if language == "nginx")
    assert set(changed.splitlines()) <= set(SNIPPET.read_text().splitlines())
    nginx = Nginx(tmp_path / "nginx", daemon.port, certificate=daemon.folder / "llm.example.com.pem")
    there = {
        "llm.example.com:443": f"llm.example.com:{nginx.port}",
        "https://llm.example.com/": f"https://llm.example.com:{nginx.port}/",
    }
    with contextlib.ExitStack() as running:
        for text in Reader(daemon, SECRETS, there).steps(page):
            if "--resolve" in text:
                running.enter_context(nginx)
        assert nginx.errors() == ""


def test_an_upgrade_says_which_process_serves(tmp_path: Path) -> None:
    page = HOW_TO / "upgrade-without-a-dropped-stream.md"
    with at_a_desk(tmp_path) as daemon:
        assert Reader(daemon, SECRETS, {}).follow(page) == 1
        successor = replaced(daemon, daemon.pid)
        assert daemon.wait() == 0
        assert (tmp_path / "twistd.pid").read_text() == str(successor)
        end(successor)


def test_what_is_typed_for_containers_is_what_their_files_say() -> None:
    text = (HOW_TO / "run-in-docker-or-kubernetes.md").read_text()
    typed = re.sub(r" +", " ", "".join(line for language, line in blocks(HOW_TO / "run-in-docker-or-kubernetes.md")))
    for path in re.findall(r"--file(?:name)? (\S+)|\x60(conf/[\w./-]+)\x60", text):
        assert (ROOT / "".join(path)).exists()
    for file, name in (("compose.yaml", "docker"), ("netrunner.yaml", "kubernetes")):
        comment = (ROOT / "conf" / name / file).read_text().partition("\n\n")[0]
        commands = re.sub(r"[ #\\\n]+", " ", comment)
        (command,) = re.findall(r"(?:docker compose|kubectl apply) --file\S* \S+", commands)
        assert command in typed
    run = re.findall(r"--env (\w+)", typed)
    assert [name for name in run if name not in (ROOT / "conf" / "docker" / "netrunner.yaml").read_text()] == []
    assert len(run) == 4
