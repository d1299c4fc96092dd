"""The filter ``firewall`` and images, on the way of a request in memory: what a classifier is sent, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from netrunner.filters.firewall import plugin
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection
from tests.support.client import answers
from tests.support.posts import Http, Response
from tests.support.stage import JSON, Stage, error_of, request

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(40))).decode()
DATA = f"data:image/webp;base64,{PNG}"
ASKED = {"model": "eyes", "image": PNG, "media_type": "image/png"}
URL = "https://images.example/cat.png"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def chat(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def picture(url: str = DATA) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def block(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source or {"type": "base64", "media_type": "image/webp", "data": PNG}}


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [block()]}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "see", "input": {}}]}
ITEM = {"type": "input_image", "image_url": DATA}
PART = {"inlineData": {"mimeType": "image/webp", "data": PNG}}


class Classified:
    """A request that came by a firewall, and what became of it.

    Args:
        body: Of the request.
        path: Where it was sent to.
        says: What the classifier answers: status and what it takes an image for.
        rules: Of the firewall.
        settings: Its others.
    """

    def __init__(
        self,
        body: Any,
        path: str = CHAT,
        *,
        says: tuple[int, str] = (200, "safe"),
        rules: tuple[dict[str, Any], ...] = ({"type": "custom", "model": "eyes"},),
        **settings: Any,
    ) -> None:
        http = Http(lambda _: [])
        status, label = says
        http.decide = lambda _: Response(status, json.dumps({"labels": [label], "probabilities": [0.9]}).encode())
        models = [
            {"name": "eyes", "type": "image-classification", "url": "http://c.example/see"},
            {"name": "reader", "url": "http://c.example/read"},
        ]
        parsed = plugin.parse(FakeSection({"models": models, "rules": rules, **settings}))
        stage = Stage(plugin.build(parsed, FakeEnvironment(http=http)), default_provider="up", unknown_model="up")
        client = stage.client().say(request(path, body))
        self.asked = http.documents
        self.passed = bool(stage.upstream.calls)
        if self.passed:
            stage.call.head(200, JSON).body(b"{}", True)
            return
        (answer,) = answers(client.heard(), b"POST")
        self.status = answer.status
        self.error = error_of(answer.body) if path.startswith("/v1/") and path != MESSAGES else {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(user({"type": "text", "text": "What is it?"}, picture()))),
        (RESPONSES, {"model": "m", "input": [user(ITEM)]}),
        (MESSAGES, {**chat(user(block())), "max_tokens": 9}),
        (MESSAGES, {**chat(user({"type": "text", "text": "Look"}), CALLED, user(RESULT)), "max_tokens": 9}),
        ("/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [PART]}]}),
        ("/api/chat", chat({"role": "user", "content": "What is it?", "images": [PNG]})),
        ("/api/generate", {"model": "m", "prompt": "What is it?", "images": [PNG]}),
    ],
    ids=["chat", "responses", "messages", "a tool's result", "gemini", "ollama's chat", "ollama's generate"],
)
def test_an_image_is_sent_to_its_classifier_in_every_dialect_and_a_harmful_one_refused(path: str, body: Any) -> None:
    refused = Classified(body, path, says=(200, "harmful"))
    assert (refused.asked, refused.passed, refused.status) == ([ASKED], False, 403)
    harmless = Classified(body, path)
    assert (harmless.asked, harmless.passed) == ([ASKED], True)


def test_each_image_is_asked_about_once_whatever_the_rules_and_texts_by_their_own_classifier() -> None:
    other = base64.b64encode(b"GIF89a").decode()
    body = chat(user({"type": "text", "text": "Compare"}, picture(), picture(f"data:image/gif;base64,{other}")))
    rules = (
        {"type": "custom", "model": "eyes"},
        {"type": "spam", "model": "reader"},
        {"type": "spam", "model": "eyes"},
    )
    classified = Classified(body, rules=rules)
    gif = {"model": "eyes", "image": other, "media_type": "image/gif"}
    assert classified.asked == [ASKED, gif, {"model": "reader", "text": "Compare"}]
    assert classified.passed


def test_images_of_earlier_messages_are_looked_at_where_all_are() -> None:
    body = chat(user(picture()), {"role": "assistant", "content": "A cat."}, user({"type": "text", "text": "Why?"}))
    assert Classified(body).asked == []
    assert Classified(body, looks_at="all").asked == [ASKED]


def test_where_no_rule_goes_by_it_a_classifier_of_images_is_asked_nothing() -> None:
    rules = ({"type": "custom", "model": "reader"}, {"type": "custom", "model": "eyes", "enabled": False})
    classified = Classified(chat(user(picture(URL))), rules=rules)
    assert (classified.asked, classified.passed) == ([], True)


def test_an_image_that_is_named_by_a_url_is_refused() -> None:
    refused = Classified(chat(user(picture(URL))))
    assert (refused.asked, refused.status, refused.error["code"]) == ([], 403, "firewall_unseen")


def test_an_image_that_is_named_by_a_url_is_asked_about_by_it_where_that_is_wanted() -> None:
    asked = Classified(chat(user(picture(URL))), says=(200, "harmful"), image_urls="ask")
    assert (asked.asked, asked.status) == ([{"model": "eyes", "url": URL}], 403)


def test_an_image_that_is_named_goes_on_unseen_where_that_is_wanted() -> None:
    admitted = Classified(chat(user(picture(URL), picture())), image_urls="admit")
    assert (admitted.asked, admitted.passed) == ([ASKED], True)


def test_nobody_can_be_asked_about_the_id_of_a_file() -> None:
    item = {"type": "input_image", "file_id": "file-1"}
    refused = Classified({"model": "m", "input": [user(item)]}, RESPONSES, image_urls="ask")
    assert (refused.asked, refused.status, refused.error["code"]) == ([], 403, "firewall_unseen")


def test_images_that_are_edited_are_seen_by_nobody() -> None:
    body, path = {"model": "m", "prompt": "A hat"}, "/v1/images/edits"
    refused = Classified(body, path, image_urls="ask")
    assert (refused.asked, refused.status, refused.error["code"]) == ([], 403, "firewall_unseen")
    assert Classified(body, path, image_urls="admit").passed


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([picture(), picture(), picture()], 413, "too_many_images"),
        ([picture(f"data:image/png;base64,{'A' * 172}")], 413, "image_too_large"),
        ([picture("data:image/png;base64,AA=A")], 400, "invalid_value"),
        ([{"type": "video_url", "video_url": {"url": URL}}], 400, "invalid_value"),
    ],
    ids=["too many", "too large", "no base64", "no part that is known"],
)
def test_what_cannot_be_looked_at_is_refused(parts: list[Any], status: int, code: str) -> None:
    refused = Classified(chat(user(*parts)), max_images=2, max_image_bytes=126)
    assert (refused.asked, refused.status, refused.error["code"]) == ([], status, code)


def test_an_image_as_large_as_may_be_is_looked_at() -> None:
    classified = Classified(chat(user(picture(f"data:image/png;base64,{'A' * 168}"))), max_image_bytes=126)
    assert [one["media_type"] for one in classified.asked] == ["image/png"]


def test_a_classifier_that_does_not_answer_stops_the_request_unless_it_is_to_go_on() -> None:
    body = chat(user(picture()))
    refused = Classified(body, says=(503, ""))
    assert (refused.status, refused.error["code"]) == (500, "firewall_unavailable")
    assert Classified(body, says=(503, ""), unavailable="admit").passed
