"""What becomes of the duplex route proxy's file."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.imports.duplex import imported
from netrunner.imports.imported import NotImportable

ROUTE = {"source": "/api/v1/", "destination": "https://openrouter.ai", "name": "openrouter"}
MADE = {**ROUTE, "rewrite": "keep"}


def test_both_forms_of_routes_become_the_list() -> None:
    by_name = {"openrouter": {"source": "/api/v1/", "destination": "https://openrouter.ai"}}
    assert imported({"routes": [ROUTE]}).config["routes"] == [MADE]
    assert imported({"routes": by_name}).config["routes"] == [MADE]


def test_a_destination_with_a_path_takes_the_place_of_the_prefix() -> None:
    (route,) = imported({"routes": [{**ROUTE, "destination": "https://h/v2/"}]}).config["routes"]
    assert route["rewrite"] == "replace"


def test_a_route_that_is_not_logged_is_not_recorded() -> None:
    (route,) = imported({"routes": [{**ROUTE, "logging": False}]}).config["routes"]
    assert route["record"] is False


def test_it_listens_where_it_always_did() -> None:
    assert imported({"routes": []}).config["listen"] == "tcp:5601:interface=127.0.0.1"
    moved = imported({"routes": [], "server": {"port": 80, "host": "0.0.0.0"}})
    assert moved.config["listen"] == "tcp:80:interface=0.0.0.0"
    assert moved.config["access"] == {"mode": "open", "public": True}
    assert len(moved.notes) == 1


def test_logging_becomes_sinks() -> None:
    logging: dict[str, Any] = {"server_url": "http://localhost:8080", "file": "requests.log"}
    sinks = imported({"routes": [], "logging": logging}).config["sinks"]
    assert sinks == [
        {"type": "console"},
        {"type": "duplex", "server_url": "http://localhost:8080"},
        {"type": "access_line", "path": "requests.log"},
    ]
    for off in ({"enabled": False}, {"binary_files": False}):
        kinds = [one["type"] for one in imported({"routes": [], "logging": {**logging, **off}}).config["sinks"]]
        assert kinds == ["console", "access_line"]


def test_the_proxy_is_kept_apart_since_it_may_hold_a_password() -> None:
    result = imported({"routes": [ROUTE], "http_client": {"proxy_url": "socks5://u:canary@h:1"}})
    assert result.config["routes"][0]["proxy"] == {"env": "UPSTREAM_PROXY"}
    assert "canary" not in str(result.config)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "routes: expected a list, or a mapping by name"),
        ({"routes": [{"source": "/"}]}, r"routes\[0\].destination: expected a text that is not empty"),
        ({"routes": [], "server": {"port": 0}}, "server.port: expected a port"),
        ({"routes": [], "server": 5}, "server: expected a mapping"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused_naming_what_was_expected(document: Any, message: str) -> None:
    with pytest.raises(NotImportable, match=message):
        imported(document)
