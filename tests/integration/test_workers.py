"""Several workers on one socket: one answer to whoever looks, one place to end, reload and replace them."""

from __future__ import annotations

import json
import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netrunner.process.control import ControlError, ask
from netrunner.process.state import control_path
from tests.support.daemon import ECHO, PATIENCE_S, Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event

pytestmark = pytest.mark.integration

TWO = "workers: 2\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("workers"), provider.config + TWO) as daemon:
        yield daemon


def workers(daemon: Daemon) -> list[int]:
    """Return the process ids of a daemon's workers."""
    return [worker["pid"] for worker in daemon.control("workers")["workers"]]


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def asked(daemon: Daemon, pid: int, command: str, **arguments: Any) -> dict[str, Any]:
    return ask(control_path(daemon.state, pid), command, arguments, PATIENCE_S)


@contextmanager
def stream(daemon: Daemon, provider: Provider) -> Iterator[tuple[Peer, Peer]]:
    """Open a stream; yield both ends of it."""
    with dial(daemon.port) as client:
        client.send(chat())
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("before"))
            client.until(b"before")
            yield client, upstream


def told(daemon: Daemon, path: str, method: str = "GET") -> Any:
    """Return what is told at a path, as JSON; whichever worker answers."""
    status, _, body = daemon.request(method, path, headers={"X-Requested-With": "test"})
    assert status == 200, body
    return json.loads(body)


def test_whoever_answers_tells_what_is_in_progress_in_all_of_them(daemon: Daemon, provider: Provider) -> None:
    with ExitStack() as open_streams:
        streams = [open_streams.enter_context(stream(daemon, provider)) for _ in range(12)]
        spread = [len(asked(daemon, pid, "inflight")["inflight"]) for pid in workers(daemon)]
        assert sum(spread) == 12
        for _ in range(6):
            assert len(told(daemon, "/api/inflight")) == 12
            assert told(daemon, "/now")["count_in_flight"] == 12
            assert told(daemon, "/api/stats")["inflight_requests"] == 12
        for row in told(daemon, "/api/inflight"):
            assert told(daemon, f"/api/logs/{row['id']}")["is_inflight"] is True
            assert told(daemon, f"/api/inflight/{row['id']}/end", "POST")["ended"] is True
            assert told(daemon, f"/api/logs/{row['id']}")["outcome"] == "cancelled"
        for client, _ in streams:
            assert not client.rest().endswith(END_OF_BODY)


def test_metrics_tell_of_every_worker_under_its_number(daemon: Daemon, provider: Provider) -> None:
    with stream(daemon, provider):
        families = {
            family.name: family.samples
            for family in text_string_to_metric_families(daemon.request("GET", "/metrics")[2].decode())
        }
    inflight = {sample.labels["worker"]: sample.value for sample in families["netrunner_inflight_requests"]}
    assert sorted(inflight) == ["1", "2"]
    assert sum(inflight.values()) == 1
    assert [sample.labels for sample in families["netrunner_worker_restarts"]] == [{"worker": "supervisor"}]
    assert {sample.labels["worker"] for sample in families["process_resident_memory_bytes"]} == {"1", "2"}


def events(peer: Peer, *names: bytes) -> bytes:
    """Return what came until each of the events had come."""
    heard = b""
    while not all(b"event: " + name in heard for name in names):
        heard += peer.until(b"\n\n")
    return heard


