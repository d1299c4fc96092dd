"""The one place where things are wired: settings become plugins, a tree, a site and listening ports.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from netrunner.clock import SystemClock
from netrunner.config.settings import PluginConfig, Settings
from netrunner.environment import Environment
from netrunner.errors import Overloaded
from netrunner.filters.bearer import Bearer
from netrunner.http.flush import Flush
from netrunner.http.pool import Pool
from netrunner.http.site import SPARE_CONNECTIONS, Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.interfaces import IStartable, IUpstream
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.live import Live
from netrunner.pipeline.recorder import Recorder
from netrunner.pipeline.run import Pipeline
from netrunner.process import listen
from netrunner.routing.table import Candidate, Table
from netrunner.settings import PoolLimits, ProviderSettings, Timeouts
from netrunner.values import Outcome
from netrunner.web.access import Door, Sources
from netrunner.web.proxy import Entry
from netrunner.web.raw import RawRoute
from netrunner.web.tree import NOTHING, OPENAI, tree

RESERVED_DESCRIPTORS = 64
"""Kept free for logs, sinks, the control socket and what the libraries open."""
STOP_S = 5.0
"""How long a sink may take for its last records, and plugins to stop."""


class Parts:
    """Everything one configuration is made of: built whole, started and stopped together."""

    log = Logger()

    def __init__(
        self, settings: Settings, reactor: Any, clock: SystemClock, sweep: Sweep, flush: Flush, live: Live
    ) -> None:
        self.settings = settings
        self._plugins: list[Any] = []
        self.pools: list[Pool] = []
        self._reactor, self._clock, self._sweep, self._flush = reactor, clock, sweep, flush
        self._random = random.SystemRandom()
        providers = {}
        for config in settings.providers:
            provider = self._build(config)
            upstream = provider if IUpstream.providedBy(provider) else self._pool(config.settings)
            providers[config.name] = (provider, upstream)
        filters = [self._build(config) for config in settings.filters]
        access = settings.access
        if access.mode == "token":
            assert access.token is not None
            filters.insert(0, Bearer(access.token, access.header))
        recorder = Recorder([(config.name, self._build(config)) for config in settings.sinks], clock)
        self.pipeline = Pipeline(
            Chain(filters), _table(settings), providers, recorder, clock, max_streams(settings), live
        )
        door = Door(access.mode == "open", access.public)
        entry = Entry(
            self.pipeline, door, Sources(settings.server.trusted_proxies), random.Random(self._random.random())
        )
        routes = {
            route.source.encode(): RawRoute(
                entry,
                OPENAI,
                route.name,
                route.destination,
                self._pool(ProviderSettings(base_url=route.destination)),
                route.source.encode() if route.rewrite == "replace" else b"",
            )
            for route in settings.routes
        }
        self.root = tree(entry, routes)

    def _build(self, config: PluginConfig) -> Any:
        environment = Environment(config.name, self._reactor, self._clock, self._random)
        plugin = config.factory.build(config.settings, environment)
        self._plugins.append(plugin)
        return plugin

    def _pool(self, settings: Any) -> Pool:
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
        self.pools.append(pool)
        return pool

    def start(self) -> None:
        """Start what plugins have to start."""
        for plugin in self._plugins:
            if IStartable.providedBy(plugin):
                plugin.start()

    def stop(self) -> Deferred[Any]:
        """Close connections, hand the last records over, then stop plugins; each for ``STOP_S`` at the most."""
        for pool in self.pools:
            pool.close()
        written = self._within(self.pipeline.recorder.close(), "the last records were not written in time")
        return written.addCallback(lambda _: self._stop_plugins())

    def _stop_plugins(self) -> Deferred[Any]:
        stopping = [maybeDeferred(one.stop) for one in self._plugins if IStartable.providedBy(one)]
        for one in stopping:
            one.addErrback(lambda failure: self.log.failure("a plugin did not stop", failure))
        return self._within(DeferredList(stopping), "a plugin did not stop in time")

    def _within(self, done: Deferred[Any], otherwise: str) -> Deferred[Any]:
        done.addTimeout(STOP_S, self._clock)  # type: ignore[arg-type]  # all it needs of IReactorTime is callLater
        return done.addErrback(lambda _: self.log.error("{what}", what=otherwise))


class NetrunnerService(Service):
    """The daemon: listens, serves, drains.

    Args:
        settings: Validated configuration.
        listeners: Sockets bound beforehand.
        reactor: What everything runs on.
    """

    log = Logger()

    def __init__(self, settings: Settings, listeners: Sequence[listen.Bound], reactor: Any) -> None:
        self._reactor = reactor
        self._clock = SystemClock(reactor)
        self._sweep = Sweep(self._clock)
        self.flush = Flush(self._clock)
        self._listeners = listeners
        self._ports: list[IListeningPort] = []
        self.live = Live()
        self._parts = Parts(settings, reactor, self._clock, self._sweep, self.flush, self.live)
        self._retired: list[Parts] = []
        self._drained: Deferred[None] | None = None
        self._deadline: Any = None
        self._retiring: Any = None
        self.settings = settings
        self.site = Site(self._parts.root, self._sweep, _limits(settings), NOTHING.refusal, flush=self.flush)

    def startService(self) -> None:
        """Take the sockets and serve."""
        super().startService()
        self._sweep.start()
        self._parts.start()
        for bound in self._listeners:
            self._ports.append(listen.adopt(self._reactor, bound, self.site))
            self.log.info("listening on {name}", name=bound.name)

    def reload(self, settings: Settings) -> None:
        """Serve new requests by another configuration; those in progress finish on the one they began with."""
        parts = Parts(settings, self._reactor, self._clock, self._sweep, self.flush, self.live)
        parts.start()
        self._retired.append(self._parts)
        self._parts = parts
        self.settings = settings
        self.site.resource = parts.root
        self.site.limits = _limits(settings)
        self._retire()

    def _retire(self) -> None:
        """Stop the configurations that nothing runs on any more; look again while there are others."""
        for parts in [parts for parts in self._retired if not parts.pipeline.inflight]:
            self._retired.remove(parts)
            parts.stop().addErrback(lambda failure: self.log.failure("an old configuration did not stop", failure))
        if self._retired and self.running:
            self._retiring = self._clock.callLater(1.0, self._retire)

    def inflight(self) -> list[dict[str, Any]]:
        """Return what is in progress, oldest first."""
        now = self._clock.seconds()
        return [
            {
                "id": exchange.id,
                "source": exchange.source,
                "method": exchange.method.decode("ascii"),
                "path": exchange.path.decode("latin-1"),
                "model": exchange.model,
                "provider": exchange.provider,
                "elapsed_s": round(now - exchange.started, 3),
            }
            for exchange in self.live.inflight.values()
        ]

    def counts(self) -> dict[str, int]:
        """Return how much of everything there is now; all of it comes down again when nothing happens."""
        pools = [pool.stats() for parts in [*self._retired, self._parts] for pool in parts.pools]
        return {
            "connections": len(self.site.channels),
            "buffered_bytes": self.site.buffered_bytes,
            **{f"upstream_{name}": sum(pool[name] for pool in pools) for name in ("active", "idle", "waiting")},
            "watched": len(self._sweep),
            "delayed_calls": len(self._reactor.getDelayedCalls()),
        }

    def end(self, id: str) -> bool:
        """End one exchange in progress; return whether there was one of that id."""
        return self.live.end(id)

    def stop_accepting(self) -> None:
        """Let go of the sockets, without shutting them down for others, and of idle connections."""
        for port in self._ports:
            maybeDeferred(port.stopListening).addErrback(
                lambda failure: self.log.failure("a port did not stop", failure)
            )
        self._ports.clear()
        self.site.stop_accepting()

    def drain(self) -> Deferred[None]:
        """Stop accepting; fire when the last exchange has ended, at the latest after ``drain_s``."""
        self.stop_accepting()
        if self._drained is None:
            self._drained = Deferred()
            limit = self._clock.seconds() + self.settings.server.drain_s
            self._deadline = self._clock.callLater(0, self._look, limit)
        done: Deferred[None] = Deferred()
        self._drained.addCallback(lambda _: done.callback(None))
        return done

    def _look(self, limit: float) -> None:
        if not self.site.channels:
            self._deadline = None
            self._finish()
        elif self._clock.seconds() >= limit:
            self._deadline = None
            self.end_now()
        else:
            self._deadline = self._clock.callLater(0.05, self._look, limit)

    def end_now(self) -> None:
        """Cut a drain short: every exchange ends with its dialect's error, connections close."""
        error = Overloaded("The server is shutting down.", code="shutting_down", retry_after_s=1)
        for exchange in list(self.live.inflight.values()):
            if exchange.work is not None:
                exchange.work.stop(Outcome.SHUT_DOWN, error)
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._clock.callLater(1.0, self._abort_rest)

    def _abort_rest(self) -> None:
        self._deadline = None
        for channel in list(self.site.channels):
            channel.abort()
        self._finish()

    def _finish(self) -> None:
        drained = self._drained
        if drained is not None and not drained.called:
            drained.callback(None)

    def stopService(self) -> Deferred[Any]:
        """Drain, then close everything."""
        super().stopService()
        return self.drain().addCallback(lambda _: self._close())

    def _close(self) -> Deferred[Any]:
        self._sweep.stop()
        if self._retiring is not None and self._retiring.active():
            self._retiring.cancel()
        return DeferredList([parts.stop() for parts in [*self._retired, self._parts]])


def make_service(settings: Settings, listeners: Sequence[listen.Bound], reactor: Any) -> NetrunnerService:
    """Return the service for a validated configuration and its bound sockets."""
    return NetrunnerService(settings, listeners, reactor)


def max_streams(settings: Settings) -> int:
    """Return how many exchanges may run at once: as set, or two descriptors each of what the process may open."""
    wanted = settings.server.max_streams
    if wanted != "auto":
        return wanted
    return max(16, _free_descriptors() // 2)


def _free_descriptors() -> int:
    """Return how many descriptors exchanges may use: all but our own, and those of callers who are sent away."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - RESERVED_DESCRIPTORS - _spare_connections(soft)


def _spare_connections(soft: int) -> int:
    """Return how many callers at once can be told that there is no room."""
    return min(SPARE_CONNECTIONS, max(32, soft // 25))


def _limits(settings: Settings) -> Limits:
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
    return Table(models, unknown, settings.default_provider)
