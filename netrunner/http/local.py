"""Whether a request certainly comes from this machine: the one rule by which somebody is let in without a credential.

This module must not decide what such a request may do.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from netrunner.http.request import Request
from netrunner.http.site import hostname

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = frozenset({b"forwarded", b"x-real-ip"})


def is_local(request: Request) -> bool:
    """Return whether a request certainly comes from this machine and not through a proxy or a foreign page.

    The listener is loopback, Host is a loopback name, no field speaks of forwarding, and a browser that names
    the request's origin names a local one. Behind a proxy every listener is loopback, hence the rest.
    """
    host = request.facts.host
    if host is None or hostname(host) not in LOOPBACK_HOSTS or not _listens_locally(request.channel.getHost()):
        return False
    for name, value in request.raw_headers:
        if name in _FORWARDED or name.startswith(b"x-forwarded-"):
            return False
        if name == b"origin" and not _is_local_origin(value):
            return False
        if name == b"sec-fetch-site" and value.lower() == b"cross-site":
            return False
    return True


def _is_local_origin(origin: bytes) -> bool:
    try:
        return urlsplit(origin.decode("latin-1")).hostname in LOOPBACK_HOSTS
    except ValueError:
        return False


def _listens_locally(address: Any) -> bool:
    ours = getattr(address, "host", None)
    return ours is None or ipaddress.ip_address(ours.partition("%")[0]).is_loopback
