"""Lists of models: the names of the configuration, and those that providers list themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from netrunner.dialects.listing import names_in
from netrunner.errors import UpstreamError
from netrunner.pipeline.question import MAX_BYTES, TIMEOUT_S
from netrunner.routing.table import Candidate
from netrunner.values import Call
from tests.support.client import Answer, Client, answers
from tests.support.logs import FailureLog
from tests.support.stage import JSON, KEY, Stage, request

TAGS = b'{"models": [{"name": "llama3:latest"}, {"name": "qwen"}]}'
MODELS = b'{"object": "list", "data": [{"id": "gpt"}, {"id": "m"}]}'
LISTS = ["/v1/models", "/v1beta/models", "/api/tags", "/api/ps"]
NOTHING: dict[str, tuple[Candidate, ...]] = {}


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is written to the log about providers' lists."""
    said: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "its models" in (event.get("log_format") or ""):
            said.append(event["log_format"].format_map(event))

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def local(**more: Any) -> Stage:
    """Return a stage with an Ollama server that unknown names go to."""
    return Stage(provider="ollama", unknown_model="up", **more)


def look(stage: Stage, path: str = "/api/tags", *fields: str) -> Client:
    return stage.client().say(request(path, b"", *fields))


def told(client: Client) -> Answer:
    (answer,) = answers(client.heard())
    return answer


def named(answer: Answer) -> list[str]:
    """Return the names in a list of any dialect."""
    assert answer.status == 200
    document = json.loads(answer.body)
    rows = document["data"] if "data" in document else document["models"]
    return [(row.get("id") or row["name"]).removeprefix("models/") for row in rows]


@pytest.mark.parametrize("path", LISTS)
def test_an_ollama_servers_own_names_follow_those_of_the_configuration_in_every_list(path: str) -> None:
    stage = local()
    client = look(stage, path, "Authorization: Bearer caller")
    assert client.heard() == b""
    assert (stage.call.request.method, stage.call.request.target) == (b"GET", b"/v1/tags")
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]
    stage.call.head(200, JSON).body(TAGS[:20]).body(TAGS[20:], True)
    assert named(told(client)) == ["m", "alias", "llama3:latest", "qwen"]
    assert stage.record().outcome == "done"


def test_a_provider_of_unknown_names_is_asked_and_no_name_is_told_twice() -> None:
    stage = Stage(unknown_model="up")
    client = look(stage, "/v1/models")
    (call,) = stage.upstream.calls
    assert (call.request.method, call.request.target) == (b"GET", b"/v1/models")
    call.head(200, JSON).body(MODELS, True)
    answer = told(client)
    assert named(answer) == ["m", "alias", "gpt"]
    assert [one["name"] for one in json.loads(answer.body)["models"]] == ["m", "alias"]


@pytest.mark.parametrize(
    ("provider", "target", "body", "name"),
    [
        ("anthropic", b"/v1/models?limit=1000", b'{"data": [{"id": "claude"}]}', "claude"),
        ("gemini", b"/v1/models?pageSize=1000", b'{"models": [{"name": "models/gemini"}]}', "gemini"),
        ("together", b"/v1/models", b'[{"id": "flux"}]', "flux"),
    ],
)
def test_every_dialect_has_its_own_list(provider: str, target: bytes, body: bytes, name: str) -> None:
    stage = Stage(provider=provider, unknown_model="up", models=NOTHING)
    client = look(stage, "/v1/models")
    assert stage.call.request.target == target
    stage.call.head(200, JSON).body(body, True)
    assert named(told(client)) == [name]


@pytest.mark.parametrize("provider", ["openai", "ollama"])
@pytest.mark.parametrize("path", LISTS)
def test_no_name_is_listed_that_would_be_refused_so_that_nobody_is_asked(path: str, provider: str) -> None:
    stage = Stage(provider=provider)
    assert named(told(look(stage, path))) == ["m", "alias"]
    refused = stage.ask({"model": "qwen", "messages": []}, "/api/chat")
    assert answers(refused.heard(), b"POST")[0].status == 404
    assert stage.upstream.calls == []


def test_only_the_provider_of_unknown_names_is_asked_among_several() -> None:
    stage = Stage(provider="ollama", unknown_model="up")
    look(stage)
    (call,) = stage.upstream.calls
    call.head(200, JSON).body(TAGS, True)


