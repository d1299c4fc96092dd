"""What Ollama's clients read before they ask."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from netrunner.dialects.conversation import Asked, Conversation, Embedding
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.ollama.documents import (
    Model,
    loaded,
    ps_document,
    show_document,
    tags_document,
    version_document,
)
from netrunner.dialects.ollama.reading import READERS

MODEL = Model(
    name="my-gpt4", modified_at=1_800_000_000.0, context_length=4096, capabilities=("completion",), family="f"
)


def test_models_are_listed_by_both_names_with_a_digest_that_tools_cut():
    (found,) = tags_document([MODEL])["models"]
    assert (found["name"], found["model"]) == ("my-gpt4", "my-gpt4")
    assert re.fullmatch("[0-9a-f]{64}", found["digest"])
    assert (found["modified_at"], found["size"]) == ("2027-01-15T08:00:00.000Z", 0)
    assert found["details"]["families"] == ["f"]
    assert tags_document([]) == {"models": []}


def test_models_are_ready_for_good():
    (found,) = ps_document([MODEL])["models"]
    assert (found["name"], found["context_length"], found["size_vram"]) == ("my-gpt4", 4096, 0)
    assert found["expires_at"].startswith("9999")
    assert "modified_at" not in found


def test_a_model_tells_what_it_can_do_and_how_much_it_reads():
    found = show_document(MODEL)
    assert found["capabilities"] == ["completion"]
    assert found["model_info"][f"{found['model_info']['general.architecture']}.context_length"] == 4096
    assert found["details"]["family"] == "f"
    assert show_document(Model(name="m"))["capabilities"] == ["completion", "tools", "vision", "thinking"]


def test_the_version_is_three_numbers_and_nothing_else():
    assert re.fullmatch(r"\d+\.\d+\.\d+", version_document()["version"])


def asked(endpoint: str, document: dict[str, Any]) -> Asked:
    request = READERS[endpoint](json.dumps(document).encode(), Gaps())
    return Asked(
        id="i",
        model="m",
        endpoint=endpoint,
        stream=True,
        wants_usage=False,
        at=1.8e9,
        elapsed_s=lambda: 1.0,
        request=request,
    )


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [
        (None, "load"),
        (-1, "load"),
        ("5m", "load"),
        ("10s", "load"),
        ("", "load"),
        (0, "unload"),
        (0.0, "unload"),
        ("0", "unload"),
        ("0s", "unload"),
        ("0m0.0s", "unload"),
        ([], "load"),
    ],
)
def test_a_request_without_a_prompt_loads_a_model_or_lets_it_go(keep_alive, reason):
    chat = loaded(asked("chat", {"messages": [], "keep_alive": keep_alive}))
    generate = loaded(asked("generate", {"prompt": "", "keep_alive": keep_alive}))
    assert chat is not None
    assert generate is not None
    head = {"model": "m", "created_at": "2027-01-15T08:00:00.000Z", "done": True, "done_reason": reason}
    assert json.loads(chat.body) == {**head, "message": {"role": "assistant", "content": ""}}
    assert json.loads(generate.body) == {**head, "response": ""}
    assert (chat.status, chat.headers) == (200, [(b"content-type", b"application/json; charset=utf-8")])
    assert chat.body.count(b"\n") == 1


@pytest.mark.parametrize(
    ("endpoint", "document"),
    [
        ("chat", {"messages": [{"role": "user", "content": ""}]}),
        ("chat", {"messages": [{"role": "system", "content": "x"}]}),
        ("generate", {"prompt": "x"}),
        ("embed", {"input": "x"}),
    ],
)
def test_every_other_request_is_for_a_provider(endpoint, document):
    assert loaded(asked(endpoint, document)) is None
    assert isinstance(asked(endpoint, document).request, (Conversation, Embedding))
