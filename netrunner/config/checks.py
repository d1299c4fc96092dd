"""What has to fit together across the sections of a configuration.

Each check needs certain top-level keys to have been read without a problem, and is left out otherwise.

This module must not read anything; it looks at what was read.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from netrunner.config import pooling
from netrunner.config.forms import Listener, listener
from netrunner.config.settings import LOOPBACK_NAMES, Common, Document, PluginConfig
from netrunner.config.typed import Section
from netrunner.errors import ConfigurationError, Problem
from netrunner.settings import Limits, Secret
from netrunner.values import Origin

_LOOPBACK = frozenset(name.strip("[]") for name in LOOPBACK_NAMES)
CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Where a caller's own provider credential comes in."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One configuration to be checked: its settings, where they stand, and the plugins that could be parsed."""

    document: Document
    root: Section
    providers: Sequence[PluginConfig]
    filters: Sequence[PluginConfig] = ()

    @property
    def listeners(self) -> list[Listener]:
        """Where it is to listen."""
        return [listener(text) for text in self.document.listen]

    @property
    def exposed(self) -> list[tuple[int, str]]:
        """Index and text of the listeners that other machines reach."""
        return [(i, text) for i, text in enumerate(self.document.listen) if not listener(text).loopback]


def check(subject: Subject, broken: Collection[str]) -> Iterator[Problem]:
    """Yield everything that does not fit, leaving out what depends on ``broken`` top-level keys."""
    for needs, find in _CHECKS.items():
        if not set(needs).intersection(broken):
            yield from find(subject)


def warn(subject: Subject) -> Iterator[str]:
    """Yield what is allowed but worth saying at every start."""
    document, root = subject.document, subject.root
    if document.access.public and document.access.mode == "open":
        where = root.at("access", "public")
        yield f"{where}: access.public lets everybody who reaches this server use it, and its providers' keys"
    if document.access.mode == "open" and document.access.token:
        yield f"{root.at('access', 'token')}: access.token is not asked for while access.mode is open"
    foreign = [origin for origin in document.cors.origins if urlsplit(origin).hostname not in _LOOPBACK]
    if foreign and document.access.mode == "open" and not document.access.public:
        where = root.at("cors", "origins")
        yield f"{where}: pages of {foreign[0]} are refused all the same while access.mode is open"
    if not (document.providers or document.routes):
        yield f"{root.where}: neither providers nor routes, so only models that are registered are served"


def hosts(document: Document) -> tuple[str, ...]:
    """Return the host names answered for, by default the loopback names and the addresses listened at."""
    if document.server.hosts:
        return document.server.hosts
    addresses = [listener(text).host for text in document.listen]
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, *filter(None, addresses))))


def is_own(common: Common, origin: Origin) -> bool:
    """Return whether an origin is certainly this server: a loopback name at a port of it, or a host it answers for."""
    local = {host.strip("[]") for host in LOOPBACK_NAMES}
    if origin.host in local:
        return origin.port in {listener(text).port for text in common.listen}
    return origin.host in {host.strip("[]") for host in common.server.hosts} - local


def _redaction(subject: Subject) -> Iterator[Problem]:
    redact = subject.document.journal.redact
    if redact:
        # RE2 is loaded by those who use it only.
        from netrunner.redaction.redact import compile_redaction

        try:
            compile_redaction(redact)
        except ValueError as error:
            yield Problem(subject.root.at("journal", "redact"), f"redact: expected {error}")


def _alerts(subject: Subject) -> Iterator[Problem]:
    """Alerts are not told to everybody on the way, as records are not."""
    alerts = subject.document.alerts
    if alerts.webhook is not None and not alerts.allow_http and Origin.of(alerts.webhook).is_readable_by_others:
        expected = "webhook: expected https, or a loopback address; allow_http: true sends it unencrypted"
        yield Problem(subject.root.at("alerts", "webhook"), expected)


def _shared(subject: Subject) -> Iterator[Problem]:
    if subject.document.shared != "memory" and importlib.util.find_spec("txredisapi") is None:
        yield Problem(subject.root.at("shared"), "shared: Redis needs txredisapi: pip install 'netrunner[redis]'")
    if subject.document.shared == "memory":
        for one in subject.filters:
            if getattr(one.settings, "store", None) == "shared":
                yield Problem(one.where, "store: shared needs shared: redis://HOST:PORT/DB")


