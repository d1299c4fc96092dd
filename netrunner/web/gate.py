"""Who may look at records, pages and metrics: local requests while no ``admin`` is configured, its credential after.

This module must not decide who may call models.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import (
    ExchangeError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    StoreError,
    Unauthenticated,
)
from netrunner.http.local import is_local
from netrunner.http.request import IReadsHead, IRefuses, Request
from netrunner.pipeline.refusal import refusal
from netrunner.settings import Secret
from netrunner.values import Answer, Headers
from netrunner.web.late import Late

CHALLENGE = ((b"www-authenticate", b'Basic realm="netrunner", charset="UTF-8"'),)

MANAGEMENT = "management"
"""Whose the management token is, in the audit and where wrong ones are counted."""


class Gate:
    """Lets operators in.

    Args:
        user, password: The credential; without both only local requests are let in.
        late: Answers wrong credentials; at once without it.
    """

    def __init__(self, user: Secret | None, password: Secret | None, late: Late | None = None) -> None:
        self._late = late
        self._expected = None
        if user is not None and password is not None:
            self._expected = f"{user.reveal()}:{password.reveal()}".encode()

    def fetch(self, request: Request) -> Deferred[None] | None:
        """Return what has to fire before a request can be checked; None if nothing has to."""
        return None

    def goes_on(self, request: Request) -> bool | None:
        """Return whether the session goes on that let a request in; None if none did."""
        return None

    def check(self, request: Request) -> None:
        """Refuse who may not look.

        Raises:
            Unauthenticated: with a challenge for Basic authentication (RFC 7617), compared in constant time.
            Forbidden: ``not_local`` when no credential is configured and the request is not certainly of this machine.
        """
        if self._expected is None:
            if not is_local(request):
                raise Forbidden(
                    "Only local requests may look here: configure `admin` to ask for credentials.", code="not_local"
                )
        elif not hmac.compare_digest(basic(request.header(b"authorization")), self._expected):
            raise Unauthenticated(
                "The credential of an operator is required.", code="admin_required", headers=CHALLENGE
            )

    def late(self, request: Request, error: ExchangeError) -> Deferred[None] | None:
        """Return what fails with ``error`` when a wrong credential may be answered; None if none was brought."""
        account = self.account(request)
        return None if self._late is None or account is None else self._late.refuse(request, account, error)

    def account(self, request: Request) -> str | None:
        """Return whose credential a request claims to bring; None if it brings none."""
        given = request.header(b"authorization")
        return None if given is None else basic(given).partition(b":")[0].decode("utf-8", "replace")


def basic(value: bytes | None) -> bytes:
    """Return user and password of an Authorization field, joined by a colon; empty when it has none."""
    if value is None or value[:6].lower() != b"basic ":
        return b""
    try:
        return base64.b64decode(value[6:].strip(), validate=True)
    except binascii.Error:
        return b""


def bearer(value: bytes | None) -> bytes:
    """Return the token of an Authorization field (RFC 6750); empty when it has none."""
    return b"" if value is None or value[:7].lower() != b"bearer " else value[7:].strip()


def ends_here(request: Request) -> None:
    """See to it that the path of a request goes no further than the resource that answers.

    Raises:
        NotFound: when it does.
    """
    if any(request.postpath or []):
        raise NotFound("There is nothing at this path.")


@implementer(IReadsHead, IRefuses)
class Guarded(Resource):
    """A resource behind the gate: asks before any body is read, and answers by ``answer``.

    Args:
        gate: Who is let in.
    """

    isLeaf = True
    methods: tuple[bytes, ...] = (b"GET", b"HEAD")
    open_to_all = False
    """Whether the gate stands open for it."""
    _log = Logger()

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def answer(self, request: Request) -> Answer | None:
        """Return the answer; None when it is given otherwise. May raise an ``ExchangeError``."""
        raise NotFound("No such page.")

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Ask for the credential, then for an allowed method; what tells that it was wrong may have to wait."""
        fetched = None if self.open_to_all else self._gate.fetch(request)
        return self._let_in(request) if fetched is None else fetched.addCallback(lambda _: self._let_in(request))

    def _let_in(self, request: Request) -> Deferred[None] | None:
        if not self.open_to_all:
            try:
                self._gate.check(request)
            except Unauthenticated as error:
                if (late := self._gate.late(request, error)) is None:
                    raise
                return late
        if request.method not in self.methods:
            allowed = b", ".join(self.methods)
            raise MethodNotAllowed(f"Only {allowed.decode()} is allowed here.", headers=[(b"allow", allowed)])
        return None

    def render(self, request: Request) -> int:
        """Answer now or later; whatever is raised becomes a clean refusal."""
        Deferred.fromCoroutine(self._respond(request)).addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _respond(self, request: Request) -> None:
        answer = await self.answer(request)
        if answer is not None:
            request.respond(answer.status, answer.headers, answer.body)

    def _failed(self, failure: Failure, request: Request) -> None:
        error = failure.value
        if isinstance(error, StoreError):
            error = Overloaded("The database cannot be read now.", code="store_unavailable", retry_after_s=5)
        elif not isinstance(error, ExchangeError):
            self._log.failure("a page failed", failure=failure)
            error = InternalError("The request could not be processed.")
        request.refuse(error)

    def refusal(self, request: Request, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write ``error`` in OpenAI's shape, as all that is asked of the daemon itself."""
        return refusal(SPOKEN["openai"], error)
