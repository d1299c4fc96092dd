"""The worked example works from any folder, by copying one file."""

import json
import shutil
from pathlib import Path

import pytest
import treq
from twisted.internet import reactor  # noqa: TID251 - a real daemon's part is played on it
from twisted.logger import Logger

import pytest_twisted
from netrunner.registry import Registry
from netrunner.testing.conformance import check_provider
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.script import json_answer
from netrunner.testing.scripted import ScriptedProvider
from netrunner.testing.section import FakeSection
from netrunner.values import Call
from tests.support.daemon import Daemon

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example.py"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "elsewhere"
    path.mkdir(mode=0o755)
    shutil.copy(EXAMPLE, path)
    return path


@pytest.fixture
def factory(folder):
    return Registry.discover((str(folder),), Logger("test")).factory("provider", "example")


def build(factory, **values):
    return factory.build(factory.parse(FakeSection(values)), FakeEnvironment("acme"))


def call():
    body = b'{"model": "m"}'
    return Call(b"POST", "chat/completions", b"", [(b"x-request-id", b"1")], body, "m", False, b"Bearer theirs")


@pytest.mark.parametrize(
    ("key", "sent"), [("sk-1", [b"sk-1"]), ("passthrough", [b"theirs"]), (None, [])], ids=["stored", "callers", "none"]
)
def test_the_key_goes_into_its_own_header(factory, key, sent):
    request = build(factory, base_url="http://127.0.0.1:9/v1", api_key=key).build(call())
    assert [value for name, value in request.headers if name == b"x-api-key"] == sent
    assert b"authorization" not in dict(request.headers)


def test_the_team_is_told_when_there_is_one(factory):
    with_team = build(factory, base_url="http://127.0.0.1:9/v1", team="blue").build(call())
    assert (b"x-team", b"blue") in with_team.headers
    assert b"x-team" not in dict(build(factory, base_url="http://127.0.0.1:9/v1").build(call()).headers)


def test_it_keeps_to_every_rule(factory):
    assert [finding for finding in check_provider(factory, {"team": "blue"}) if not finding.ok] == []


@pytest.mark.integration
@pytest_twisted.ensureDeferred
async def test_a_daemon_serves_through_it(folder, tmp_path):
    upstream = ScriptedProvider(reactor, json_answer({"choices": [{"index": 0, "message": {"content": "Hello"}}]}))
    await upstream.start()
    config = {
        "plugins": {"directories": [str(folder)]},
        "providers": {
            "acme": {"type": "example", "base_url": upstream.base_url, "api_key": {"env": "ACME_KEY"}, "team": "blue"}
        },
        "models": [{"name": "ours", "targets": [{"provider": "acme", "model": "theirs"}]}],
    }
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in config.items())
    with Daemon(tmp_path / "daemon", text, environ={"ACME_KEY": "sk-acme-1"}) as daemon:
        answer = await treq.post(
            f"http://127.0.0.1:{daemon.port}/v1/chat/completions",
            json={"model": "ours", "messages": [{"role": "user", "content": "Hi"}]},
            persistent=False,
        )
        assert (answer.code, (await answer.json())["object"]) == (200, "chat.completion")
    (request,) = upstream.requests
    assert request.header(b"x-api-key") == b"sk-acme-1"
    assert request.header(b"x-team") == b"blue"
    assert request.json()["model"] == "theirs"
    await upstream.stop()