def _counting(subject: Subject) -> Iterator[Problem]:
    """Several processes that count by themselves would let through a multiple of every limit."""
    document, root = subject.document, subject.root
    if document.shared != "memory" or document.workers == 1:
        return
    counting = [(one.where, one.name) for one in subject.filters if isinstance(one.settings, Limits)]
    for index, model in enumerate(document.models):
        if any(one.limiting for one in (model.limits, *(each.limits for each in model.targets))):
            counting.append((root.at("models", index), f"model {model.name}"))
    for provider in subject.providers:
        if getattr(provider.settings, "min_gap_s", 0) or getattr(provider.settings, "max_at_once", None) is not None:
            counting.append((provider.where, f"provider {provider.name}"))
    if document.access.mode == "projects":
        counting.append((root.at("access", "mode"), "access.mode projects"))
    for where, name in counting:
        yield Problem(where, f"{name} counts, so several workers need shared: redis://HOST:PORT/DB")


def _exposure(subject: Subject) -> Iterator[Problem]:
    access, root = subject.document.access, subject.root
    if access.mode == "open" and not access.public:
        for index, text in subject.exposed:
            yield Problem(
                root.at("listen", index),
                f"listen: {text} is not on loopback while access.mode is open; choose access.mode: token,"
                " or access.public: true to let everybody in",
            )
    if access.mode == "token" and access.token is None:
        yield Problem(root.at("access"), "access.token is missing, and access.mode is token")


def _hosts(subject: Subject) -> Iterator[Problem]:
    document, root = subject.document, subject.root
    if not document.server.hosts:
        for index, text in subject.exposed:
            yield Problem(
                root.at("listen", index),
                f"listen: {text} is not on loopback, so server.hosts has to name the hosts that are answered for",
            )
    if "*" in document.server.hosts and document.access.mode == "open":
        yield Problem(root.at("server", "hosts"), 'server.hosts: "*" needs an access.mode that asks for credentials')


def _cors(subject: Subject) -> Iterator[Problem]:
    document, root = subject.document, subject.root
    if "*" in document.cors.origins and document.access.mode != "open":
        yield Problem(
            root.at("cors", "origins"),
            'cors.origins: "*" is for an access.mode that asks for no credentials; name the origins that may call',
        )


def _forward(subject: Subject) -> Iterator[Problem]:
    """Nobody but local clients may use a forward proxy without a name."""
    forward, root = subject.document.forward, subject.root
    if forward is None:
        return
    if (forward.user is None) != (forward.password is None):
        yield Problem(root.at("forward"), "forward: user and password belong together")
    if not forward.listen:
        yield Problem(root.at("forward", "listen"), "forward.listen: expected at least one endpoint")
    for text in forward.listen:
        if not listener(text).loopback and forward.user is None:
            yield Problem(
                root.at("forward", "listen"),
                f"forward.listen: {text} is not on loopback, so forward.user and forward.password are needed",
            )
    if forward.intercept is not None:
        # Certificates are loaded by those who use them only.
        from netrunner.authority import Authority

        try:
            Authority.read(forward.intercept.certificate, forward.intercept.key)
        except ConfigurationError as error:
            yield from error.problems


def _listeners(subject: Subject) -> Iterator[Problem]:
    yield from _duplicates(
        [(text, subject.root.at("listen", i)) for i, text in enumerate(subject.document.listen)], "listen"
    )
    if not subject.document.listen:
        yield Problem(subject.root.at("listen"), "listen: expected at least one endpoint")


def _shared_header(subject: Subject) -> Iterator[Problem]:
    """Two secrets cannot share one header."""
    access, root = subject.document.access, subject.root
    if access.mode == "open" or (access.header and access.header not in CREDENTIAL_HEADERS):
        return
    advice = (
        "leaves Authorization to the caller's own credential; set access.header to a field of its own for the token"
    )
    for provider in subject.providers:
        if getattr(provider.settings, "api_key", None) == "passthrough":
            yield Problem(root.at("providers", provider.name, "api_key"), f"api_key: passthrough {advice}")
    for index, route in enumerate(subject.document.routes):
        yield Problem(root.at("routes", index), f"route {route.name} {advice}")


def _project_keys(subject: Subject) -> Iterator[Problem]:
    """A project's key needs a caller who has a project, and a provider that is asked with a key as it is."""
    for provider in subject.providers:
        if getattr(provider.settings, "api_key", None) == "project":
            where = subject.root.at("providers", provider.name, "api_key")
            if subject.document.access.mode != "projects":
                yield Problem(where, "api_key: project needs access.mode: projects")


