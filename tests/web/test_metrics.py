"""Metrics: what is counted, that it adds up, and how it is told."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from netrunner.alerts import WATCHED
from netrunner.errors import UpstreamError
from netrunner.filters.cache import Cache, CacheSettings
from netrunner.http.outbox import MAX_WAITING_BYTES
from netrunner.http.pool import Pool
from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.journal.journal import MAX_REFUSED_PER_S, Journal, Policy
from netrunner.journal.records import walk
from netrunner.journal.retention import Room
from netrunner.journal.segments import Reader
from netrunner.journal.upkeep import Upkept
from netrunner.limits.memory import MemoryCounters
from netrunner.pipeline.lag import Lag
from netrunner.pipeline.measures import MAX_CODES, Measures
from netrunner.routing.table import Candidate
from netrunner.settings import Health, PoolLimits, Secret, Timeouts
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Attempt, Usage
from netrunner.web.families import FAMILIES
from netrunner.web.gate import Gate
from netrunner.web.live import Onlookers
from netrunner.web.metrics import Metrics, Observed, registry
from netrunner.web.tree import NOTHING, pages_alone
from tests.pipeline.test_pools import ANSWER
from tests.support.client import Asked, Client, answers, site_of
from tests.support.records import record_maker
from tests.support.stage import DONE, EVENT, JSON, LOOPBACK, SSE, Stage, error_of, request

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
DASHBOARD = json.loads((ROOT / "conf" / "grafana" / "netrunner.json").read_text())
CHAT = {"model": "m", "messages": []}
make_record = record_maker()
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'


ORDER = {family.name: (*family.labels, "le") for family in FAMILIES}


def in_order(name: str, labels: dict[str, str]) -> tuple[str, ...]:
    """Return the values of labels as the table of families has them; writers sort them as they like."""
    order = ORDER.get(re.sub("_(bucket|sum|count)$", "", name), ())
    return tuple(value for _, value in sorted(labels.items(), key=lambda one: order.index(one[0])))


ROOM = Room(size=0, crowded=False, deleted=0, free=0.25)


class Plant:
    """A stage with a journal of its own, everything of it measured, and a page that tells it.

    Args:
        folder: For the journal.
        gate: Of the page.
        stage: As of ``Stage``.
    """

    def __init__(self, folder: Path, gate: Gate | None = None, **stage: Any) -> None:
        self.stage = Stage(**stage)
        self.clock = self.stage.clock
        self.measures = Measures()
        self.measures.know(self.stage.pipeline.table.names())
        self.lag = Lag(self.clock)
        live = self.stage.pipeline.live
        live.follow(self.measures)
        folder = folder / "boot"
        folder.mkdir()
        self.journal = Journal(folder, Policy(), self.clock, random.Random(0).getrandbits, reserve_bytes=4096)
        self.stage.pipeline.journal = self.journal
        sweep = Sweep(self.clock)
        self.onlookers = Onlookers(self.clock)
        self.pool = Pool(None, sweep, Timeouts(), PoolLimits())
        self.sinks: list[dict[str, Any]] = []
        self.stage.site._refused = self.measures.refused
        self.counters = MemoryCounters(self.clock)
        self.memory: Any = None
        self.audit: dict[str, int] = {}
        self.database: bool | None = None
        self.stale = False
        self.certificates: dict[str, float] = {}
        self.recovered = Upkept()
        self.observed = Observed(
            measures=self.measures,
            lag=self.lag,
            live=live,
            onlookers=self.onlookers,
            journal=self.journal,
            recovered=self.recovered,
            sinks=lambda: self.sinks,
            sites=lambda: [self.stage.site],
            pools=lambda: [("up", self.pool)],
            counters=lambda: self.counters,
            memory=lambda: self.memory,
            audit=lambda: self.audit,
            seals=lambda: self.stage.pipeline.seals,
            resent=lambda: 0,
            targets=self.stage.pipeline.choosing.targets,
            database=lambda: self.database,
            stale=lambda: self.stale,
            certificates=lambda: self.certificates,
            clock=self.clock,
        )
        page = Metrics(gate or Gate(None, None), registry(self.observed))
        self._site = Site(pages_alone({b"metrics": page}, self.clock), sweep, Limits(), NOTHING.refusal)

    def ask(self, *fields: str, path: str = "/metrics") -> bytes:
        client = Client(self._site, self.clock)
        client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
        return client.say(request(path, b"", *fields)).heard()

    def scrape(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the samples of every metric by the values of their labels, as Prometheus reads them."""
        (answer,) = answers(self.ask())
        assert answer.status == 200
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[in_order(sample.name, sample.labels)] = sample.value
        return found

    def value(self, name: str, *labels: str) -> float:
        return self.scrape()[name][labels]

    def complete(self, *events: bytes, model: str = "m") -> None:
        """Let a stream of these events go through."""
        self.stage.ask({"model": model, "messages": [], "stream": True})
        self.stage.call.head(200, SSE)
        for event in (*events, DONE):
            self.stage.call.body(event)
        self.stage.call.body(b"", True)

    def written(self) -> int:
        """Return how many records the journal holds."""
        self.journal.commit()
        count = 0
        for lane in self.journal.lanes:
            reader = Reader(self.journal.folder, lane)
            count += sum(step.record is not None for step in walk(reader, 0))
            reader.close()
        return count


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """A stage that is measured."""
    return Plant(tmp_path)


