"""What leads out of the daemon, checked at the start: destinations, proxies, and that none is the daemon itself.

This module must not resolve names or connect.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from netrunner.config.checks import Subject
from netrunner.config.forms import Listener, listener
from netrunner.errors import Problem
from netrunner.routing.proxies import ENVIRONMENT, Proxies, Proxy
from netrunner.settings import Secret
from netrunner.values import Origin

_LOCALHOST = frozenset({ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")})


@dataclass(frozen=True, slots=True)
class _Way:
    """One way out: where it leads, by which setting, and through what."""

    key: str
    path: tuple[str | int, ...]
    url: str
    proxy: Secret | str | None


def chosen(proxy: Secret | str | None, environment: Proxies | None) -> Proxies | None:
    """Return what a setting ``proxy`` means, None for no proxy.

    Args:
        proxy: The setting.
        environment: What the environment says.

    Raises:
        ValueError: if it is no proxy's URL, with what was expected.
    """
    if proxy is None:
        return None
    if proxy == ENVIRONMENT:
        return environment
    return Proxies.always(Proxy.of(proxy.reveal() if isinstance(proxy, Secret) else proxy))


def check(
    subject: Subject, broken: Collection[str], environ: Mapping[str, str]
) -> tuple[Proxies | None, list[Problem]]:
    """Return the environment's proxies, if anything goes by them, and all that is wrong with ways out.

    Args:
        subject: The configuration.
        broken: Top-level keys that could not be read.
        environ: The environment, ``.env`` files included.
    """
    ways = list(_ways(subject, broken))
    problems = [] if "routes" in broken else list(_destinations(subject))
    environment = None
    if any(way.proxy == ENVIRONMENT for way in ways):
        try:
            environment = Proxies.of_environment(environ)
        except ValueError as error:
            problems.append(Problem("the environment", str(error)))
            return None, problems
    for way in ways:
        where = subject.root.at(*way.path)
        try:
            proxies = chosen(way.proxy, environment)
        except ValueError as error:
            problems.append(Problem(where, f"proxy: expected {error}"))
        else:
            problems += _loops(subject, broken, way, where, proxies)
    return environment, problems


def _ways(subject: Subject, broken: Collection[str]) -> Iterator[_Way]:
    if "providers" not in broken:
        for provider in subject.providers:
            settings: Any = provider.settings
            url = getattr(settings, "base_url", None)
            if isinstance(url, str) and url:
                path = ("providers", provider.name, "base_url")
                yield _Way("base_url", path, url, getattr(settings, "proxy", None))
    if "routes" not in broken:
        for index, route in enumerate(subject.document.routes):
            yield _Way("destination", ("routes", index, "destination"), route.destination, route.proxy)


def _destinations(subject: Subject) -> Iterator[Problem]:
    """A part of a destination that would go nowhere is no destination."""
    for index, route in enumerate(subject.document.routes):
        where = subject.root.at("routes", index, "destination")
        parts = urlsplit(route.destination)
        if "?" in route.destination:
            yield Problem(where, "destination: expected no query, the caller's own is what is sent")
        if not parts.path.isascii():
            yield Problem(where, "destination: expected a path in ASCII, anything else percent-encoded")
        if route.rewrite == "keep" and parts.path.strip("/"):
            yield Problem(
                where,
                f"destination: the path {parts.path} has no place while the whole path of a request is kept;"
                " leave it out, or say rewrite: replace",
            )


def _loops(
    subject: Subject, broken: Collection[str], way: _Way, where: str, proxies: Proxies | None
) -> Iterator[Problem]:
    """What leads back to where the daemon listens goes round for ever."""
    if not {"listen", "admin", "forward"}.isdisjoint(broken):
        return
    others = [one for one in (subject.document.admin, subject.document.forward) if one is not None]
    listeners = [*subject.listeners, *(listener(text) for one in others for text in one.listen)]
    there = Origin.of(way.url)
    if any(_is(one, there.host, there.port) for one in listeners):
        yield Problem(where, f"{way.key}: {there.url} is where this daemon listens itself")
    for proxy in dict.fromkeys(proxies.all()) if proxies is not None else ():
        if any(_is(one, proxy.host, proxy.port) for one in listeners):
            yield Problem(
                where, f"proxy: {proxy.scheme}://{proxy.host}:{proxy.port} is where this daemon listens itself"
            )


def _is(one: Listener, host: str, port: int) -> bool:
    """Return whether ``host`` and ``port`` are certainly those of a listener."""
    if one.path or one.port != port:
        return False
    theirs = _addresses(host)
    if one.interface in ("", "0.0.0.0", "::"):
        return any(address.is_loopback for address in theirs)
    return not theirs.isdisjoint(_addresses(one.interface))


def _addresses(host: str) -> frozenset[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses that ``host`` certainly has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _LOCALHOST if host.lower() == "localhost" else frozenset()
    return _LOCALHOST if address.is_unspecified else frozenset({address})