def test_a_name_that_a_server_lists_itself_can_be_called() -> None:
    stage = local()
    client = look(stage)
    stage.call.head(200, JSON).body(TAGS, True)
    assert "qwen" in named(told(client))
    stage.ask({"model": "qwen", "messages": []}, "/api/chat")
    assert json.loads(stage.call.sent_body)["model"] == "qwen"


def test_a_version_needs_nobody() -> None:
    stage = local()
    assert json.loads(told(look(stage, "/api/version")).body)["version"]
    assert stage.upstream.calls == []


def test_one_model_is_told_by_a_name_that_only_its_provider_knows() -> None:
    stage = local()
    client = look(stage, "/v1/models/qwen")
    stage.call.head(200, JSON).body(TAGS, True)
    assert json.loads(told(client).body)["id"] == "qwen"
    assert told(look(stage, "/v1/models/other")).status == 404
    shown = stage.ask({"model": "qwen"}, "/api/show").heard()
    assert answers(shown, b"POST")[0].status == 200


def test_a_provider_is_asked_once_a_minute_however_many_want_to_know() -> None:
    stage = local()
    clients = [look(stage, path) for path in LISTS]
    assert len(stage.upstream.calls) == 1
    stage.call.head(200, JSON).body(TAGS, True)
    assert [named(told(client)) for client in clients] == [["m", "alias", "llama3:latest", "qwen"]] * 4
    stage.clock.advance(59.9)
    assert "qwen" in named(told(look(stage)))
    assert len(stage.upstream.calls) == 1
    stage.clock.advance(0.1)
    client = look(stage)
    assert len(stage.upstream.calls) == 2
    stage.call.head(200, JSON).body(b'{"models": [{"name": "new"}]}', True)
    assert named(told(client)) == ["m", "alias", "new"]


WRONG = [
    lambda stage: stage.call.fail(UpstreamError("cannot be reached")),
    lambda stage: stage.call.head(500, JSON).body(b'{"error": "sick"}', True),
    lambda stage: stage.call.head(301, JSON).body(b"", True),
    lambda stage: stage.call.head(200, JSON).body(b"<html>", True),
    lambda stage: stage.call.head(200, JSON).body(b'{"models": 7}', True),
    lambda stage: stage.call.head(200, JSON).body(TAGS[:30]).fail(),
    lambda stage: stage.call.head(200, JSON).body(b" " * (MAX_BYTES + 1)),
    lambda stage: stage.call.head(200, JSON, (b"content-encoding", b"br")),
    lambda stage: stage.call.head(200, JSON, (b"content-encoding", b"gzip")).body(b"no"),
    lambda stage: stage.clock.advance(TIMEOUT_S),
]


@pytest.mark.parametrize("goes_wrong", WRONG)
def test_a_provider_that_fails_breaks_no_list_and_is_left_alone_for_a_minute(goes_wrong: Any) -> None:
    stage = local()
    client = look(stage)
    goes_wrong(stage)
    assert named(told(client)) == ["m", "alias"]
    assert named(told(look(stage))) == ["m", "alias"]
    assert len(stage.upstream.calls) == 1
    assert {record.outcome for record in stage.records} == {"done"}


@pytest.mark.parametrize("goes_wrong", WRONG[-4:])
def test_an_answer_that_is_given_up_is_aborted(goes_wrong: Any) -> None:
    stage = local()
    look(stage)
    goes_wrong(stage)
    assert stage.call.aborted


def test_what_was_told_once_is_told_on_when_its_provider_fails() -> None:
    stage = local()
    look(stage)
    stage.call.head(200, JSON, (b"content-encoding", b"gzip")).body(gzip.compress(TAGS), True)
    stage.clock.advance(60)
    client = look(stage)
    stage.call.fail()
    assert named(told(client)) == ["m", "alias", "llama3:latest", "qwen"]


def test_the_log_tells_once_that_a_provider_fails(warnings: list[str]) -> None:
    stage = local()
    for _ in range(3):
        look(stage)
        stage.call.fail(UpstreamError("cannot be reached"))
        stage.clock.advance(60)
    assert warnings == ["the provider up did not list its models: cannot be reached"]
    look(stage)
    stage.call.head(200, JSON).body(TAGS, True)
    stage.clock.advance(60)
    look(stage)
    stage.call.head(500, JSON).body(b'{"error": "the key ' + KEY.encode() + b' is bad"}', True)
    assert len(warnings) == 2
    assert KEY not in warnings[1]


