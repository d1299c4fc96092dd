"""Who is let in at ``/admin/``: tools by Basic authentication, people by a session; and what may change something.

This module must not know what is behind it.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property
from urllib.parse import parse_qs

import msgspec
from twisted.internet.defer import Deferred

from netrunner.errors import BadRequest, Forbidden, Unauthenticated
from netrunner.http.request import Request
from netrunner.settings import Secret
from netrunner.values import Headers
from netrunner.web.access import Sources
from netrunner.web.admin.across import Across
from netrunner.web.gate import CHALLENGE, Gate, basic
from netrunner.web.late import Late
from netrunner.web.neighbours import ALONE, Neighbours
from netrunner.web.sessions import ABSOLUTE_S, Sessions, key_of
from netrunner.web.tries import Tries
from netrunner.web.websocket import is_same_host

COOKIE = "netrunner_session"
MAX_FORM_BYTES = 1048576
_FORM = b"application/x-www-form-urlencoded"
Fields = dict[str, list[str]]


class Visitor(msgspec.Struct, frozen=True):
    """Who was let in."""

    name: str
    csrf: str
    """What a form has to bring along."""
    session: str | None = None
    """The id of the session; None of one let in by Basic authentication."""


class Entrance(Gate):
    """Lets operators in at ``/admin/``, which is never open.

    Args:
        user, password: The credential; nobody is let in without both.
        sessions: Of those who have logged in.
        tries: Counts wrong credentials.
        sources: Where requests come from, and whether by TLS.
        neighbours: Other processes, which may have sessions too.
    """

    def __init__(
        self,
        user: Secret | None,
        password: Secret | None,
        sessions: Sessions,
        tries: Tries,
        sources: Sources,
        neighbours: Neighbours = ALONE,
    ) -> None:
        self.wrong = Late(tries, sources)
        super().__init__(user, password, self.wrong)
        self.sessions, self.sources = sessions, sources
        self._across = Across(sessions, neighbours)
        self.user = None if user is None or password is None else user.reveal()
        self._digest = hashlib.sha256(self._expected or b"").digest()

    @cached_property
    def _basic_csrf(self) -> str:
        """What forms bring along that were shown to a tool: the same in every process, and slow to guess from."""
        return hashlib.scrypt(self._expected or b"", salt=b"netrunner: forms", n=4096, r=8, p=1, dklen=32).hex()

    def fetch(self, request: Request) -> Deferred[None] | None:
        """Return what fires when a session is here that another process may have; None if there is none to wait for."""
        id = self.session_id(request)
        if id is None or request.header(b"authorization") is not None or not self._across.lacks(id):
            return None
        return Deferred.fromCoroutine(self._across.fetch(id))

    def check(self, request: Request) -> None:
        """Refuse who is not an operator.

        Raises:
            Forbidden: ``admin_not_configured`` when there is no credential, which never means that all are let in.
            Unauthenticated: ``admin_required``.
        """
        self.expect_credential()
        if self.visitor(request) is None:
            raise Unauthenticated(
                "The credential of an operator is required.", code="admin_required", headers=CHALLENGE
            )

    @property
    def actor_name(self) -> str:
        """How the audit names the operator."""
        return f"admin {self.user}"

    def expect_credential(self) -> None:
        """Refuse everybody while none is configured."""
        if self.user is None:
            raise Forbidden(
                "No operator is configured: set admin.user and admin.password, for instance to {env: ADMIN_USER} and "
                "{env: ADMIN_PASSWORD}.",
                code="admin_not_configured",
            )

    def visitor(self, request: Request) -> Visitor | None:
        """Return who asks, if it is an operator; in constant time."""
        if self.user is None or self._expected is None:
            return None
        given = request.header(b"authorization")
        if given is not None:
            right = hmac.compare_digest(basic(given), self._expected)
            return Visitor(self.user, self._basic_csrf) if right else None
        id = self.session_id(request)
        session = None if id is None else self.sessions.find(id, self._digest)
        return None if session is None else Visitor(session.user, session.csrf, id)

    def keeps(self, id: str) -> bool:
        """Return whether the session of that id goes on, which this does not prolong."""
        session = self.sessions.kept(key_of(id))
        return session is not None and hmac.compare_digest(session.credential, self._digest)

    def admits(self, user: str, password: str) -> bool:
        """Return whether that is the credential; in constant time."""
        given = f"{user}:{password}".encode("utf-8", "replace")
        return self._expected is not None and ":" not in user and hmac.compare_digest(given, self._expected)

    # The cookie.

    def log_in(self, request: Request) -> Headers:
        """Begin a session; return the header fields that make the browser keep it."""
        assert self.user is not None
        return self._cookie(request, self.sessions.begin(self.user, self._digest, self.session_id(request)), ABSOLUTE_S)

    async def log_out(self, request: Request) -> Headers:
        """End the session in every process; return the header fields that make the browser forget it."""
        id = self.session_id(request)
        if id is not None:
            await self._across.end(id)
        return self._cookie(request, "", 0)

    def session_id(self, request: Request) -> str | None:
        """Return the id that a browser brings."""
        name = self._cookie_name(request).encode()
        for field, value in request.raw_headers:
            if field == b"cookie":
                for part in value.split(b";"):
                    key, _, id = part.strip().partition(b"=")
                    if key == name and id:
                        return id.decode("latin-1")
        return None

    def _cookie(self, request: Request, value: str, age_s: float) -> Headers:
        secure = "; Secure" if self.sources.is_secure(request) else ""
        text = f"{self._cookie_name(request)}={value}; Path=/; Max-Age={age_s:.0f}; HttpOnly; SameSite=Strict{secure}"
        return [(b"set-cookie", text.encode())]

    def _cookie_name(self, request: Request) -> str:
        """A name that browsers keep for this host and TLS alone, where there is TLS."""
        return f"__Host-{COOKIE}" if self.sources.is_secure(request) else COOKIE


class Beside(Gate):
    """Lets in at the pages beside ``/admin/`` whoever has logged in there, and others as ``Gate`` does.

    Args:
        user, password: The credential, which is that of the entrance.
        entrance: Knows who has logged in.
        late: Answers wrong credentials.
    """

    def __init__(self, user: Secret, password: Secret, entrance: Entrance, late: Late) -> None:
        super().__init__(user, password, late)
        self._entrance = entrance

    def fetch(self, request: Request) -> Deferred[None] | None:
        """Return what fires when a session is here that another process may have."""
        return self._entrance.fetch(request)

    def check(self, request: Request) -> None:
        """Refuse who has neither a session nor the credential; what a page asks for by itself prolongs no session."""
        by_hand = request.header(b"sec-fetch-mode") in (None, b"navigate")
        known = self._entrance.visitor(request) is not None if by_hand else self.goes_on(request)
        if not known:
            super().check(request)

    def goes_on(self, request: Request) -> bool | None:
        """Return whether the session goes on that let a request in; to look on does not prolong it."""
        id = self._entrance.session_id(request)
        if id is None or request.header(b"authorization") is not None:
            return None
        return self._entrance.keeps(id)


def is_form(request: Request) -> bool:
    """Return whether a form was sent."""
    return (request.header(b"content-type") or b"").lower().startswith(_FORM)


def fields_of(request: Request) -> Fields:
    """Return the fields of a form that was sent, in the body alone.

    Raises:
        BadRequest: when that is none.
    """
    body = request.body()
    if not is_form(request) or len(body) > MAX_FORM_BYTES:
        raise BadRequest(f"A form of up to {MAX_FORM_BYTES} bytes is expected.", code="invalid_form")
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=2000)
    except ValueError as error:
        raise BadRequest("The form cannot be read.", code="invalid_form") from error


def check_origin(request: Request) -> None:
    """Refuse a change that the page of another site may have asked for.

    Raises:
        Forbidden: ``cross_origin``.
    """
    origin, site = request.header(b"origin"), request.header(b"sec-fetch-site")
    if (origin is not None and not is_same_host(origin, request)) or site not in (None, b"same-origin", b"none"):
        raise Forbidden("A page of another host may not change anything here.", code="cross_origin")


def check_change(request: Request, visitor: Visitor, fields: Fields | None) -> None:
    """Refuse a change that the visitor may not have wanted.

    Args:
        request: That asks for it.
        visitor: In whose name.
        fields: Of the form; None where there is none, since a tool asks.

    Raises:
        Forbidden: ``cross_origin`` or ``csrf``.
    """
    check_origin(request)
    if fields is not None:
        given = fields.get("csrf", [""])[-1]
    elif visitor.session is not None:
        given = (request.header(b"x-csrf-token") or b"").decode("latin-1")
    else:
        if request.method == b"POST" and not _is_json(request):
            raise Forbidden("A change is asked for as application/json.", code="csrf")
        return
    if not hmac.compare_digest(given.encode("utf-8", "replace"), visitor.csrf.encode()):
        raise Forbidden("The page is out of date: load it again, and try once more.", code="csrf")


def _is_json(request: Request) -> bool:
    return (request.header(b"content-type") or b"").lower().startswith(b"application/json")