# What is counted.


def test_an_exchange_is_counted_at_its_end(plant: Plant) -> None:
    plant.stage.ask(CHAT)
    assert "netrunner_requests_total" not in plant.scrape()
    assert plant.value("netrunner_inflight_requests") == 1
    plant.stage.call.head(200, JSON).body(b"{}", True)
    assert plant.value("netrunner_requests_total", "models", "openai", "up", "m", "2xx", "done") == 1
    assert plant.value("netrunner_inflight_requests") == 0
    assert plant.value("netrunner_sent_bytes_total", "up", "m") == 2


def test_time_and_tokens_of_a_stream_are_spread_over_their_bounds(plant: Plant) -> None:
    plant.stage.ask({**CHAT, "stream": True})
    plant.clock.advance(0.2)
    plant.stage.call.head(200, SSE).body(EVENT)
    plant.clock.advance(2.0)
    plant.stage.call.body(USAGE + DONE).body(b"", True)
    seen = plant.scrape()
    first = seen["netrunner_first_byte_seconds_bucket"]
    assert (first["up", "m", "0.1"], first["up", "m", "0.25"], first["up", "m", "+Inf"]) == (0, 1, 1)
    duration = seen["netrunner_request_duration_seconds_bucket"]
    assert (duration["up", "m", "1.0"], duration["up", "m", "2.5"]) == (0, 1)
    assert seen["netrunner_request_duration_seconds_sum"]["up", "m"] == pytest.approx(2.2)
    assert seen["netrunner_token_gap_seconds_sum"]["up", "m"] == pytest.approx(0.5)
    assert seen["netrunner_tokens_total"] == {("up", "m", "input"): 7, ("up", "m", "output"): 5}


def test_every_kind_of_token_is_told(plant: Plant) -> None:
    plant.measures.ended(
        make_record(
            provider="up", model="m", timings={"first_byte": 0.1}, usage=Usage(1, 2, 3, 4, 5, 6), duration_s=1.0
        )
    )
    kinds = {labels[2]: value for labels, value in plant.scrape()["netrunner_tokens_total"].items()}
    assert kinds == {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4, "reasoning": 5, "audio": 6}


def test_models_that_are_not_configured_are_one(plant: Plant) -> None:
    for name in ("x", "y", "z"):
        plant.stage.ask({"model": name, "messages": []})
    models = {labels[3]: value for labels, value in plant.scrape()["netrunner_requests_total"].items()}
    assert models == {"other": 3}


def test_error_codes_of_providers_cannot_be_made_up_without_end(plant: Plant) -> None:
    for number in range(MAX_CODES + 50):
        plant.measures.ended(make_record(outcome="done", error=f"code{number}"))
    plant.measures.ended(make_record(outcome="done", error='a "code"\nof a kind'))
    codes = plant.scrape()["netrunner_errors_total"]
    assert len(codes) == MAX_CODES + 1
    assert codes["done", "other"] == 51


