"""The settings of the daemon: what a configuration file may say, each key with its unit, default and meaning.

``Document`` is the file as it is read, ``Settings`` what the daemon is started with: the same, plugins parsed
and defaults that depend on other keys filled in.

This module must not read files, the environment or plugins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from netrunner.config.typed import Section
from netrunner.routing.proxies import Proxies
from netrunner.settings import Health, Limits, Secret, Timeouts, setting

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
    keepalive_s: float = setting(
        15.0,
        minimum=0.0,
        doc="Seconds of silence in a stream after which, at the latest, the caller gets a sign of life; 0 for none.",
    )
    server_timing: bool = setting(True, doc="Tells callers in `Server-Timing` where the time of an answer went.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may call."""

    mode: Literal["open", "token", "projects"] = setting(
        "open",
        doc="`open` asks for nothing, on loopback only; `token` for one shared token; `projects` for a token of a "
        "project's.",
    )
    token: Secret | None = setting(None, doc="The shared token.")
    management_token: Secret | None = setting(
        None,
        doc="Opens `/manage/`, where projects and their tokens are made, and which nobody gets into without it; "
        "without it only local requests may register models.",
    )
    requests_per_hour: int | None = setting(
        1000, minimum=0, doc="Requests an hour of a project's token that has no limit of its own; null for no limit."
    )
    clean_s: float = setting(3600.0, minimum=0.0, doc="Seconds between two deletions of expired tokens; 0 for none.")
    keep_expired_days: float = setting(7.0, minimum=0.0, doc="Days that an expired token is known as expired.")
    header: str | None = setting(
        None, form="header", doc="The one header the token comes in, when Authorization is the upstream's."
    )
    public: bool = setting(False, doc="Lets `open` be reached from elsewhere, by whoever can.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsSettings:
    """What seals the provider keys of projects in the database."""

    key: Secret | None = setting(
        None, doc="The master key: 32 bytes in base64. Without it `secret.key` in the state folder is used, or made."
    )
    previous: tuple[Secret, ...] = setting((), doc="Master keys of before, which only open what they have sealed.")
    required: bool = setting(False, doc="Refuses to start without `key`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Where changes of who may call are told of, besides the database."""

    file: str | None = setting(
        None, form="path", doc="File to append every entry to, as a line of JSON; made with mode 0600."
    )
    max_bytes: int = setting(10485760, minimum=0, doc="Bytes at which a new file is begun; 0 never does.")
    keep: int = setting(20, minimum=1, doc="Older files that are kept, as `file.1` and so on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsSettings:
    """Where plugins are found besides the built-in and the installed ones."""

    directories: tuple[str, ...] = setting((), form="path", doc="Folders whose .py files are plugins.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Rotation of the daemon's log file (twistd's ``--logfile``)."""

    max_bytes: int = setting(10485760, minimum=65536, doc="Bytes at which the log file is rotated.")
    keep: int = setting(5, minimum=0, doc="Rotated log files that are kept.")


Strategy = Literal["priority", "weighted", "round_robin", "least_latency", "least_busy"]
"""The ways to choose among targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One place a model is served from."""

    provider: str = setting(doc="Name of the provider.")
    model: str = setting(doc="The model's name there.")
    priority: int = setting(1, minimum=0, doc="Those of the lowest number are asked first.")
    weight: float = setting(1.0, minimum=0.0, doc="Its share of the requests where `strategy` is `weighted`.")
    max_request_bytes: int | None = setting(
        None, minimum=0, doc="Bytes of the largest body that it is asked with; any when absent."
    )
    limits: Limits = setting(Limits(), doc="How much it may be asked.")
    timeouts: Timeouts | None = setting(None, doc="How long it may take, in place of its provider's `timeouts`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """A model name that callers use."""

    name: str = setting(form="text", doc="What callers ask for.")
    targets: tuple[TargetSettings, ...] = setting(doc="Who serves it, in order.")
    size_class: Literal["BIG", "SMALL"] | None = setting(
        None, key="class", doc="`BIG` or `SMALL`: callers who ask for that word get a target of any such model."
    )
    strategy: Strategy = setting(
        "priority",
        doc="Who is asked first among targets of one priority: the least recently used (`priority`), each by its share "
        "(`weighted`), each in turn (`round_robin`), the quickest (`least_latency`), or the one with the fewest "
        "requests in progress (`least_busy`).",
    )
    limits: Limits = setting(Limits(), doc="How much it may be asked for, whoever serves it.")
    on_disconnect: Literal["cancel", "drain"] = setting(
        "cancel",
        doc="What becomes of an answer whose client has left: its provider is told to stop, or it is read to its end "
        "(five minutes at most), so that its usage is known.",
    )
    images: bool = setting(
        False,
        doc="Whether it makes images: `POST /image` tries those that do, in their order, where no model is named.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTargetSettings:
    """What a rule leads to."""

    model: str | None = setting(None, form="text", doc="The name that takes the place of the one asked for.")
    provider: str | None = setting(None, doc="The provider that is asked, whatever the name means otherwise.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What certain requests mean; the first rule that matches decides."""

    source: tuple[str, ...] = setting((), form="network", doc="Addresses or networks the caller is in one of.")
    model: str | None = setting(None, form="text", doc="The name asked for, or a pattern between slashes.")
    path: str | None = setting(None, form="prefix", doc="The path asked at, or what it begins with up to a slash.")
    to: RuleTargetSettings = setting(doc="What is meant: a `model`, a `provider`, or both.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """A path that is relayed as it is, whatever it carries."""

    source: str = setting(form="prefix", doc="Path prefix here, beginning with a slash.")
    destination: str = setting(form="url", doc="URL that takes the place of the prefix.")
    name: str = setting(form="name", doc="Name in logs and records.")
    rewrite: Literal["keep", "replace"] = setting(
        "keep", doc="Whether the path behind `destination` keeps the prefix or has it replaced."
    )
    record: bool = setting(True, doc="Whether its requests are recorded.")
    timeouts: Timeouts = setting(Timeouts(), doc="How long the upstream may take.")
    ca_file: str | None = setting(
        None, form="path", doc="PEM file of the authorities to trust instead of the system's."
    )
    proxy: Secret | str | None = setting(
        None, form="proxy", doc="URL of the proxy to go through, http, https, socks5 or socks5h; or `environment`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSettings:
    """Where models that callers register may be served."""

    allow: tuple[str, ...] = setting(
        (), form="authority", doc="Hosts, `host` or `host:port`, that may be registered besides those of public https."
    )
    timeouts: Timeouts = setting(Timeouts(), doc="How long the upstream behind an alias may take.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptSettings:
    """Which of the forward proxy's tunnels are looked into."""

    certificate: str = setting(form="path", doc="PEM file of an authority's certificate, which its clients trust.")
    key: str = setting(form="path", doc="PEM file of its key; readable for its owner only.")
    include: tuple[str, ...] = setting(
        form="text", doc="Names of hosts whose tunnels are looked into, `*` for any characters."
    )
    exclude: tuple[str, ...] = setting(
        (), form="text", doc="Names of those hosts among them whose tunnels are not, `*` for any characters."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSettings:
    """The forward proxy."""

    listen: tuple[str, ...] = setting(form="endpoint", doc="Where it listens: an endpoint string or a list of them.")
    user: Secret | None = setting(None, doc="Name that its clients give; needed off loopback.")
    password: Secret | None = setting(None, doc="Password for it.")
    include: tuple[str, ...] = setting(
        (), form="text", doc="Names of the hosts that it leads to, `*` for any characters; any public one when absent."
    )
    exclude: tuple[str, ...] = setting(
        (), form="text", doc="Names of hosts that it does not lead to, `*` for any characters."
    )
    allow: tuple[str, ...] = setting(
        (),
        form="authority",
        doc="Hosts, `host` or `host:port`, whose addresses may be private, and their ports others than 80 and 443.",
    )
    timeouts: Timeouts = setting(Timeouts(), doc="How long upstreams may take.")
    intercept: InterceptSettings | None = setting(None, doc="Which tunnels are looked into; none when absent.")
    ca_file: str | None = setting(
        None,
        form="path",
        doc="PEM file of the authorities that upstreams of such tunnels are trusted by, instead of the system's.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsSettings:
    """Which other pages' scripts may read answers."""

    origins: tuple[str, ...] = setting(
        (), form="origin", doc="Origins whose pages may read answers of models, `*` for any while nobody needs a token."
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
class AlertSettings:
    """Who is told of what an operator has to know now, besides those who look at the dashboard."""

    webhook: str | None = setting(
        None,
        form="url",
        doc="Where a JSON object is posted to when an alert begins and when it ends; https, or on this machine.",
    )
    headers: dict[str, Secret] | None = setting(None, form="header", doc="Fields sent with each.")
    allow_http: bool = setting(False, doc="Whether `webhook` may be plain http to another machine.")


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
        "sqlite", form="store", doc="The database: `sqlite` in the state folder, `sqlite:PATH`, or a postgresql:// URL."
    )
    shared: str = setting(
        "memory",
        form="shared",
        doc="Where limits are counted, and what processes share is kept: `memory` of this process, or a redis:// URL.",
    )
    shared_down: Literal["refuse", "local"] = setting(
        "refuse", doc="While Redis is away, `refuse` what is limited, or go by `local` counts of this process."
    )
    journal: JournalSettings = setting(JournalSettings(), doc="The record of every exchange.")
    access: AccessSettings = setting(AccessSettings(), doc="Who may call.")
    secrets: SecretsSettings = setting(SecretsSettings(), doc="What seals the keys of projects.")
    audit: AuditSettings = setting(AuditSettings(), doc="Where changes of who may call are told of.")
    admin: AdminSettings | None = setting(None, doc="Who may look at records, pages and metrics.")
    alerts: AlertSettings = setting(AlertSettings(), doc="Who is told of what an operator has to know now.")
    plugins: PluginsSettings = setting(PluginsSettings(), doc="Where plugins are found.")
    models: tuple[ModelSettings, ...] = setting((), doc="Names that callers use, and who serves them.")
    rules: tuple[RuleSettings, ...] = setting((), doc="What requests mean by source, model and path; the first wins.")
    model_map: dict[str, str] | None = setting(
        None, doc="Names, or patterns between slashes, and the names that take their place."
    )
    health: Health = setting(Health(), doc="When targets that fail are left alone.")
    unknown_model: str = setting("reject", doc="What happens to other names: `reject`, or the provider that gets them.")
    default_provider: str | None = setting(None, doc="Serves endpoints that name no model.")
    cors: CorsSettings = setting(CorsSettings(), doc="Which other pages' scripts may read answers.")
    register: RegisterSettings = setting(RegisterSettings(), doc="Where models that callers register may be served.")
    forward: ForwardSettings | None = setting(None, doc="The forward proxy, for clients that take any server by one.")
    routes: tuple[RouteSettings, ...] = setting((), doc="Paths relayed as they are: a list, or a mapping by name.")
    record_unknown: bool = setting(
        False, doc="Whether requests for paths that nothing serves are recorded, without their bodies."
    )
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
    environment: Proxies | None = None
    """What `proxy: environment` stands for; None where nothing says so."""
