"""What families of Anthropic's models take and refuse: one documented table, for requests that are written for them.

A family is found by the beginning of the model's name, whatever a gateway writes before ``claude-``, a dot for a
hyphen. A newer model of
Anthropic's is taken for one like the newest known; a model of somebody else's, who speaks the dialect, for a plain one.

This module must not know requests.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What the models of one family have in common."""

    max_tokens: int = 64_000
    """Asked for where the caller does not say: as much as the models give, or 64000 where they give more."""
    thinking: Literal["none", "budget", "adaptive"] = "adaptive"
    """How thinking is asked for: not at all, with ``budget_tokens``, or with an effort."""
    disables: bool = True
    """Thinking can be turned off."""
    xhigh: bool = True
    """The effort ``xhigh`` is known; ``max`` stands for it otherwise."""
    sampling: Literal["all", "one", "none"] = "none"
    """Whether temperature and top_p may be given: both, one of them, neither; neither means no top_k as well."""
    prefill: bool = False
    """The last message may be the assistant's own, to be continued."""
    schemas: bool = True
    """``output_config.format`` and strict tools are known."""
    system_turns: bool = False
    """Messages of the role ``system`` are taken, after a message of the user's."""


_PLAIN = Family(max_tokens=32_000, thinking="budget", sampling="all", prefill=True)
_NEWEST = Family(disables=False)
_OLD = Family(max_tokens=8_192, thinking="none", sampling="all", prefill=True, schemas=False)
_FOUR = Family(thinking="budget", sampling="all", prefill=True, schemas=False)
_FOUR_FIVE = Family(thinking="budget", sampling="one", prefill=True)
_FOUR_SIX = Family(xhigh=False, sampling="one")

FAMILIES = {
    "claude-3": msgspec.structs.replace(_OLD, max_tokens=4_096),
    "claude-3-5": _OLD,
    "claude-3-7": _FOUR,
    "claude-opus-4": msgspec.structs.replace(_FOUR, max_tokens=32_000),
    "claude-opus-4-1": msgspec.structs.replace(_FOUR_FIVE, max_tokens=32_000),
    "claude-sonnet-4": _FOUR,
    "claude-sonnet-4-5": _FOUR_FIVE,
    "claude-haiku-4": _FOUR_FIVE,
    "claude-opus-4-5": _FOUR_FIVE,
    "claude-opus-4-6": _FOUR_SIX,
    "claude-sonnet-4-6": _FOUR_SIX,
    "claude-opus-4-7": Family(),
    "claude-opus-4-8": Family(system_turns=True),
    "claude-opus-5": Family(system_turns=True),
    "claude-sonnet-5": Family(),
    "claude-haiku-5": Family(),
    "claude-fable-5": Family(disables=False, system_turns=True),
    "claude-mythos-5": Family(disables=False, system_turns=True),
    "claude-": _NEWEST,
}
"""By the beginning of the name; the longest that fits counts."""


def family_of(model: str) -> Family:
    """Return the family of a model, by the name the provider knows."""
    at = model.find("claude-")
    if at < 0:
        return _PLAIN
    name = model[at:].replace(".", "-")
    return FAMILIES[max((one for one in FAMILIES if name.startswith(one)), key=len)]
