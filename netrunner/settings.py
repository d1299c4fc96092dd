"""What settings are made of: secrets, documented fields, and the settings every provider shares.

A plugin declares its settings as a frozen dataclass whose fields are made by ``setting``; the configuration
reads a section into it strictly (unknown key, wrong type and value out of range are errors with file and
line). Field names are the keys of the YAML; a unit is part of the name (``_s``, ``_bytes``).

This module must not import anything of netrunner.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal


class Secret:
    """A value that never prints itself; ``reveal`` is called where it is used and nowhere else."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


def setting(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    form: str | None = None,
    key: str | None = None,
) -> Any:
    """Make a documented field of a settings dataclass.

    Args:
        default: The value when the key is absent; a required key when not given. Lists are tuples.
        doc: One sentence for ``docs/config.md``.
        minimum, maximum: Bounds of a number, both allowed themselves.
        form: A check beyond the type: ``url`` (absolute http or https URL with a host), ``name``
            (1-64 characters of ``A-Za-z0-9._-``), ``path`` (made absolute at once), ``text`` (printable, not
            empty), ``prefix`` (a path beginning with a slash), ``header``, ``host``, ``network``, ``endpoint``,
            ``origin``, ``authority`` (host, or host and port), ``proxy``, ``redaction``;
            ``netrunner.config.forms`` has them all. Of a mapping it checks the keys.
        key: What the configuration calls it, where Python keeps that word for itself.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "form": form, "key": key}
    if isinstance(default, (list, dict)):
        raise TypeError("a default must be immutable")
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long an upstream may take; there is no total, a live stream is never cut."""

    connect_s: float = setting(5.0, doc="Seconds to connect, TLS included.", minimum=0.001)
    first_byte_s: float = setting(
        600.0, doc="Seconds from the last request byte to the first response byte.", minimum=0.001
    )
    between_bytes_s: float = setting(300.0, doc="Seconds between two reads of a response.", minimum=0.001)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Connections kept for one provider."""

    max_idle: int = setting(100, doc="Idle connections kept open.", minimum=0)
    idle_s: float = setting(90.0, doc="Seconds an idle connection is kept.", minimum=0.0)
    max_connections: int | None = setting(None, doc="Connections in use at once; unlimited when absent.", minimum=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When a target that fails is left alone."""

    failures: int = setting(
        5,
        doc="Failures in a row (502, 503, 504, 529, no answer) after which a target is left alone; 0 for never.",
        minimum=0,
    )
    open_s: float = setting(30.0, doc="Seconds for which it is left alone.", minimum=0.001)
    probe_s: float = setting(
        10.0, doc="Seconds between two requests that then reach it, until one is answered.", minimum=0.001
    )
    pause_s: float = setting(
        60.0,
        doc="Seconds for which a target is asked last after any failure, unless it says itself when to come again; "
        "0 for not at all.",
        minimum=0.0,
    )
    alone: bool = setting(
        False, doc="Whether a target is left alone, and its requests answered with 503, where its model has no other."
    )
    look_every_s: float | None = setting(
        None,
        doc="Seconds between two looks at whether a provider answers, by asking for its list of models.",
        minimum=0.1,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What every provider over HTTP understands; a provider's own settings extend this."""

    base_url: str = setting(doc="Where the API lives, path prefix included.", form="url")
    api_key: Secret | Literal["passthrough", "project"] | None = setting(
        None,
        doc="The stored key, `passthrough` for the caller's own credential, `project` for the key of the caller's "
        "project, or nothing.",
    )
    timeouts: Timeouts = setting(Timeouts(), doc="How long the upstream may take.")
    pool: PoolLimits = setting(PoolLimits(), doc="Connections kept for it.")
    ca_file: str | None = setting(
        None, doc="PEM file of the authorities to trust instead of the system's.", form="path"
    )
    proxy: Secret | str | None = setting(
        None, form="proxy", doc="URL of the proxy to go through, http, https, socks5 or socks5h; or `environment`."
    )
    resend: Literal["unsent", "no_response", "never"] = setting(
        "unsent", doc="When a request is sent again after a warm connection turned out dead."
    )
    repair: bool = setting(
        True,
        doc="Whether answers in OpenAI's and Anthropic's dialects are repaired so that every client can read them.",
    )
    strict: bool = setting(
        False, doc="Whether what would be left out of a request for this provider is refused instead."
    )
    endpoints: tuple[str, ...] = setting(
        (), doc="Further paths below /v1 that may be called with the stored key, `*` at the end as wildcard."
    )
    min_gap_s: float = setting(0.0, doc="Least seconds between the beginnings of two calls.", minimum=0.0)
    max_at_once: int | None = setting(None, doc="Calls at once; unlimited when absent.", minimum=1)
    max_gap_wait_s: float = setting(
        30.0, doc="Most seconds that a call waits for the two above; beyond them it is refused with 429.", minimum=0.0
    )
    health: Health | None = setting(None, doc="When its targets are left alone, in place of the daemon's `health`.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """A window of any length, beside those that have names."""

    length_s: float = setting(doc="Seconds from its first request to its end.", minimum=0.001, maximum=31622400.0)
    requests: int | None = setting(None, doc="Requests in it.", minimum=0)
    tokens: int | None = setting(None, doc="Tokens in it.", minimum=0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of something there may be: what is absent is unlimited, and of a count of 0 nothing is ever let in."""

    requests_per_minute: int | None = setting(None, doc="Requests a minute.", minimum=0)
    requests_per_hour: int | None = setting(None, doc="Requests an hour.", minimum=0)
    requests_per_day: int | None = setting(None, doc="Requests in 24 hours.", minimum=0)
    tokens_per_minute: int | None = setting(None, doc="Tokens a minute, those of requests and answers.", minimum=0)
    tokens_per_day: int | None = setting(None, doc="Tokens in 24 hours.", minimum=0)
    windows: tuple[WindowSettings, ...] = setting((), doc="Further windows, of any length.")
    concurrency: int | None = setting(None, doc="Requests at once.", minimum=0)
    min_gap_s: float | None = setting(None, doc="Least seconds between the beginnings of two requests.", minimum=0.0)

    @property
    def limiting(self) -> bool:
        """Whether anything is limited at all."""
        return any(getattr(self, name) not in (None, ()) for name in _LIMITS)

    @property
    def counts_tokens(self) -> bool:
        """Whether any of its windows counts tokens."""
        return (
            self.tokens_per_minute is not None
            or self.tokens_per_day is not None
            or any(window.tokens is not None for window in self.windows)
        )

    def lengths(self) -> list[tuple[str, str, float, int]]:
        """Return its windows: the name of each, what it counts, its seconds, and how many it takes."""
        named = [
            (name, kind, length_s, limit)
            for name, kind, length_s in NAMED_WINDOWS
            if (limit := getattr(self, name)) is not None
        ]
        for window in self.windows:
            for kind, limit in (("requests", window.requests), ("tokens", window.tokens)):
                if limit is not None:
                    named.append((f"{kind}_per_{window.length_s:g}s", kind, window.length_s, limit))
        return named

    def contradictions(self) -> list[str]:
        """Return what cannot be meant, a clause each: windows that stand twice, or that a longer one makes idle."""
        found = [
            "a window counts neither requests nor tokens"
            for window in self.windows
            if window.requests is None and window.tokens is None
        ]
        windows = self.lengths()
        for name, kind, length_s, limit in windows:
            for other, of, longer_s, most in windows:
                if of != kind or other == name:
                    continue
                if longer_s == length_s and other > name:
                    found.append(f"{name} and {other} are the same window")
                elif longer_s > length_s and most < limit:
                    found.append(f"{name} is {limit}, which {other} of {most} never lets happen")
        names = [name for name, *_ in windows]
        found += [f"{name} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        return found


NAMED_WINDOWS = (
    ("requests_per_minute", "requests", 60.0),
    ("requests_per_hour", "requests", 3600.0),
    ("requests_per_day", "requests", 86400.0),
    ("tokens_per_minute", "tokens", 60.0),
    ("tokens_per_day", "tokens", 86400.0),
)
"""The windows of ``Limits`` that have a name: what each counts, and its seconds."""
COUNTS = (*(name for name, _, _ in NAMED_WINDOWS), "concurrency")
"""Everything of ``Limits`` that is one count."""
_LIMITS = tuple(field.name for field in dataclasses.fields(Limits))
