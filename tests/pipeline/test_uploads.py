"""Images for GigaChat: sent as files before the chat, named in it, and deleted behind it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.clients import CLIENTS, STREAM_PATHS, WHOLE_PATHS, asked, refused, streamed
from tests.support.stage import JSON, SSE, Stage, UpstreamCall, error_of

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n one").decode()
OTHER = base64.b64encode(b"\x89PNG\r\n\x1a\n two").decode()
everybody = pytest.mark.parametrize("client", CLIENTS)
STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"A dot"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def shown(client: str, data: str = PNG, mime: str = "image/png", words: str = "What is it?") -> dict[str, Any]:
    """Return what a client's request says with an image."""
    if client == "ollama":
        return {"messages": [{"role": "user", "content": words, "images": [data]}]}
    if client == "gemini":
        parts = [{"text": words}, {"inlineData": {"mimeType": mime, "data": data}}]
        return {"contents": [{"role": "user", "parts": parts}]}
    url = f"data:{mime};base64,{data}"
    if client == "responses":
        parts = [{"type": "input_text", "text": words}, {"type": "input_image", "image_url": url}]
        return {"input": [{"role": "user", "content": parts}]}
    image: Any = {"type": "image_url", "image_url": {"url": url}}
    if client == "anthropic":
        image = {"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": words}, image]}]}


def stage_of(**settings: Any) -> Stage:
    return Stage(provider="gigachat", key="passthrough", settings=settings)


def told(call: UpstreamCall, id: str) -> None:
    call.head(200, JSON).body(json.dumps({"id": id, "object": "file", "purpose": "general"}).encode(), True)


def targets(stage: Stage) -> list[bytes]:
    return [call.request.target for call in stage.upstream.calls]


@everybody
def test_an_image_is_sent_as_a_file_named_in_the_chat_and_deleted_after_the_answer(client: str) -> None:
    stage = stage_of()
    speaker = stage.ask(asked(client, **shown(client)), STREAM_PATHS[client], headers=[(b"authorization", b"Bearer t")])
    upload = stage.call
    assert (upload.request.method, upload.request.target) == (b"POST", b"/v1/files")
    assert upload.header(b"authorization") == [b"Bearer t"]
    (content_type,) = upload.header(b"content-type")
    boundary = content_type.partition(b"boundary=")[2]
    _, purpose, file, end = upload.sent_body.split(b"--" + boundary)
    assert purpose == b'\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ngeneral\r\n'
    assert b'name="file"; filename="image.png"\r\nContent-Type: image/png\r\n\r\n' in file
    assert file.endswith(b"\r\n\r\n" + base64.b64decode(PNG) + b"\r\n")
    assert end == b"--\r\n"
    assert len(stage.ledger.intents) == 1  # It is on record before anything leaves.
    told(upload, "f-1")
    chat = stage.call
    assert chat.request.target == b"/v1/chat/completions"
    message = json.loads(chat.sent_body)["messages"][-1]
    assert message == {"role": "user", "content": "What is it?", "attachments": ["f-1"]}
    chat.head(200, SSE).body(STREAM, True)
    assert streamed(client, speaker.heard()).text == "A dot"
    assert targets(stage)[2:] == [b"/v1/files/f-1/delete"]
    assert (stage.call.header(b"authorization"), stage.call.sent_body) == ([b"Bearer t"], b"")
    stage.call.fail()
    assert (stage.record().outcome, len(stage.record().attempts)) == ("done", 1)


def turns_of(*images: str) -> dict[str, Any]:
    """Return a conversation in which each turn of the user shows an image."""
    answer = {"role": "assistant", "content": "Good"}
    messages = [one for image in images for one in (shown("openai", image)["messages"][0], answer)]
    return {"messages": messages[:-1]}


def test_images_are_sent_one_after_the_other_and_each_once() -> None:
    stage = stage_of()
    stage.ask(asked("openai", **turns_of(PNG, OTHER, PNG)), WHOLE_PATHS["openai"])
    told(stage.call, "a")
    told(stage.call, "b")
    attached = [one["attachments"] for one in json.loads(stage.call.sent_body)["messages"] if one["role"] == "user"]
    assert attached == [["a"], ["b"], ["a"]]
    assert targets(stage) == [b"/v1/files", b"/v1/files", b"/v1/chat/completions"]