def test_a_feed_tells_of_exchanges_in_every_worker_and_a_tail_shows_them(daemon: Daemon, provider: Provider) -> None:
    with ExitStack() as opened:
        feed = opened.enter_context(dial(daemon.port))
        feed.send(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        events(feed, b"dashboard_update")
        streams = [opened.enter_context(stream(daemon, provider)) for _ in range(8)]
        tails = []
        for row in told(daemon, "/api/inflight"):
            tail = opened.enter_context(dial(daemon.port))
            tail.send(f"GET /api/logs/{row['id']}/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            tail.until(b"\r\n\r\n")
            tails.append(tail)
        for client, upstream in streams:
            upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
            client.until(END_OF_BODY)
        for tail in tails:
            assert b"event: ended" in events(tail, b"ended")
        heard = b""
        while heard.count(b"event: request_completed") < 8:
            heard += feed.until(b"\n\n")
        assert heard.count(b"event: new_request") == 8


def ended_well(client: Peer) -> bool:
    """Return whether the answer comes to its end."""
    try:
        client.until(END_OF_BODY)
    except (AssertionError, OSError):
        return False
    return True


def test_a_worker_that_is_killed_is_replaced_and_the_other_goes_on(daemon: Daemon, provider: Provider) -> None:
    with ExitStack() as opened:
        streams = [opened.enter_context(stream(daemon, provider)) for _ in range(8)]
        before = workers(daemon)
        victim = before[0]
        lost = len(asked(daemon, victim, "inflight")["inflight"])
        os.kill(victim, signal.SIGKILL)
        daemon.wait_for(lambda: victim not in workers(daemon) and daemon.control("status")["counts"]["serving"] == 2)
        assert before[1] in workers(daemon)
        for _, upstream in streams:
            with suppress(OSError):
                upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
        assert [ended_well(client) for client, _ in streams].count(True) == 8 - lost
    daemon.wait_for(lambda: len(told(daemon, "/api/logs?outcome=interrupted")) == lost)
    assert daemon.control("status")["counts"]["restarts"] >= 1


def test_when_the_nursery_dies_workers_go_on_and_the_next_one_is_born_in_another(daemon: Daemon) -> None:
    before = workers(daemon)
    (nursery,) = {*children(daemon.pid)} - {*before}
    os.kill(nursery, signal.SIGKILL)
    os.kill(before[0], signal.SIGKILL)
    daemon.wait_for(lambda: before[0] not in workers(daemon) and daemon.control("status")["counts"]["serving"] == 2)
    assert before[1] in workers(daemon)
    assert nursery not in children(daemon.pid)
    assert len(children(daemon.pid)) == 3


def alerts(daemon: Daemon) -> list[list[str]]:
    """Return the names of what is the case, as whichever workers answer tell it."""
    answers = [told(daemon, "/api/health/alerts")["alerts"] for _ in range(6)]
    return [[alert["name"] for alert in answer] for answer in answers]


def test_a_reload_reaches_every_worker_and_a_bad_one_none(daemon: Daemon, provider: Provider) -> None:
    good = provider.config + TWO

    def models() -> set[bytes]:
        return {daemon.request("GET", "/v1/models")[2] for _ in range(8)}

    before = models()
    daemon.write_config(good.replace("name: m", "name: other") + "lisen: 1\n")
    with pytest.raises(ControlError, match="lisen"):
        daemon.control("reload")
    daemon.write_config(good.replace("workers: 2", "workers: 3"))
    with pytest.raises(ControlError, match=r"^workers: cannot change"):
        daemon.control("reload")
    daemon.wait_for(lambda: alerts(daemon) == [["configuration_refused"]] * 6)
    assert models() == before
    more = good.replace("models: [", "models: [{name: more, targets: [{provider: up, model: m}]}, ")
    daemon.write_config(more)
    assert daemon.control("reload") == {"warnings": []}
    assert all(b'"more"' in told for told in models())
    daemon.wait_for(lambda: alerts(daemon) == [[]] * 6)
    # A worker that begins now runs what the others run, whatever the file says by then.
    daemon.write_config("nonsense")
    victim = workers(daemon)[1]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_for(lambda: victim not in workers(daemon) and daemon.control("status")["counts"]["serving"] == 2)
    assert all(b'"more"' in told for told in models())
    daemon.write_config(good)
    daemon.control("reload")


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, ECHO + TWO)
    ends = []
    with suppress(ZeroDivisionError), daemon:
        ends += [os.pidfd_open(pid) for pid in workers(daemon)]
        raise ZeroDivisionError  # The harness kills the supervisor then.
    assert len(ends) == 2
    for end in ends:
        ended, _, _ = select.select([end], [], [], PATIENCE_S)
        os.close(end)
        assert ended


def test_workers_hold_no_secret_in_their_environment_and_drain_with_their_supervisor(
    tmp_path: Path, provider: Provider
) -> None:
    with Daemon(tmp_path, provider.config + TWO, environ={"CANARY": "secret-canary"}) as daemon, ExitStack() as opened:
        for pid in workers(daemon):
            assert b"secret-canary" not in Path(f"/proc/{pid}/environ").read_bytes()
        streams = [opened.enter_context(stream(daemon, provider)) for _ in range(4)]
        daemon.signal(signal.SIGTERM)
        for client, upstream in streams:
            upstream.send(event("after") + event("[DONE]") + END_OF_BODY)
            assert ended_well(client)
        assert daemon.wait() == 0
    assert list((daemon.state / "control").iterdir()) == []


def test_workers_that_are_asked_together_with_their_supervisor_drain_until_it_is_asked_again(
    tmp_path: Path, provider: Provider
) -> None:
    with Daemon(tmp_path, provider.config + TWO) as daemon, stream(daemon, provider) as (client, upstream):
        # As systemd ends a service: each process of it has a signal of its own.
        for pid in (*workers(daemon), daemon.pid):
            os.kill(pid, signal.SIGTERM)
        daemon.wait_for_drain()
        upstream.send(event("after"))
        client.until(b"after")
        daemon.signal(signal.SIGTERM)
        assert not client.rest().endswith(END_OF_BODY)
        assert daemon.wait() == 0


def test_no_workers_at_all_are_one_clear_line_and_an_exit_status(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, ECHO + "workers: 0\n")
    daemon.start()
    assert daemon.wait() == 1
    assert "workers: expected a number from 1 to 256, got 0" in daemon.log()


def test_who_logs_in_at_one_worker_is_let_in_by_all_until_he_logs_out(tmp_path: Path) -> None:
    with Daemon(tmp_path, ECHO + TWO + "admin: {user: ann, password: a-long-word}\n") as daemon:
        body = "user=ann&password=a-long-word"
        connection = daemon.connect()
        connection.request("POST", "/admin/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
        cookie = connection.getresponse().headers["Set-Cookie"].partition(";")[0]
        connection.close()

        def statuses() -> set[int]:
            return {daemon.request("GET", "/admin/usage", None, {"Cookie": cookie})[0] for _ in range(12)}

        assert statuses() == {200}
        _, _, page = daemon.request("GET", "/admin/", None, {"Cookie": cookie, "Accept": "text/html"})
        (csrf,) = set(re.findall(rb'name="csrf" value="([^"]+)"', page))
        connection = daemon.connect()
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        connection.request("POST", "/admin/logout", b"csrf=" + csrf, fields)
        assert connection.getresponse().status == 303
        connection.close()
        assert statuses() == {401}