def _secrets(subject: Subject) -> Iterator[Problem]:
    settings, root = subject.document.secrets, subject.root
    if settings.required and settings.key is None:
        yield Problem(root.at("secrets"), "secrets.key is missing, and secrets.required is true")
    for name, key in [("key", settings.key), *(("previous", key) for key in settings.previous)]:
        if key is not None and not _is_master_key(key):
            yield Problem(
                root.at("secrets", name),
                f"{name}: expected base64 of 32 bytes, as `openssl rand -base64 32` prints them",
            )


def _audit(subject: Subject) -> Iterator[Problem]:
    if subject.document.audit.file is not None and subject.document.access.mode != "projects":
        yield Problem(subject.root.at("audit", "file"), "audit.file: nothing is audited without access.mode: projects")


def _is_master_key(key: Secret) -> bool:
    try:
        return len(base64.b64decode(key.reveal().strip(), validate=True)) == 32
    except ValueError:
        return False


def _provider_names(subject: Subject) -> Iterator[Problem]:
    document, root = subject.document, subject.root
    known = document.providers or {}
    if "reject" in known:
        yield Problem(root.at("providers", "reject"), "a provider cannot be called reject, unknown_model has that word")
    named = [(document.unknown_model, ("unknown_model",))] if document.unknown_model != "reject" else []
    if document.default_provider is not None:
        named.append((document.default_provider, ("default_provider",)))
    for name, path in named:
        yield from _dangling(name, path[0], root.at(*path), known)
    for index, rule in enumerate(document.rules):
        if rule.to.provider is not None:
            yield from _dangling(rule.to.provider, "provider", root.at("rules", index, "to", "provider"), known)


def _model_providers(subject: Subject) -> Iterator[Problem]:
    document, root = subject.document, subject.root
    for index, model in enumerate(document.models):
        if not model.targets:
            yield Problem(root.at("models", index), f"model {model.name}: expected at least one target")
        for number, target in enumerate(model.targets):
            where = root.at("models", index, "targets", number, "provider")
            yield from _dangling(target.provider, "provider", where, document.providers or {})


def _filters(subject: Subject) -> Iterator[Problem]:
    for further in [one for one in subject.filters if one.type == "retry"][1:]:
        yield Problem(further.where, "filter retry stands twice: what is tried again is decided in one place")
    for one in subject.filters if subject.document.access.mode != "projects" else ():
        for key in ("projects", "except_projects"):
            if getattr(getattr(one.settings, "parameters", None), key, ()):
                yield Problem(one.where, f"parameters.{key} needs access.mode: projects")


def _models(subject: Subject) -> Iterator[Problem]:
    models = enumerate(subject.document.models)
    yield from pooling.find(subject.document, subject.root)
    yield from _duplicates([(model.name, subject.root.at("models", i, "name")) for i, model in models], "model")


def _leads(subject: Subject) -> Iterator[Problem]:
    document = subject.document
    if document.rules or document.model_map:
        # RE2 is loaded by those who use it only.
        from netrunner.config.naming import find

        yield from find(document, subject.root)


def _route_names(subject: Subject) -> Iterator[Problem]:
    routes, root = subject.document.routes, subject.root
    yield from _duplicates([(route.name, root.at("routes", i, "name")) for i, route in enumerate(routes)], "route")
    sources = [(route.source.rstrip("/") or "/", root.at("routes", i, "source")) for i, route in enumerate(routes)]
    yield from _duplicates(sources, "source")


def _dangling(name: str, key: str, where: str, known: Mapping[str, object]) -> Iterator[Problem]:
    if name not in known:
        yield Problem(where, f"{key}: no provider is called {name!r}; there are: {', '.join(known) or 'none'}")


def _duplicates(named: Sequence[tuple[str, str]], what: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, where in named:
        if name in first:
            yield Problem(where, f"{what} {name!r} stands twice, first at {first[name]}")
        first.setdefault(name, where)


_CHECKS: Mapping[tuple[str, ...], Callable[[Subject], Iterator[Problem]]] = {
    ("listen", "access"): _exposure,
    ("listen", "access", "server"): _hosts,
    ("listen",): _listeners,
    ("forward",): _forward,
    ("access", "cors"): _cors,
    ("access", "routes"): _shared_header,
    ("access", "providers"): _project_keys,
    ("filters", "access"): _filters,
    ("secrets",): _secrets,
    ("access", "audit"): _audit,
    ("providers", "rules"): _provider_names,
    ("models", "rules", "model_map"): _leads,
    ("providers", "models"): _model_providers,
    ("models",): _models,
    ("routes",): _route_names,
    ("journal",): _redaction,
    ("shared",): _shared,
    ("alerts",): _alerts,
    ("shared", "workers", "models", "access", "providers"): _counting,
}
