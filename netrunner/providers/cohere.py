"""The provider ``cohere``: Cohere's chats and embeddings, version 2 of its API.

This module must not hold what its dialect is made of: that is ``netrunner.dialects.cohere``.
"""

from __future__ import annotations

import dataclasses

from netrunner.dialects.cohere.api import CohereApi
from netrunner.offers import ProviderFactory
from netrunner.providers.api import ApiProvider
from netrunner.settings import ProviderSettings, setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CohereSettings(ProviderSettings):
    """Settings of the provider ``cohere``."""

    base_url: str = setting("https://api.cohere.com/v2", doc="Where the API lives, path prefix included.", form="url")


class CohereProvider(ApiProvider):
    """Cohere, with a stored key, the caller's own, or none."""

    dialect = "cohere"
    speaks = CohereApi


plugin = ProviderFactory(
    name="cohere",
    build=CohereProvider,
    settings=CohereSettings,
    doc="Cohere, version 2 of its API.",
)
