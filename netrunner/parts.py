"""Everything one configuration is made of: plugins, pools, a pipeline, the tree of resources.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from netrunner.bookkeeping import Bookkeeping
from netrunner.clock import SystemClock
from netrunner.config.settings import PluginConfig, Settings
from netrunner.environment import Environment
from netrunner.filters.bearer import Bearer
from netrunner.http.flush import Flush
from netrunner.http.pool import Pool
from netrunner.http.site import SPARE_CONNECTIONS, Limits
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.interfaces import ILiveSink, IStartable, IUpstream
from netrunner.journal.feeds import Sink
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.live import Live
from netrunner.pipeline.shared import Observing, Pipeline
from netrunner.pipeline.stages import ServerTiming
from netrunner.query import parse
from netrunner.redaction.redact import compile_redaction
from netrunner.routing.table import Candidate, Table
from netrunner.settings import PoolLimits, ProviderSettings, Timeouts
from netrunner.web.access import Door, Sources
from netrunner.web.crew import Crew
from netrunner.web.dashboard.pages import Dashboard
from netrunner.web.gate import Gate
from netrunner.web.logs import api
from netrunner.web.metrics import Metrics, Observed, registry
from netrunner.web.neighbours import Neighbours
from netrunner.web.proxy import Entry
from netrunner.web.raw import RawRoute
from netrunner.web.records import Records
from netrunner.web.tree import pages_alone, tree

RESERVED_DESCRIPTORS = 64
"""Kept free for logs, the journal, sinks, the control socket and what the libraries open."""
STOP_S = 5.0
"""How long plugins may take to stop."""


class Parts:
    """Everything one configuration is made of: built whole, started and stopped together."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        clock: SystemClock,
        sweep: Sweep,
        flush: Flush,
        live: Live,
        books: Bookkeeping,
        observed: Observed,
        neighbours: Neighbours,
        crew: Crew | None,
    ) -> None:
        self.settings = settings
        self._plugins: list[Any] = []
        self._sinks_run = False
        self._books = books
        self._observed = observed
        self._neighbours, self._crew = neighbours, crew
        self.pools: list[tuple[str, Pool]] = []
        """With the names of their providers and routes."""
        self._reactor, self._clock, self._sweep, self._flush = reactor, clock, sweep, flush
        self._random = random.SystemRandom()
        providers = {}
        for config in settings.providers:
            provider = self._build(config)
            upstream = provider if IUpstream.providedBy(provider) else self._pool(config.name, config.settings)
            providers[config.name] = (provider, upstream)
        filters = [self._build(config) for config in settings.filters]
        access = settings.access
        if access.mode == "token":
            assert access.token is not None
            filters.insert(0, Bearer(access.token, access.header))
        self.sinks = [Sink(config.name, self._sink(config), config.required) for config in settings.sinks]
        secret_header = access.header.encode() if access.header else None
        self._observing = Observing(compile_redaction(settings.journal.redact), secret_header)
        chain = Chain(filters)
        self.pipeline = Pipeline(
            chain,
            _table(settings),
            providers,
            books.journal,
            clock,
            max_streams(settings),
            live,
            self._observing,
            ServerTiming(observed.lag, bool(chain.request)) if settings.server.server_timing else None,
        )
        observed.measures.know(self.pipeline.table.names())
        door = Door(access.mode == "open", access.public)
        entry = Entry(
            self.pipeline, door, Sources(settings.server.trusted_proxies), random.Random(self._random.random())
        )
        routes = {
            route.source.encode(): RawRoute(
                entry,
                "openai",
                route.name,
                route.destination,
                self._pool(route.name, ProviderSettings(base_url=route.destination)),
                route.source.encode() if route.rewrite == "replace" else b"",
            )
            for route in settings.routes
        }
        pages = self._pages(live)
        apart = settings.admin is not None and bool(settings.admin.listen)
        self.root = tree(entry, routes, {} if apart else pages)
        self.admin_root = pages_alone(pages, clock) if apart else None
        """What is served where ``admin.listen`` says, if it says so."""

    def _pages(self, live: Live) -> dict[bytes, Resource]:
        """Return what operators look at."""
        admin = self.settings.admin
        gate = Gate(None, None) if admin is None else Gate(admin.user, admin.password)
        books = self._books
        recent, neighbours = books.lookout.recent, self._neighbours
        records = Records(lambda: books.logs, books.copies, live, self._clock, books.onlookers, recent, neighbours)
        dashboard = Dashboard(gate, lambda: books.logs, books.copies, books.lookout, parse, neighbours)
        metrics = Metrics(gate, registry(self._observed), self._crew)
        return {**api(gate, records), **dashboard.resources(), b"metrics": metrics}

    def _build(self, config: PluginConfig) -> Any:
        environment = Environment(config.name, self._reactor, self._clock, self._random)
        plugin = config.factory.build(config.settings, environment)
        self._plugins.append(plugin)
        return plugin

    def _sink(self, config: PluginConfig) -> Any:
        """Return a sink; it is started by ``start_sinks``, since another process may still run it."""
        environment = Environment(
            config.name, self._reactor, self._clock, self._random, self._books.copies, self._books.open_store
        )
        return config.factory.build(config.settings, environment)

    def _pool(self, name: str, settings: Any) -> Pool:
        ca_file = getattr(settings, "ca_file", None)
        pool = Pool(
            self._reactor,
            self._sweep,
            getattr(settings, "timeouts", Timeouts()),
            getattr(settings, "pool", PoolLimits()),
            resend=getattr(settings, "resend", "unsent"),
            tls=TlsContexts(ca_file),
            flush=self._flush,
        )
        self.pools.append((name, pool))
        return pool

    def start(self) -> None:
        """Start what is no sink."""
        for plugin in self._plugins:
            if IStartable.providedBy(plugin):
                plugin.start()

    def start_sinks(self) -> None:
        """Start the sinks: from now on they are fed, and see exchanges flow."""
        for sink in self.sinks:
            if IStartable.providedBy(sink.plugin):
                self._start(sink.name, sink.plugin)
        self._observing.live_sinks = tuple(one.plugin for one in self.sinks if ILiveSink.providedBy(one.plugin))
        self._sinks_run = True

    def _start(self, name: str, plugin: Any) -> None:
        try:
            plugin.start()
        except Exception as error:  # noqa: BLE001 - the border to a sink: it is asked to write all the same, and again
            reason = f"{type(error).__name__}: {error}"
            self.log.error("the sink {sink} did not start: {reason}", sink=name, reason=reason)

    def stop_sinks(self, within_s: float) -> Deferred[Any]:
        """Stop the sinks, if they run; fire after ``within_s`` at the latest."""
        running, self._sinks_run = self._sinks_run, False
        self._observing.live_sinks = ()
        return self._stop([sink.plugin for sink in self.sinks], within_s) if running else succeed(None)

    def stop(self, within_s: float = STOP_S) -> Deferred[Any]:
        """Close connections, and stop what is no sink; fire after ``within_s`` at the latest."""
        for _, pool in self.pools:
            pool.close()
        return self._stop(self._plugins, within_s)

    def _stop(self, plugins: Sequence[Any], within_s: float) -> Deferred[Any]:
        stopping = [maybeDeferred(one.stop) for one in plugins if IStartable.providedBy(one)]
        for one in stopping:
            one.addTimeout(within_s, self._clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
            one.addErrback(self._not_stopped)
        return DeferredList(stopping)

    def _not_stopped(self, failure: Failure) -> None:
        if failure.check(NotInTime, CancelledError):
            self.log.error("a plugin did not stop in time")
        else:
            self.log.failure("a plugin did not stop", failure)


def max_streams(settings: Settings) -> int:
    """Return how many exchanges may run at once: as set, or two descriptors each of what the process may open.

    A sink that copies exchanges while they flow has two more for each of its ``max_live``.
    """
    wanted = settings.server.max_streams
    if wanted != "auto":
        return wanted
    watching = sum(2 * getattr(sink.settings, "max_live", 0) for sink in settings.sinks)
    return max(16, (_free_descriptors() - watching) // 2)


def _free_descriptors() -> int:
    """Return how many descriptors exchanges may use: all but our own, and those of callers who are sent away."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - RESERVED_DESCRIPTORS - _spare_connections(soft)


def _spare_connections(soft: int) -> int:
    """Return how many callers at once can be told that there is no room."""
    return min(SPARE_CONNECTIONS, max(32, soft // 25))


def limits(settings: Settings) -> Limits:
    """Return what clients may do to the server."""
    server = settings.server
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    hosts = None if "*" in server.hosts else frozenset(host.strip("[]").lower() for host in server.hosts)
    return Limits(
        header_timeout_s=server.header_timeout_s,
        body_grace_s=server.body_grace_s,
        body_min_rate_bytes=server.body_min_rate_bytes,
        idle_timeout_s=server.idle_timeout_s,
        write_stall_s=server.write_stall_s,
        max_tunnel_s=server.max_tunnel_s,
        max_header_bytes=server.max_header_bytes,
        max_headers=server.max_headers,
        max_body_bytes=server.max_body_bytes,
        max_buffered_bytes=server.max_buffered_bytes,
        max_connections=max(32, _free_descriptors() - max_streams(settings)),
        spare_connections=_spare_connections(soft),
        hosts=hosts,
        half_close_aborts=server.half_close == "abort",
    )


def _table(settings: Settings) -> Table:
    models = {
        model.name: tuple(Candidate(target.provider, target.model) for target in model.targets)
        for model in settings.models
    }
    unknown = None if settings.unknown_model == "reject" else settings.unknown_model
    draining = frozenset(model.name for model in settings.models if model.on_disconnect == "drain")
    return Table(models, unknown, settings.default_provider, draining)
