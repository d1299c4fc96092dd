"""From what a caller asks for to what is meant: one of the configured names, or a provider and a name it knows.

The steps, in this order; ``Names.resolve`` is the one place that knows it:

1. the first of the ``rules`` that matches replaces the name, or names the provider, and that is the end of it;
2. a configured name (``models``) means itself, the name of a class all models of that class;
3. an alias that was registered means the model and the address it was registered with;
4. ``model_map`` replaces the name, once: what it gives is looked up as in 2 and 3, and not mapped again;
5. any other name goes to the provider of ``unknown_model``, or is refused.

Pure: no I/O, no clock. This module must not know of providers beyond their names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from netrunner.errors import NotFound
from netrunner.routing.mapping import ModelMap
from netrunner.routing.patterns import MAX_NAME_CHARACTERS
from netrunner.routing.rules import Rule, Rules
from netrunner.values import Alias

ALIAS_PROVIDER = "alias:"
"""What the provider behind an alias is called, before the alias's name; no configured one can be called so."""


SHOWN_CHARACTERS = 128
"""Of a name, in messages."""


class Step(msgspec.Struct, frozen=True):
    """One step from what was asked for to what is meant."""

    kind: Literal["rule", "model", "class", "alias", "model_map", "unknown_model"]
    key: str
    """What decided, as the configuration has it: ``rules[2]``, the key in ``model_map``, the name itself."""
    name: str
    """The model's name after it."""

    def __str__(self) -> str:
        return self.key if self.kind == "rule" else f"{self.kind} {self.key}"


class Meaning(msgspec.Struct, frozen=True):
    """What a name means."""

    name: str
    """A configured name or class; with a provider, the name by which it knows the model, empty if none was named."""
    provider: str | None = None
    """Who is asked; None leaves that to the targets of the name."""
    steps: tuple[Step, ...] = ()
    """How it came to that."""

    @property
    def pool(self) -> str | None:
        """The name whose targets are asked; None if a provider is, or no name was given."""
        return self.name if self.provider is None and self.name else None


NO_MODEL = Meaning("")
"""Of a request that names no model, and that no rule is about."""


class Names:
    """The names of one configuration, and those that are registered while it runs.

    Args:
        models: Configured names.
        unknown_model: Who gets unknown names; None refuses them.
        rules: In their order.
        model_map: Names and patterns to names.
        classes: Classes that there are models of.
        aliases: By their names; may change at any time.

    Raises:
        ValueError: for a pattern, target or network that is none.
    """

    def __init__(
        self,
        models: Iterable[str],
        unknown_model: str | None = None,
        *,
        rules: Sequence[Rule] = (),
        model_map: Mapping[str, str] = MappingProxyType({}),
        classes: Collection[str] = (),
        aliases: Mapping[str, Alias] = MappingProxyType({}),
    ) -> None:
        self._models = tuple(models)
        self._named = {name: Meaning(name, None, (Step("class", name, name),)) for name in classes}
        self._named |= {name: Meaning(name, None, (Step("model", name, name),)) for name in self._models}
        self._unknown = unknown_model
        self._rules = Rules(rules)
        self._map = ModelMap(model_map)
        self.registered = aliases
        """Aliases by name; a configured name goes before one of them."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names that callers are told of: configured ones, classes, then aliases."""
        yield from self._models
        yield from (name for name in self._named if name not in self._models)
        yield from (name for name in self.registered if name not in self._named)

    @property
    def aliases(self) -> list[Alias]:
        """Those that callers reach."""
        return [alias for name, alias in self.registered.items() if name not in self._named]

    @property
    def mapped(self) -> Iterator[tuple[str, str]]:
        """The keys of the map whose target is always the same, with it."""
        return self._map.constant()

    @property
    def fixed(self) -> Iterable[str]:
        """The names that the configuration itself spells out."""
        return (*self._named, *self._map.exact)

    @property
    def open(self) -> bool:
        """Whether a name that nobody has spelled out may mean something."""
        return self._unknown is not None or self._map.has_patterns

    def serves(self, name: str) -> bool:
        """Return whether a name means something, whoever asks for it."""
        try:
            self.lookup(name)
        except NotFound:
            return False
        return True

    def taken(self, name: str) -> str | None:
        """Return why an alias may not be called ``name``; None if it may."""
        meaning = self._named.get(name)
        if meaning is not None:
            return f"{name!r} is the name of a configured {meaning.steps[0].kind}"
        return f"{name!r} is mapped by model_map" if name in self._map.exact else None

    def resolve(self, model: str | None, source: str = "", path: bytes = b"") -> Meaning:
        """Return what is meant.

        Args:
            model: As the caller names it; None if it names none.
            source: The caller's address.
            path: Of the request as it came, without its query.

        Raises:
            NotFound: ``model_not_found``, with how it came to that.
        """
        steps: tuple[Step, ...] = ()
        if self._rules:
            found = self._rules.first(model, source, path)
            if found is not None:
                number, rule = found
                name = rule.to_model or model or ""
                steps = (Step("rule", f"rules[{number}]", name),)
                if rule.to_provider is not None:
                    return Meaning(name, rule.to_provider, steps)
                model = name
        return NO_MODEL if model is None else self.lookup(model, steps)

    def lookup(self, name: str, steps: tuple[Step, ...] = (), mapped: bool = False) -> Meaning:
        """Return what a name means, whoever asks for it.

        Args:
            name: As the caller, a rule or the map gives it.
            steps: That led to it.
            mapped: Whether the map gave it.

        Raises:
            NotFound: ``model_not_found``, with how it came to that.
        """
        meaning = self._named.get(name)
        if meaning is not None:
            return Meaning(name, None, (*steps, *meaning.steps)) if steps else meaning
        alias = self.registered.get(name)
        if alias is not None:
            return Meaning(alias.model, ALIAS_PROVIDER + name, (*steps, Step("alias", name, alias.model)))
        if 0 < len(name) <= MAX_NAME_CHARACTERS:
            found = None if mapped else self._map.of(name)
            if found is not None:
                key, target = found
                return self.lookup(target, (*steps, Step("model_map", key, target)), mapped=True)
            if self._unknown is not None:
                return Meaning(name, self._unknown, (*steps, Step("unknown_model", self._unknown, name)))
        way = ", ".join(f"{step} leads to {_short(step.name)}" for step in steps)
        told = f"The model {_short(name)} does not exist{': ' * bool(way)}{way}."
        raise NotFound(told, code="model_not_found", param="model")


def _short(name: str) -> str:
    return repr(name if len(name) <= SHOWN_CHARACTERS else name[:SHOWN_CHARACTERS] + "...")