def test_files_are_kept_where_the_setting_says_so() -> None:
    stage = stage_of(keep_files=True)
    stage.ask(asked("openai", **shown("openai")), STREAM_PATHS["openai"])
    told(stage.call, "f-1")
    stage.call.head(200, SSE).body(STREAM, True)
    assert targets(stage) == [b"/v1/files", b"/v1/chat/completions"]


@everybody
def test_a_file_that_is_refused_is_an_error_of_the_callers_dialect(client: str) -> None:
    stage = stage_of()
    speaker = stage.ask(asked(client, **shown(client)), STREAM_PATHS[client])
    stage.call.head(413, JSON).body(b'{"status":413,"message":"File is too large"}', True)
    status, message, _ = refused(client, speaker.heard())
    assert (status, message) == (413, "File is too large")
    assert targets(stage) == [b"/v1/files"]
    assert stage.record().outcome == "upstream_failed"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b"no JSON"), (200, b'{"id": "../chat"}'), (302, b""), (200, b"x" * 100_000)],
)
def test_an_answer_to_a_file_that_names_none_is_an_error_of_the_provider(status: int, body: bytes) -> None:
    stage = stage_of()
    speaker = stage.ask(asked("openai", **shown("openai")), STREAM_PATHS["openai"])
    stage.call.head(status, JSON).body(body, True)
    assert speaker.heard().startswith(b"HTTP/1.1 502 ")
    assert len(stage.upstream.calls) == 1
    assert stage.record().outcome == "upstream_failed"


def test_what_was_sent_is_deleted_when_the_chat_is_refused() -> None:
    stage = stage_of()
    speaker = stage.ask(asked("openai", **shown("openai")), STREAM_PATHS["openai"])
    told(stage.call, "f-1")
    stage.call.head(422, JSON).body(b'{"status":422,"message":"No"}', True)
    assert speaker.heard().startswith(b"HTTP/1.1 422 ")
    assert targets(stage)[2:] == [b"/v1/files/f-1/delete"]


@pytest.mark.parametrize("answered", [0, 1])
def test_a_client_that_leaves_ends_the_step_that_is_going_on(answered: int) -> None:
    stage = stage_of()
    speaker = stage.ask(asked("openai", **shown("openai")), STREAM_PATHS["openai"])
    if answered:
        told(stage.call, "f-1")
    going_on = stage.call
    speaker.settle()
    assert going_on.aborted
    assert targets(stage)[1 + answered :] == [b"/v1/files/f-1/delete"] * answered
    assert stage.record().outcome == "client_gone"


def test_a_connection_lost_while_a_file_is_sent_is_one_lost() -> None:
    stage = stage_of()
    speaker = stage.ask(asked("openai", **shown("openai")), STREAM_PATHS["openai"])
    stage.call.fail()
    assert speaker.heard().startswith(b"HTTP/1.1 502 ")
    assert len(stage.upstream.calls) == 1


def images_of(*urls: str) -> dict[str, Any]:
    """Return one message that shows these images."""
    return {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": one}} for one in urls]}]
    }


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (shown("openai", "no base64"), 400, "base64"),
        (turns_of(*[PNG] * 11), 400, "10 at most"),
        (images_of(f"data:image/png;base64,{PNG}", f"data:image/png;base64,{OTHER}"), 400, "one at most"),
        (images_of("https://x.example/a.png"), 400, "nothing is fetched here"),
        (shown("openai", base64.b64encode(bytes(20 * 1024 * 1024 + 1)).decode()), 413, "at most 20971520 bytes"),
    ],
    ids=["no base64", "eleven", "two in a message", "by address", "too large"],
)
def test_images_that_cannot_be_sent_are_refused_before_anything_is(
    more: dict[str, Any], status: int, message: str
) -> None:
    stage = stage_of()
    speaker = stage.ask(asked("openai", **more), WHOLE_PATHS["openai"])
    heard = speaker.heard()
    assert heard.startswith(b"HTTP/1.1 %d " % status)
    error = error_of(heard.partition(b"\r\n\r\n")[2])
    assert message in error["message"]
    assert stage.upstream.calls == []


def test_a_request_without_an_image_takes_one_step() -> None:
    stage = stage_of()
    stage.ask(asked("openai"), WHOLE_PATHS["openai"])
    assert targets(stage) == [b"/v1/chat/completions"]