def test_a_refusal_is_counted_once_whether_it_was_an_exchange_or_not(plant: Plant) -> None:
    plant.stage.ask({"model": "none", "messages": []})
    plant.stage.client().say(request("/nowhere"))
    plant.stage.client().say(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    refused = plant.scrape()["netrunner_refusals_total"]
    assert sum(refused.values()) == 3
    assert refused["model_not_found", "yes"] == 1
    assert refused["not_found", "no"] == 1


def test_attempts_that_failed_are_counted_where_another_one_answered(tmp_path: Path) -> None:
    plant = Plant(tmp_path, models={"m": (Candidate("up", "m"), Candidate("other", "n"))})
    plant.stage.ask(CHAT)
    unsent = UpstreamError("refused")
    unsent.sent = False
    plant.stage.call.fail(unsent)
    plant.stage.call.head(200, JSON).body(ANSWER, True)
    assert plant.scrape()["netrunner_failed_attempts_total"] == {("up", "upstream_connection_failed"): 1}
    assert plant.value("netrunner_requests_total", "models", "openai", "other", "m", "2xx", "done") == 1


def test_models_of_another_configuration_are_told_apart_from_then_on(plant: Plant) -> None:
    plant.measures.know(["new"])
    plant.measures.ended(make_record(model="new"))
    plant.measures.ended(make_record(model="m"))
    assert {labels[3] for labels in plant.scrape()["netrunner_requests_total"]} == {"new", "other"}


def test_an_attempt_that_failed_with_the_exchange_is_counted_too(plant: Plant) -> None:
    tried = Attempt("up", "m", error="upstream_timeout")
    plant.measures.ended(make_record(outcome="upstream_failed", error="upstream_timeout", attempts=[tried]))
    assert plant.value("netrunner_failed_attempts_total", "up", "upstream_timeout") == 1
    assert plant.value("netrunner_errors_total", "upstream_failed", "upstream_timeout") == 1


# That it adds up.


def test_outcomes_and_refusals_are_what_the_journal_holds(plant: Plant) -> None:
    for _ in range(3):
        plant.complete(EVENT)
    plant.stage.ask(CHAT)
    plant.stage.call.fail(UpstreamError("broken"))
    plant.stage.ask({**CHAT, "stream": True})
    plant.stage.call.head(200, SSE).body(EVENT).fail(UpstreamError("cut", code="upstream_truncated"))
    plant.stage.ask(CHAT).settle()
    for _ in range(MAX_REFUSED_PER_S + 20):
        plant.stage.ask({"model": "none", "messages": []})
    for _ in range(7):
        plant.stage.client().say(request("/nowhere"))
    seen = plant.scrape()
    outcomes = dict.fromkeys(("done", "upstream_failed", "upstream_truncated", "client_gone", "refused"), 0.0)
    for labels, value in seen["netrunner_requests_total"].items():
        outcomes[labels[5]] += value
    assert outcomes == {
        "done": 3, "upstream_failed": 1, "upstream_truncated": 1, "client_gone": 1, "refused": MAX_REFUSED_PER_S + 20
    }  # fmt: skip
    aggregated = seen["netrunner_journal_events_total"]["refusals_aggregated",]
    assert aggregated > 0
    assert sum(outcomes.values()) == plant.written() + aggregated
    refused = seen["netrunner_refusals_total"]
    assert sum(value for labels, value in refused.items() if labels[1] == "yes") == outcomes["refused"]
    assert sum(value for labels, value in refused.items() if labels[1] == "no") == 7


def test_every_request_that_the_full_journal_refuses_is_counted(plant: Plant) -> None:
    plant.journal.full = True
    for _ in range(3):
        plant.stage.ask(CHAT)
    seen = plant.scrape()
    assert seen["netrunner_journal_full"][()] == 1
    assert seen["netrunner_journal_events_total"]["refused",] == 3
    assert seen["netrunner_refusals_total"]["journal_full", "yes"] == 3
    assert sum(seen["netrunner_requests_total"].values()) == plant.written() == 3


def test_every_request_that_a_full_journal_lets_pass_is_counted(plant: Plant) -> None:
    plant.journal.apply(Policy(refuse=False))
    plant.journal.crowded = True
    plant.complete(EVENT)
    seen = plant.scrape()
    assert seen["netrunner_journal_crowded"][()] == 1
    assert seen["netrunner_journal_events_total"]["unrecorded",] == 1


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_streams": 0}, "too_many_streams"),
        ({"max_body_bytes": 3}, "request_too_large"),
        ({"max_buffered_bytes": 3}, "buffers_full"),
        ({"max_connections": 0}, "too_many_connections"),
        ({"hosts": frozenset({"other.example"})}, "misdirected_request"),
        ({"token": "secret"}, "invalid_token"),
    ],
)
def test_every_way_to_be_shed_has_a_count(tmp_path: Path, limits: dict[str, Any], code: str) -> None:
    plant = Plant(tmp_path, **limits)
    heard = plant.stage.ask(CHAT).heard()
    assert error_of(heard.partition(b"\r\n\r\n")[2])["code"] in (code, "missing_token")
    refused = plant.scrape()["netrunner_refusals_total"]
    assert sum(refused.values()) == 1
    assert next(iter(refused))[0] in (code, "missing_token")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n", "header_timeout"),
        (request("/v1/chat/completions", CHAT)[:-5], "body_timeout"),
    ],
)
def test_every_request_that_is_too_slow_has_a_count(plant: Plant, said: bytes, code: str) -> None:
    client = plant.stage.client().say(said)
    client.pass_time(30.0)
    refused = plant.scrape()["netrunner_refusals_total"]
    assert {labels[0]: value for labels, value in refused.items()} == {code: 1}


