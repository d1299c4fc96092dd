"""How a plugin offers itself: one factory object in its module, found by the registry.

``acme = ProviderFactory(name="acme", build=Acme, settings=AcmeSettings, doc="Models of Acme.")`` is all a
module needs; its class is then constructed as ``Acme(settings, environment)``.

This module must not import anything of netrunner but ``interfaces``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from zope.interface import implementer

from netrunner.interfaces import IEnvironment, IFilterFactory, IProviderFactory, ISection, ISinkFactory

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factory(Generic[S]):
    """What the three kinds of factories share; ``IPluginFactory`` says what the fields mean."""

    name: str
    build: Callable[[S, IEnvironment], object]
    settings: type[S]
    doc: str

    def parse(self, section: ISection) -> S:
        """Read the section strictly into ``settings``; raises ``ConfigurationError``."""
        parsed: S = section.read(self.settings)
        return parsed


@implementer(IProviderFactory)
class ProviderFactory(_Factory[S]):
    """Offers a provider."""

    __slots__ = ()


@implementer(IFilterFactory)
class FilterFactory(_Factory[S]):
    """Offers a filter."""

    __slots__ = ()


@implementer(ISinkFactory)
class SinkFactory(_Factory[S]):
    """Offers a log sink."""

    __slots__ = ()
