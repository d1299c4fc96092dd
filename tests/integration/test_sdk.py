"""The official ``openai`` SDK against netrunner: what its users see of answers, of errors and of what breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

from tests.support.daemon import ECHO, Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Provider, event, whole
from tests.support.sdk import async_client, client, said, text_of

pytestmark = pytest.mark.integration

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
ERRORS: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("echo")) as daemon:
        yield daemon


@pytest.fixture
def sdk(echo: Daemon) -> Iterator[Any]:
    with client(echo.port) as sdk:
        yield sdk


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where the SDK waits while the test plays the provider."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


# --- answers ------------------------------------------------------------------------------------------------


def test_a_chat_is_answered_whole(sdk: Any) -> None:
    answer = sdk.chat.completions.create(model="echo", messages=said("Hello you"))
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello you", "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens == 4


def test_a_chat_is_streamed_with_its_usage_last(sdk: Any) -> None:
    stream = sdk.chat.completions.create(
        model="echo", messages=said("Hello you there"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert text_of(chunks) == "Hello you there"
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_the_sdks_own_accumulator_makes_one_answer_of_a_stream(sdk: Any) -> None:
    with sdk.chat.completions.stream(model="echo", messages=said("/echo think Hello you")) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content.endswith("</think>\n\nHello you")


@pytest.mark.parametrize("streaming", [False, True])
def test_several_choices_arrive_each_in_its_place(sdk: Any, streaming: bool) -> None:
    answer = sdk.chat.completions.create(model="echo", messages=said("Hello you"), n=3, stream=streaming)
    texts = ["", "", ""]
    for part in answer if streaming else [answer]:
        for choice in part.choices:
            texts[choice.index] += (choice.delta if streaming else choice.message).content or ""
    assert texts == ["Hello you"] * 3


def test_a_tool_call_arrives_whole(sdk: Any) -> None:
    answer = sdk.chat.completions.create(model="echo", messages=said("/echo tools Hello"), tools=[TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"text": "Hello"})
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_tool_call_is_put_together_from_a_stream(sdk: Any) -> None:
    with sdk.chat.completions.stream(model="echo", messages=said("/echo tools Hello"), tools=[TOOL]) as stream:
        [call] = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"text": "Hello"})


@pytest.mark.parametrize("streaming", [False, True])
def test_a_completion_is_answered(sdk: Any, streaming: bool) -> None:
    answer = sdk.completions.create(model="echo", prompt="Once upon a time", stream=streaming)
    texts = [part.choices[0].text for part in (answer if streaming else [answer])]
    assert "".join(texts) == "Once upon a time"


def test_embeddings_are_the_same_numbers_as_floats_and_in_base64(sdk: Any) -> None:
    plain = sdk.embeddings.create(model="echo", input=["one", "two"], encoding_format="float")
    # Unless told otherwise the SDK asks for base64 and decodes it.
    coded = sdk.embeddings.create(model="echo", input=["one", "two"])
    raw = sdk.embeddings.with_raw_response.create(model="echo", input="one", encoding_format="base64")
    assert [one.embedding for one in coded.data] == [one.embedding for one in plain.data]
    assert isinstance(json.loads(raw.content)["data"][0]["embedding"], str)


def test_models_are_listed_and_found_one_by_one(sdk: Any) -> None:
    assert [model.id for model in sdk.models.list()] == ["echo"]
    assert sdk.models.retrieve("echo").owned_by == "netrunner"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        sdk.models.retrieve("nobody")


def test_a_raw_response_carries_the_id_of_the_request(sdk: Any) -> None:
    own = sdk.chat.completions.with_raw_response.create(model="echo", messages=said("Hi"))
    given = sdk.chat.completions.with_raw_response.create(
        model="echo", messages=said("Hi"), extra_headers={"X-Request-ID": "mine-17"}
    )
    assert own.request_id
    assert given.request_id == given.headers["x-request-id"] == "mine-17"
    assert own.parse()._request_id == own.request_id


def test_the_asynchronous_client_is_served_alike(echo: Daemon) -> None:
    async def ask() -> tuple[str, str]:
        async with async_client(echo.port) as sdk:
            answer = await sdk.chat.completions.create(model="echo", messages=said("Hello you"))
            stream = await sdk.chat.completions.create(model="echo", messages=said("Hello you"), stream=True)
            chunks = [chunk async for chunk in stream]
        return answer.choices[0].message.content, text_of(chunks)

    assert anyio.run(ask) == ("Hello you", "Hello you")


def test_many_requests_at_once_each_get_their_own_answer(echo: Daemon) -> None:
    answers: dict[str, str] = {}

    async def ask(sdk: Any, text: str) -> None:
        stream = await sdk.chat.completions.create(model="echo", messages=said(text), stream=True)
        answers[text] = text_of([chunk async for chunk in stream])

    async def ask_all() -> None:
        async with async_client(echo.port) as sdk, anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, sdk, f"this is number {number}")

    anyio.run(ask_all)
    assert len(answers) == 30
    assert all(text == answer for text, answer in answers.items())


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_a_providers_refusal_is_the_exception_of_its_status(
    sdk: Any, status: int, kind: type[openai.APIStatusError], streaming: bool
) -> None:
    with pytest.raises(kind) as raised:
        sdk.chat.completions.create(model="echo", messages=said(f"/echo error={status}"), stream=streaming)
    assert (raised.value.status_code, raised.value.code) == (status, f"echo_{status}")
    assert raised.value.request_id


def test_a_rate_limit_tells_when_to_come_back(sdk: Any) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.chat.completions.create(model="echo", messages=said("/echo error=429 retry_after=7"))
    assert raised.value.response.headers["retry-after"] == "7"


def test_an_unknown_model_is_not_found(sdk: Any) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        sdk.chat.completions.create(model="nobody", messages=said("Hi"))
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_a_mistake_in_the_request_is_a_bad_request(sdk: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.chat.completions.create(model="echo", messages=[])
    assert raised.value.param == "messages"


def test_only_the_right_token_is_let_in(tmp_path: Path) -> None:
    with Daemon(
        tmp_path, ECHO + "access: {mode: token, token: {env: TOKEN}}\n", environ={"TOKEN": "let-me-in"}
    ) as daemon:
        with client(daemon.port, api_key="let-me-in") as invited:
            assert text_of(invited.chat.completions.create(model="echo", messages=said("Hi"), stream=True)) == "Hi"
        with client(daemon.port) as stranger:
            with pytest.raises(openai.AuthenticationError) as raised:
                stranger.chat.completions.create(model="echo", messages=said("Hi"))
            assert raised.value.response.headers["www-authenticate"].startswith("Bearer")
            with pytest.raises(openai.AuthenticationError):
                stranger.models.list()


# --- what breaks --------------------------------------------------------------------------------------------


def test_a_stream_that_is_cut_raises_after_its_last_word(sdk: Any) -> None:
    cut = said("/echo cut=2 one two three four")
    stream = sdk.chat.completions.create(model="echo", messages=cut, stream=True)
    texts = [next(stream).choices[0].delta.content for _ in range(3)]
    with pytest.raises(openai.APIError) as raised:
        next(stream)
    assert texts == ["", "one", " two"]
    assert raised.value.code == "upstream_truncated"


def test_a_stream_that_is_cut_makes_no_answer_of_the_accumulator(sdk: Any) -> None:
    cut = said("/echo cut=2 one two three four")
    with sdk.chat.completions.stream(model="echo", messages=cut) as stream, pytest.raises(openai.APIError):
        stream.get_final_completion()


def test_an_answer_that_is_cut_raises(sdk: Any) -> None:
    with pytest.raises(openai.APIConnectionError):
        sdk.chat.completions.create(model="echo", messages=said("/echo cut=1 one two three four"))


def test_an_error_inside_a_stream_raises(sdk: Any) -> None:
    stream = sdk.chat.completions.create(model="echo", messages=said("/echo fail=1 one two"), stream=True)
    with pytest.raises(openai.APIError, match="was ordered") as raised:
        list(stream)
    assert raised.value.code == "echo_failed"


def test_a_stream_that_fails_before_its_first_word_is_an_error_with_a_status(
    provider: Provider, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    with Daemon(tmp_path, provider.config) as daemon, client(daemon.port) as sdk:
        asked = pool.submit(sdk.chat.completions.create, model="m", messages=said("Hi"), stream=True)
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD)
            upstream.reset()
            with pytest.raises(openai.InternalServerError) as raised:
                asked.result()
    assert raised.value.status_code == 502


def test_a_provider_that_resets_in_a_stream_makes_the_sdk_raise(
    provider: Provider, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    with Daemon(tmp_path, provider.config) as daemon, client(daemon.port) as sdk:
        asked = pool.submit(sdk.chat.completions.create, model="m", messages=said("Hi"), stream=True)
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("one"))
            stream = asked.result()
            assert next(stream).choices[0].delta.content == "one"
            upstream.reset()
            with pytest.raises(openai.APIError):
                next(stream)


def test_a_provider_that_nobody_answers_at_is_a_server_error(tmp_path: Path) -> None:
    with Provider() as gone:
        config = gone.config
    with (
        Daemon(tmp_path, config) as daemon,
        client(daemon.port) as sdk,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        sdk.chat.completions.create(model="m", messages=said("Hi"))
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_connection_failed")
    told: Any = raised.value.body
    assert (told["provider"], told["model"]) == ("up", "m")


# --- what goes up -------------------------------------------------------------------------------------------


def asked_of(
    provider: Provider, tmp_path: Path, call: Callable[[Any], object], config: str = "", **options: Any
) -> tuple[str, dict[str, str], bytes]:
    """Return what reaches the provider at ``call(sdk)``: request line, fields with lowercase names, and body."""
    with (
        ThreadPoolExecutor(1) as pool,
        Daemon(tmp_path, config or provider.config, environ={"KEY": "sk-stored-key", "TOKEN": "let-me-in"}) as daemon,
        client(daemon.port, **options) as sdk,
    ):
        asked = pool.submit(call, sdk)
        with provider.accept() as upstream:
            head, body = upstream.message()
            upstream.send(whole())
            asked.result()
    line, *lines = head.decode().split("\r\n")[:-2]
    return line, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


def chat(sdk: Any) -> None:
    sdk.chat.completions.create(model="m", messages=said("Hi"))


def with_key(provider: Provider, key: str) -> str:
    return provider.config.replace("type: openai,", f"type: openai, api_key: {key},")


def with_alias(provider: Provider) -> str:
    return provider.config.replace("model: m}", "model: the-real-one}") + "default_provider: up\n"


def test_the_stored_key_goes_up_and_the_callers_token_does_not(provider: Provider, tmp_path: Path) -> None:
    config = with_key(provider, "{env: KEY}") + "access: {mode: token, token: {env: TOKEN}}\n"
    _, fields, body = asked_of(provider, tmp_path, chat, config, api_key="let-me-in")
    assert fields["authorization"] == "Bearer sk-stored-key"
    assert "let-me-in" not in f"{fields} {body!r}"


def test_passthrough_sends_the_callers_own_key(provider: Provider, tmp_path: Path) -> None:
    config = with_key(provider, "passthrough")
    _, fields, _ = asked_of(provider, tmp_path, chat, config, api_key="sk-callers-own")
    assert fields["authorization"] == "Bearer sk-callers-own"


def test_without_a_key_none_is_sent(provider: Provider, tmp_path: Path) -> None:
    _, fields, _ = asked_of(provider, tmp_path, chat)
    assert "authorization" not in fields


def test_organization_and_project_go_up_and_nothing_that_nobody_knows(provider: Provider, tmp_path: Path) -> None:
    _, fields, _ = asked_of(
        provider,
        tmp_path,
        chat,
        organization="org-1",
        project="proj-1",
        default_headers={"X-Request-ID": "mine-17", "Cookie": "secret=1", "X-Private": "1"},
    )
    assert (fields["openai-organization"], fields["openai-project"]) == ("org-1", "proj-1")
    assert (fields["x-request-id"], fields["content-type"]) == ("mine-17", "application/json")
    assert fields["user-agent"].startswith("OpenAI/Python")
    assert fields.keys() == {
        "host", "accept", "accept-encoding", "content-length", "content-type", "user-agent", "x-request-id",
        "openai-organization", "openai-project",
    }  # fmt: skip


def test_the_alias_is_replaced_and_nothing_else_of_the_body(provider: Provider, tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    request: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Was? 🎈 é"}, picture]}],
        "model": "m",
        "response_format": {"type": "json_object"},
        "seed": 1,
        "tools": [TOOL],
        "unheard_of": {"model": "m", "deep": [1, 2.50, None, True]},
    }
    unheard_of = {"unheard_of": request["unheard_of"]}
    known = {name: value for name, value in request.items() if name != "unheard_of"}
    line, _, body = asked_of(
        provider,
        tmp_path,
        lambda sdk: sdk.chat.completions.create(**known, extra_body=unheard_of),
        with_alias(provider),
    )
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert json.loads(body) == {**request, "model": "the-real-one"}


def test_the_alias_is_replaced_in_a_form_too(provider: Provider, tmp_path: Path) -> None:
    sound = bytes(range(256)) * 100
    line, fields, body = asked_of(
        provider,
        tmp_path,
        lambda sdk: sdk.audio.transcriptions.create(model="m", file=("a.wav", sound, "audio/wav")),
        with_alias(provider),
    )
    assert line == "POST /v1/audio/transcriptions HTTP/1.1"
    assert fields["content-type"].startswith("multipart/form-data")
    assert b'name="model"\r\n\r\nthe-real-one\r\n' in body
    assert sound in body


def test_endpoints_that_nobody_has_heard_of_keep_method_path_and_query(provider: Provider, tmp_path: Path) -> None:
    line, _, body = asked_of(
        provider, tmp_path, lambda sdk: sdk.files.list(purpose="a b", limit=2), with_alias(provider)
    )
    assert (line, body) == ("GET /v1/files?limit=2&purpose=a+b HTTP/1.1", b"")


def test_a_base_address_without_v1_serves_chats_and_models(echo: Daemon) -> None:
    with client(echo.port, base_url=f"http://127.0.0.1:{echo.port}") as sdk:
        assert sdk.chat.completions.create(model="echo", messages=said("Hi")).choices[0].message.content == "Hi"
        assert [model.id for model in sdk.models.list()] == ["echo"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_is_whole_however_it_is_written_and_cut(
    provider: Provider, tmp_path: Path, pool: ThreadPoolExecutor, line_end: str, size: int
) -> None:
    words = ["Ünï", "cödé ", "🎈", "\u2028 end"]
    deltas = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]} for word in words
    ]
    events = [f": comment\n\ndata: {json.dumps(delta, ensure_ascii=False)}\n\n" for delta in deltas]
    data = ("".join(events) + "data: [DONE]\n\n").replace("\n", line_end).encode()
    with Daemon(tmp_path, provider.config) as daemon, client(daemon.port) as sdk:
        asked = pool.submit(lambda: text_of(sdk.chat.completions.create(model="m", messages=said("Hi"), stream=True)))
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD)
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            upstream.send(END_OF_BODY)
            assert asked.result() == "".join(words)
