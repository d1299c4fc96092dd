"""Providers that are slow in real time: bounded by their settings, and no sooner (row 29)."""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.crowd import Figures, idle
from tests.support.daemon import Daemon
from tests.support.dialogue import END_OF_BODY, STREAM_HEAD, Peer, Provider, chat, dial, event

pytestmark = pytest.mark.integration
NEAR_S = 0.5


def config(provider: Provider, seconds: float) -> str:
    """Return a configuration in which each step of the provider may take ``seconds``."""
    timeouts = json.dumps(dict.fromkeys(("connect_s", "first_byte_s", "between_bytes_s"), seconds))
    return provider.config.replace("/v1'", f"/v1', timeouts: {timeouts}")


def trickle(upstream: Peer, client: Peer, data: bytes, every_s: float) -> bytes:
    """Send ``data`` byte by byte; return what the client heard meanwhile."""
    heard = b""
    for byte in data:
        upstream.send(bytes([byte]))
        until = time.monotonic() + every_s
        while (left_s := until - time.monotonic()) > 0:
            if select.select([client._sock], [], [], left_s)[0]:
                piece = client._sock.recv(65536)
                assert piece, f"cut after {heard!r}"
                heard += piece
    return heard


@pytest.mark.parametrize(("between_s", "every_s"), [(1, 0.1), pytest.param(2, 0.2, marks=pytest.mark.torture)])
def test_a_stream_that_trickles_byte_by_byte_goes_on_until_it_stops(
    tmp_path: Path, between_s: float, every_s: float, figures: Figures
) -> None:
    with Provider() as provider, Daemon(tmp_path, config(provider, between_s)) as daemon, dial(daemon.port) as client:
        client.send(chat("Connection: close"))
        with provider.accept() as upstream:
            upstream.message()
            upstream.send(STREAM_HEAD + event("one"))
            client.until(b"one")
            slow = b"20\r\n: thirty-two bytes, all but a few"[: int(2 * between_s / every_s)]
            heard = trickle(upstream, client, slow, every_s)
            assert b"error" not in heard
            began = time.monotonic()
            told = client.rest()
            took_s = time.monotonic() - began
            assert b'"code":"upstream_timeout"' in told
            assert not told.endswith(END_OF_BODY)
            assert upstream.gone()
        figures.add(f"bytes, one each {every_s} s, passed on", len(slow))
        figures.add(f"cut when silent for {between_s} s, after, s", round(took_s + every_s, 2))
        if between_s == 2:
            assert abs(took_s + every_s - between_s) <= NEAR_S


@pytest.mark.torture
@pytest.mark.parametrize("setting_s", [1, 3])
@pytest.mark.parametrize(
    "said",
    [None, b"", b"HTTP/1.1 200 OK\r\nContent-Type: te", STREAM_HEAD, STREAM_HEAD + event("one") + b"40\r\nd"],
    ids=["does not accept", "says nothing", "stops in its head", "no event", "stops in an event"],
)
def test_what_a_provider_may_take_is_its_setting(
    tmp_path: Path, said: bytes | None, setting_s: float, figures: Figures
) -> None:
    with Provider() as provider, ExitStack() as stack:
        if said is None:
            provider._sock.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", provider.port))
        daemon = stack.enter_context(Daemon(tmp_path, config(provider, setting_s)))
        client = stack.enter_context(dial(daemon.port))
        began = time.monotonic()
        client.send(chat("Connection: close"))
        if said is not None:
            upstream = stack.enter_context(provider.accept())
            upstream.message()
            upstream.send(said)
        told = client.rest()
        took_s = time.monotonic() - began
        assert b'"code":"upstream_timeout"' in told
        assert b"one" in told or told.startswith(b"HTTP/1.1 504 ")
        assert abs(took_s - setting_s) <= NEAR_S
        daemon.wait_for(lambda: idle(daemon))
        figures.add(f"bounded to {setting_s} s, after, s", round(took_s, 2))
