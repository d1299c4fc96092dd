"""Binding: what is had, what is taken over, and how it is told when it cannot be had."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from netrunner.config.forms import Listener
from netrunner.errors import ConfigurationError
from netrunner.process.listen import Bound, answers, bind, name_of


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def endpoint(sock: socket.socket) -> str:
    return f"tcp:{sock.getsockname()[1]}:interface=127.0.0.1"


def only(bound: list[Bound]) -> Bound:
    assert len(bound) == 1
    return bound[0]


def test_bound_socket_listens_at_once_and_does_not_block() -> None:
    one = only(bind(["tcp:0:interface=127.0.0.1"]))
    host, port = one.name.split(":")
    with socket.create_connection((host, int(port)), timeout=5):
        assert not os.get_blocking(one.fileno())
    one.close()


def test_ipv6_listener_takes_no_ipv4_peers() -> None:
    one = only(bind(["tcp:0:interface=[::1]"]))
    with socket.socket(fileno=os.dup(one.fileno())) as sock:
        assert one.name == f"[::1]:{sock.getsockname()[1]}"
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    one.close()


def test_path_has_its_mode_and_replaces_a_dead_socket(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    one = only(bind([f"unix:{path}:mode=600"]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert answers(str(path))
    one.close()


def test_every_address_that_cannot_be_had_is_one_line_and_nothing_stays_bound(
    taken: socket.socket, tmp_path: Path
) -> None:
    plain, live = tmp_path / "plain", tmp_path / "live.sock"
    plain.touch()
    with socket.socket(socket.AF_UNIX) as sock, socket.create_server(("127.0.0.1", 0)) as free:
        sock.bind(str(live))
        sock.listen()
        available = endpoint(free)
        free.close()
        with pytest.raises(ConfigurationError) as caught:
            bind([available, endpoint(taken), f"unix:{plain}", f"unix:{live}", f"unix:{tmp_path}/no/such"])
    assert [problem.message for problem in caught.value.problems] == [
        f"{endpoint(taken)}: address already in use",
        f"unix:{plain}: the path exists and is not a socket",
        f"unix:{live}: address already in use",
        f"unix:{tmp_path}/no/such: no such file or directory",
    ]
    only(bind([available])).close()


def test_given_socket_is_used_where_its_name_fits(taken: socket.socket) -> None:
    other, one = bind(["tcp:0:interface=127.0.0.1", endpoint(taken)], [(f"127.0.0.1:{taken.getsockname()[1]}", taken)])
    assert one.fileno() == taken.fileno() != other.fileno()
    other.close()


def test_given_socket_that_no_setting_names_is_an_error(taken: socket.socket) -> None:
    with pytest.raises(ConfigurationError, match=r"came along for 127\.0\.0\.1:1, which `listen` does not name"):
        bind(["tcp:0:interface=127.0.0.1"], [("127.0.0.1:1", taken)])


def test_given_socket_has_to_listen() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigurationError, match="does not listen"):
            bind([endpoint(sock)], [(f"127.0.0.1:{sock.getsockname()[1]}", sock)])


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Listener("", 80), "0.0.0.0:80"),
        (Listener("localhost", 80), "127.0.0.1:80"),
        (Listener("::1", 80), "[::1]:80"),
        (Listener(path="/run/api.sock"), "unix:/run/api.sock"),
    ],
)
def test_name_of_an_address_is_short_and_numeric(where: Listener, name: str) -> None:
    assert name_of(where) == name
