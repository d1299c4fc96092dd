"""What becomes of the provider pool's file."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.imports.imported import Imported, NotImportable
from netrunner.imports.pool import imported

MODEL = {
    "name": "groq/llama",
    "provider": "groq",
    "url": "https://api.groq.com/openai/v1/chat/completions",
    "token": "t",
}


def of(*models: dict[str, Any]) -> Imported:
    return imported({"models": [{**MODEL, **one} for one in models]})


def only(**model: Any) -> dict[str, Any]:
    (made,) = of(model).config["models"]
    return dict(made)


def test_a_model_is_known_by_its_name_and_asked_for_without_its_providers() -> None:
    assert only() == {"name": "groq/llama", "targets": [{"provider": "groq", "model": "llama"}]}
    assert only(name="meta/llama")["targets"] == [{"provider": "groq", "model": "meta/llama"}]


def test_size_priority_length_and_limits_are_the_targets() -> None:
    limits = {"requests_per_minute": 20, "requests_per_hour": 100, "requests_per_day": 1000}
    made = only(model_size="BIG", priority=2, max_request_length=167731, **limits)
    assert made["class"] == "BIG"
    assert made["targets"][0] == {
        "provider": "groq", "model": "llama", "priority": 2, "limits": limits, "max_request_bytes": 167731
    }  # fmt: skip


def test_the_address_is_that_below_which_the_endpoint_lies() -> None:
    assert of({}).config["providers"]["groq"]["base_url"] == "https://api.groq.com/openai/v1"
    assert of({"url": "https://h/x?y=1"}).config["providers"]["groq"]["base_url"] == "https://h/x"


def test_models_of_one_account_share_a_provider_and_other_accounts_have_their_own() -> None:
    result = of(
        {}, {"name": "b"}, {"name": "c", "token": "u"}, {"name": "d", "http_client_config": {"timeout_seconds": 30}}
    )
    used = [model["targets"][0]["provider"] for model in result.config["models"]]
    assert used == ["groq", "groq", "groq-2", "groq-3"]
    assert result.config["providers"]["groq-3"]["timeouts"] == {"first_byte_s": 30}


def test_a_name_that_comes_again_is_one_more_target_of_the_model() -> None:
    result = of({"model_size": "BIG"}, {"token": "u", "priority": 2, "model_size": "SMALL"})
    (model,) = result.config["models"]
    assert model["class"] == "BIG"
    assert [(one["provider"], one.get("priority")) for one in model["targets"]] == [("groq", None), ("groq-2", 2)]
    assert [note.partition(":")[0] for note in result.notes] == ["models[1].name", "models[1]"]


def test_no_account_gets_the_token_of_another_whose_name_has_the_same_letters() -> None:
    result = of({"provider": "a-b", "token": "1"}, {"provider": "a_b", "token": "2"})
    providers = result.config["providers"]
    assert {name: result.secrets[one["api_key"]["env"]] for name, one in providers.items()} == {"a-b": "1", "a_b": "2"}


def test_tokens_are_kept_apart_and_taken_from_the_environment() -> None:
    result = of({}, {"provider": "gigachat", "token": "id:canary"})
    assert result.secrets == {"GROQ_TOKEN": "t", "GIGACHAT_TOKEN": "canary"}
    assert result.config["providers"]["groq"]["api_key"] == {"env": "GROQ_TOKEN"}
    gigachat = result.config["providers"]["gigachat"]
    assert (gigachat["client_id"], gigachat["client_secret"]) == ("id", {"env": "GIGACHAT_TOKEN"})
    assert "canary" not in str(result.config) + repr(result)


def test_a_company_that_is_not_known_speaks_like_openai_at_its_address() -> None:
    result = of({"provider": "Glama AI", "url": "https://glama.ai/api/chat/completions"})
    assert result.config["providers"]["glama-ai"]["type"] == "openai"
    with pytest.raises(NotImportable, match=r"models\[0\].url: expected the address of glama"):
        of({"provider": "glama", "url": None})


def test_no_length_is_an_image_model_and_no_limit_is_told() -> None:
    result = of({"max_request_length": 0, "requests_per_day": 0})
    assert result.config["models"][0]["images"] is True
    assert result.notes == [
        "models[0].requests_per_day: 0 never chose the model there; left out here, which is no limit"
    ]


def test_a_limit_that_a_longer_window_makes_idle_is_left_out() -> None:
    result = of({"requests_per_minute": 20, "requests_per_hour": 100, "requests_per_day": 50})
    (target,) = result.config["models"][0]["targets"]
    assert target["limits"] == {"requests_per_minute": 20, "requests_per_day": 50}
    assert result.notes == [
        "models[0].requests_per_hour: a longer window has fewer, so it never decided; left out here"
    ]


def test_what_has_no_equivalent_is_told_by_its_place() -> None:
    result = imported({"models": [{**MODEL, "colour": "red", "http_client_config": {"retries": 1}}], "version": 2})
    assert [note.partition(":")[0] for note in result.notes] == [
        "version", "models[0].colour", "models[0].http_client_config.retries"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "models: expected a list of models"),
        ({"models": []}, "models: expected a list of models"),
        ({"models": ["x"]}, r"models\[0\]: expected a mapping"),
        ({"models": [{"provider": "groq"}]}, r"models\[0\].name: expected a text that is not empty"),
        ({"models": [{**MODEL, "priority": "high"}]}, r"models\[0\].priority: expected a number that is not negative"),
        ({"models": [{**MODEL, "model_size": "HUGE"}]}, r"models\[0\].model_size: expected SMALL or BIG"),
        ({"models": [{**MODEL, "url": "ftp://h"}]}, "expected an absolute http or https URL"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused_naming_what_was_expected(document: Any, message: str) -> None:
    with pytest.raises(NotImportable, match=message):
        imported(document)
