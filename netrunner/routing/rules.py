"""Rules by where a request comes from, what model it asks for and at which path: the first that matches decides.

This module must not know what a rule leads to.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from netrunner.routing.patterns import Patterns, inside

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Rule(msgspec.Struct, frozen=True):
    """One rule; what it does not name it does not ask for."""

    source: tuple[str, ...] = ()
    """Networks, one of which the caller's address has to be in."""
    model: str | None = None
    """A name, or a pattern between slashes."""
    path: str | None = None
    """The path, or what it begins with up to a slash."""
    to_model: str | None = None
    """The name that takes the place of the one asked for."""
    to_provider: str | None = None
    """Who is asked, whatever the name means otherwise."""

    def covers(self, other: Rule) -> bool:
        """Return whether it certainly matches all that ``other`` matches."""
        return (
            (not self.source or self.source == other.source)
            and self.model in (None, other.model)
            and (self.path is None or (other.path is not None and _below(other.path.encode(), self.path.encode())))
        )


class Rules:
    """Rules in their order.

    Args:
        rules: As configured.

    Raises:
        ValueError: for a pattern or a network that is none.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._networks = [tuple(ipaddress.ip_network(one) for one in rule.source) for rule in rules]
        self._of_any = [index for index, rule in enumerate(rules) if rule.model is None]
        self._of_name: dict[str, list[int]] = {}
        self._of_pattern: list[int] = []
        patterns = []
        for index, rule in enumerate(rules):
            pattern = None if rule.model is None else inside(rule.model)
            if pattern is not None:
                patterns.append(pattern)
                self._of_pattern.append(index)
            elif rule.model is not None:
                self._of_name.setdefault(rule.model, []).append(index)
        self._patterns = Patterns(patterns) if patterns else None

    def __bool__(self) -> bool:
        return bool(self._rules)

    def first(self, model: str | None, source: str, path: bytes) -> tuple[int, Rule] | None:
        """Return the first rule that matches, with its number from 0.

        Args:
            model: As the caller names it; None if it names none, and then only a rule that names a provider matches.
            source: The caller's address as text.
            path: Of the request as it came, without its query.
        """
        numbers = list(self._of_any)
        if model is not None:
            numbers += self._of_name.get(model, ())
            if self._patterns is not None:
                numbers += [self._of_pattern[index] for index in self._patterns.matching(model)]
        if not numbers:
            return None
        address, path = _address(source), unquote_to_bytes(path)
        for number in sorted(numbers):
            rule = self._rules[number]
            if model is None and rule.to_provider is None:
                continue
            if rule.path is not None and not _below(path, rule.path.encode()):
                continue
            networks = self._networks[number]
            if not networks or (address is not None and any(address in network for network in networks)):
                return number, rule
        return None


def _below(path: bytes, prefix: bytes) -> bool:
    prefix = prefix.rstrip(b"/")
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")


def _address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, one of IPv4 written as IPv6 as what it stands for; None if it is none, as of a Unix socket."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
