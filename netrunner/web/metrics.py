"""Metrics: ``/metrics`` as Prometheus text, OpenMetrics, or JSON.

What is told is put together when it is asked for; see ``pipeline.measures`` for what is counted as it happens. This
module must not count anything.
"""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import twisted
from netrunner import __version__
from netrunner.alerts import WATCHED, Figure
from netrunner.asked import IRemembers
from netrunner.http.pool import Pool
from netrunner.http.request import Request
from netrunner.http.site import Site
from netrunner.interfaces import IClock, ICounters
from netrunner.journal.journal import Journal
from netrunner.journal.upkeep import Upkept
from netrunner.pipeline.lag import Lag
from netrunner.pipeline.live import Live
from netrunner.pipeline.measures import NONE, TOKENS, Measures, Spread
from netrunner.pipeline.sealed import ASKED, Seals
from netrunner.routing.targets import STATES, Targets
from netrunner.values import Answer, Outcome
from netrunner.web.crew import Crew
from netrunner.web.families import CUTS, EVENTS, FAMILIES, Family
from netrunner.web.gate import Gate, Guarded, ends_here
from netrunner.web.live import Onlookers

_encode = msgspec.json.Encoder().encode
Labels = tuple[str, ...]
Values = Mapping[Any, Any]
"""By the labels' values, in the family's order."""
_LABELS = {family.name: family.labels for family in FAMILIES}


