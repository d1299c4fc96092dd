"""``netrunner explain``: who would serve a request, and why, without asking anybody.

This module must not decide anything itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from netrunner.cli.configured import configured
from netrunner.cli.options import Options
from netrunner.errors import ConfigurationError
from netrunner.explain import Explanation, Question, explain
from netrunner.registered import read


class ExplainOptions(Options):
    """``netrunner explain``."""

    synopsis = "Usage: netrunner explain [--config FILE] [--model NAME] [--source ADDRESS] [--bytes N] ..."
    longdesc = (
        "Says what a request would come to, step by step: rules, aliases, the map, the model's targets in their order,"
        " filters and limits. Nobody is called. Exits with 1 if the request would be refused."
    )
    optFlags: ClassVar[list[list[str | None]]] = [["json", None, "Print one JSON document."]]
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "The configuration; the built-in one when not given."],
        ["model", "m", None, "The model's name in the request."],
        ["source", "s", "127.0.0.1", "The caller's address."],
        ["path", "p", "/v1/chat/completions", "The path asked at."],
        ["bytes", "b", 0, "Bytes of the request's body.", int],
        ["token", "t", None, "The caller's credential, to say whether it is let in."],
    ]

    def run(self) -> int:
        """Print the explanation; return the exit status."""
        try:
            settings = configured(self["config"])
            aliases = {alias.name: alias for alias in read(Path(settings.state))}
        except (ConfigurationError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        question = Question(*(self[name] for name in ("model", "source", "path", "bytes", "token")))
        told = explain(settings, aliases, question)
        if self["json"]:
            print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
        else:
            print("\n".join(f"{what:<15}{text}" for what, text in lines(told)))
        return 0 if told.refused is None else 1


def lines(told: Explanation) -> Iterator[tuple[str, str]]:
    """Yield an explanation line by line: what is told of, and what."""
    question = told.question
    yield "asked", f"{question.model or 'no model'} at {question.path} from {question.source}, {question.bytes} bytes"
    for step in told.steps:
        yield step.kind, f"{step.key} -> {step.name}"
    if told.pool is not None:
        yield "means", f"{told.pool}{f', by {told.strategy}' * bool(told.strategy)}"
    for number, one in enumerate(told.asked, 1):
        where = f" at {one.address}" * bool(one.address)
        yield (
            f"{number}.",
            f"{one.provider} {one.model}".rstrip() + where + f", priority {one.priority}" * bool(told.strategy),
        )
    if told.asked and told.breaker is False:
        yield "breaker", "none: its only target is asked however it fares (health.alone)"
    for passed in told.passed_over:
        yield "not asked", f"{passed.provider} {passed.model}: {passed.why}"
    yield "filters", ", ".join(told.filters) or "none"
    for counted in told.limits:
        yield (
            "limits",
            f"{counted.scope} {counted.subject}: " + ", ".join(f"{k} {v}" for k, v in counted.limits.items()),
        )
    if told.refused is not None:
        yield "refused", f"{told.refused.status} {told.refused.code}: {told.refused.message}"
