"""Everything one configuration is made of: plugins, pools, a pipeline, the tree of resources.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from netrunner.authority import Authority
from netrunner.bookkeeping import Bookkeeping
from netrunner.clock import SystemClock
from netrunner.config.checks import CREDENTIAL_HEADERS, is_own
from netrunner.config.naming import names_of
from netrunner.config.outward import chosen
from netrunner.config.pooling import claims_of, health_of, pools_of, table_of
from netrunner.config.settings import ForwardSettings, InterceptSettings, PluginConfig, Settings
from netrunner.dialects.interfaces import ISealsCalls
from netrunner.dialects.spoken import SPOKEN
from netrunner.environment import Environment
from netrunner.filters.bearer import Bearer
from netrunner.filters.projects import Projects
from netrunner.http.flush import Flush
from netrunner.http.intercept import Interceptor
from netrunner.http.pool import Pool
from netrunner.http.proxied import ProxiedPool
from netrunner.http.straight import Straight
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.http.vetted import vetted
from netrunner.http.via import Marking, Via
from netrunner.interfaces import ICounters, ILiveSink, IStartable, ISteps, ITraces, IUpstream
from netrunner.journal.feeds import Sink
from netrunner.limits.place import open_seals, open_store
from netrunner.pipeline.aliases import AliasProviders
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.choosing import Choosing
from netrunner.pipeline.keepalives import Keepalives
from netrunner.pipeline.live import Live
from netrunner.pipeline.looks import Looks
from netrunner.pipeline.sealed import Others, SealMemory, Seals
from netrunner.pipeline.shared import Observing, Pipeline
from netrunner.pipeline.stages import ServerTiming
from netrunner.pipeline.tracing import Tracing
from netrunner.query import parse
from netrunner.redaction.redact import compile_redaction
from netrunner.registered import Registered
from netrunner.room import max_streams
from netrunner.routing.addresses import AddressPolicy
from netrunner.routing.table import Table
from netrunner.settings import PoolLimits, Timeouts
from netrunner.values import Origin
from netrunner.web.access import Door, Sources
from netrunner.web.admin.entrance import Beside, Entrance
from netrunner.web.admin.pages import Shelf
from netrunner.web.admin.root import Admin
from netrunner.web.alerts import AlertsPage, Watch
from netrunner.web.cors import CrossOrigin
from netrunner.web.crew import Crew
from netrunner.web.dashboard.pages import Dashboard
from netrunner.web.forward import NAME as FORWARD
from netrunner.web.forward import Credential, Forward, Hosts, Interception
from netrunner.web.gate import Gate
from netrunner.web.late import Late
from netrunner.web.log_api import api
from netrunner.web.metrics import Metrics, Observed, registry
from netrunner.web.neighbours import Neighbours
from netrunner.web.proxy import Entry, WaryEntry
from netrunner.web.raw import RawRoute
from netrunner.web.records import Records
from netrunner.web.register import Management, Register
from netrunner.web.targets import TargetsPage
from netrunner.web.tree import Branch, pages_alone, tree

STOP_S = 5.0
"""How long plugins may take to stop."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a configuration."""

    reactor: Any
    clock: SystemClock
    sweep: Sweep
    flush: Flush
    live: Live
    books: Bookkeeping
    observed: Observed
    registered: Registered
    neighbours: Neighbours
    seals: SealMemory
    other_seals: Others
    """Those of the other processes of the state folder: workers, one that drains."""
    crew: Crew | None
    """Tells of all workers; None where there is one process."""
    watch: Watch


