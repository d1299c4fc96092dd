"""The file of the duplex route proxy: routes by path prefix, and a logging server that gets copies.

This module must not read files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from netrunner.imports.imported import Imported, NotImportable, mapping, text

PORT = 5601
_TOP = frozenset({"server", "routes", "logging", "http_client"})
_SERVER = frozenset({"port", "host"})
_ROUTE = frozenset({"source", "destination", "name", "logging"})
_LOGGING = frozenset({"console", "server_url", "enabled", "file", "binary_files", "default"})
_LOOPBACK = {"localhost": "127.0.0.1", "": "127.0.0.1"}


def imported(document: Mapping[str, Any]) -> Imported:
    """Return what becomes of the file.

    Args:
        document: The file, decoded.

    Raises:
        NotImportable: if it is none of this system.
    """
    result = Imported({})
    result.unknown("", document, _TOP)
    server = mapping(document.get("server"), "server")
    result.unknown("server.", server, _SERVER)
    host = str(server.get("host") or "localhost")
    port = server.get("port", PORT)
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise NotImportable("server.port: expected a port from 1 to 65535")
    result.config["listen"] = f"tcp:{port}:interface={_LOOPBACK.get(host, host)}"
    if host not in (*_LOOPBACK, "127.0.0.1", "::1"):
        result.config["access"] = {"mode": "open", "public": True}
        result.config["server"] = {"hosts": [host]}
        result.notes.append(
            "server.host: is reached from other machines, so access.public is set; name the hosts in server.hosts"
        )
    result.config["routes"] = [_route(result, where, one) for where, one in _routes(document.get("routes"))]
    _logging(result, mapping(document.get("logging"), "logging"))
    _client(result, mapping(document.get("http_client"), "http_client"))
    return result


def _routes(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the routes of either form, the list or the mapping by name, with where each stands."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield f"routes[{index}]", mapping(one, f"routes[{index}]")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield f"routes.{name}", {"name": name, **mapping(one, f"routes.{name}")}
    else:
        raise NotImportable("routes: expected a list, or a mapping by name")


def _route(result: Imported, where: str, route: dict[str, Any]) -> dict[str, Any]:
    result.unknown(f"{where}.", route, _ROUTE)
    source, destination = text(route, "source", where), text(route, "destination", where)
    name = str(route.get("name") or source.strip("/").replace("/", "-") or "all")
    # A destination with a path takes the place of the prefix there; without one the whole path is kept.
    rewrite = "replace" if urlsplit(destination).path.strip("/") else "keep"
    made: dict[str, Any] = {"source": source, "destination": destination, "name": name, "rewrite": rewrite}
    if route.get("logging") is False:
        made["record"] = False
    return made


def _logging(result: Imported, logging: dict[str, Any]) -> None:
    result.unknown("logging.", logging, _LOGGING)
    sinks: list[dict[str, Any]] = []
    if logging.get("console", True):
        sinks.append({"type": "console"})
    if logging.get("server_url") and logging.get("enabled", True) and logging.get("binary_files", True):
        sinks.append({"type": "duplex", "server_url": logging["server_url"]})
    if logging.get("file"):
        sinks.append({"type": "access_line", "path": logging["file"]})
    result.config["sinks"] = sinks
    if logging.get("default") is False:
        result.notes.append("logging.default: requests that no route matches are recorded here, without their bodies")


def _client(result: Imported, client: dict[str, Any]) -> None:
    result.unknown("http_client.", client, frozenset({"proxy_url"}))
    proxy = client.get("proxy_url")
    if proxy:
        result.secrets["UPSTREAM_PROXY"] = str(proxy)
        for route in result.config["routes"]:
            route["proxy"] = {"env": "UPSTREAM_PROXY"}
