"""The sink ``otlp``: what a record's spans say, and what becomes of an export that is not taken."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from twisted.internet.defer import succeed

from netrunner.errors import ConfigurationError
from netrunner.settings import Secret
from netrunner.sinks.delivery import Undelivered
from netrunner.sinks.otlp import Otlp, OtlpSettings, plugin
from netrunner.sinks.spans import export
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.testing.section import FakeSection
from netrunner.values import Attempt, Span, Trace, Usage
from tests.support.collector import plain, spans_in
from tests.support.posts import Response
from tests.support.records import make_record

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traced(**changes: Any) -> Any:
    trace = Trace(TRACE, "a" * 16, PARENT, "acme=1", changes.pop("sampled", True), changes.pop("places", []))
    return make_record(trace=trace, **changes)


def spans_of(record: Any) -> list[Any]:
    return spans_in(export([record], "gateway"))


def test_a_request_is_a_servers_span_with_what_the_model_did() -> None:
    record = traced(
        streaming=True,
        timings={"first_byte": 0.2, "committed": 0.25},
        usage=Usage(10, 20, 3, 4, 5),
        attempts=[Attempt("acme", "gpt", 200, dialect="openai")],
        places=[Span("b" * 16, "https://api.test:443", 0.1)],
    )
    span, _ = spans_of(record)
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (TRACE, "a" * 16, PARENT)
    assert (span.name, span.kind, span.trace_state, span.flags) == ("chat fast", span.SPAN_KIND_SERVER, "acme=1", 0x301)
    assert span.start_time_unix_nano == 1_700_000_000_000_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == pytest.approx(1_234_500_000, abs=2000)
    (event,) = span.events
    assert event.name == "gen_ai.first_token"
    assert event.time_unix_nano - span.start_time_unix_nano == pytest.approx(250_000_000, abs=2000)
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert plain(span.attributes) == {
        "client.address": "127.0.0.1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "fast",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.model": "gpt",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.cache_creation.input_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "netrunner.id": record.id,
        "netrunner.outcome": "done",
        "netrunner.request_id": "r",
        "url.path": "/v1/chat/completions",
    }


def test_a_stream_begun_before_its_answer_has_its_first_token_with_that() -> None:
    (span,) = spans_of(traced(streaming=True, timings={"committed": 0.1, "first_byte": 0.5}, attempts=[]))
    assert plain(span.attributes)["gen_ai.response.time_to_first_chunk"] == 0.5


def test_each_attempt_is_a_clients_span_below_it() -> None:
    attempts = [
        Attempt("acme", "gpt", 503, "provider_error", True, dialect="gemini"),
        Attempt("other", "claude", 200, None, False, dialect="anthropic", request_id="req_1"),
    ]
    places = [Span("b" * 16, "https://api.test:443", 0.1, 0.2), Span("c" * 16, "http://10.0.0.1:8000", 0.5)]
    whole, first, second = spans_of(traced(attempts=attempts, places=places))
    assert {one.parent_span_id for one in (first, second)} == {whole.span_id}
    assert [one.kind for one in (first, second)] == [first.SPAN_KIND_CLIENT] * 2
    assert (first.name, first.status.code) == ("chat gpt", first.status.STATUS_CODE_ERROR)
    assert first.end_time_unix_nano - first.start_time_unix_nano == pytest.approx(100_000_000, abs=2000)
    assert plain(first.attributes) == {
        "error.type": "provider_error",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gpt",
        "gen_ai.request.stream": False,
        "http.response.status_code": 503,
        "netrunner.connection_reused": True,
        "netrunner.provider": "acme",
        "server.address": "api.test",
        "server.port": 443,
    }
    told = plain(second.attributes)
    assert (told["http.request.resend_count"], told["gen_ai.response.id"], told["server.port"]) == (1, "req_1", 8000)
    assert second.end_time_unix_nano == whole.end_time_unix_nano


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/messages", "chat fast"),
        ("/api/chat", "chat fast"),
        ("/v1/completions", "text_completion fast"),
        ("/v1/embeddings", "embeddings fast"),
        ("/v1beta/models/g:streamGenerateContent", "generate_content fast"),
        ("/v1/messages/count_tokens", "POST models"),
    ],
)
def test_a_span_is_named_for_its_operation(path: str, name: str) -> None:
    assert spans_of(traced(path=path))[0].name == name


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [
        (401, "refused", False),
        (499, "client_gone", False),
        (502, "upstream_failed", True),
        (200, "upstream_truncated", True),
        (0, "interrupted", True),
    ],
)
def test_a_request_is_an_error_where_the_server_is_at_fault(status: int, outcome: str, failed: bool) -> None:
    (span,) = spans_of(traced(status=status, outcome=outcome))
    assert (span.status.code == span.status.STATUS_CODE_ERROR) == failed
    assert plain(span.attributes)["error.type"] == outcome


class Http:
    """Answers posts with ``statuses``, then with 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.posts: list[tuple[str, dict[str, str], list[str]]] = []

    def post(self, url: str, **options: Any) -> Any:
        spans = spans_in(gzip.decompress(options["data"]))
        self.posts.append((url, options["headers"], [plain(one.attributes)["netrunner.id"] for one in spans]))
        return succeed(Response(self.statuses.pop(0) if self.statuses else 200))


@pytest.fixture
def http() -> Http:
    return Http()


@pytest.fixture
def sink(http: Http) -> Otlp:
    settings = OtlpSettings(flush_s=0.0, max_records=2, headers={"authorization": Secret("Bearer canary")})
    return Otlp(settings, FakeEnvironment("otlp", clock=FakeClock(), http=http))


def test_sampled_traces_alone_are_exported_in_batches(run: Any, http: Http, sink: Otlp) -> None:
    run(sink.write([traced(id="1"), traced(id="2", sampled=False), traced(id="3"), make_record(), traced(id="4")]))
    assert [ids for _, _, ids in http.posts] == [["1", "3"], ["4"]]
    url, headers, _ = http.posts[0]
    assert url == "http://127.0.0.1:4318/v1/traces"
    assert (headers["content-type"], headers["authorization"]) == ("application/x-protobuf", "Bearer canary")


def test_an_export_that_is_not_taken_now_comes_again_without_what_was_taken(run: Any, http: Http, sink: Otlp) -> None:
    records = [traced(id=str(number)) for number in range(3)]
    http.statuses = [200, 503]
    with pytest.raises(Undelivered):
        run(sink.write(records))
    run(sink.write(records))
    assert [ids for _, _, ids in http.posts] == [["0", "1"], ["2"], ["2"]]


def test_a_trace_that_is_refused_is_left_out_and_the_others_go_on(run: Any, http: Http, sink: Otlp) -> None:
    http.statuses = [400, 400, 200]
    run(sink.write([traced(id="1"), traced(id="2")]))
    assert [ids for _, _, ids in http.posts] == [["1", "2"], ["1"], ["2"]]


def test_plain_http_to_another_machine_has_to_be_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="allow_http"):
        plugin.parse(FakeSection({"url": "http://collector.test/v1/traces"}))


def test_without_the_extra_the_configuration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netrunner.sinks.otlp.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'netrunner\[otel\]'"):
        plugin.parse(FakeSection({}))
