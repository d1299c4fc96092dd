"""``POST /image``: what providers are asked for an image, and the bytes that its caller gets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from netrunner.errors import Overloaded, UpstreamError
from netrunner.filters.no_think import NoThink, NoThinkSettings
from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.pipeline.lane import MAX_IMAGE_BYTES
from netrunner.routing.table import Candidate
from netrunner.testing.fakes import FakeEnvironment
from tests.support.client import Answer, Client, answers
from tests.support.images import JPEG, png
from tests.support.stage import JSON, KEY, Stage, UpstreamCall, error_of

ASK = {"model": "m", "prompt": "a lighthouse"}
PNG = png()
BYTES = (b"content-type", b"application/octet-stream")


IMAGES = (Candidate("up", "one"), Candidate("other", "two"), Candidate("up", "three"))
ANY = {"prompt": "a lighthouse"}


def unreached() -> UpstreamError:
    error = UpstreamError("cannot be reached")
    error.sent = False
    return error


def packed(image: bytes = PNG, **more: Any) -> bytes:
    """Return an answer of OpenAI's."""
    return json.dumps({"created": 7, "data": [{"b64_json": base64.b64encode(image).decode()}], **more}).encode()


def answer(client: Client) -> Answer:
    (told,) = answers(client.heard(), b"POST")
    return told


def drawn(stage: Stage, body: bytes, ask: Any = ASK) -> Answer:
    """Return what comes of an answer of the provider's."""
    client = stage.ask(ask, "/image")
    stage.call.head(200, JSON).body(body[:100]).body(body[100:], True)
    return answer(client)


def asked(stage: Stage) -> Any:
    return json.loads(stage.call.sent_body)


def test_a_prompt_goes_out_in_openais_form_with_the_stored_key() -> None:
    stage = Stage()
    stage.ask({**ASK, "size": "640x480", "quality": "high"}, "/image", headers=[(b"authorization", b"Bearer caller")])
    assert (stage.call.request.method, stage.call.request.target) == (b"POST", b"/v1/images/generations")
    assert asked(stage) == {
        "model": "m",
        "prompt": "a lighthouse",
        "size": "640x480",
        "quality": "high",
        "response_format": "b64_json",
    }
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]


def test_models_that_always_answer_with_base64_are_not_asked_for_it() -> None:
    stage = Stage(models={"m": (Candidate("up", "gpt-image-1"),)})
    stage.ask({"model": "m", "inputs": "a lighthouse", "size": "auto"}, "/image")
    assert asked(stage) == {"model": "gpt-image-1", "prompt": "a lighthouse"}


@pytest.mark.parametrize(("image", "kind"), [(PNG, b"image/png"), (JPEG, b"image/jpeg")])
def test_the_answer_is_the_image_with_its_own_type(image: bytes, kind: bytes) -> None:
    stage = Stage()
    told = drawn(stage, packed(image, usage={"input_tokens": 3, "output_tokens": 9}))
    assert (told.status, told.body) == (200, image)
    assert (told.headers[b"content-type"], told.headers[b"content-length"]) == (kind, b"%d" % len(image))
    record = stage.record()
    assert (record.dialect, record.outcome, record.bytes_out) == ("image", "done", len(image))
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total, record.usage.source) == (3, 9, "provider")


def test_tokens_of_an_image_are_never_guessed() -> None:
    stage = Stage()
    assert drawn(stage, packed()).status == 200
    assert stage.record().usage is None


