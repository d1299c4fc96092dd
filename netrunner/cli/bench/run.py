"""A benchmark from beginning to end: the pool, the warm-up, the run, signals, and the report.

This module must not know how any figure is made.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from twisted.internet.task import LoopingCall

from netrunner.cli.bench.load import Load
from netrunner.cli.bench.progress import Display
from netrunner.cli.bench.report import Run, report
from netrunner.cli.bench.requests import Requests
from netrunner.cli.bench.schedule import Plan
from netrunner.cli.bench.settings import BenchSettings, wrong
from netrunner.clock import SystemClock
from netrunner.dialects.spoken import SPOKEN
from netrunner.http.pool import Pool
from netrunner.http.sweep import Sweep
from netrunner.http.tls import TlsContexts
from netrunner.process.limits import raise_descriptors
from netrunner.process.signals import install
from netrunner.settings import PoolLimits, Timeouts
from netrunner.values import UpstreamRequest

_OWN_DESCRIPTORS = 64
"""Files and sockets that are no connections of the run."""


class Benchmark:
    """One benchmark on one reactor.

    Args:
        reactor: Not yet running.
        settings: What is asked for.
        requests: What is sent.
        display: Where progress is shown.

    Raises:
        ConfigurationError: naming the flag, for what this machine cannot do.
    """

    def __init__(self, reactor: Any, settings: BenchSettings, requests: Requests, display: Display) -> None:
        self._reactor = reactor
        self._settings = settings
        self._requests = requests
        self._display = display
        self._clock = SystemClock(reactor)
        self._sweep = Sweep(self._clock)
        if requests.target.dialect is not None:
            SPOKEN[requests.target.dialect]  # Loaded now, not within what is timed.
        plan = settings.plan()
        if raise_descriptors() < plan.concurrency + _OWN_DESCRIPTORS:
            raise wrong("concurrency", f"{plan.concurrency} connections are more than `ulimit -n` allows")
        self._pool = Pool(
            reactor,
            self._sweep,
            Timeouts(first_byte_s=settings.timeout_s, between_bytes_s=settings.timeout_s),
            PoolLimits(max_idle=plan.concurrency),
            tls=TlsContexts(settings.ca_file) if settings.base_url.startswith("https:") else None,
        )
        warmup = Plan(concurrency=plan.concurrency, requests=settings.warmup, rate=plan.rate)
        self._warmup = Load(self._clock, self._pool, warmup, requests.target, requests.of)
        self._load = Load(self._clock, self._pool, plan, requests.target, self._request)
        self._current = self._warmup
        self._cpu_s = 0.0
        self._failure: Any = None

    def run(self) -> dict[str, Any]:
        """Run the reactor until everything is measured; return the report."""
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run(installSignalHandlers=False)
        if self._failure is not None:
            self._failure.raiseException()
        return report(
            Run(
                settings=self._settings,
                plan=self._load.plan,
                target=self._requests.target,
                payloads=len(self._requests.payloads),
                took_s=self._load.took_s,
                missed=self._load.missed,
                interrupted=self._warmup.interrupted or self._load.interrupted,
                client_share=self._cpu_s / self._load.took_s if self._load.took_s else 0.0,
            ),
            self._load.tally,
        )

    def _request(self, number: int) -> UpstreamRequest:
        return self._requests.of(self._settings.warmup + number)

    def _begin(self) -> None:
        install(self._reactor, {signal.SIGINT: self._interrupt, signal.SIGTERM: self._interrupt})
        self._sweep.start()
        looping = LoopingCall(self._show)
        looping.clock = self._reactor
        shown = looping.start(self._display.every_s, now=False)
        done = self._warmup.run() if self._settings.warmup else None
        if done is None:
            done = self._measure()
        else:
            done.addCallback(lambda _: None if self._warmup.interrupted else self._measure())
        done.addErrback(self._failed)
        done.addBoth(lambda _: looping.stop())
        shown.addErrback(self._failed)
        shown.addBoth(lambda _: self._close())

    def _measure(self) -> Any:
        self._current = self._load
        begun_s = time.process_time()
        done = self._load.run()
        done.addCallback(lambda _: self._spent(begun_s))
        return done

    def _spent(self, begun_s: float) -> None:
        self._cpu_s = time.process_time() - begun_s

    def _interrupt(self) -> None:
        self._current.interrupt()

    def _show(self) -> None:
        self._display.show(self._current, "warming up" if self._current is self._warmup else "measuring")

    def _failed(self, failure: Any) -> None:
        self._failure = failure

    def _close(self) -> None:
        self._display.close()
        self._sweep.stop()
        self._pool.close()
        self._reactor.stop()
