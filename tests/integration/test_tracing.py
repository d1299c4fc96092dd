"""The example of docs/tracing.md: a daemon that is called within a trace, and a collector that is away at first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collector import Collector, plain
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()
(EXAMPLE,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
URL = "http://127.0.0.1:4318/v1/traces"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CHAT = {
    "model": "echo",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "a canary in the prompt"}],
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


def test_the_example_exports_each_request_once_the_collector_takes_it(collector: Collector, tmp_path: Path) -> None:
    collector.statuses = [503]
    assert URL in EXAMPLE
    route = f"routes: [{{source: /out/, destination: '{collector.url}', name: out, rewrite: replace}}]\n"
    with Daemon(tmp_path / "d", EXAMPLE.replace(URL, collector.url) + route) as daemon:
        assert daemon.request("POST", "/v1/chat/completions", CHAT, {"traceparent": f"00-{TRACE}-{SPAN}-01"})[0] == 200
        whole, attempt = collector.wait_for(2)
        assert daemon.request("GET", "/out/x", headers={"tracestate": "acme=1"})[0] == 204
        *_, raw, sent = collector.wait_for(4)
    assert (whole.name, attempt.name) == ("chat echo", "chat echo")
    assert {one.trace_id.hex() for one in (whole, attempt)} == {TRACE}
    assert (whole.parent_span_id.hex(), attempt.parent_span_id) == (SPAN, whole.span_id)
    assert [event.name for event in whole.events] == ["gen_ai.first_token"]
    told = plain(whole.attributes)
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert plain(collector.exports[0].resource_spans[0].resource.attributes)["service.name"] == "llm-gateway"
    assert b"canary" not in b"".join(one.SerializeToString() for one in collector.exports)
    assert (raw.name, raw.parent_span_id) == ("GET out", b"")
    (visit,) = collector.visits
    assert visit["traceparent"] == f"00-{raw.trace_id.hex()}-{sent.span_id.hex()}-01"
    assert "tracestate" not in visit