class Observed:
    """Everything that is measured.

    Args:
        measures: Of exchanges and refusals.
        lag: Of the reactor.
        live: What is in progress.
        onlookers: Those who look on.
        journal: Of this process.
        recovered: What was found of processes that are gone.
        sinks: Returns how each sink fares, as ``Feeds.summaries`` does.
        sites: Returns what listens.
        pools: Returns every pool with the name of its provider or route.
        counters: Returns what limits count with.
        memory: Returns the filter that remembers answers, if there is one.
        audit: Returns how many entries the audit's file has taken and not; nothing where there is no audit.
        seals: Returns what keeps the seals of calls.
        resent: Returns what pools that are gone had sent again.
        targets: What is known of each target.
        database: Returns whether the database does what it is asked; None where it is not used.
        stale: Returns whether the configuration was refused when it was read last.
        certificates: Returns the Unix time at which each certificate ends that is signed with.
        clock: Time.
    """

    def __init__(
        self,
        *,
        measures: Measures,
        lag: Lag,
        live: Live,
        onlookers: Onlookers,
        journal: Journal,
        recovered: Upkept,
        sinks: Callable[[], Iterable[Mapping[str, Any]]],
        sites: Callable[[], Iterable[Site]],
        pools: Callable[[], Iterable[tuple[str, Pool]]],
        counters: Callable[[], ICounters],
        memory: Callable[[], IRemembers | None],
        audit: Callable[[], Mapping[str, int]],
        seals: Callable[[], Seals],
        resent: Callable[[], int],
        targets: Targets,
        database: Callable[[], bool | None],
        stale: Callable[[], bool],
        certificates: Callable[[], Mapping[str, float]],
        clock: IClock,
    ) -> None:
        self.measures, self.lag, self.live, self.journal, self.recovered = measures, lag, live, journal, recovered
        self.onlookers, self.targets, self.clock = onlookers, targets, clock
        self.sinks, self.sites, self.pools, self.resent = sinks, sites, pools, resent
        self.counters, self.memory, self.audit, self.seals = counters, memory, audit, seals
        self.database, self.stale, self.certificates = database, stale, certificates

    def values(self) -> dict[str, Values]:
        """Return the values of every family by its name."""
        return {
            **self._of_exchanges(),
            **self._of_targets(),
            **self._of_connections(),
            **self._of_limits(),
            **self._of_memory(),
            **self._of_seals(),
            **self._of_the_journal(),
            **self._of_what_is_around(),
            **self._of_the_process(),
        }

    def figures(self) -> list[Figure]:
        """Return the samples that alerts are about; none of them takes longer the more there was to measure."""
        values = {
            **self._of_targets(),
            **self._of_limits(),
            **self._of_memory(),
            **self._of_the_journal(),
            **self._of_what_is_around(),
        }
        return [
            Figure(name, float(value), dict(zip(_LABELS[name], labels, strict=True)))
            for name in WATCHED & values.keys()
            for labels, value in values[name].items()
        ]

    def _of_exchanges(self) -> dict[str, Values]:
        measures = self.measures
        requests: Counter[Labels] = Counter()
        tokens: Counter[Labels] = Counter()
        received: Counter[Labels] = Counter()
        sent: Counter[Labels] = Counter()
        spreads: dict[str, dict[Labels, Spread]] = defaultdict(dict)
        for (route, dialect, provider, model, status, outcome), tally in measures.tallies.items():
            whose = provider or NONE, model or NONE
            requests[route, dialect or NONE, *whose, f"{status // 100}xx", outcome] += tally.count
            received[whose] += tally.bytes_in
            sent[whose] += tally.bytes_out
            for kind in TOKENS:
                if count := getattr(tally, kind):
                    tokens[*whose, kind] += count
            for name, spread in (
                ("netrunner_request_duration_seconds", tally.durations),
                ("netrunner_first_byte_seconds", tally.first_bytes),
                ("netrunner_token_gap_seconds", tally.token_gaps),
            ):
                spreads[name].setdefault(whose, Spread(spread.bounds)).take(spread)
        refused = {(code, "no"): count for code, count in measures.refusals.items()}
        for (outcome, code), count in measures.errors.items():
            if outcome == Outcome.REFUSED.value:
                refused[code, "yes"] = count
        return {
            "netrunner_requests_total": requests,
            "netrunner_errors_total": measures.errors,
            "netrunner_refusals_total": refused,
            "netrunner_failed_attempts_total": measures.attempts,
            "netrunner_tokens_total": tokens,
            "netrunner_received_bytes_total": received,
            "netrunner_sent_bytes_total": sent,
            **spreads,
            "netrunner_inflight_requests": {(): len(self.live.inflight)},
        }

    def _of_targets(self) -> dict[str, Values]:
        now = self.clock.seconds()
        targets = {(one.provider, one.model): one for one in self.targets}
        budgets = self.targets.budgets
        return {
            "netrunner_target_attempts_total": {whose: one.asked for whose, one in targets.items()},
            "netrunner_target_failures_total": {whose: one.failed for whose, one in targets.items()},
            "netrunner_target_inflight_requests": {whose: one.in_flight for whose, one in targets.items()},
            "netrunner_target_latency_seconds": {
                whose: one.latency_s for whose, one in targets.items() if one.latency_s is not None
            },
            "netrunner_target_state": {
                (*whose, state): int(one.state(now) == state) for whose, one in targets.items() for state in STATES
            },
            "netrunner_retries_total": {
                (name, told): count
                for name, budget in budgets.items()
                for told, count in (("sent", budget.spent), ("over_budget", budget.denied))
            },
        }

    def _of_connections(self) -> dict[str, Values]:
        sites, pools = list(self.sites()), list(self.pools())
        connections: Counter[Labels] = Counter()
        waiting: Counter[Labels] = Counter()
        for name, pool in pools:
            stats = pool.stats()
            for state in ("active", "idle"):
                connections[name, state] += stats[state]
            waiting[name,] += stats["waiting"]
        return {
            "netrunner_connections": {(): sum(len(site.channels) for site in sites)},
            "netrunner_buffered_bytes": {(): sum(site.buffered_bytes for site in sites)},
            "netrunner_onlookers": {(): len(self.onlookers)},
            "netrunner_onlookers_skipped_total": {(): self.onlookers.missed},
            "netrunner_connections_cut_total": {(why,): sum(site.cuts[why] for site in sites) for why in CUTS},
            "netrunner_upstream_connections": connections,
            "netrunner_upstream_waiting": waiting,
            "netrunner_upstream_resent_total": {(): self.resent() + sum(pool.resent for _, pool in pools)},
        }

    def _of_limits(self) -> dict[str, Values]:
        counters = self.counters()
        return {
            "netrunner_limit_denials_total": counters.denials,
            "netrunner_counters_available": {(): int(counters.available)},
            "netrunner_counted_locally_total": {(): counters.fallbacks},
        }

    def _of_memory(self) -> dict[str, Values]:
        memory = self.memory()
        if memory is None:
            return {}
        return {
            "netrunner_cache_requests_total": {("hit",): memory.hits, ("miss",): memory.misses},
            "netrunner_cache_available": {(): int(memory.available)},
            "netrunner_cache_bytes": {(): memory.held_bytes},
        }

    def _of_seals(self) -> dict[str, Values]:
        seals = self.seals()
        return {
            "netrunner_seals_asked_total": {(outcome,): seals.memory.asked[outcome] for outcome in ASKED},
            "netrunner_seals_available": {(): int(seals.available)},
            "netrunner_seals_bytes": {(): seals.memory.bytes},
            "netrunner_seals_damaged_total": {(): seals.memory.damaged},
        }

    def _of_the_journal(self) -> dict[str, Values]:
        journal, sinks = self.journal, list(self.sinks())
        told = {
            "netrunner_sink_lag_records": "lag",
            "netrunner_sink_written_total": "written",
            "netrunner_sink_dropped_total": "dropped",
            "netrunner_sink_damaged_bytes_total": "damaged_bytes",
            "netrunner_sink_failures": "failures",
        }
        return {
            **{name: {(str(sink["name"]),): sink[key] for sink in sinks} for name, key in told.items()},
            "netrunner_journal_events_total": {(event,): journal.counts[event] for event in EVENTS},
            "netrunner_journal_full": {(): int(journal.full)},
            "netrunner_journal_crowded": {(): int(journal.crowded)},
            "netrunner_journal_interrupted_total": {(): self.recovered.interrupted},
            "netrunner_journal_damaged_bytes_total": {(): self.recovered.damaged_bytes},
            "netrunner_journal_free_ratio": {} if self.recovered.room is None else {(): self.recovered.room.free},
        }

    def _of_what_is_around(self) -> dict[str, Values]:
        database, now = self.database(), self.clock.wall()
        return {
            "netrunner_database_available": {} if database is None else {(): int(database)},
            "netrunner_configuration_stale": {(): int(self.stale())},
            "netrunner_certificate_remaining_seconds": {
                (name,): end - now for name, end in self.certificates().items()
            },
        }

    def _of_the_process(self) -> dict[str, Values]:
        lag = self.lag
        return {
            "netrunner_audit_entries_total": {(outcome,): count for outcome, count in self.audit().items()},
            "netrunner_reactor_lag_seconds": {("last",): lag.last_s, ("p99",): lag.p99_s, ("max",): lag.max_s},
            "netrunner_build_info": {(__version__, platform.python_version(), twisted.__version__): 1},
        }


