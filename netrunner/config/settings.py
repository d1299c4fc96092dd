"""The settings of the daemon: what a configuration file may say, each key with its unit, default and meaning.

``Document`` is the file as it is read, ``Settings`` what the daemon is started with: the same, plugins parsed
and defaults that depend on other keys filled in. ``later`` names the keys of the contract that this version
does not know yet, with the one value that changes nothing and is therefore accepted.

This module must not read files, the environment or plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from netrunner.config.typed import Section
from netrunner.settings import Secret, setting

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""Host names that mean this machine; an IPv6 address stands in brackets, as in a Host field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What clients may do to the server."""

    hosts: tuple[str, ...] = setting(
        (),
        form="host",
        doc="Host names answered for, `*` for any; loopback names and the addresses listened at when absent.",
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1/32", "::1/128"), form="network", doc="Peers whose X-Forwarded-* fields are believed."
    )
    header_timeout_s: float = setting(10.0, minimum=0.001, doc="Seconds for a whole request head.")
    body_min_rate_bytes: int = setting(500, minimum=0, doc="Bytes a second a request body has to keep up.")
    body_grace_s: float = setting(10.0, minimum=0.0, doc="Seconds before that rate is asked for.")
    idle_timeout_s: float = setting(75.0, minimum=0.001, doc="Seconds a connection may wait for its next request.")
    write_stall_s: float = setting(60.0, minimum=0.001, doc="Seconds a client may take next to nothing of its answer.")
    max_tunnel_s: float = setting(3600.0, minimum=0.001, doc="Seconds a WebSocket may stay open.")
    max_header_bytes: int = setting(16384, minimum=1024, doc="Bytes of a request head.")
    max_headers: int = setting(100, minimum=1, doc="Fields of a request head.")
    max_body_bytes: int = setting(33554432, minimum=0, doc="Bytes of a buffered request body.")
    max_buffered_bytes: int = setting(268435456, minimum=0, doc="Bytes of all buffered bodies together.")
    half_close: Literal["abort", "tolerate"] = setting(
        "abort", doc="What a FIN from a client during an exchange means: it is gone, or it still reads."
    )
    drain_s: float = setting(30.0, minimum=0.0, doc="Seconds that open exchanges get at shutdown.")
    max_streams: Literal["auto"] | int = setting(
        "auto", minimum=1, doc="Exchanges at once; `auto` derives it from the limit of open files."
    )
    server_timing: bool = setting(True, doc="Tells callers in `Server-Timing` where the time of an answer went.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may call."""

    later: ClassVar[Mapping[str, Any]] = {"management_token": None}

    mode: Literal["open", "token", "projects"] = setting(
        "open", doc="`open` asks for nothing, on loopback only; `token` for one shared token."
    )
    token: Secret | None = setting(None, doc="The shared token.")
    header: str | None = setting(
        None, form="header", doc="The one header the token comes in, when Authorization is the upstream's."
    )
    public: bool = setting(False, doc="Lets `open` be reached from elsewhere, by whoever can.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsSettings:
    """Where plugins are found besides the built-in and the installed ones."""

    directories: tuple[str, ...] = setting((), form="path", doc="Folders whose .py files are plugins.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Rotation of the daemon's log file (twistd's ``--logfile``)."""

    max_bytes: int = setting(10485760, minimum=65536, doc="Bytes at which the log file is rotated.")
    keep: int = setting(5, minimum=0, doc="Rotated log files that are kept.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One place a model is served from."""

    later: ClassVar[Mapping[str, Any]] = {"priority": 1, "weight": 1, "max_request_bytes": None, "limits": {}}

    provider: str = setting(doc="Name of the provider.")
    model: str = setting(doc="The model's name there.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """A model name that callers use."""

    later: ClassVar[Mapping[str, Any]] = {"class": None, "strategy": "priority", "limits": {}}

    name: str = setting(form="text", doc="What callers ask for.")
    targets: tuple[TargetSettings, ...] = setting(doc="Who serves it, in order.")
    on_disconnect: Literal["cancel", "drain"] = setting(
        "cancel",
        doc="What becomes of an answer whose client has left: its provider is told to stop, or it is read to its end "
        "(five minutes at most), so that its usage is known.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """A path that is relayed as it is, whatever it carries."""

    source: str = setting(form="prefix", doc="Path prefix here, beginning with a slash.")
    destination: str = setting(form="url", doc="URL that takes the place of the prefix.")
    name: str = setting(form="name", doc="Name in logs and records.")
    rewrite: Literal["keep", "replace"] = setting(
        "keep", doc="Whether the path behind `destination` keeps the prefix or has it replaced."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """Who may look at records, pages and metrics; without it only local requests may."""

    user: Secret = setting(doc="Name for Basic authentication.")
    password: Secret = setting(doc="Password for it.")
    listen: tuple[str, ...] = setting(
        (), form="endpoint", doc="Where pages, log API and metrics are served instead of at the daemon's `listen`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """The record of every exchange, from which everything else that records is fed."""

    durability: Literal["process", "disk", "none"] = setting(
        "process",
        doc="What a record survives: the process's death, a power failure, or nothing, and then none is written.",
    )
    on_full: Literal["refuse", "drop"] = setting(
        "refuse", doc="When nothing more can be recorded: refuse requests, or serve them unrecorded and count."
    )
    max_bytes: int = setting(10737418240, minimum=1048576, doc="Bytes of all segments together.")
    segment_bytes: int = setting(67108864, minimum=65536, doc="Bytes at which a new segment begins.")
    bodies: Literal["full", "none"] | int = setting(
        "full", minimum=0, doc="What is kept of bodies: all, nothing, or so many bytes of each."
    )
    keep_days: float = setting(7.0, minimum=0.0, doc="Days after which a segment is deleted.")
    redact: tuple[str, ...] = setting(
        (), form="redaction", doc="What is hidden in recorded bodies: names of classes, or RE2 patterns."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginConfig:
    """One configured provider, filter or sink, its settings already parsed by its factory."""

    name: str
    """The provider's key; the type of a filter or sink, with ``-2`` and so on for further ones of a type."""
    type: str
    factory: Any
    """The ``IPluginFactory`` that builds it."""
    settings: Any
    where: str
    """``file:line`` of its section."""
    required: bool = False
    """Of a sink: whether the journal keeps what it has not read, whatever that costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The keys that need no plugin to be understood."""

    later: ClassVar[Mapping[str, Any]] = {
        "shared": "memory", "secrets": None, "model_map": {}, "register": {"allow": []},
        "cors": {"origins": []},
    }  # fmt: skip

    server: ServerSettings = setting(ServerSettings(), doc="What clients may do to the server.")
    env_files: tuple[str, ...] = setting(
        (), form="path", doc="Files of NAME=value lines; the first that has a name wins, the environment before all."
    )
    listen: tuple[str, ...] = setting(
        ("tcp:8080:interface=127.0.0.1",), form="endpoint", doc="Where to listen: an endpoint string or a list of them."
    )
    workers: int = setting(
        1, minimum=1, maximum=256, doc="Processes that serve; beyond 1 they stand under one that watches over them."
    )
    state: str = setting("./var", form="path", doc="Folder of what outlives a start; made with mode 0700.")
    store: str = setting(
        "sqlite", form="store", doc="The database: `sqlite` in the state folder, or a postgresql:// URL."
    )
    journal: JournalSettings = setting(JournalSettings(), doc="The record of every exchange.")
    access: AccessSettings = setting(AccessSettings(), doc="Who may call.")
    admin: AdminSettings | None = setting(None, doc="Who may look at records, pages and metrics.")
    plugins: PluginsSettings = setting(PluginsSettings(), doc="Where plugins are found.")
    models: tuple[ModelSettings, ...] = setting((), doc="Names that callers use, and who serves them.")
    unknown_model: str = setting("reject", doc="What happens to other names: `reject`, or the provider that gets them.")
    default_provider: str | None = setting(None, doc="Serves endpoints that name no model.")
    routes: tuple[RouteSettings, ...] = setting((), doc="Paths relayed as they are.")
    log: LogSettings = setting(LogSettings(), doc="Rotation of the daemon's log file.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Common):
    """A configuration file, its plugins not yet parsed."""

    providers: dict[str, Section] | None = setting(
        None, form="name", doc="Who serves models: name to `type` and settings."
    )
    filters: tuple[Section, ...] = setting((), doc="What every exchange passes, in order; `type` and settings.")
    sinks: tuple[Section, ...] | None = setting(
        None, doc="Where records go; `type` and settings. One `console` when absent."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Common):
    """What the daemon is started with. ``server.hosts`` is filled in, paths are absolute, names resolve."""

    providers: tuple[PluginConfig, ...] = ()
    filters: tuple[PluginConfig, ...] = ()
    sinks: tuple[PluginConfig, ...] = ()
