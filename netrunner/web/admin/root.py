"""Everything at ``/admin/``: the login, the pages, and the same as JSON for tools.

Nothing below it is in any journal. This module must not know what pages show.
"""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred

from netrunner.errors import ExchangeError, MethodNotAllowed, Unauthenticated
from netrunner.http.request import Request
from netrunner.values import Answer, Headers
from netrunner.web.admin.entrance import Entrance, Visitor, check_change, check_origin, fields_of, is_form
from netrunner.web.admin.pages import MANAGED, Asked, Asker, Managing, Pages, Shelf
from netrunner.web.audited import Audited, id_of
from netrunner.web.gate import CHALLENGE

_GET = (b"GET", b"HEAD")


class Admin(Audited):
    """``/admin/``.

    Args:
        entrance: Who is let in.
        shelf: What pages show.
        managing: The pages of projects; None where there are none.
    """

    methods = (*_GET, b"POST", b"PATCH", b"DELETE")

    def __init__(self, entrance: Entrance, shelf: Shelf, managing: Managing | None) -> None:
        super().__init__(entrance)
        self._entrance = entrance
        self._shelf = shelf
        self._managing = managing
        self._pages = Pages(shelf, managing)

    def head_received(self, request: Request) -> Deferred[None] | None:
        """Ask for a credential, but for who comes to log in."""
        id_of(request)
        if self._is_login(request):
            self._entrance.expect_credential()
            return None
        return super().head_received(request)

    async def answer(self, request: Request) -> Answer | None:
        """Show, do, let in or out."""
        if self._is_login(request):
            return await self._log_in(request)
        visitor = self._entrance.visitor(request)
        if visitor is None:
            raise Unauthenticated(
                "The credential of an operator is required.", code="admin_required", headers=CHALLENGE
            )
        fields = fields_of(request) if request.method == b"POST" and is_form(request) else None
        if request.method not in _GET:
            check_change(request, visitor, fields)
        path = _path(request)
        if path == ("logout",):
            return await self._log_out(request, visitor)
        asks = self._managing is not None and path[:1] and path[0] in MANAGED and fields is None
        if self._managing is not None and asks and not (request.method in _GET and _wants_page(request)):
            return await self._managing.tell(request)
        if request.method not in _GET and fields is None:
            raise MethodNotAllowed("Only GET is allowed here.", headers=[(b"allow", b"GET, HEAD")])
        arguments = {_text(name): _text(values[-1]) for name, values in request.args.items()} if fields is None else {}
        return _fit(await self._pages.answer(Asked(path, arguments, visitor.csrf, self._asker(request), fields)))

    # In and out.

    async def _log_in(self, request: Request) -> Answer | None:
        if request.method in _GET:
            return self._form(None)
        if request.method != b"POST":
            raise MethodNotAllowed("Only GET and POST are allowed here.", headers=[(b"allow", b"GET, HEAD, POST")])
        check_origin(request)
        fields = fields_of(request)
        user, password = (fields.get(name, [""])[-1] for name in ("user", "password"))
        if self._entrance.admits(user, password):
            await self._note(request, user, "admin.login", "done")
            return Answer(
                303, [(b"location", b"/admin/"), (b"cache-control", b"no-store"), *self._entrance.log_in(request)], b""
            )
        error = Unauthenticated("User or password is wrong.", code="admin_required")
        try:
            await self._entrance.wrong.refuse(request, user, error)
        except Unauthenticated:
            await self._note(request, user[:200], "admin.login", error.code)
        return self._form(error)

    async def _log_out(self, request: Request, visitor: Visitor) -> Answer:
        if request.method != b"POST":
            raise MethodNotAllowed("Only POST is allowed here.", headers=[(b"allow", b"POST")])
        gone = await self._entrance.log_out(request)
        await self._note(request, visitor.name, "admin.logout", "done")
        return Answer(303, [(b"location", b"/admin/login"), (b"cache-control", b"no-store"), *gone], b"")

    def _form(self, error: ExchangeError | None) -> Answer:
        values = {"here": "admin", "problem": error and error.message}
        return _fit(self._shelf.lookout.look.page("admin/login", values, 200 if error is None else error.status))

    async def _note(self, request: Request, user: str, action: str, outcome: str) -> None:
        if self._managing is not None:
            by = msgspec.structs.replace(self._asker(request), name=f"admin {user}")
            await self._managing.note(by, action, outcome)

    # What all of it shares.

    def _is_login(self, request: Request) -> bool:
        return _path(request) == ("login",)

    def _asker(self, request: Request) -> Asker:
        source = self._entrance.sources.of(request.client, request.raw_headers)
        return Asker(self._entrance.actor_name, id_of(request), source)

    def refusal(self, request: Request, error: ExchangeError) -> tuple[int, Headers, bytes]:
        """Write ``error`` as a page for a browser, which is shown the way to the login; else as JSON."""
        if not _wants_page(request):
            return super().refusal(request, error)
        if error.code == "admin_required" and _navigates(request):
            return 303, [(b"location", b"/admin/login"), (b"cache-control", b"no-store")], b""
        page = self._shelf.lookout.look.page("error", {"error": error, "here": "admin"}, error.status, error.fields())
        answer = _fit(page)
        return answer.status, answer.headers, answer.body


def _path(request: Request) -> tuple[str, ...]:
    return tuple(_text(part) for part in request.postpath or [] if part)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _wants_page(request: Request) -> bool:
    return b"text/html" in (request.header(b"accept") or b"")


def _navigates(request: Request) -> bool:
    """Return whether a person opens a page, who knows of no header fields."""
    return request.header(b"sec-fetch-mode") == b"navigate" and request.header(b"authorization") is None


def _fit(answer: Answer) -> Answer:
    """Return a page whose forms tell where they come from: a browser that says nothing says ``Origin: null``."""
    name = b"referrer-policy"
    headers = [(one, b"same-origin" if one == name else value) for one, value in answer.headers]
    return Answer(answer.status, headers, answer.body)
