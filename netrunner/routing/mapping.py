"""The map from names that callers use to others: exact ones first, then patterns in their order.

This module must not know what a mapped name leads to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netrunner.routing.patterns import Patterns, Template, inside


class ModelMap:
    r"""The setting ``model_map``.

    Args:
        entries: Names, or patterns between slashes, to names; those of patterns may refer to groups (``\1``).

    Raises:
        ValueError: for what ``problems`` tells.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.exact = {key: target for key, target in entries.items() if inside(key) is None}
        self._keys = [key for key in entries if inside(key) is not None]
        self._patterns: Patterns | None = None
        self._templates: list[Template] = []
        if self._keys:
            self._patterns = patterns = Patterns([inside(key) or "" for key in self._keys])
            self._templates = [Template(entries[key], patterns.numbers(index)) for index, key in enumerate(self._keys)]

    @property
    def has_patterns(self) -> bool:
        """Whether it may map names that it does not spell out."""
        return bool(self._keys)

    def of(self, name: str) -> tuple[str, str] | None:
        """Return the key that maps ``name`` and the whole name that takes its place; None if none does."""
        target = self.exact.get(name)
        if target is not None:
            return name, target
        if self._patterns is None:
            return None
        found = self._patterns.matching(name)
        if not found:
            return None
        first = min(found)
        template = self._templates[first]
        if template.constant is not None:
            return self._keys[first], template.constant
        return self._keys[first], self._patterns.expand(first, name, template)

    def constant(self) -> Iterator[tuple[str, str]]:
        """Yield the keys whose target is always the same, with it."""
        yield from self.exact.items()
        for key, template in zip(self._keys, self._templates, strict=True):
            if template.constant is not None:
                yield key, template.constant


def problems(entries: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a map that is none, each with what was expected."""
    for key, target in entries.items():
        try:
            if not target or not target.isprintable():
                raise ValueError("a name that is not empty")
            ModelMap({key: target})
        except ValueError as error:
            yield key, str(error)
