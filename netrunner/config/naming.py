"""The names of a configuration as ``Names``, and what about them does not fit together.

This module must not read anything; it looks at what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from netrunner.config.settings import Common, RuleSettings
from netrunner.config.typed import Section
from netrunner.errors import NotFound, Problem
from netrunner.routing.mapping import problems as problems_of_map
from netrunner.routing.names import Names
from netrunner.routing.rules import Rule, Rules
from netrunner.values import Alias

NO_ALIASES: Mapping[str, Alias] = MappingProxyType({})


def names_of(common: Common, aliases: Mapping[str, Alias] = NO_ALIASES) -> Names:
    """Return the names of a configuration without problems, and those that are registered."""
    return Names(
        [model.name for model in common.models],
        None if common.unknown_model == "reject" else common.unknown_model,
        rules=[_rule(rule) for rule in common.rules],
        model_map=common.model_map or {},
        classes={model.size_class for model in common.models if model.size_class},
        aliases=aliases,
    )


def _rule(rule: RuleSettings) -> Rule:
    return Rule(rule.source, rule.model, rule.path, rule.to.model, rule.to.provider)


def find(common: Common, root: Section) -> Iterator[Problem]:
    """Yield what is wrong with rules and map: first each for itself, then, if that is nothing, where they lead."""
    found = [*_of_rules(common, root), *_of_map(common, root)]
    yield from found or _dangling(common, root)


def _of_rules(common: Common, root: Section) -> Iterator[Problem]:
    rules = [_rule(rule) for rule in common.rules]
    for index, rule in enumerate(rules):
        where = root.at("rules", index)
        if rule.to_model is None and rule.to_provider is None:
            yield Problem(root.at("rules", index, "to"), "to: expected a model, a provider, or both")
        try:
            Rules([rule])
        except ValueError as error:
            yield Problem(root.at("rules", index, "model"), f"model: expected {error}")
        first = next((number for number in range(index) if rules[number].covers(rule)), None)
        if first is not None:
            yield Problem(where, f"rules[{index}] is never reached: rules[{first}] matches whatever it does")


def _of_map(common: Common, root: Section) -> Iterator[Problem]:
    model_map = common.model_map or {}
    for key, reason in problems_of_map(model_map):
        yield Problem(root.at("model_map", key), f"model_map: {key!r}: expected {reason}")
    configured = {model.name for model in common.models}
    for key, target in model_map.items():
        if key in configured:
            where = root.at("model_map", key)
            yield Problem(where, f"model_map: {key!r} is a configured model, so it would never be mapped to {target!r}")
        elif key == target:
            yield Problem(root.at("model_map", key), f"model_map: {key!r} leads to itself")


def _dangling(common: Common, root: Section) -> Iterator[Problem]:
    """Names that lead nowhere are found by following them as a request would."""
    try:
        names = names_of(common)
    except ValueError as error:
        yield Problem(root.where, f"model_map and rules: expected {error}")
        return
    for index, rule in enumerate(common.rules):
        if rule.to.provider is None and rule.to.model is not None and (reason := _nowhere(names, rule.to.model, False)):
            yield Problem(root.at("rules", index, "to", "model"), f"rules[{index}]: {reason}")
    for key, target in names.mapped:
        if reason := _nowhere(names, target, True):
            yield Problem(root.at("model_map", key), f"model_map: {key!r}: {reason}")


def _nowhere(names: Names, name: str, mapped: bool) -> str | None:
    """Return what is said of a name that leads nowhere; None if it leads somewhere."""
    try:
        names.lookup(name, (), mapped)
    except NotFound:
        return f"no model is called {name!r}, and unknown_model is reject"
    return None
