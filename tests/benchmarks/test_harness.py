"""The benchmark harness itself: its arithmetic, its accounting, and both ends of a paced stream."""

import json
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import parts, peers, servers, wire
from benchmarks.accounting import BenchmarkError, Child, cpu_s, free_port, rss_bytes, tree
from benchmarks.figures import Measure, Sample, percentile, summarise
from benchmarks.paced import PacedUpstream
from benchmarks.report import table, versus
from benchmarks.servers import Target
from benchmarks.streams import Order, Reader, RewrittenStream, Stream

RATE = Measure("throughput", "requests", "1/s", ">= 0.25 x")


@pytest.fixture
def paced_port() -> Iterator[int]:
    """Serve paced streams from a thread; closing the listener ends it."""
    listener = socket.create_server(("127.0.0.1", 0))
    upstream = PacedUpstream(listener)
    server = threading.Thread(target=upstream.run)
    server.start()
    yield listener.getsockname()[1]
    upstream.stop()
    server.join()
    listener.close()


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.50) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0], 0.0) == 1.0


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_ratio_compares_relays_within_a_round() -> None:
    per_round = {"nginx": [100.0, 10.0, 50.0], "ours": [30.0, 4.0, 10.0]}
    samples = [Sample(RATE, relay, i, value) for relay, values in per_round.items() for i, value in enumerate(values)]
    (row,) = summarise(samples, "nginx")
    assert row.medians == {"nginx": 50.0, "ours": 10.0}
    assert row.ratios == {"nginx": 1.0, "ours": 0.3}


def test_a_measure_the_base_lacks_has_no_ratio() -> None:
    (row,) = summarise([Sample(RATE, "ours", 0, 5.0)], "nginx")
    assert row.ratios == {}


def test_the_table_holds_medians_ratios_and_aims() -> None:
    rows = summarise([Sample(RATE, "nginx", 0, 20000.0), Sample(RATE, "ours", 0, 7000.0)], "nginx")
    _, _, line = table(rows, ["direct", "nginx", "ours"]).splitlines()
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "requests", "1/s", "", "20,000", "7,000", "0.35", ">= 0.25 x",
    ]  # fmt: skip


def test_an_event_has_its_size_and_tells_when_it_was_sent() -> None:
    event = wire.event(7, 12, 123_456_789)
    assert len(event) == wire.EVENT_BYTES
    assert wire.sent_ns(event) == 123_456_789


@pytest.mark.parametrize("in_step", [False, True])
def test_every_event_of_five_streams_arrives_as_sent(paced_port: int, in_step: bool) -> None:
    order = Order(paced_port, "token", "model", streams=5, pace_ms=10, seconds=0.2, in_step=in_step)
    findings = Reader(order).run()
    assert findings.faults == []
    assert findings.delivered == findings.expected == 5 * (order.events + 1)
    assert 0 < findings.p50_us <= findings.p99_us


def test_events_that_are_written_together_are_counted_one_by_one(paced_port: int) -> None:
    order = Order(paced_port, "token", "model", streams=2, pace_ms=10, seconds=0.05, at_once=32)
    findings = Reader(order).run()
    assert findings.faults == []
    assert findings.delivered == findings.expected == 2 * (1 + 32 * order.writes + 1)


def test_the_bare_relay_passes_on_streams_and_answers(paced_port: int, tmp_path: Path) -> None:
    with servers.bare(tmp_path, Target("direct", paced_port, paced_port)) as bare:
        findings = Reader(Order(bare.paced_port, "token", "model", streams=3, pace_ms=10, seconds=0.1)).run()
    assert findings.faults == []
    assert findings.delivered == findings.expected


def test_streams_in_step_have_their_events_at_multiples_of_the_pace(paced_port: int) -> None:
    with socket.create_connection(("127.0.0.1", paced_port)) as client:
        client.sendall(wire.request(paced_port, "token", "model", wire.Asked(0, 3, 20, in_step=True)))
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(65536)
    chunks = received.partition(b"\r\n\r\n")[2].split(b"%x\r\n" % wire.EVENT_BYTES)[1:]
    sent_ns = [wire.sent_ns(chunk[: wire.EVENT_BYTES]) for chunk in chunks]
    assert sent_ns[2] // 20_000_000 > sent_ns[1] // 20_000_000 > sent_ns[0] // 20_000_000


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.replace(b"xx", b"xy", 1),
        lambda event: event.replace(b"000000 000000", b"000000 000001"),
        lambda event: event.replace(b'"created":1', b'"created":2'),
    ],
    ids=["a byte", "the order", "the envelope"],
)
def test_a_changed_event_is_noticed(change: object) -> None:
    assert callable(change)
    event = change(wire.event(0, 0, 1))
    with socket.socket() as sock:
        stream = Stream(sock, Order(0, "token", "model", 1, 10, 0.0), 0)
        stream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(event), event), 2)
    assert stream.fault.startswith("event 0 is ")


