"""The models of a configuration as candidates and pools, and what about them does not fit together.

This module must not read anything; it looks at what was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netrunner.claims import Claim
from netrunner.config.settings import Common, ModelSettings, Settings, TargetSettings
from netrunner.config.typed import Section
from netrunner.errors import Problem
from netrunner.routing.pool import Member, Pool
from netrunner.routing.table import Candidate, Table
from netrunner.routing.targets import Targets
from netrunner.settings import COUNTS, Health, Limits

CLASSES = ("BIG", "SMALL")
"""Names that stand for all targets of the models of a class."""


def table_of(settings: Settings) -> Table:
    """Return the names of a configuration, those of classes too."""
    models = {model.name: tuple(_candidate(target) for target in model.targets) for model in settings.models}
    for name in CLASSES:
        found: dict[tuple[str, str], Candidate] = {}
        for model in settings.models:
            if model.size_class == name:
                for target in model.targets:
                    found.setdefault((target.provider, target.model), _candidate(target, model))
        if found:
            models[name] = tuple(found.values())
    unknown = None if settings.unknown_model == "reject" else settings.unknown_model
    draining = frozenset(model.name for model in settings.models if model.on_disconnect == "drain")
    images = tuple(_candidate(target, model) for model in settings.models if model.images for target in model.targets)
    return Table(models, unknown, settings.default_provider, draining, images)


def pools_of(settings: Settings, table: Table, targets: Targets) -> dict[str, Pool]:
    """Return the pool of each name where there is something to choose, and tell ``targets`` whom to know."""
    health = health_of(settings)
    named = [one for name in table.names() for one in table.candidates(name)]
    targets.keep(((one.provider, one.model) for one in named), health)
    strategies = {model.name: model.strategy for model in settings.models}
    pools = {}
    for name in table.names():
        candidates = table.candidates(name)
        if len(candidates) > 1 or any(
            one.max_request_bytes is not None or health[one.provider].alone for one in candidates
        ):
            members = [Member(one, targets.known(one.provider, one.model)) for one in candidates]
            pools[name] = Pool(name, members, strategies.get(name, "priority"))
    return pools


def health_of(settings: Settings) -> dict[str, Health]:
    """Return when the targets of each provider are left alone: as it says itself, or as the daemon does."""
    return {one.name: getattr(one.settings, "health", None) or settings.health for one in settings.providers}


def unbroken(settings: Settings, table: Table) -> list[str]:
    """Return the models whose only target is asked however it fares: nothing else could be, and no ``alone`` says so."""
    health = health_of(settings)
    one_each = ((model.name, table.candidates(model.name)) for model in settings.models)
    return [name for name, found in one_each if len(found) == 1 and not health[found[0].provider].alone]


def claims_of(settings: Settings) -> dict[str, Claim]:
    """Return whom a request for each model is counted for, of those that have limits."""
    return {model.name: Claim("model", model.name, model.limits) for model in settings.models if _limited(model.limits)}


def _candidate(target: TargetSettings, model: ModelSettings | None = None) -> Candidate:
    """Return a target as a candidate; of a class, it counts for its model as well."""
    claims = []
    if _limited(target.limits):
        claims.append(Claim("target", f"{target.provider}/{target.model}", target.limits))
    if model is not None and _limited(model.limits):
        claims.append(Claim("model", model.name, model.limits))
    return Candidate(
        target.provider,
        target.model,
        target.priority,
        target.weight,
        target.max_request_bytes,
        target.timeouts,
        tuple(claims),
    )


def _limited(limits: Limits) -> bool:
    return limits != Limits()


def find(common: Common, root: Section) -> Iterator[Problem]:
    """Yield what contradicts itself in the models of a configuration, and pools that could serve nobody."""
    names = {model.name for model in common.models}
    limited: dict[tuple[str, str], Limits] = {}
    for index, model in enumerate(common.models):
        if model.size_class in names:
            where = root.at("models", index, "class")
            yield Problem(where, f"class: {model.size_class} is the name of a model as well, so it could mean either")
        yield from _of_model(model, root, index)
        for problem in model.limits.contradictions():
            yield Problem(root.at("models", index, "limits"), f"limits: {problem}")
        for number, target in enumerate(model.targets):
            for problem in target.limits.contradictions():
                yield Problem(root.at("models", index, "targets", number, "limits"), f"limits: {problem}")
            first = limited.setdefault((target.provider, target.model), target.limits)
            if first != target.limits:
                where = root.at("models", index, "targets", number)
                yield Problem(where, f"limits: {target.provider} {target.model} has other limits in another model")


def _of_model(model: ModelSettings, root: Section, index: int) -> Iterator[Problem]:
    targets = model.targets
    if model.strategy != "weighted":
        for number, target in enumerate(targets):
            if target.weight != 1:
                where = root.at("models", index, "targets", number, "weight")
                yield Problem(where, f"weight: means nothing while the strategy is {model.strategy}, not weighted")
    elif targets and not any(target.weight for target in targets):
        yield Problem(root.at("models", index), f"model {model.name}: every target has the weight 0")
    for named, count in Counter((target.provider, target.model) for target in targets).items():
        if count > 1:
            yield Problem(root.at("models", index, "targets"), f"target {' '.join(named)!r} stands {count} times")
    if targets and all(map(_shut, (target.limits for target in targets))):
        yield Problem(root.at("models", index, "targets"), f"model {model.name}: every target has a limit of 0")
    if _shut(model.limits):
        yield Problem(root.at("models", index, "limits"), f"limits: of a limit of 0 model {model.name} is never served")


def _shut(limits: Limits) -> bool:
    """Return whether limits never let anybody in."""
    return any(getattr(limits, name) == 0 for name in COUNTS)