@pytest.mark.parametrize(
    "body",
    [
        PNG,
        json.dumps({"data": [{"url": "data:image/png;base64," + base64.b64encode(PNG).decode()}]}).encode(),
        json.dumps({"result": {"image": base64.b64encode(PNG).decode()}, "success": True}).encode(),
    ],
    ids=["bytes", "data-url", "cloudflare"],
)
def test_every_form_in_which_providers_answer_is_read(body: bytes) -> None:
    told = drawn(Stage(), body)
    assert (told.status, told.headers[b"content-type"], told.body) == (200, b"image/png", PNG)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"data": [{"url": "https://cdn.example/i.png"}]}', "only the address of an image, and nothing is fetched"),
        (packed(PNG[:499]), "too small to be an image: 499 bytes"),
        (PNG[:499], "too small to be an image: 499 bytes"),
        (packed(b"<html>" + bytes(600)), "in no form of images"),
        (packed(b"ID3" + bytes(600)), "in no form of images"),
        (b'{"data": [{"b64_json": "*"}]}', "no base64"),
        (b'{"data": [{"b64_json": 7}]}', "b64_json that is no text"),
        (b'{"data": []}', "has no image"),
        (b"[]", "is no JSON object"),
        (b"<html>", "neither an image nor JSON"),
        (b"", "neither an image nor JSON"),
    ],
)
def test_what_is_no_image_is_a_bad_gateway_that_says_so(body: bytes, says: str) -> None:
    stage = Stage()
    told = drawn(stage, body)
    error = error_of(told.body)
    assert (told.status, error["code"]) == (502, "upstream_invalid_response")
    assert says in error["message"]
    assert stage.record().outcome == "upstream_failed"


def test_an_image_beyond_all_bounds_is_given_up() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/image")
    stage.call.head(200, BYTES).body(PNG).body(bytes(MAX_IMAGE_BYTES))
    assert stage.call.aborted
    assert error_of(answer(client).body)["code"] == "answer_too_large"


