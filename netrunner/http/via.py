"""The mark by which a request that comes back to where it was sent from is known (RFC 9110, 7.6.3).

This module must not know which requests are marked.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from netrunner.errors import InternalError
from netrunner.interfaces import IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.values import Headers, UpstreamRequest


class Via:
    """The pseudonym of one process.

    Args:
        getrandbits: The source of chance.
    """

    def __init__(self, getrandbits: Callable[[int], int]) -> None:
        self._pseudonym = b"netrunner-%016x" % getrandbits(64)
        self.field = (b"via", b"1.1 " + self._pseudonym)

    def check(self, headers: Headers) -> None:
        """Refuse a request that this process has sent.

        Raises:
            InternalError: 508 ``loop_detected``.
        """
        for name, value in headers:
            if name == b"via" and self._pseudonym in value:
                raise InternalError(
                    "The request came back here: what it was sent to leads to this server.",
                    code="loop_detected",
                    status=508,
                )


@implementer(IUpstream)
class Marking:
    """Marks requests on their way to an upstream.

    Args:
        upstream: Sends them.
        via: The mark.
    """

    def __init__(self, upstream: IUpstream, via: Via) -> None:
        self._upstream = upstream
        self._field = via.field

    def send(self, request: UpstreamRequest, receiver: IResponseReceiver) -> IUpstreamCall:
        """As the upstream."""
        request.headers = [*request.headers, self._field]
        call: IUpstreamCall = self._upstream.send(request, receiver)
        return call