def test_a_connection_that_there_is_no_room_for_is_counted(tmp_path: Path) -> None:
    plant = Plant(tmp_path, max_connections=0, spare_connections=0)
    assert plant.stage.site.buildProtocol(None) is None
    assert plant.value("netrunner_connections_cut_total", "no_room") == 1


def test_a_client_that_does_not_read_is_counted(plant: Plant) -> None:
    client = plant.stage.ask({**CHAT, "stream": True})
    plant.stage.call.head(200, SSE).body(EVENT)
    client.transport.dataBuffer = b"x" * 1000
    client.channel.pauseProducing()
    while not client.transport.aborted:
        client.pass_time(0.25)
    assert plant.value("netrunner_connections_cut_total", "stalled") == 1


def test_a_client_that_sends_too_much_ahead_is_counted(plant: Plant) -> None:
    client = plant.stage.ask(CHAT)
    client.say(b"x" * (1 << 20))
    assert client.transport.aborted
    assert plant.value("netrunner_connections_cut_total", "pipelined") == 1


def test_events_that_an_onlooker_was_too_slow_for_are_counted_after_it_has_gone_too(plant: Plant) -> None:
    admitted: list[Any] = []
    site, clock = site_of(Asked(lambda request: admitted.append(plant.onlookers.admit(request, lambda: None, None))))
    client = Client(site, clock).say(request("/"))
    (outbox,) = admitted
    outbox.begin()
    outbox.pauseProducing()
    for _ in range(3):
        outbox.put("event", "x" * MAX_WAITING_BYTES)
    assert plant.value("netrunner_onlookers") == 1
    assert plant.value("netrunner_onlookers_skipped_total") == 3
    client.settle()
    assert plant.value("netrunner_onlookers") == 0
    assert plant.value("netrunner_onlookers_skipped_total") == 3


def test_a_body_that_breaks_while_it_is_passed_on_is_counted(tmp_path: Path) -> None:
    plant = Plant(tmp_path, routes={"/raw": ("http://raw.example", "keep")})
    client = plant.stage.client().say(
        b"POST /raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\nno size\r\n"
    )
    assert client.transport.aborted
    assert plant.value("netrunner_connections_cut_total", "body") == 1


def test_requests_that_pools_sent_again_are_counted_with_those_of_pools_that_are_gone(plant: Plant) -> None:
    plant.pool.resent = 2
    plant.observed.resent = lambda: 3
    assert plant.value("netrunner_upstream_resent_total") == 5