def test_an_error_is_told_in_openais_shape_wherever_the_provider_tells_it() -> None:
    error = json.dumps({"error": {"message": "not this", "code": "content_policy_violation", "status": 400}}).encode()
    told = drawn(Stage(), error)
    assert (told.status, error_of(told.body)["message"]) == (400, "not this")
    stage = Stage()
    client = stage.ask(ASK, "/image")
    stage.call.head(400, JSON).body(error, True)
    told = answer(client)
    assert (told.status, error_of(told.body)["code"]) == (400, "content_policy_violation")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"", 400, "invalid_json"),
        (b'{"model": 7, "prompt": "a"}', 400, "invalid_value"),
        (b'{"model": "m", "model": "n", "prompt": "a"}', 400, "duplicate_key"),
        (b'{"prompt": ""}', 400, "invalid_value"),
        (b'{"model": "all"}', 400, "invalid_value"),
        (b'{"model": "", "prompt": "a", "n": 2}', 400, "unsupported_parameter"),
        (b'{"model": "nobody", "prompt": "a"}', 404, "model_not_found"),
        (b'{"model": "m"}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": ""}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": " \\n"}', 400, "invalid_value"),
        (b'{"model": "m", "inputs": ""}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": 7}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": "a", "size": "big"}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": "a", "size": "0x9"}', 400, "invalid_value"),
        (b'{"model": "m", "prompt": "a", "n": 2}', 400, "unsupported_parameter"),
    ],
)
def test_a_request_that_is_none_is_refused_before_anybody_is_called(body: bytes, status: int, code: str) -> None:
    stage = Stage(images=IMAGES)
    client = stage.client().say(
        b"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    told = answer(client)
    assert (told.status, error_of(told.body)["code"]) == (status, code)
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"


def test_what_has_no_place_is_named() -> None:
    ask = {**ASK, "inputs": "another", "seed": 7, "stream": True, "n": 1}
    told = drawn(Stage(), packed(), ask)
    assert told.headers[b"netrunner-dropped"].split(b", ") == [b"stream", b"inputs", b"seed"]


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "ollama", "cohere"])
def test_a_provider_that_makes_no_images_is_not_asked(provider: str) -> None:
    stage = Stage(provider=provider)
    told = answer(stage.ask(ASK, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (404, "endpoint_not_found")
    assert stage.upstream.calls == []


def test_filters_see_the_prompt_and_the_image_and_write_nothing_into_either() -> None:
    no_think = NoThink(NoThinkSettings(), FakeEnvironment())
    stage = Stage(no_think, StripThinking(StripThinkingSettings(), FakeEnvironment()))
    assert drawn(stage, packed()).body == PNG
    assert asked(stage)["prompt"] == "a lighthouse"


def test_a_client_that_leaves_aborts_the_provider() -> None:
    stage = Stage()
    client = stage.ask(ASK, "/image")
    stage.call.head(200, JSON).body(packed()[:100])
    client.settle()
    assert stage.call.aborted
    assert stage.record().outcome == "client_gone"


# Any model that makes images, where none is named.


@pytest.mark.parametrize("named", [{}, {"model": ""}, {"model": " "}, {"model": "all"}])
def test_where_no_model_is_named_the_first_for_images_is_asked(named: dict[str, str]) -> None:
    stage = Stage(images=IMAGES)
    told = drawn(stage, packed(), {"prompt": "a lighthouse", **named})
    assert (told.status, told.body) == (200, PNG)
    assert [json.loads(call.sent_body)["model"] for call in stage.upstream.calls] == ["one"]
    record = stage.record()
    assert (record.model, record.upstream_model, record.outcome) == (None, "one", "done")


FAILURES: dict[str, Callable[[UpstreamCall], object]] = {
    "not reached": lambda call: call.fail(unreached()),
    "cut": lambda call: call.head(200, JSON).body(packed()[:100]).fail(),
    "busy": lambda call: call.head(429, JSON).body(b'{"error": {"message": "slow down"}}', True),
    "our key refused": lambda call: call.head(401, JSON).body(b"{}", True),
    "sick": lambda call: call.head(500, JSON).body(b"<html>", True),
    "prompt refused": lambda call: call.head(400, JSON).body(b'{"error": {"message": "not this"}}', True),
    "an error called fine": lambda call: call.head(200, JSON).body(b'{"error": {"message": "no"}}', True),
    "nothing": lambda call: call.head(200, JSON).body(b"", True),
    "too small": lambda call: call.head(200, BYTES).body(PNG[:499], True),
    "an address": lambda call: call.head(200, JSON).body(b'{"data": [{"url": "https://cdn.example/i"}]}', True),
    "without end": lambda call: call.head(200, BYTES).body(PNG).body(bytes(MAX_IMAGE_BYTES)),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_model_that_fails_is_passed_over_and_the_caller_gets_the_next_ones_image(failure: str) -> None:
    stage = Stage(images=IMAGES)
    client = stage.ask(ANY, "/image")
    FAILURES[failure](stage.call)
    assert client.heard() == b""
    assert asked(stage)["model"] == "two"
    stage.call.head(200, JSON).body(packed(JPEG), True)
    told = answer(client)
    assert (told.status, told.headers[b"content-type"], told.body) == (200, b"image/jpeg", JPEG)
    record = stage.record()
    assert (record.outcome, record.error, record.upstream_model) == ("done", None, "two")
    assert [attempt.error is None for attempt in record.attempts] == [False, True]
    assert len(stage.ledger.intents) == 1


def test_when_no_model_is_left_that_is_told_with_what_the_last_one_said() -> None:
    stage = Stage(images=IMAGES)
    client = stage.ask(ANY, "/image")
    for failure in ("busy", "too small", "prompt refused"):
        FAILURES[failure](stage.call)
    told = answer(client)
    error = error_of(told.body)
    assert (told.status, error["code"]) == (503, "model_selection_error")
    assert error["message"] == "No model for images could answer; the last of them: not this"
    assert len(stage.upstream.calls) == 3
    assert (stage.record().outcome, stage.record().status) == ("upstream_failed", 503)


def test_five_models_are_asked_and_no_more() -> None:
    stage = Stage(images=tuple(Candidate("up", f"number {number}") for number in range(1, 8)))
    client = stage.ask(ANY, "/image")
    for _ in range(5):
        FAILURES["sick"](stage.call)
    assert answer(client).status == 503
    assert asked(stage)["model"] == "number 5"


def test_without_a_model_for_images_nobody_is_asked() -> None:
    stage = Stage(default_provider="up")
    told = answer(stage.ask(ANY, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (503, "model_selection_error")
    assert stage.upstream.calls == []
    assert stage.record().outcome == "refused"


def test_a_model_that_is_named_is_replaced_by_no_other() -> None:
    stage = Stage(images=IMAGES)
    told = drawn(stage, PNG[:499])
    assert (told.status, error_of(told.body)["code"]) == (502, "upstream_invalid_response")
    assert [json.loads(call.sent_body)["model"] for call in stage.upstream.calls] == ["m"]


LIMITED = {"max_at_once": 1, "min_gap_s": 60.0}
SAME = (Candidate("up", "one"), Candidate("up", "three"))


def test_a_limited_model_is_passed_over() -> None:
    stage = Stage(images=(Candidate("up", "one"), Candidate("other", "two")), settings=LIMITED)
    clients = [stage.ask(ANY, "/image"), stage.ask(ANY, "/image")]
    first, second = stage.upstream.calls
    assert [json.loads(call.sent_body)["model"] for call in (first, second)] == ["one", "two"]
    for call in (second, first):
        call.head(200, JSON).body(packed(), True)
    assert [answer(client).body for client in clients] == [PNG, PNG]


def test_when_every_model_is_limited_that_is_told_with_when_to_come_again() -> None:
    stage = Stage(images=SAME, settings=LIMITED)
    drawn(stage, packed(), ANY)
    told = answer(stage.ask(ANY, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (503, "model_selection_error")
    assert told.headers[b"retry-after"] == b"60"
    assert len(stage.upstream.calls) == 1
    assert stage.records[-1].outcome == "refused"


def test_a_model_that_was_asked_and_another_that_is_limited_make_a_failure() -> None:
    stage = Stage(images=SAME, settings=LIMITED)
    client = stage.ask(ANY, "/image")
    FAILURES["sick"](stage.call)
    assert answer(client).status == 503
    assert stage.record().outcome == "upstream_failed"


def test_models_that_cannot_do_what_is_asked_are_passed_over_however_many_there_are() -> None:
    stage = Stage(provider="airforce", images=IMAGES)
    told = answer(stage.ask({"prompt": "a" * 9000}, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (503, "model_selection_error")
    assert "prompt: not supported by up" in error_of(told.body)["message"]
    stage = Stage(provider="anthropic", images=500 * IMAGES)
    told = answer(stage.ask(ANY, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (503, "model_selection_error")
    assert "makes no images" in error_of(told.body)["message"]
    assert stage.upstream.calls == []


def test_what_is_wrong_here_is_blamed_on_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Overloaded("The request cannot be recorded.", code="journal_full")

    stage = Stage(images=IMAGES)
    monkeypatch.setattr(stage.ledger, "begin", full)
    told = answer(stage.ask(ANY, "/image"))
    assert (told.status, error_of(told.body)["code"]) == (503, "journal_full")
    assert stage.upstream.calls == []


def test_a_client_that_leaves_while_the_second_model_is_asked_aborts_that_one() -> None:
    stage = Stage(images=IMAGES)
    client = stage.ask(ANY, "/image")
    FAILURES["sick"](stage.call)
    client.settle()
    assert stage.call.aborted
    assert asked(stage)["model"] == "two"
    assert stage.record().outcome == "client_gone"


# What single members of OpenAI's family want otherwise.


def test_together_takes_width_and_height_and_has_a_word_of_its_own_for_base64() -> None:
    stage = Stage(provider="together")
    told = drawn(stage, packed(), {**ASK, "size": "640x480"})
    assert told.body == PNG
    assert stage.call.request.target == b"/v1/images/generations"
    assert asked(stage) == {
        "model": "m",
        "prompt": "a lighthouse",
        "width": 640,
        "height": 480,
        "response_format": "base64",
    }


def test_huggingface_has_the_model_in_the_address_and_is_asked_for_inputs() -> None:
    stage = Stage(provider="huggingface", models={"m": (Candidate("up", "black-forest-labs/FLUX.1-dev"),)})
    told = drawn(stage, JPEG, {**ASK, "size": "640x480", "quality": "high"})
    assert (told.body, told.headers[b"content-type"]) == (JPEG, b"image/jpeg")
    assert told.headers[b"netrunner-dropped"] == b"quality"
    assert stage.call.request.target == b"/hf-inference/models/black-forest-labs/FLUX.1-dev"
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]
    assert asked(stage) == {"inputs": "a lighthouse", "parameters": {"width": 640, "height": 480}}
    stage.ask(ASK, "/image")
    assert asked(stage) == {"inputs": "a lighthouse"}


@pytest.mark.parametrize("model", ["../../v1/files", "a?b", "a b", "%2e%2e/x"])
def test_a_models_name_never_leads_elsewhere(model: str) -> None:
    stage = Stage(provider="huggingface", unknown_model="up")
    assert answer(stage.ask({**ASK, "model": model}, "/image")).status == 400
    assert stage.upstream.calls == []


@pytest.mark.parametrize(
    ("size", "form", "dropped"),
    [
        ("auto", None, None),
        ("640x640", "1:1", None),
        ("1920x1080", "16:9", None),
        ("640x480", None, b"size"),
    ],
)
def test_airforce_is_asked_by_get_with_everything_in_the_address(
    size: str, form: str | None, dropped: bytes | None
) -> None:
    stage = Stage(provider="airforce")
    told = drawn(stage, PNG, {"model": "m", "prompt": "a lighthouse & a b\u00e4r", "size": size})
    assert (told.body, told.headers.get(b"netrunner-dropped")) == (PNG, dropped)
    sent = stage.call.request
    path, _, query = sent.target.decode().partition("?")
    assert (sent.method, path, stage.call.sent_body) == (b"GET", "/v1/imagine2", b"")
    wanted = {"model": ["m"], "prompt": ["a lighthouse & a b\u00e4r"], **({"size": [form]} if form else {})}
    assert parse_qs(query) == wanted
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]
    assert stage.call.header(b"content-type") == []


def test_airforce_takes_no_prompt_that_has_no_place_in_an_address() -> None:
    stage = Stage(provider="airforce")
    told = answer(stage.ask({"model": "m", "prompt": "a" * 8000}, "/image"))
    assert (told.status, error_of(told.body)["code"], error_of(told.body)["param"]) == (
        400,
        "unsupported_parameter",
        "prompt",
    )
    assert stage.upstream.calls == []


def test_workers_ai_runs_the_model_that_the_address_names() -> None:
    settings = {"account_id": "acc1", "base_url": "http://up.example/client/v4"}
    stage = Stage(provider="cloudflare", settings=settings, models={"m": (Candidate("up", "cf/bfl/flux"),)})
    told = drawn(stage, json.dumps({"result": {"image": base64.b64encode(JPEG).decode()}}).encode())
    assert told.body == JPEG
    assert stage.call.request.target == b"/client/v4/accounts/acc1/ai/run/@cf/bfl/flux"
    assert asked(stage) == {"prompt": "a lighthouse"}


def test_a_gateway_of_cloudflares_is_asked_as_whoever_is_behind_it() -> None:
    stage = Stage(provider="cloudflare", settings={"base_url": "http://up.example/v1/acc/gw/openai"})
    stage.ask(ASK, "/image")
    assert stage.call.request.target == b"/v1/acc/gw/openai/images/generations"


@pytest.mark.parametrize("provider", ["together", "huggingface"])
def test_a_request_of_openais_own_form_goes_on_as_it_came(provider: str) -> None:
    stage = Stage(provider=provider)
    stage.ask(ASK, "/v1/images/generations")
    assert stage.call.request.target == b"/v1/images/generations"
    assert asked(stage) == ASK
