"""The daemon: listens, serves, drains. What serves is built from a configuration by ``parts``.

This module must not hold behaviour that could live where it wires from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web.resource import IResource

from netrunner.alarm import Alarm
from netrunner.asked import IRemembers
from netrunner.bookkeeping import Bookkeeping
from netrunner.clock import SystemClock
from netrunner.config.forms import listener
from netrunner.config.settings import Settings
from netrunner.errors import Overloaded
from netrunner.http.flush import Flush
from netrunner.http.pool import Pool
from netrunner.http.site import Site
from netrunner.http.sweep import Sweep
from netrunner.interfaces import ICounters, IStartable
from netrunner.limits.place import absorb, left_by, open_counters
from netrunner.news.board import Board
from netrunner.news.topics import PROJECTS
from netrunner.news.wires import wires
from netrunner.parts import STOP_S, Lasting, Parts, receiving
from netrunner.pipeline.lag import Lag
from netrunner.pipeline.live import Live
from netrunner.pipeline.measures import Measures
from netrunner.pipeline.sealed import SealMemory
from netrunner.process import listen
from netrunner.process.control import Commands, ControlError, NoArguments, Reply
from netrunner.process.peers import PROJECT_CHANGED, PURGE, tell_others
from netrunner.process.sealfiles import SealFiles
from netrunner.process.seals import SiblingSeals
from netrunner.process.seals import offer as offer_seals
from netrunner.process.siblings import Siblings
from netrunner.process.stalls import Stalls
from netrunner.registered import Registered
from netrunner.room import limits, max_streams
from netrunner.routing.targets import Targets
from netrunner.values import Outcome
from netrunner.web.admin.across import offer as offer_sessions
from netrunner.web.alerts import Watch
from netrunner.web.crew import Crew, page
from netrunner.web.metrics import Observed, registry
from netrunner.web.neighbours import Neighbours, Telling
from netrunner.web.tree import NOTHING

ABORT_S = 0.5
"""How long connections have, at the end of a drain, for what tells their clients of it."""
LEAVE_S = 1.2
"""After the end of a drain, by when everything else should have stopped."""


class NetrunnerService(Service):
    """The daemon: listens, serves, drains.

    Args:
        settings: Validated configuration.
        listeners: Sockets bound beforehand.
        state: The state folder, and the journal's folder of this process in it.
        reactor: What everything runs on.
        worker: The number of this process, if it is one of several workers.
    """

    log = Logger()
    _resent = 0
    """By pools that are gone."""
    _stale = False
    """Whether the configuration was refused when it was read last."""

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[listen.Bound],
        state: tuple[Path, Path],
        reactor: Any,
        worker: int | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock = SystemClock(reactor)
        self._sweep = Sweep(self._clock)
        self.flush = Flush(self._clock)
        self._listeners = listeners
        self._ports: list[IListeningPort] = []
        self.live = Live(self.flush, self._clock)
        self.books = Bookkeeping(*state, settings, self._clock, self.flush, max_streams(settings), self.live, reactor)
        self._board = Board()
        self.registered = Registered(state[0], self.books.open_database, reactor, self._board)
        self.registered.on_change = self._follow_aliases
        siblings = Siblings(state[0], reactor)
        self.neighbours = Neighbours(siblings)
        self._seals = SealMemory()
        self._seal_files = SealFiles(state[0], state[1].name, self._seals, self._clock, reactor)
        self._worker = worker
        self._lag = Lag(self._clock)
        self._stalls = Stalls(self._lag.late_s, self.log)
        self._state = state[0]
        self._reception: Any = None
        """Projects and their tokens, once a configuration has had them."""
        self._boot_id = state[1].name
        self._counters = open_counters(settings, self._clock, reactor, self._boot_id)
        self._retired: list[Parts] = []
        self._observed = self._observe()
        self._alarm = Alarm(reactor, self._clock)
        self._lasting = Lasting(
            reactor,
            self._clock,
            self._sweep,
            self.flush,
            self.live,
            self.books,
            self._observed,
            self.registered,
            self.neighbours,
            self._seals,
            SiblingSeals(siblings, self._seal_files.look),
            None if worker is None else Crew(worker, self.neighbours),
            Watch(self._observed.figures, self._clock, self.neighbours),
        )
        self._parts = self._build(settings, self._counters)
        self._ready: Deferred[None] = Deferred()
        self._drained: Deferred[None] | None = None
        self._deadline: Any = None
        self._limit = 0.0
        """When the drain ends at the latest; after it, when everything does."""
        self._retiring: Any = None
        self.settings = settings
        self.site = self._site(self._parts.root)
        self._admin_site = None if self._parts.admin_root is None else self._site(self._parts.admin_root)
        self._forward_site = None
        if self._parts.forward_root is not None:
            self._forward_site = self._site(self._parts.forward_root, forward=True)

    @property
    def _sites(self) -> list[Site]:
        return [one for one in (self.site, self._admin_site, self._forward_site) if one is not None]

    def _site(self, root: IResource, forward: bool = False) -> Site:
        return Site(
            root,
            self._sweep,
            limits(self.settings, forward),
            NOTHING.refusal,
            refused=self._observed.measures.refused,
            flush=self.flush,
        )

    def startService(self) -> None:
        """Serve, and take the sockets as soon as callers can be told apart."""
        super().startService()
        self._sweep.start()
        self._lag.start()
        self._stalls.start()
        self._seal_files.start()
        self._start_counters()
        self._receive()
        self._parts.start()
        self.books.start(self._parts.sinks, self._parts.start_sinks)
        self.registered.start(self.settings.store)
        self._look_where_others_write(self.settings)
        if self._reception is None:
            self._accept()
        else:
            # Until the database is open nobody could be told from anybody else: who comes sooner waits.
            self._reception.begun.addCallback(lambda never: self._ready.errback(never) if never else self._accept())

    def _accept(self) -> None:
        """Take the sockets."""
        if self._drained is not None:
            return
        others = ((self.settings.admin, self._admin_site), (self.settings.forward, self._forward_site))
        apart = {
            listener(text): site
            for settings, site in others
            if settings is not None and site is not None
            for text in settings.listen
        }
        for bound in self._listeners:
            self._ports.append(listen.adopt(self._reactor, bound, apart.get(bound.wanted, self.site)))
            self.log.info("listening on {name}", name=bound.name)
        self._ready.callback(None)

    def _look_where_others_write(self, settings: Settings) -> None:
        """Let a worker that feeds no sinks find records where the one that does has them put."""
        if self._worker is not None and any(sink.type == "database" for sink in settings.sinks):
            self.books.open_store()

    def ready(self) -> Deferred[None]:
        """Fire when requests are accepted."""
        return self._ready

    def offer(self, commands: Commands) -> None:
        """Add the commands by which other processes look at what this one does."""
        Telling(self.live, self.books.lookout.recent, self._clock).offer(commands)
        offer_sessions(self.books.lookout.sessions, commands)
        self._lasting.watch.offer(commands)
        offer_seals(self._seals.get, commands)
        commands.add(PURGE, NoArguments, self._purge)
        if self._worker is not None:
            commands.add("metrics", NoArguments, self._metrics)

    def _purge(self, _: NoArguments) -> Deferred[Reply]:
        memories = [parts.pipeline.chain.memory for parts in [*self._retired, self._parts]]
        return Deferred.fromCoroutine(_forget([memory for memory in memories if memory is not None]))

    def _metrics(self, _: NoArguments) -> Reply:
        if self._drained is not None:
            raise ControlError("this process is ending")
        return Reply(msgspec.structs.asdict(page(str(self._worker), registry(self._observed))))

    def _build(self, settings: Settings, counters: ICounters) -> Parts:
        return Parts(settings, self._lasting, counters, self._reception_of(settings))

    def _follow_aliases(self) -> None:
        self._parts.follow_aliases()

    def _reception_of(self, settings: Settings) -> Any:
        """Return what knows projects, if the configuration has them; it is loaded then only."""
        if settings.access.mode != "projects":
            return None
        from netrunner.projects.reception import Reception
        from netrunner.projects.trail import trail

        if self._reception is None:
            self._reception = Reception(
                receiving(settings),
                self.books.open_database,
                self._state,
                self._clock,
                self.live.holders,
                self.live.end_of,
                self._tell_of_project,
                trail(self._reactor, self._clock),
            )
            self._board.follow(PROJECTS, self._reception.hear)
        return self._reception

    def _receive(self) -> None:
        """Go by the configuration in use."""
        if self._reception is not None:
            self._reception.apply(receiving(self.settings))
        self._board.use(wires(self.settings, self.books.open_database, self._reactor, self._clock))
        if self._worker in (None, 1):
            self._alarm.use(self.settings.alerts, self._lasting.watch.follow)

    def _start_counters(self) -> None:
        if IStartable.providedBy(self._counters):
            self._counters.start()

    def _stop_counters(self, counters: ICounters) -> Deferred[Any]:
        stopping = maybeDeferred(counters.stop) if IStartable.providedBy(counters) else succeed(None)
        return stopping.addErrback(lambda failure: self.log.failure("counters did not stop", failure))

    def _observe(self) -> Observed:
        measures = Measures()
        self.live.follow(measures)
        return Observed(
            measures=measures,
            lag=self._lag,
            live=self.live,
            onlookers=self.books.onlookers,
            journal=self.books.journal,
            recovered=self.books.recovered,
            sinks=self.books.feeds.summaries,
            sites=lambda: self._sites,
            pools=self._pools,
            counters=lambda: self._counters,
            memory=lambda: self._parts.pipeline.chain.memory,
            audit=lambda: {} if self._reception is None else self._reception.trail.counts,
            seals=lambda: self._parts.pipeline.seals,
            resent=lambda: self._resent,
            targets=Targets(),
            database=self.books.database_available,
            stale=lambda: self._stale,
            certificates=lambda: self._parts.certificates,
            clock=self._clock,
        )

    def _pools(self) -> list[tuple[str, Pool]]:
        return [pool for parts in [*self._retired, self._parts] for pool in parts.pools]

    def reload(self, settings: Settings) -> None:
        """Serve new requests by another configuration; those in progress finish on the one they began with."""
        counters = self._counters
        if (settings.shared, settings.shared_down) != (self.settings.shared, self.settings.shared_down):
            counters = open_counters(settings, self._clock, self._reactor, self._boot_id)
        parts = self._build(settings, counters)
        if counters is not self._counters:
            self._counters = counters
            self._start_counters()
        parts.start()
        self.books.replace(settings, self._parts.stop_sinks, parts.sinks, parts.start_sinks)
        self._look_where_others_write(settings)
        self._retired.append(self._parts)
        self._parts = parts
        self.settings = settings
        self._receive()
        self.site.resource = parts.root
        self.site.limits = limits(settings)
        if self._admin_site is not None and parts.admin_root is not None:
            self._admin_site.resource = parts.admin_root
            self._admin_site.limits = self.site.limits
        if self._forward_site is not None and parts.forward_root is not None:
            self._forward_site.resource = parts.forward_root
            self._forward_site.limits = limits(settings, forward=True)
        self._retire()

    def _retire(self) -> None:
        """Stop the configurations that nothing runs on any more; look again while there are others."""
        for parts in [parts for parts in self._retired if not parts.pipeline.inflight]:
            self._retired.remove(parts)
            self._resent += sum(pool.resent for _, pool in parts.pools)
            parts.stop().addErrback(lambda failure: self.log.failure("an old configuration did not stop", failure))
            if not any(parts.counters is other.counters for other in [*self._retired, self._parts]):
                self._stop_counters(parts.counters)
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
        pools = [pool.stats() for _, pool in self._pools()]
        return {
            "connections": sum(len(site.channels) for site in self._sites),
            "buffered_bytes": sum(site.buffered_bytes for site in self._sites),
            "onlookers": len(self.books.onlookers),
            **self.books.counts(),
            **{f"upstream_{name}": sum(pool[name] for pool in pools) for name in ("active", "idle", "waiting")},
            "watched": len(self._sweep),
            "delayed_calls": len(self._reactor.getDelayedCalls()),
        }

    def project_changed(self, id: str) -> None:
        """Another process has changed something about a project or its tokens."""
        if self._reception is not None:
            self._reception.hear(id)

    def configuration_read(self, refused: bool) -> None:
        """The configuration was read again, and refused or not."""
        self._stale = refused

    async def _tell_of_project(self, id: str) -> list[str]:
        """Tell the processes of the state folder, and those that share its database."""
        threads, told = self._reactor.getThreadPool(), {"id": id}
        beside = deferToThreadPool(self._reactor, threads, tell_others, self._state, os.getpid(), PROJECT_CHANGED, told)
        return await beside + await self._board.tell(PROJECTS, id)

    def windows(self) -> list[Any]:
        """Return what limits have counted in this process, in terms of JSON, for a successor."""
        return left_by(self._counters)

    def absorb_windows(self, windows: list[Any]) -> None:
        """Go on with what the limits of a predecessor have counted."""
        try:
            absorb(self._counters, windows)
        except msgspec.ValidationError as error:
            self.log.error("what limits have counted is lost: {error}", error=error)

    def read_aliases(self) -> None:
        """Read the aliases that another process has changed."""
        self.registered.read()

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
        self.books.onlookers.close()
        self.books.lookout.tries.close()
        self._alarm.stop()
        for site in self._sites:
            site.stop_accepting()

    def drain(self) -> Deferred[None]:
        """Stop accepting; fire when the last exchange has ended, at the latest after ``drain_s``."""
        self.stop_accepting()
        for parts in [*self._retired, self._parts]:
            parts.pipeline.hurry()
        if self._drained is None:
            self._drained = Deferred()
            self._limit = self._clock.seconds() + self.settings.server.drain_s
            self._deadline = self._clock.callLater(0, self._look)
        done: Deferred[None] = Deferred()
        self._drained.addCallback(lambda _: done.callback(None))
        return done

    def _look(self) -> None:
        if not any(site.channels for site in self._sites):
            self._deadline = None
            self._finish()
        elif self._clock.seconds() >= self._limit:
            self._deadline = None
            self.end_now()
        else:
            self._deadline = self._clock.callLater(0.05, self._look)

    def end_now(self) -> None:
        """Cut a drain short: every exchange ends with its dialect's error, connections close."""
        error = Overloaded("The server is shutting down.", code="shutting_down", retry_after_s=1)
        for exchange in list(self.live.inflight.values()):
            if exchange.work is not None:
                exchange.work.stop(Outcome.SHUT_DOWN, error)
        if self._deadline is not None:
            self._deadline.cancel()
        self._limit = min(self._limit, self._clock.seconds())
        self._deadline = self._clock.callLater(ABORT_S, self._abort_rest)

    def _abort_rest(self) -> None:
        self._deadline = None
        for channel in [channel for site in self._sites for channel in site.channels]:
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
        self._lag.stop()
        self._stalls.stop()
        if self._retiring is not None and self._retiring.active():
            self._retiring.cancel()
        # All that follows waits once, whatever of it hangs.
        self._limit = min(self._limit + LEAVE_S, self._clock.seconds() + STOP_S)
        every = [*self._retired, self._parts]
        stopped = DeferredList([self._seal_files.stop(self._left_s()), *(one.stop(self._left_s()) for one in every)])
        for counters in {id(parts.counters): parts.counters for parts in every}.values():
            self._stop_counters(counters)
        self._board.stop()
        if self._reception is not None:
            stopped.addCallback(lambda _: self._leave_reception())
        return stopped.addCallback(lambda _: self.books.stop(self._parts.stop_sinks, self._left_s))

    def _leave_reception(self) -> Deferred[Any]:
        """Write down what tokens have used, before the database is closed."""
        left: Deferred[Any] = self._reception.stop()
        left.addTimeout(self._left_s(), self._clock)  # type: ignore[arg-type]  # all it needs is callLater
        return left.addErrback(lambda failure: self.log.failure("the last uses were not written down", failure))

    def _left_s(self) -> float:
        """Return how long what stops now may take; a moment it always has."""
        return max(0.1, self._limit - self._clock.seconds())


def make_service(
    settings: Settings,
    listeners: Sequence[listen.Bound],
    state: tuple[Path, Path],
    reactor: Any,
    worker: int | None = None,
) -> NetrunnerService:
    """Return the service for a validated configuration, its bound sockets, and its state and journal folders."""
    return NetrunnerService(settings, listeners, state, reactor, worker)


async def _forget(memories: Sequence[IRemembers]) -> Reply:
    """Let filters forget what they remember; tell how many answers that were."""
    return Reply({"forgotten": sum([await memory.purge() for memory in memories])})
