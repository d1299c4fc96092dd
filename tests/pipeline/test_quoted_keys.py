"""The stored key where its provider quotes it: in no answer, however it comes, and in no record."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.providers.token import Grant
from netrunner.settings import Secret
from netrunner.values import Outcome
from tests.support.client import answers
from tests.support.stage import EVENT, JSON, KEY, SSE, Stage, body_of, error_of, request

MASK = "*" * len(KEY)
CODED = base64.b64encode(KEY.encode()).decode()
QUOTED = b'data: {"error":{"message":"no: %b","code":"%b"}}\n\n' % (KEY.encode(), KEY.encode())
HIDDEN = QUOTED.replace(KEY.encode(), MASK.encode())
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: a2V5")


def document(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}
    ).encode()


@pytest.mark.parametrize("repair", [False, True])
def test_an_error_inside_a_stream_is_told_without_the_key_wherever_it_is_cut(repair: bool) -> None:
    for cut in range(0, len(QUOTED), 3):
        stage = Stage(repair=repair)
        client = stage.ask({"model": "m", "messages": [], "stream": True})
        stage.call.head(200, SSE).body(EVENT).body(QUOTED[:cut]).body(QUOTED[cut:]).body(b"", True)
        heard = body_of(client.heard())
        assert (KEY.encode() in heard, MASK.encode() in heard) == (False, True)
        assert repair or heard == EVENT + HIDDEN
        assert stage.record().error == MASK


def test_an_event_waits_for_nothing_that_follows() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT)
    client.heard()
    piece = b'data: {"a":"sk-stored"}\n\n'
    stage.call.body(piece)
    assert client.heard() == b"%x\r\n%b\r\n" % (len(piece), piece)


@pytest.mark.parametrize("coding", [None, b"gzip"])
def test_an_answer_that_holds_the_key_is_as_long_and_does_not_tell_it(coding: bytes | None) -> None:
    stage = Stage()
    client = stage.ask()
    body = document(f"{KEY} {CODED}")
    fields = [JSON, (b"content-length", b"%d" % len(body))] if coding is None else [JSON, (b"content-encoding", coding)]
    sent = body if coding is None else gzip.compress(body)
    stage.call.head(200, *fields, (b"x-who", b"key " + KEY.encode()), (b"x-request-id", KEY.encode()))
    stage.call.body(sent[:120]).body(sent[120:-40]).body(sent[-40:], True)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, answer.headers[b"x-who"]) == (200, b"key " + MASK.encode())
    assert answer.body == document(f"{MASK} {'*' * 38}{CODED[38:]}")
    assert stage.record().attempts[0].request_id == MASK


def test_an_error_is_told_without_the_key_beyond_what_is_read_of_it() -> None:
    stage = Stage()
    client = stage.ask()
    filler = b"x" * 65000
    said = b'{"error":{"message":"%b %b %b %b"}}' % (KEY.encode(), filler, KEY.encode() * 100, filler)
    stage.call.head(429, JSON, (b"content-length", b"%d" % len(said)), reason=b"No " + KEY.encode())
    for at in range(0, len(said), 1000):
        stage.call.body(said[at : at + 1000], at + 1000 >= len(said))
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 429 No " + MASK.encode())
    assert answers(heard, b"POST")[0].body == said.replace(KEY.encode(), MASK.encode())
    assert KEY not in repr(stage.record())


def test_every_byte_comes_of_an_answer_that_breaks_off_in_what_may_be_the_key() -> None:
    for bytes_of_key in range(len(KEY)):
        stage = Stage()
        client = stage.ask()
        begun = KEY[:bytes_of_key].encode()
        stage.call.head(200, SSE).body(EVENT).body(b"data: " + begun).fail()
        heard = body_of(client.heard())
        assert heard.startswith(EVENT + b"data: " + (begun if len(begun) < 8 else b"*" * len(begun)) + b"\n")
        assert b"upstream_truncated" in heard
        assert stage.record().outcome == "upstream_truncated"


def test_what_was_kept_back_comes_before_the_end_that_we_make() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT).body(b"data: sk-")
    (exchange,) = stage.pipeline.inflight.values()
    exchange.work.stop(Outcome.CANCELLED, UpstreamError("over", code="x"))
    assert body_of(client.heard()).startswith(EVENT + b"data: sk-\n")


PROVIDERS: dict[str, tuple[bytes, bytes, bytes]] = {
    "anthropic": (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
        b'"model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"a"}}\n\n',
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no: %b"}}\n\n',
        b'{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"is %b"}],'
        b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}',
    ),
    "gemini": (
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"index":0}]}\n\n',
        b'data: {"error":{"code":503,"status":"UNAVAILABLE","message":"no: %b"}}\n\n',
        b'{"candidates":[{"content":{"role":"model","parts":[{"text":"is %b"}]},"finishReason":"STOP","index":0}]}',
    ),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_caller_of_another_dialect_is_not_told_the_key_either(provider: str) -> None:
    begin, error, whole = PROVIDERS[provider]
    key, mask = KEY.encode(), MASK.encode()
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    stage = Stage(provider=provider)
    client = stage.ask({**asked, "stream": True})
    told = error % key
    stage.call.head(200, SSE).body(begin).body(told[:-30]).body(told[-30:])
    heard = body_of(client.heard())
    assert (b"no: " + mask in heard, key in heard) == (True, False)
    for status, body in ((200, whole % key), (400, b'{"error":{"type":"x","message":"no: %b"}}' % key)):
        client = stage.ask(asked)
        stage.call.head(status, JSON, (b"x-ratelimit-by", key)).body(body[:-30]).body(body[-30:], True)
        heard = client.heard()
        assert heard.startswith(b"HTTP/1.1 %d " % status)
        assert (mask in heard, key in heard) == (True, False)
    assert KEY not in repr(stage.records)


def test_a_callers_own_key_is_his_to_see() -> None:
    said = b'{"error":{"message":"wrong: sk-of-the-caller-1"}}'
    stage = Stage(key="passthrough", routes={"/raw/": ("http://raw.example", "keep")})
    for path in ("/v1/chat/completions", "/raw/x"):
        client = stage.client().say(request(path, {"model": "m"}, "Authorization: Bearer sk-of-the-caller-1"))
        stage.call.head(401, JSON).body(said, True)
        assert answers(client.heard(), b"POST")[0].body == said


def test_a_token_that_was_got_for_the_key_is_masked_as_well() -> None:
    stage = Stage(provider="gigachat")
    token = "eyJ-a-token-for-half-an-hour"
    provider: Any = stage.pipeline.providers["up"].provider
    provider._token._grant = Grant(token, math.inf)
    client = stage.ask({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert stage.call.header(b"authorization") == [f"Bearer {token}".encode()]
    stage.call.head(422, JSON).body(json.dumps({"status": 422, "message": f"{token} {KEY} bad"}).encode(), True)
    (answer,) = answers(client.heard(), b"POST")
    assert error_of(answer.body)["message"] == f"{'*' * len(token)} {MASK} bad"


def test_every_secret_of_a_providers_settings_is_masked() -> None:
    settings = {"base_url": "https://gateway.ai.cloudflare.com/v1/a/g/compat", "cf_aig_token": Secret("gateway-token")}
    stage = Stage(provider="cloudflare", settings=settings)
    client = stage.ask()
    stage.call.head(200, JSON).body(document(f"gateway-token {KEY}"), True)
    assert answers(client.heard(), b"POST")[0].body == document(f"{'*' * 13} {MASK}")


def test_a_key_in_a_providers_address_is_masked() -> None:
    stage = Stage(key=None, settings={"base_url": "http://up.example/v1?v=2024-01-01&key=in%2Fthe-address"})
    client = stage.ask()
    stage.call.head(200, JSON).body(document("key=in%2Fthe-address in/the-address v=2024-01-01"), True)
    hidden = document(f"key={'*' * 16} {'*' * 14} v=2024-01-01")
    assert answers(client.heard(), b"POST")[0].body == hidden


def test_a_tunnel_begins_without_the_key() -> None:
    stage = Stage(endpoints=("realtime",))
    client = stage.client().say(request("/v1/realtime?model=m", b"", *HANDSHAKE))
    stage.call.head(101, (b"sec-websocket-protocol", KEY.encode()))
    assert b"sec-websocket-protocol: " + MASK.encode() in client.heard()


def test_a_list_of_models_does_not_tell_the_key() -> None:
    stage = Stage(unknown_model="up")
    client = stage.client().say(request("/v1/models"))
    stage.call.head(200, JSON).body(json.dumps({"data": [{"id": f"model-{KEY}"}]}).encode(), True)
    heard = client.heard()
    assert (KEY.encode() in heard, f"model-{MASK}".encode() in heard) == (False, True)


def test_what_is_shorter_than_a_key_is_a_word_like_any_other() -> None:
    stage = Stage(key="ollama")
    client = stage.ask()
    stage.call.head(200, JSON).body(document("ask ollama"), True)
    assert answers(client.heard(), b"POST")[0].body == document("ask ollama")