def test_a_provider_that_raises_breaks_no_list_either(
    warnings: list[str], logged_failures: FailureLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(call: Call) -> None:
        raise ZeroDivisionError

    stage = local()
    monkeypatch.setattr(stage.pipeline.providers["up"].provider, "build", build)
    assert named(told(look(stage))) == ["m", "alias"]
    assert warnings == ["the provider up could not be asked for its models"]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


@pytest.mark.parametrize(
    ("goes_wrong", "tags", "models"),
    [
        (WRONG[0], (502, "ollama_connection_failed"), (502, "upstream_connection_failed")),
        (WRONG[1], (500, "ollama_tags_error"), (502, "provider_error")),
        (WRONG[3], (500, "ollama_tags_error"), (502, "upstream_invalid_response")),
        (WRONG[-1], (502, "ollama_connection_failed"), (502, "upstream_timeout")),
    ],
)
def test_where_nothing_else_is_configured_a_failure_is_told_in_the_callers_dialect(
    goes_wrong: Any, tags: tuple[int, str], models: tuple[int, str]
) -> None:
    stage = local(models=NOTHING)
    client, other = look(stage), look(stage, "/v1/models")
    goes_wrong(stage)
    answer = told(client)
    document = json.loads(answer.body)
    assert (answer.status, document["code"]) == tags
    assert isinstance(document["error"], str)
    answer = told(other)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == models
    assert (told(look(stage)).status, len(stage.upstream.calls)) == (tags[0], 1)
    assert {record.outcome for record in stage.records} == {"refused"}


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps"])
def test_an_ollama_servers_tags_are_told_while_another_provider_serves(path: str) -> None:
    stage = Stage(other="ollama", unknown_model="up")
    client = look(stage, path)
    stage.call.head(200, JSON).body(MODELS, True)
    assert client.heard() == b""
    assert stage.call.request.target == b"/v1/tags"
    stage.call.head(200, JSON).body(TAGS, True)
    assert named(told(client)) == ["m", "alias", "gpt", "llama3:latest", "qwen"]
    assert len(stage.upstream.calls) == 2
    shown = stage.ask({"model": "qwen"}, "/api/show").heard()
    assert answers(shown, b"POST")[0].status == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models"])
def test_callers_of_other_dialects_are_not_told_an_ollama_servers_tags(path: str) -> None:
    stage = Stage(other="ollama", unknown_model="up")
    client = look(stage, path)
    stage.call.head(200, JSON).body(MODELS, True)
    assert named(told(client)) == ["m", "alias", "gpt"]


def test_of_an_ollama_servers_tags_those_are_told_that_a_pattern_takes() -> None:
    stage = Stage(other="ollama", names={"model_map": {"/qw.*/": "m"}})
    client = look(stage)
    stage.call.head(200, JSON).body(TAGS, True)
    assert named(told(client)) == ["m", "alias", "qwen"]


def test_an_ollama_server_that_cannot_be_asked_is_told_where_there_is_nothing_else_to_tell() -> None:
    stage = Stage(provider="cohere", other="ollama", unknown_model="up", models=NOTHING)
    client = look(stage)
    stage.call.fail(UpstreamError("cannot be reached"))
    answer = told(client)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "ollama_connection_failed")


def test_a_list_may_be_empty() -> None:
    stage = local(models=NOTHING)
    client = look(stage)
    stage.call.head(200, JSON).body(b'{"models": []}', True)
    assert named(told(client)) == []


def test_a_callers_own_credential_never_asks_for_a_list() -> None:
    stage = Stage(unknown_model="up", key="passthrough")
    client = look(stage, "/v1/models", "Authorization: Bearer caller")
    assert stage.call.header(b"authorization") == []
    stage.call.head(401, JSON).body(b"{}", True)
    assert named(told(client)) == ["m", "alias"]


def test_a_client_that_leaves_while_a_provider_is_asked_is_no_trouble() -> None:
    stage = local()
    client, other = look(stage), look(stage)
    client.settle()
    stage.call.head(200, JSON).body(TAGS, True)
    assert "qwen" in named(told(other))
    assert sorted(record.outcome for record in stage.records) == ["client_gone", "done"]
    assert stage.pipeline.inflight == {}


def test_what_is_no_name_is_passed_over() -> None:
    rows = ["x", {}, {"id": 7}, {"id": ""}, {"id": " "}, {"id": "a\nb"}, {"id": "m" * 513}, {"id": "good"}]
    assert names_in(json.dumps({"data": rows}).encode(), "data", "id") == ["good"]