def test_sinks_tell_how_far_behind_they_are(plant: Plant) -> None:
    plant.sinks.append({"name": "a", "lag": 5, "dropped": 2, "damaged_bytes": 3, "failures": 1, "written": 9})
    seen = plant.scrape()
    told = ("lag_records", "dropped_total", "damaged_bytes_total", "failures", "written_total")
    assert [seen[f"netrunner_sink_{name}"]["a",] for name in told] == [5, 2, 3, 1, 9]


def test_the_reactors_lag_is_told(plant: Plant) -> None:
    plant.lag.start()
    plant.clock.advance(0.75)
    assert plant.scrape()["netrunner_reactor_lag_seconds"] == {("last",): 0.5, ("p99",): 0.5, ("max",): 0.5}


def test_what_a_pool_does_is_told_of_its_provider(plant: Plant) -> None:
    seen = plant.scrape()
    assert seen["netrunner_upstream_connections"] == {("up", "active"): 0, ("up", "idle"): 0}
    assert seen["netrunner_upstream_waiting"] == {("up",): 0}


def test_what_is_around_is_told_where_it_is_known(plant: Plant) -> None:
    seen = plant.scrape()
    assert seen["netrunner_configuration_stale"] == {(): 0}
    assert not seen.get("netrunner_database_available")
    assert not seen.get("netrunner_journal_free_ratio")
    plant.stale, plant.database, plant.recovered.room = True, False, ROOM
    plant.certificates["forward.intercept"] = plant.clock.wall() + 3600
    seen = plant.scrape()
    assert seen["netrunner_configuration_stale"] == {(): 1}
    assert seen["netrunner_database_available"] == {(): 0}
    assert seen["netrunner_journal_free_ratio"] == {(): 0.25}
    assert seen["netrunner_certificate_remaining_seconds"] == {("forward.intercept",): 3600}


def test_alerts_go_by_the_same_figures(plant: Plant) -> None:
    plant.sinks.append({"name": "a", "lag": 7, "dropped": 0, "damaged_bytes": 0, "failures": 2, "written": 0})
    plant.memory = Cache(CacheSettings(), FakeEnvironment())
    plant.stage.pipeline.choosing.targets.keep([("up", "m")], {"up": Health()})
    plant.recovered.room, plant.database = ROOM, True
    plant.certificates["forward.intercept"] = plant.clock.wall()
    seen, figures = plant.scrape(), plant.observed.figures()
    assert {figure.name for figure in figures} == WATCHED
    for figure in figures:
        assert seen[figure.name][tuple(figure.labels.values())] == figure.value


# How it is told.


