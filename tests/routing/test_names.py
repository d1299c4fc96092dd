"""What names mean: the order of the steps, and how each of them is told."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import BadRequest, NotFound
from netrunner.routing.names import NO_MODEL, Meaning, Names
from netrunner.routing.route import route
from netrunner.routing.rules import Rule
from netrunner.routing.table import Candidate, Table
from netrunner.values import Alias

ALIAS = Alias("own", "org/model:tag", "https://llm.example/v1", 0.0)


def names(unknown: str | None = None, **given: Any) -> Names:
    return Names(["m", "n"], unknown, **given)


def way(meaning: Meaning) -> list[str]:
    return [str(step) for step in meaning.steps]


def test_a_configured_name_means_itself_and_costs_nothing_new() -> None:
    some = names()
    meaning = some.resolve("m")
    assert (meaning.name, meaning.provider, way(meaning)) == ("m", None, ["model m"])
    assert some.resolve("m") is meaning


@pytest.mark.parametrize("name", ["M", "m ", "", "mm", "x" * 513])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(NotFound) as raised:
        names().resolve(name)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert len(raised.value.message) < 200


def test_another_name_goes_to_the_provider_of_unknown_models_as_it_is() -> None:
    meaning = names("p").resolve("org/x")
    assert (meaning.name, meaning.provider, way(meaning)) == ("org/x", "p", ["unknown_model p"])


def test_an_alias_means_its_model_at_its_own_address() -> None:
    meaning = names("p", aliases={"own": ALIAS}).resolve("own")
    assert (meaning.name, meaning.provider, way(meaning)) == ("org/model:tag", "alias:own", ["alias own"])


def test_a_configured_name_goes_before_an_alias_and_an_alias_before_the_map() -> None:
    aliases = {"m": ALIAS, "own": ALIAS}
    some = names(aliases=aliases, model_map={"/.*/": "n"})
    assert some.resolve("m").provider is None
    assert some.resolve("own").provider == "alias:own"
    assert list(some) == ["m", "n", "own"]
    assert some.aliases == [ALIAS]


def test_exact_keys_of_the_map_go_before_patterns_and_patterns_are_in_order() -> None:
    some = names("p", model_map={"/gpt-4/": "m", "gpt-4o": "n", "/gpt-(.*)/": r"llama-\1"})
    assert some.resolve("gpt-4o").name == "n"
    assert some.resolve("gpt-4").name == "m"
    assert some.resolve("gpt-5").name == "llama-5"
    assert way(some.resolve("gpt-4-turbo")) == ["model_map /gpt-4/", "model m"]


def test_what_the_map_gives_is_not_mapped_again() -> None:
    meaning = names("p", model_map={"a": "b", "b": "a"}).resolve("a")
    assert (meaning.name, way(meaning)) == ("b", ["model_map a", "unknown_model p"])


def test_what_the_map_gives_may_be_an_alias_or_a_class() -> None:
    some = names(model_map={"a": "own", "b": "BIG"}, aliases={"own": ALIAS}, classes=["BIG"])
    assert some.resolve("a").provider == "alias:own"
    assert way(some.resolve("b")) == ["model_map b", "class BIG"]


@pytest.mark.parametrize("target", [r"\1", r"\1\1"])
def test_a_name_that_a_pattern_makes_empty_or_too_long_is_refused(target: str) -> None:
    some = names("p", model_map={"/a(.*)/": target})
    with pytest.raises(NotFound, match=r"model_map /a\(\.\*\)/ leads to"):
        some.resolve("a" if target == r"\1" else "a" + "b" * 300)


def test_a_class_means_all_of_its_models() -> None:
    meaning = names("p", classes=["SMALL"], model_map={"/.*/": "m"}).resolve("SMALL")
    assert (meaning.name, meaning.provider, way(meaning)) == ("SMALL", None, ["class SMALL"])


def test_a_rule_replaces_the_name_which_then_means_what_it_means_to_everybody() -> None:
    some = names(rules=[Rule(("10.0.0.0/8",), "/gpt/", None, "old")], model_map={"old": "n"})
    assert way(some.resolve("gpt-4", "10.0.0.1")) == ["rules[0]", "model_map old", "model n"]
    with pytest.raises(NotFound):
        some.resolve("gpt-4", "192.0.2.1")


def test_a_rule_that_names_a_provider_is_the_end_of_it() -> None:
    some = names(rules=[Rule((), "m", None, None, "p"), Rule((), "n", None, "x", "p")])
    assert some.resolve("m").name == "m"
    assert some.resolve("m").provider == "p"
    assert some.resolve("n").name == "x"
    assert way(some.resolve("n")) == ["rules[1]"]


def test_a_refusal_tells_the_way_to_it() -> None:
    some = names(rules=[Rule((), "a", None, "b")], model_map={"/b/": "c"})
    with pytest.raises(NotFound) as raised:
        some.resolve("a")
    said = "The model 'c' does not exist: rules[0] leads to 'b', model_map /b/ leads to 'c'."
    assert raised.value.message == said


@pytest.mark.parametrize(
    ("name", "reason"),
    [("m", "a configured model"), ("BIG", "a configured class"), ("old", "mapped by model_map"), ("new", None)],
)
def test_an_alias_may_not_take_a_name_that_the_configuration_has(name: str, reason: str | None) -> None:
    taken = names(classes=["BIG"], model_map={"old": "m", "/new/": "m"}).taken(name)
    assert taken is None if reason is None else taken is not None and reason in taken


TABLE = Table({"m": (Candidate("a", "x"), Candidate("b", "y"))}, None, "d")


def test_the_candidates_of_a_name_are_those_of_the_table_or_the_one_that_was_named() -> None:
    some = Names(["m"], rules=[Rule((), "z", None, None, "p")])
    assert route(some, TABLE, "m", "", b"", True)[1] == (Candidate("a", "x"), Candidate("b", "y"))
    assert route(some, TABLE, "z", "", b"", True)[1] == (Candidate("p", "z"),)


def test_a_request_without_a_model_goes_by_a_rule_or_to_the_default_provider() -> None:
    some = Names(["m"], rules=[Rule((), None, "/v1/files", None, "p")])
    assert route(some, TABLE, None, "", b"/v1/files", False)[1] == (Candidate("p", ""),)
    assert route(some, TABLE, None, "", b"/v1/batches", False) == (NO_MODEL, (Candidate("d", ""),))


def test_no_rule_makes_up_for_a_model_that_is_missing() -> None:
    some = Names(["m"], rules=[Rule((), None, None, "m", "p")])
    with pytest.raises(BadRequest) as raised:
        route(some, TABLE, None, "", b"/v1/chat/completions", True)
    assert raised.value.code == "missing_model"