class _Families(Collector):
    """Turns values into what the client library writes."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without a value too."""
        values = self._observed.values()
        for family in FAMILIES:
            yield _metric(family, values.get(family.name, {}))


def _metric(family: Family, values: Values) -> Metric:
    if family.kind == "histogram":
        spreads = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
        for labels, spread in values.items():
            bounds = [*(str(bound) for bound in spread.bounds), "+Inf"]
            spreads.add_metric(labels, list(zip(bounds, accumulate(spread.counts), strict=True)), spread.sum)
        return spreads
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    numbers = kind(family.name, family.meaning, labels=family.labels)
    for labels, value in values.items():
        numbers.add_metric(labels, value)
    return numbers


def registry(observed: Observed) -> CollectorRegistry:
    """Return a registry of everything observed, and of the process."""
    made = CollectorRegistry()
    made.register(_Families(observed))
    ProcessCollector(registry=made)
    return made


class Metrics(Guarded):
    """``/metrics``.

    Args:
        gate: Who is let in.
        registry: What is told.
        crew: The workers of which this process is one; None where it is the only process.
    """

    def __init__(self, gate: Gate, registry: CollectorRegistry, crew: Crew | None = None) -> None:
        super().__init__(gate)
        self._registry = registry
        self._crew = crew

    async def answer(self, request: Request) -> Answer | None:
        """Tell everything, in the form that is asked for."""
        ends_here(request)
        told: Any = self._registry if self._crew is None else await self._crew.gather(self._registry)
        accept = (request.header(b"accept") or b"").decode("latin-1")
        if "application/json" in accept:
            return _told("application/json", _encode(_document(told)))
        encode, content_type = choose_encoder(accept)
        return _told(content_type, encode(told))


def _told(content_type: str, body: bytes) -> Answer:
    return Answer(200, [(b"content-type", content_type.encode("ascii")), (b"cache-control", b"no-store")], body)


def _document(registry: CollectorRegistry) -> dict[str, Any]:
    """Return every family by its name, with its samples as they are called in Prometheus text."""
    return {
        metric.name + ("_total" if metric.type == "counter" else ""): {
            "type": metric.type,
            "help": metric.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in metric.samples
            ],
        }
        for metric in registry.collect()
    }
