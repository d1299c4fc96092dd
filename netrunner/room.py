"""How much there is room for in one process: exchanges and connections at once, by its settings and its descriptors.

This module must not open anything.
"""

from __future__ import annotations

import resource

from netrunner.config.settings import Settings
from netrunner.http.site import SPARE_CONNECTIONS, Limits

RESERVED_DESCRIPTORS = 64
"""Kept free for logs, the journal, sinks, the control socket and what the libraries open."""


def max_streams(settings: Settings) -> int:
    """Return how many exchanges may run at once: as set, or two descriptors each of what the process may open.

    A sink that copies exchanges while they flow has two more for each of its ``max_live``.
    """
    wanted = settings.server.max_streams
    if wanted != "auto":
        return wanted
    watching = sum(2 * getattr(sink.settings, "max_live", 0) for sink in settings.sinks)
    return max(16, (_free_descriptors() - watching) // 2)


def _free_descriptors() -> int:
    """Return how many descriptors exchanges may use: all but our own, and those of callers who are sent away."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - RESERVED_DESCRIPTORS - _spare_connections(soft)


def _spare_connections(soft: int) -> int:
    """Return how many callers at once can be told that there is no room."""
    return min(SPARE_CONNECTIONS, max(32, soft // 25))


def limits(settings: Settings, forward: bool = False) -> Limits:
    """Return what clients may do to the server, or to the forward proxy, which is asked for any host."""
    server = settings.server
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    hosts = None if forward or "*" in server.hosts else frozenset(host.strip("[]").lower() for host in server.hosts)
    return Limits(
        header_timeout_s=server.header_timeout_s,
        body_grace_s=server.body_grace_s,
        body_min_rate_bytes=server.body_min_rate_bytes,
        idle_timeout_s=server.idle_timeout_s,
        write_stall_s=server.write_stall_s,
        max_tunnel_s=server.max_tunnel_s,
        max_header_bytes=server.max_header_bytes,
        max_headers=server.max_headers,
        max_body_bytes=server.max_body_bytes,
        max_buffered_bytes=server.max_buffered_bytes,
        max_connections=max(32, _free_descriptors() - max_streams(settings)),
        spare_connections=_spare_connections(soft),
        hosts=hosts,
        half_close_aborts=server.half_close == "abort",
        forward=forward,
    )
