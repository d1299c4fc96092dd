"""The filter ``validate``: refuses what no provider should be asked, before one is.

What a request says stays as it came: fields that nothing here knows go on untouched, and so does every byte of a body
that is not refused. ``netrunner.filters.allowed`` has the rules that need no body.

This module must not know how a dialect writes a request; its view does.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
from zope.interface import alsoProvides, implementer

from netrunner.dialects.fields import invalid
from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.filters.allowed import HeadRules, Origins
from netrunner.globs import Globs
from netrunner.interfaces import IAttemptPhase, IEnvironment, IHeadPhase, IRequestPhase
from netrunner.offers import FilterFactory
from netrunner.settings import setting
from netrunner.values import UpstreamRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Which fields a request may have besides what is said, and with which values."""

    allow: tuple[str, ...] = setting(
        (),
        form="text",
        doc="Names of fields that a request may have, `*` for any characters; all when absent. A field is known by its "
        "name in the caller's dialect and by OpenAI's, so `max_tokens` is `options.num_predict` as well.",
    )
    values: dict[str, tuple[str, ...]] | None = setting(
        None, form="text", doc="By the name of a field, or `model`: the values it may have, `*` for any characters."
    )
    providers: tuple[str, ...] = setting(
        (), form="name", doc="The providers that both hold for; all when absent. Asked before each attempt."
    )
    projects: tuple[str, ...] = setting(
        (), form="text", doc="Ids of the projects whose callers both hold for; all callers when absent."
    )
    except_projects: tuple[str, ...] = setting((), form="text", doc="Ids of projects whose callers neither holds for.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ValidateSettings:
    """Settings of the filter ``validate``."""

    max_tokens: int = setting(32000, minimum=1, doc="The most tokens that an answer may be asked for; above 0.")
    max_temperature: float = setting(2.0, minimum=0.0, doc="The highest temperature; the lowest is 0.")
    max_top_p: float = setting(1.0, minimum=0.0, doc="The highest `top_p`; the lowest is 0.")
    max_n: int = setting(128, minimum=1, doc="The most answers that one request may ask for; at least 1.")
    max_penalty: float = setting(
        2.0, minimum=0.0, doc="How far `presence_penalty` and `frequency_penalty` may be from 0, in both directions."
    )
    roles: tuple[str, ...] = setting(
        (), form="text", doc="Roles that messages may have besides those of the caller's dialect."
    )
    parameters: Parameters = setting(Parameters(), doc="Which fields a request may have.")
    endpoints: tuple[str, ...] = setting(
        (), form="prefix", doc="Paths that are served, `*` for any characters; all when absent."
    )
    methods: tuple[str, ...] = setting((), form="name", doc="Methods that are served; all when absent.")
    origins: Origins = setting(Origins(), doc="Which pages may call.")


class Bound:
    """What a number has to be.

    Args:
        least, most: Both allowed themselves.
        above: Whether ``least`` is not.
    """

    def __init__(self, least: float, most: float, above: bool = False) -> None:
        self._least, self._most, self._above = least, most, above
        self.expected = f"a number above {least:.10g} and at most {most:.10g}" if above else _between(least, most)

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self._least <= value <= self._most and not (self._above and value == self._least)


def _between(least: float, most: float) -> str:
    return f"a number from {least:.10g} to {most:.10g}"


@implementer(IRequestPhase)
class Validate:
    """Looks at the head, at what is said, at numbers and at names; only at what its settings ask for."""

    def __init__(self, settings: ValidateSettings, environment: IEnvironment) -> None:
        self.settings = settings
        penalty = Bound(-settings.max_penalty, settings.max_penalty)
        self._bounds = {
            "max_tokens": Bound(0, settings.max_tokens, above=True),
            "temperature": Bound(0, settings.max_temperature),
            "top_p": Bound(0, settings.max_top_p),
            "n": Bound(1, settings.max_n),
            "presence_penalty": penalty,
            "frequency_penalty": penalty,
        }
        self._roles = frozenset(settings.roles)
        rules = settings.parameters
        self._allowed = Globs(rules.allow)
        self._values = {name: Globs(values) for name, values in (rules.values or {}).items()}
        self._names = bool(self._allowed or self._values)
        self._head = HeadRules(settings.endpoints, settings.methods, settings.origins)
        if self._head.refuse:
            alsoProvides(self, IHeadPhase)
        if self._names and rules.providers:
            alsoProvides(self, IAttemptPhase)

    async def on_head(self, exchange: Any) -> None:
        """Refuse by path, method and origin. Whoever asks for credentials has been asked before."""
        self._head.check(exchange)

    async def on_request(self, exchange: Any) -> None:
        """Refuse by turns, numbers and names."""
        view: IRequestView = exchange.view()
        turns = view.turns()
        if turns is not None:
            name, value = turns
            self._check_turns(name, value, view.shape)
        fields = view.fields()
        for name, meaning in fields.items():
            if meaning in self._bounds:
                self._check_number(name, meaning, view)
        if self._names and not self.settings.parameters.providers and self._concerns(exchange):
            self._check_names(exchange.model, view)

    async def on_attempt(self, exchange: Any, request: UpstreamRequest) -> None:
        """Refuse by names, where they hold for some providers."""
        if exchange.provider in self.settings.parameters.providers and self._concerns(exchange):
            self._check_names(exchange.model, exchange.view())

    def _concerns(self, exchange: Any) -> bool:
        """Return whether names and values are to be checked for whoever calls."""
        rules = self.settings.parameters
        project = None if exchange.holder is None else exchange.holder.project
        return project not in rules.except_projects and (not rules.projects or project in rules.projects)

    def _check_number(self, name: str, meaning: str, view: IRequestView) -> None:
        bound, value = self._bounds[meaning], view.value(name)
        if value is None or value in bound:
            return
        if meaning == "max_tokens" and isinstance(value, int) and value in view.shape.boundless:
            return
        raise invalid(name, bound.expected)

    # --- what is said -----------------------------------------------------------------------------------------

    def _check_turns(self, name: str, turns: Any, shape: Shape) -> None:
        if shape.typed and isinstance(turns, str):
            return
        if not isinstance(turns, list) or not (turns or shape.loads):
            raise invalid(name, "a list that is not empty")
        roles = shape.roles | self._roles
        for position, turn in enumerate(turns):
            wrong = _wrong(turn, shape, roles)
            if wrong is not None:
                field, expected = wrong
                raise invalid(f"{name}[{position}]{field}", expected)

    # --- names ------------------------------------------------------------------------------------------------

    def _check_names(self, model: str | None, view: IRequestView) -> None:
        if view.opaque:
            raise BadRequest("The body is not JSON, so its fields cannot be told.", code="param_not_allowed")
        if model is not None:
            self._check_value("model", "model", model)
        for name, meaning in view.fields().items():
            if self._allowed and name not in self._allowed and (meaning or name) not in self._allowed:
                raise BadRequest(f"{name}: is not allowed here.", code="param_not_allowed", param=name)
            for known in {name, meaning or name} & self._values.keys():
                self._check_value(name, known, view.value(name))

    def _check_value(self, name: str, known: str, value: Any) -> None:
        globs = self._values.get(known)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if globs is not None and text not in globs:
            raise BadRequest(f"{name}: its value is not allowed here.", code="param_not_allowed", param=name)


def _wrong(turn: Any, shape: Shape, roles: frozenset[str]) -> tuple[str, str] | None:
    """Return which field of a turn is wrong, with a dot before it, and what it has to be; None if none is."""
    if not isinstance(turn, dict):
        return "", "an object"
    if shape.typed and turn.get("type", "message" if "role" in turn else None) != "message":
        return None
    role = turn.get("role", shape.default_role)
    if not isinstance(role, str) or role not in roles:
        return ".role", f"one of {', '.join(sorted(roles))}"
    content = turn.get(shape.content)
    if isinstance(content, shape.forms) or (content is None and any(turn.get(one) for one in shape.instead)):
        return None
    return f".{shape.content}", "a list" if shape.forms == (list,) else "a string or a list"


plugin = FilterFactory(
    name="validate",
    build=Validate,
    settings=ValidateSettings,
    doc="Refuses what no provider should be asked.",
)
