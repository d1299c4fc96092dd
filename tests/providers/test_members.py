"""The members of OpenAI's family: where they live, what they are asked, and the page that says what they cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger

from netrunner.dialects.gaps import Gaps
from netrunner.errors import UnsupportedParameter
from netrunner.providers.azure_openai import AzureOpenAIProvider, AzureOpenAISettings
from netrunner.providers.member import Member
from netrunner.providers.openai import OpenAIProvider, OpenAISettings
from netrunner.registry import Registry
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, UpstreamRequest

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
ADDRESSES = {
    "airforce": "https://api.airforce/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/chat/completions",
    "github": "https://models.github.ai/inference/chat/completions",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "huggingface": "https://router.huggingface.co/v1/chat/completions",
    "mistral": "https://api.mistral.ai/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "together": "https://api.together.xyz/v1/chat/completions",
}
REGISTRY = Registry.discover((), Logger("test"))


def call(document: Any, gaps: Gaps | None = None, model: str = "m") -> Call:
    return Call(b"POST", "chat/completions", b"", [], json.dumps(document).encode(), model, False, gaps=gaps)


def asked(request: UpstreamRequest) -> Any:
    return json.loads(request.body)


def member(name: str) -> Any:
    factory = REGISTRY.factory("provider", name)
    settings: Any = factory.settings
    return factory.build(settings(api_key=Secret("sk-1")), FakeEnvironment(name))


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_member_is_asked_at_its_own_address_with_the_stored_key(name: str) -> None:
    request = member(name).build(call({"messages": []}, Gaps()))
    assert request.origin.url.replace(":443", "") + request.target.decode() == ADDRESSES[name]
    assert (b"authorization", b"Bearer sk-1") in request.headers
    assert asked(request) == {"messages": []}


def test_openrouter_is_told_of_the_application_where_its_caller_tells_nothing() -> None:
    settings: Any = REGISTRY.factory("provider", "openrouter").settings
    named = settings(api_key=Secret("sk-1"), referer="https://app.example", title="App")
    provider: Any = REGISTRY.factory("provider", "openrouter").build(named, FakeEnvironment("openrouter"))
    asks = call({"messages": []})
    assert {(b"http-referer", b"https://app.example"), (b"x-title", b"App")} <= set(provider.build(asks).headers)
    asks.headers = [(b"x-title", b"The caller's")]
    titles = [value for name, value in provider.build(asks).headers if name == b"x-title"]
    assert titles == [b"The caller's"]


def test_what_members_do_otherwise_happens_to_what_they_are_asked() -> None:
    gaps = Gaps(target="mistral")
    request = member("mistral").build(call({"seed": 1, "user": "u", "tool_choice": "required"}, gaps))
    assert asked(request) == {"random_seed": 1, "tool_choice": "any"}
    assert gaps.dropped == ["user"]
    with pytest.raises(UnsupportedParameter, match="n: not supported by groq"):
        member("groq").build(call({"n": 2}, Gaps(target="groq")))
    with pytest.raises(UnsupportedParameter, match=r"response_format\.type"):
        member("deepseek").build(call({"response_format": {"type": "json_schema"}}, Gaps()))


def test_other_endpoints_go_on_as_they_came() -> None:
    embed = Call(b"POST", "embeddings", b"", [], b'{"user": "u"}', "m", False, gaps=Gaps())
    assert member("mistral").build(embed).body == b'{"user": "u"}'


def test_members_tell_the_page_what_they_cannot_do() -> None:
    missing = [row for row in table() if row not in PAGE]
    assert missing == []


def table() -> list[str]:
    """Return the rows of docs/providers.md, made from the members themselves."""
    rows = []
    for name in REGISTRY.names("provider"):
        family = getattr(REGISTRY.factory("provider", name).build, "family", None)
        if family is None:
            continue
        refused = [*family.refused, *([] if family.answers else ["`n` > 1"])]
        refused += [f"`{form}`" for form in ("json_object", "json_schema") if form not in family.formats]
        refused += [] if family.audio else ["audio"]
        refused += [] if family.max_stop is None else [f"more than {family.max_stop} `stop`"]
        told = ", ".join(one if one == "audio" or "`" in one else f"`{one}`" for one in refused) or "nothing"
        dropped = ", ".join(f"`{one}`" for one in sorted(family.dropped)) or "nothing"
        renamed = ", ".join(f"`{old}` as `{new}`" for old, new in family.renamed.items()) or "nothing"
        rows.append(f"| `{name}` | {told} | {dropped} | {renamed} |")
    return rows


def test_openais_reasoning_models_are_told_a_limit_by_its_newer_name_in_what_is_translated() -> None:
    provider = OpenAIProvider(OpenAISettings(), FakeEnvironment("openai"))
    assert asked(provider.build(call({"max_tokens": 5}, Gaps(), "gpt-5-mini"))) == {"max_completion_tokens": 5}
    assert asked(provider.build(call({"max_tokens": 5}, Gaps(), "llama3"))) == {"max_tokens": 5}
    assert asked(provider.build(call({"max_tokens": 5}, None, "gpt-5-mini"))) == {"max_tokens": 5}


def test_openai_is_not_told_again_what_was_thought_in_what_is_translated() -> None:
    provider = OpenAIProvider(OpenAISettings(), FakeEnvironment("openai"))
    turn = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    gaps = Gaps()
    assert asked(provider.build(call({"messages": [turn]}, gaps, "gpt-4o")))["messages"][0].keys() == {
        "role",
        "content",
    }
    assert gaps.dropped == ["reasoning"]
    assert asked(provider.build(call({"messages": [turn]}, None, "gpt-4o"))) == {"messages": [turn]}


def test_a_server_may_not_serve_responses_itself() -> None:
    assert OpenAIProvider(OpenAISettings(), FakeEnvironment("a")).also == {"responses"}
    assert OpenAIProvider(OpenAISettings(responses=False), FakeEnvironment("a")).also == frozenset()


def azure(**settings: Any) -> AzureOpenAIProvider:
    return AzureOpenAIProvider(AzureOpenAISettings(**settings), FakeEnvironment("azure"))


def test_azure_is_asked_with_its_own_key_field_and_path() -> None:
    older = azure(base_url="https://r.example/openai", api_key=Secret("k"), api_version="2024-10-21")
    request = older.build(call({}, model="my deployment"))
    assert request.target == b"/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    assert (b"api-key", b"k") in request.headers
    assert b"authorization" not in dict(request.headers)
    listing = Call(b"GET", "models", b"a=1", [], b"", "", False)
    assert older.build(listing).target == b"/openai/models?a=1&api-version=2024-10-21"


def test_azures_newer_address_names_models_in_bodies() -> None:
    newer = azure(base_url="https://r.example/openai/v1", api_key=Secret("k"))
    assert newer.build(call({})).target == b"/openai/v1/chat/completions"
    through = azure(base_url="https://r.example/openai/v1", api_key="passthrough")
    passed = call({})
    passed.authorization = b"Bearer of the caller"
    assert (b"authorization", b"Bearer of the caller") in through.build(passed).headers


def test_every_member_is_one() -> None:
    assert {name for name in ADDRESSES if not isinstance(member(name), Member)} == set()