def test_openmetrics_is_told_where_it_is_asked_for(plant: Plant) -> None:
    plant.complete(EVENT, USAGE)
    (answer,) = answers(plant.ask("Accept: application/openmetrics-text;version=1.0.0"))
    assert answer.headers[b"content-type"].startswith(b"application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(answer.body.decode())}
    assert {family.name.removesuffix("_total") for family in FAMILIES} <= names


def test_json_holds_the_same_samples_as_the_text(plant: Plant) -> None:
    plant.complete(EVENT, USAGE)
    plant.stage.client().say(request("/nowhere"))
    (answer,) = answers(plant.ask("Accept: application/json"))
    assert answer.headers[b"content-type"] == b"application/json"
    told = {
        sample["name"]: {
            in_order(one["name"], one["labels"]): one["value"]
            for one in family["samples"]
            if one["name"] == sample["name"]
        }
        for family in json.loads(answer.body).values()
        for sample in family["samples"]
    }
    text = plant.scrape()
    assert told.keys() == text.keys()
    assert {name: set(samples) for name, samples in told.items()} == {
        name: set(samples) for name, samples in text.items()
    }
    assert told["netrunner_requests_total"] == text["netrunner_requests_total"]


def test_only_operators_see_it(tmp_path: Path) -> None:
    plant = Plant(tmp_path, Gate(Secret("ann"), Secret("word")))
    assert plant.ask().startswith(b"HTTP/1.1 401 ")
    assert b"netrunner_" not in plant.ask()


def test_nothing_is_below_it(plant: Plant) -> None:
    assert plant.ask(path="/metrics/x").startswith(b"HTTP/1.1 404 ")


def test_asking_changes_nothing(plant: Plant) -> None:
    plant.complete(EVENT)
    first, second = plant.scrape(), plant.scrape()
    assert {n: v for n, v in first.items() if n.startswith("netrunner")} == {
        n: v for n, v in second.items() if n.startswith("netrunner")
    }


# What is handed out.


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_documented(family: Any) -> None:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
    assert f"| `{family.name}` | {family.kind} | {labels} | {family.unit} | {family.meaning} |" in PAGE


def test_no_metric_is_documented_that_is_not_there(plant: Plant) -> None:
    there = {family.name for family in FAMILIES} | {"netrunner_worker_restarts_total"}  # that is its supervisor's
    documented = set(re.findall(r"\bnetrunner_[a-z_]+", PAGE))
    assert documented <= there
    assert set(re.findall(r"\bprocess_[a-z_]+", PAGE)) == {
        name for name in plant.scrape() if name.startswith("process_")
    }


def test_every_metric_has_the_labels_it_is_said_to_have(plant: Plant) -> None:
    plant.sinks.append({"name": "a", "lag": 0, "dropped": 0, "damaged_bytes": 0, "failures": 0, "written": 0})
    targets = plant.stage.pipeline.choosing.targets
    targets.keep([("up", "m")], {"up": Health()})
    targets.budget("up")
    plant.counters.denials["rate_limit", "concurrency"] += 1
    plant.memory = Cache(CacheSettings(), FakeEnvironment())
    plant.audit["written"] = 1
    plant.recovered.room = ROOM
    plant.database = True
    plant.certificates["forward.intercept"] = plant.clock.wall()
    plant.complete(EVENT, USAGE)
    plant.stage.ask(CHAT)
    plant.stage.call.fail(UpstreamError("broken"))
    plant.stage.ask({"model": "none", "messages": []})
    told = {family.name: family for family in registry(plant.observed).collect()}
    for family in FAMILIES:
        metric = told[family.name.removesuffix("_total")]
        assert metric.type == family.kind
        assert metric.samples
        assert {tuple(set(sample.labels) - {"le"} - set(family.labels)) for sample in metric.samples} == {()}
        assert set(family.labels) <= set(metric.samples[0].labels)


def test_every_query_of_the_dashboard_is_of_metrics_and_labels_that_are_there(plant: Plant) -> None:
    histograms = {family.name for family in FAMILIES if family.kind == "histogram"}
    labels = {family.name: {*family.labels, "instance"} for family in FAMILIES}
    processes = {name for name in plant.scrape() if name.startswith("process_")}
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(queries) > 20
    for query in queries:
        ((name, matchers),) = re.findall(r"\b((?:netrunner|process)_[a-z_]+)\{([^}]*)\}", query)
        bare = name.removesuffix("_bucket")
        assert name in processes or (bare in labels and (bare != name) == (bare in histograms)), query
        known = labels.get(bare, {"instance"})
        assert set(re.findall(r"(\w+)=~", matchers)) <= known, query
        by = [label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)]
        assert set(by) - {"le"} <= known, query


def test_the_dashboard_shows_every_metric_that_tells_of_loss() -> None:
    text = json.dumps(DASHBOARD)
    lost = [
        family.name for family in FAMILIES if re.search("refus|error|drop|cut|skip|events|failed|resent", family.name)
    ]
    assert lost
    assert [name for name in lost if name not in text] == []


def test_the_panels_of_the_dashboard_do_not_overlap_and_have_ids_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in DASHBOARD["panels"]})


def test_the_example_of_a_scrape_asks_for_metrics_with_a_password_from_a_file() -> None:
    document = yaml.safe_load((ROOT / "conf" / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    assert set(job) == {"job_name", "metrics_path", "scrape_interval", "basic_auth", "static_configs"}
    assert job["metrics_path"] == "/metrics"
    assert set(job["basic_auth"]) == {"username", "password_file"}
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]
