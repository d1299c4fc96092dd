"""The upstream pool behind a proxy.

Tunnels and SOCKS are the transport's matter (``passage``). What is left for a request is plain HTTP through an HTTP
proxy: its target is the whole URL, and the proxy's own refusal looks like an answer (RFC 9112, 3.2.2; RFC 9110, 11.7).

This module must not connect.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import ProxyUnauthorized, UpstreamError
from netrunner.http.call import Call, IBreaks, broken
from netrunner.http.passage import through
from netrunner.http.pool import Pool
from netrunner.interfaces import IResponseReceiver
from netrunner.routing.proxies import Proxies, Proxy
from netrunner.values import ResponseHead, UpstreamRequest

_UNAUTHORIZED = 407


class ProxiedPool(Pool):
    """A pool whose requests go through proxies where there is one.

    Args:
        proxies: Which proxy leads where.
        rest, named: As of ``Pool``.
    """

    def __init__(self, proxies: Proxies, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, dial=through(proxies), **named)
        self._proxies = proxies

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> Call:
        """As ``Pool``."""
        proxy = self._proxies.of(request.origin) if request.origin.scheme == "http" else None
        if proxy is None or not proxy.speaks_http:
            return super().send(request, receiver)
        guard = _Guard(receiver)
        guard.call = super().send(addressed(request, proxy), guard)
        return guard.call


def addressed(request: UpstreamRequest, proxy: Proxy) -> UpstreamRequest:
    """Return ``request`` as an HTTP proxy wants it: with the whole URL, and who we are."""
    headers = request.headers
    if proxy.authorization is not None:
        headers = [*headers, (b"proxy-authorization", proxy.authorization)]
    target = b"http://" + request.origin.authority + request.target
    return msgspec.structs.replace(request, target=target, headers=headers)


@implementer(IResponseReceiver, IBreaks)
class _Guard:
    """Hears an answer first: the proxy's demand for a credential is no answer of the upstream's."""

    call: Call

    def __init__(self, receiver: IResponseReceiver) -> None:
        self._receiver = receiver
        self.sent = receiver.sent
        self.body_received = receiver.body_received

    def head_received(self, head: ResponseHead) -> None:
        if head.status == _UNAUTHORIZED:
            self.call.abort()
            self.failed(ProxyUnauthorized("the proxy asks for a user and password, or does not take ours"))
        else:
            self._receiver.head_received(head)

    def failed(self, error: UpstreamError) -> None:
        self._receiver.failed(error)

    def broken(self, failure: Failure) -> None:
        broken(self._receiver, failure)