def test_a_stream_cut_short_is_noticed() -> None:
    with socket.socket() as sock:
        stream = Stream(sock, Order(0, "token", "model", 1, 10, 0.0), 0)
        stream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n" + wire.event(0, 0, 1), 2)
        assert stream.fault.startswith("ended after 1 of 2 events")


def rewritten(*numbers: int) -> RewrittenStream:
    """Return a stream of 2 events that a relay has written anew with the texts of these numbers."""
    told = [json.loads(wire.event(0, number, 1).removeprefix(b"data: ")) for number in numbers]
    texts = [event["choices"][0]["delta"]["content"] for event in told]
    events = [json.dumps({"choices": [{"delta": {"content": text}}]}) for text in texts]
    data = "".join(f"data: {event}\n\n" for event in [json.dumps({"role": "assistant"}), *events, "[DONE]"])
    with socket.socket() as sock:
        stream = RewrittenStream(sock, Order(0, "token", "model", 1, 10, 0.0, rewritten=True), 0)
        for byte in f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode():
            stream.feed(bytes([byte]), 2)
    return stream


def test_of_events_written_anew_the_texts_are_compared() -> None:
    stream = rewritten(0, 1)
    assert (stream.fault, stream.ended, stream.arrivals) == ("", True, [(1, 2), (1, 2)])


@pytest.mark.parametrize("numbers", [(1, 0), (0,), (0, 1, 2)], ids=["the order", "one less", "one more"])
def test_a_text_that_is_missing_or_misplaced_in_events_written_anew_is_noticed(numbers: tuple[int, ...]) -> None:
    assert rewritten(*numbers).fault


@pytest.mark.parametrize(
    ("path", "text_at"),
    [
        (b"/v1/chat/completions", ("choices", 0, "delta", "content")),
        (b"/anthropic/v1/messages", ("delta", "text")),
        (b"/gemini/models/m:streamGenerateContent", ("candidates", 0, "content", "parts", 0, "text")),
    ],
    ids=["openai", "anthropic", "gemini"],
)
def test_the_same_text_is_streamed_in_the_form_of_each_dialect(path: bytes, text_at: tuple[str | int, ...]) -> None:
    event = wire.event(3, 5, 7, wire.form(path))
    told = json.loads(event.splitlines()[-2].removeprefix(b"data: "))
    for key in text_at:
        told = told[key]
    assert told.startswith("000003 000005 ")
    assert wire.found(event) == (3, 5, 7)


def test_peers_that_are_not_installed_are_told_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "INSTALLED", tmp_path)
    with pytest.raises(BenchmarkError, match=r"litellm, portkey; make \.venv-peers/\.installed brings them"):
        peers.require(["nginx", "litellm", "portkey"])
    peers.require(["nginx", "netrunner"])


def test_our_requests_are_compared_with_those_of_a_peer_round_by_round() -> None:
    rates = {"netrunner": [500.0, 900.0], "litellm": [10.0, 9.0]}
    samples = [Sample(parts.RATE, relay, i, value) for relay, values in rates.items() for i, value in enumerate(values)]
    assert versus(samples, "litellm", 50) == "netrunner answered 75 times as many requests as litellm; aim >= 50.\n"
    assert versus(samples, "portkey", 8) == ""


def test_accounting_reads_the_cpu_and_memory_of_this_process() -> None:
    before = cpu_s(os.getpid())
    limit = time.process_time() + 0.05
    while time.process_time() < limit:
        pass
    assert cpu_s(os.getpid()) - before >= 0.03
    assert rss_bytes(os.getpid()) > 2**20


def test_a_child_and_its_own_children_are_counted_and_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(tmp_path / "ready")
    script = "sleep 60 & echo > ready; wait"
    with Child(["sh", "-c", script], log, cwd=tmp_path) as child:
        (tmp_path / "ready").read_text()
        (grandchild,) = set(tree(child.pid)) - {child.pid}
        ended = os.pidfd_open(grandchild)
    assert select.select([ended], [], [], 5.0)[0] == [ended]
    os.close(ended)


def test_a_child_that_ends_before_it_answers_shows_its_log(tmp_path: Path) -> None:
    with (
        Child(["sh", "-c", "echo port is taken"], tmp_path / "log") as child,
        pytest.raises(BenchmarkError, match="port is taken"),
    ):
        child.wait_for_200(free_port(), "/health")
