"""Aliases at real daemons: used by OpenAI's client, known to every process, kept, and leading nowhere else."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netrunner.registered import FILE
from tests.support.binaries import require_binary
from tests.support.daemon import ECHO, Daemon
from tests.support.sdk import client, said, text_of

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[2] / "docs" / "names.md").read_text()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """What aliases lead to: a server of OpenAI's kind."""
    with Daemon(tmp_path_factory.mktemp("upstream")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def daemon(upstream: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), config(upstream)) as daemon:
        yield daemon


def config(upstream: Daemon) -> str:
    return f"{ECHO}register: {{allow: ['127.0.0.1:{upstream.port}']}}\n"


def register(daemon: Daemon, name: str, url: str, path: str = "/register-model") -> tuple[int, dict[str, Any]]:
    status, _, body = daemon.request("POST", path, {"name": name, "model": "echo", "api_url": url})
    return status, json.loads(body)


def at(upstream: Daemon) -> str:
    return f"http://127.0.0.1:{upstream.port}/v1"


def chat(daemon: Daemon, model: str) -> tuple[int, dict[str, Any]]:
    status, _, body = daemon.request("POST", "/v1/chat/completions", {"model": model, "messages": said("Hello you")})
    return status, json.loads(body)


def test_openais_client_uses_an_alias_as_a_model(daemon: Daemon, upstream: Daemon) -> None:
    assert register(daemon, "my-echo", at(upstream)) == (
        200,
        {"status": "success", "name": "my-echo", "model": "echo"},
    )
    with client(daemon.port) as sdk:
        answer = sdk.chat.completions.create(model="my-echo", messages=said("Hello you"))
        assert answer.choices[0].message.content == "Hello you"
        stream = sdk.chat.completions.create(model="my-echo", messages=said("Hello you"), stream=True)
        assert text_of(list(stream)) == "Hello you"
        assert "my-echo" in [model.id for model in sdk.models.list()]


def test_the_commands_of_the_page_register_list_and_take_back(daemon: Daemon) -> None:
    require_binary("curl")
    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = commands.replace("http://127.0.0.1:8080/", f"http://127.0.0.1:{daemon.port}/").replace(
        "curl -s", "curl -sfw '\\n'"
    )
    done = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, timeout=60, check=True)
    registered, listed, taken_back = map(json.loads, done.stdout.splitlines())
    assert registered == {"status": "success", "name": "their-gpt", "model": "org/model:tag"}
    assert "their-gpt" in [entry["name"] for entry in listed["models"]]
    assert taken_back == {"status": "success", "name": "their-gpt"}


def test_an_alias_is_listed_with_its_model_and_when_it_was_registered(daemon: Daemon, upstream: Daemon) -> None:
    assert register(daemon, "listed", at(upstream), "/model/register")[0] == 200
    for path in ("/models", "/model/list", "/v1/models"):
        (entry,) = [one for one in json.loads(daemon.request("GET", path)[2])["models"] if one["name"] == "listed"]
        assert (set(entry), entry["model"]) == ({"name", "model", "registered_at"}, "echo")
        assert entry["registered_at"].endswith("Z")


def test_every_worker_knows_an_alias_when_its_registration_is_answered(upstream: Daemon, tmp_path: Path) -> None:
    with Daemon(tmp_path, config(upstream) + "workers: 2\n") as daemon:
        assert register(daemon, "shared", at(upstream))[0] == 200
        assert {chat(daemon, "shared")[0] for _ in range(10)} == {200}
        assert daemon.request("DELETE", "/register-model/shared")[0] == 200
        assert {chat(daemon, "shared")[1]["error"]["code"] for _ in range(10)} == {"model_not_found"}


def test_an_alias_is_kept_in_the_database(upstream: Daemon, tmp_path: Path) -> None:
    with Daemon(tmp_path / "first", config(upstream)) as first:
        assert register(first, "kept", at(upstream))[0] == 200
    copy = first.state / FILE
    copy.unlink()
    with Daemon(tmp_path / "later", config(upstream), state=first.state) as later:
        later.wait_for(lambda: chat(later, "kept")[0] == 200)
    assert copy.exists()


def test_a_name_that_resolves_to_this_machine_is_never_connected_to(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert register(daemon, "inside", f"https://localhost:{port}/v1")[0] == 200
        status, answer = chat(daemon, "inside")
        assert (status, answer["error"]["code"]) == (502, "upstream_address_denied")
        listening.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            listening.accept()
            pytest.fail("a connection was made")
    assert daemon.request("DELETE", "/register-model/inside")[0] == 200
