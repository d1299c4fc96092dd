"""What candidates are chosen with: pools, what is known of their targets, counters, and chance.

This module must not choose.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netrunner.claims import Claim
from netrunner.interfaces import ICounters, IUpstream
from netrunner.routing.pool import Pool
from netrunner.routing.retry import Policy
from netrunner.routing.targets import Targets
from netrunner.settings import Timeouts

_NO_POOLS: Mapping[str, Pool] = MappingProxyType({})
_NO_CLAIMS: Mapping[str, Claim] = MappingProxyType({})
_NO_UPSTREAMS: Mapping[tuple[str, Timeouts], IUpstream] = MappingProxyType({})


class Choosing:
    """What the candidates of one configuration are chosen with.

    Args:
        targets: What is known of each.
        pools: By the name that callers use, of those where there is something to choose.
        claims: Whom a request for a name is counted for, of those that are limited.
        counters: What limits count with; needed where there are claims, or calls are kept apart.
        chance: Makes waits longer and shorter.
        apart: Upstreams of targets with timeouts of their own, by provider and these.
    """

    def __init__(
        self,
        targets: Targets | None = None,
        pools: Mapping[str, Pool] = _NO_POOLS,
        claims: Mapping[str, Claim] = _NO_CLAIMS,
        counters: ICounters | None = None,
        chance: random.Random | None = None,
        apart: Mapping[tuple[str, Timeouts], IUpstream] = _NO_UPSTREAMS,
    ) -> None:
        self.targets = targets or Targets()
        self.pools = pools
        self.claims = claims
        self.counters = counters
        self.chance = chance or random.Random(0)
        self.policy: Policy | None = None
        """What is tried again; None tries nothing again but elsewhere."""
        self.apart = apart

    def follow(self, retries: Any) -> None:
        """Try again what a filter says, an ``IRetries``; None without one."""
        if retries is not None:
            told = retries.settings
            self.policy = Policy(told.attempts, told.base_delay_s, told.max_delay_s, told.jitter, told.unanswered)