class Parts:
    """Everything one configuration is made of: built whole, started and stopped together.

    Args:
        settings: The configuration.
        lasting: What outlives it.
        counters: What limits count with.
        reception: Knows projects and their tokens; None where there are none.
    """

    log = Logger()

    def __init__(self, settings: Settings, lasting: Lasting, counters: ICounters, reception: Any) -> None:
        self.settings = settings
        self._plugins: list[Any] = []
        self._sinks_run = False
        self._lasting = lasting
        self._clock = lasting.clock
        self.counters = counters
        self._reception = reception
        self.pools: list[tuple[str, Pool]] = []
        """With the names of their providers and routes."""
        self.certificates: dict[str, float] = {}
        """When those end that are signed with, in Unix time, by the settings that name them."""
        self._random = random.SystemRandom()
        self._via = Via(self._random.getrandbits) if _may_loop(settings) else None
        """Marks what leaves, where it might come back."""
        providers = {}
        for config in settings.providers:
            provider = self._build(config)
            answers = IUpstream.providedBy(provider)
            providers[config.name] = (provider, provider if answers else self._reach(provider, config))
        filters = [self._build(config) for config in settings.filters]
        access = settings.access
        if access.mode == "token":
            assert access.token is not None
            filters.insert(0, Bearer(access.token, access.header))
        elif access.mode == "projects":
            filters.insert(0, Projects(reception, counters, lasting.clock, access.header))
        self.sinks = [Sink(config.name, self._sink(config), config.required) for config in settings.sinks]
        secret_header = access.header.encode() if access.header else None
        self._observing = Observing(compile_redaction(settings.journal.redact, lasting.clock.seconds), secret_header)
        chain = Chain(filters)
        table = table_of(settings)
        self.pipeline = Pipeline(
            chain,
            table,
            providers,
            lasting.books.journal,
            lasting.clock,
            max_streams(settings),
            lasting.live,
            self._observing,
            ServerTiming(lasting.observed.lag, bool(chain.request)) if settings.server.server_timing else None,
            self._choosing(table, providers),
            names_of(settings, lasting.registered.aliases),
            self._tracing(),
            self._seals(providers),
        )
        self._keepalives = Keepalives(self.pipeline.inflight, lasting.clock, settings.server.keepalive_s)
        self._sources = Sources(settings.server.trusted_proxies)
        self._late = Late(lasting.books.lookout.tries, self._sources)
        policy = AddressPolicy(settings.register.allow)
        self._alias_providers = AliasProviders(
            self.pipeline,
            self._marked(self._pool("aliases", settings.register, dial=vetted(policy.permits))),
            _leaves_credentials(settings),
        )
        lasting.observed.measures.know(self.pipeline.names.fixed)
        self.root, self.admin_root = self._trees(policy)
        self.forward_root = None if settings.forward is None else self._forward(settings.forward)

    def _tracing(self) -> Tracing | None:
        """Return what gives exchanges their place in traces, if a sink wants to know it."""
        for sink in self.sinks:
            if ITraces.providedBy(sink.plugin):
                chance = random.Random(self._random.random())
                return Tracing(sink.plugin.share, sink.plugin.follows, chance.getrandbits)
        return None

    def _seals(self, providers: Mapping[str, tuple[Any, Any]]) -> Seals:
        """Return what keeps the seals of calls; a place for them elsewhere is opened if a provider wants any back."""
        settings, others = self.settings, self._lasting.other_seals
        if settings.shared != "memory" and any(
            ISealsCalls.providedBy(SPOKEN.get(provider.dialect)) for provider, _ in providers.values()
        ):
            others = open_seals(settings, self._lasting.reactor)
            self._plugins.append(others)
        addresses = {one.name: getattr(one.settings, "base_url", "") for one in settings.providers}
        return Seals(self._lasting.seals, others, addresses)

    def _trees(self, policy: AddressPolicy) -> tuple[Resource, Resource | None]:
        """Return what is served to callers, and what where ``admin.listen`` says, if it says so."""
        settings = self.settings
        entry = self._entry(self.pipeline)
        pages = {**self._pages(), **self._management(policy)}
        apart = settings.admin is not None and bool(settings.admin.listen)
        root = tree(entry, self._routes(entry), {} if apart else pages, settings.record_unknown, self._lets_in)
        if settings.cors.origins:
            root = CrossOrigin(root, settings.cors.origins)
        return root, pages_alone(pages, self._clock) if apart else None

    def _lets_in(self) -> bool:
        return self._reception is None or self._reception.is_open

    def _forward(self, settings: ForwardSettings) -> Resource:
        """Return what is served to clients that take this for a proxy; they pass no filter."""
        policy = AddressPolicy(settings.allow)

        def permits(origin: Origin, address: str) -> bool:
            # A client that is let in may speak plain HTTP to whomever it likes.
            return policy.permits(Origin("https", origin.host, origin.port), address)

        dial = vetted(permits)
        door = Door(open=False, public=True)
        entry = self._entry(self.pipeline.unfiltered(), door)
        return Forward(
            entry,
            Credential(settings.user, settings.password),
            Hosts(settings.include, settings.exclude, settings.allow),
            self._marked(self._pool(FORWARD, settings, dial=dial)),
            Straight(self._lasting.reactor, settings.timeouts.connect_s, dial),
            self._interception(settings.intercept),
        )

    def _interception(self, settings: InterceptSettings | None) -> Interception | None:
        """Return which tunnels are looked into, and by what authority."""
        if settings is None:
            return None
        authority = Authority.read(settings.certificate, settings.key)
        self.certificates["forward.intercept"] = authority.certificate.not_valid_after_utc.timestamp()
        interceptor = Interceptor(authority, self._lasting.reactor, self._clock)
        return Interception(interceptor, settings.include, settings.exclude)

    def _entry(self, pipeline: Pipeline, door: Door | None = None) -> Entry:
        """Return how requests become exchanges."""
        access = self.settings.access
        rest = (
            pipeline,
            door or Door(access.mode == "open", access.public),
            self._sources,
            random.Random(self._random.random()),
        )
        return Entry(*rest) if self._via is None else WaryEntry(self._via, *rest)

    def _routes(self, entry: Entry) -> dict[bytes, Resource]:
        """Return the raw routes by their prefixes."""
        quiet = self._entry(self.pipeline.unrecorded())
        return {
            route.source.encode(): RawRoute(
                entry if route.record else quiet,
                "openai",
                route.name,
                route.destination,
                self._upstream(route.name, route),
                route.source.encode() if route.rewrite == "replace" else b"",
            )
            for route in self.settings.routes
        }

    def _choosing(self, table: Table, providers: Mapping[str, tuple[Any, Any]]) -> Choosing:
        """Return what candidates are chosen with; those with timeouts of their own have connections of their own."""
        settings, targets = self.settings, self._lasting.observed.targets
        of = {config.name: config for config in settings.providers}
        own = {(one.provider, one.timeouts) for name in table.names() for one in table.candidates(name)}
        apart = {
            (name, timeouts): self._reach(providers[name][0], of[name], timeouts)
            for name, timeouts in own
            if timeouts is not None
        }
        pools = pools_of(settings, table, targets)
        every_s = {name: one.look_every_s for name, one in health_of(settings).items() if one.look_every_s is not None}
        self._looks = Looks(providers, targets, self._clock, every_s)
        return Choosing(targets, pools, claims_of(settings), self.counters, self._random, apart)

    def _pages(self) -> dict[bytes, Resource]:
        """Return what operators look at."""
        admin = self.settings.admin
        books, observed = self._lasting.books, self._lasting.observed
        entrance = self._entrance()
        gate = Gate(None, None) if admin is None else Beside(admin.user, admin.password, entrance, self._late)
        books.onlookers.goes_on = gate.goes_on
        recent, neighbours, watch = books.lookout.recent, self._lasting.neighbours, self._lasting.watch
        records = Records(
            lambda: books.logs, books.copies, observed.live, self._clock, books.onlookers, recent, neighbours, watch
        )
        dashboard = Dashboard(gate, lambda: books.logs, books.copies, books.lookout, parse, neighbours, watch.rows)
        metrics = Metrics(gate, registry(observed), self._lasting.crew)
        pages = {**api(gate, records), **dashboard.resources(), b"metrics": metrics}
        health = Branch()
        targets = TargetsPage(gate, observed.targets, self.pipeline.table, self._clock)
        health.putChild(b"targets", targets)
        health.putChild(b"alerts", AlertsPage(gate, watch))
        pages[b"api"].putChild(b"health", health)
        pages[b"admin"] = self._admin(entrance, targets.told)
        return pages

    def _entrance(self) -> Entrance:
        """Return what lets operators in."""
        lookout, admin = self._lasting.books.lookout, self.settings.admin
        user, password = (None, None) if admin is None else (admin.user, admin.password)
        return Entrance(user, password, lookout.sessions, lookout.tries, self._sources, self._lasting.neighbours)

    def _admin(self, entrance: Entrance, targets: Callable[[], Any]) -> Resource:
        """Return the admin pages."""
        settings, books = self.settings, self._lasting.books
        shelf = Shelf(settings, lambda: books.logs, targets, books.lookout)
        managing = None
        if self._reception is not None:
            # With it comes the database, which is loaded only where it is used.
            from netrunner.web.admin.projects import ProjectPages, Rules

            asking = [one.name for one in settings.providers if getattr(one.settings, "api_key", None) == "project"]
            rules = Rules(tuple(asking), settings.access.requests_per_hour)
            managing = ProjectPages(shelf, entrance, self._reception, self.counters, rules)
        return Admin(entrance, shelf, managing)

    def _management(self, policy: AddressPolicy) -> dict[bytes, Resource]:
        """Return what those who manage use."""
        own = partial(is_own, self.settings)
        token = self.settings.access.management_token
        register = Register(
            Management(token, self._late), self._lasting.registered, self.pipeline.names, policy, own, self._clock
        )
        model = Branch()
        model.putChild(b"register", register)
        pages: dict[bytes, Resource] = {b"register-model": register, b"model": model}
        if self._reception is not None:
            # With it comes the database, which is loaded only where it is used.
            from netrunner.web.manage import manage

            pages[b"manage"] = manage(token, self._reception, self._sources, self._late)
        return pages

    def follow_aliases(self) -> None:
        """Serve the aliases that are registered now."""
        self._alias_providers.follow(self._lasting.registered.aliases)

    def _build(self, config: PluginConfig) -> Any:
        reactor = self._lasting.reactor
        environment = Environment(
            config.name,
            reactor,
            self._clock,
            self._random,
            counters=self.counters,
            open_shared=partial(open_store, self.settings, reactor),
        )
        plugin = config.factory.build(config.settings, environment)
        self._plugins.append(plugin)
        return plugin

    def _sink(self, config: PluginConfig) -> Any:
        """Return a sink; it is started by ``start_sinks``, since another process may still run it."""
        reactor, books = self._lasting.reactor, self._lasting.books
        environment = Environment(config.name, reactor, self._clock, self._random, books.copies, books.open_store)
        return config.factory.build(config.settings, environment)

    def _reach(self, provider: Any, config: PluginConfig, timeouts: Timeouts | None = None) -> IUpstream:
        """Return what takes a provider's requests to it."""
        upstream = self._upstream(config.name, config.settings, timeouts)
        return provider.over(upstream) if ISteps.providedBy(provider) else upstream

    def _upstream(self, name: str, settings: Any, timeouts: Timeouts | None = None) -> IUpstream:
        """Return what carries the requests of a provider or route."""
        proxies = chosen(getattr(settings, "proxy", None), self.settings.environment)
        kind = Pool if proxies is None else partial(ProxiedPool, proxies)
        return self._marked(self._pool(name, settings, kind, timeouts=timeouts or getattr(settings, "timeouts", None)))

    def _marked(self, pool: Pool) -> IUpstream:
        return pool if self._via is None else Marking(pool, self._via)

    def _pool(self, name: str, settings: Any, kind: Callable[..., Pool] = Pool, **more: Any) -> Pool:
        pool = kind(
            self._lasting.reactor,
            self._lasting.sweep,
            more.pop("timeouts", None) or getattr(settings, "timeouts", Timeouts()),
            getattr(settings, "pool", PoolLimits()),
            resend=getattr(settings, "resend", "unsent"),
            tls=TlsContexts(getattr(settings, "ca_file", None)),
            flush=self._lasting.flush,
            **more,
        )
        self.pools.append((name, pool))
        return pool

    def start(self) -> None:
        """Start what is no sink."""
        self.follow_aliases()
        for plugin in self._plugins:
            if IStartable.providedBy(plugin):
                plugin.start()
        self._looks.start()
        self._keepalives.start()

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
        self._looks.stop()
        self._keepalives.stop()
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


def _may_loop(settings: Settings) -> bool:
    """Return whether anything is relayed as it is, or through a proxy."""
    return bool(settings.routes or settings.forward) or any(
        getattr(one.settings, "proxy", None) for one in settings.providers
    )


def _leaves_credentials(settings: Settings) -> bool:
    """Return whether the usual fields hold the caller's own credential, and not the one for this server."""
    header = settings.access.header
    return settings.access.mode == "open" or (header is not None and header not in CREDENTIAL_HEADERS)


def receiving(settings: Settings) -> Any:
    """Return what of a configuration matters to who knows projects."""
    from netrunner.projects.reception import Rules

    access = settings.access
    return Rules(
        key=settings.secrets.key,
        previous=settings.secrets.previous,
        providers=[one.name for one in settings.providers if getattr(one.settings, "api_key", None) == "project"],
        per_hour=access.requests_per_hour,
        clean_s=access.clean_s,
        keep_days=access.keep_expired_days,
        audit=settings.audit,
    )
