"""The provider ``groq``: Groq's API, which speaks like OpenAI's but for what stands here.

This module must not hold what its family shares.
"""

from __future__ import annotations

from zope.interface import implementer

from netrunner.dialects.openai.family import COMFORT, HOSTED, Family
from netrunner.interfaces import IEnvironment, ISteps, IUpstream
from netrunner.offers import ProviderFactory
from netrunner.providers.member import Member, member_settings
from netrunner.providers.recovery import Recovering
from netrunner.settings import ProviderSettings

GroqSettings = member_settings("Groq", "https://api.groq.com/openai/v1")


@implementer(ISteps)
class GroqProvider(Member):
    """Groq's differences."""

    family = Family(
        dropped=COMFORT - {"service_tier", "user"} | {"logprobs", "top_logprobs"},
        refused=HOSTED | {"logit_bias": "it has no token ids"},
        answers=False,
        reasoning="reasoning",
    )

    def __init__(self, settings: ProviderSettings, environment: IEnvironment) -> None:
        super().__init__(settings, environment)
        self._clock = environment.clock

    def over(self, upstream: IUpstream) -> IUpstream:
        """Return what answers with the calls that Groq could not read."""
        return Recovering(upstream, self._clock)


plugin = ProviderFactory(
    name="groq",
    build=GroqProvider,
    settings=GroqSettings,
    doc="Groq.",
)
