"""The admin pages over a real database without threads, on a site in memory."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from netrunner.http.site import Limits, Site
from netrunner.http.sweep import Sweep
from netrunner.pipeline.live import Live
from netrunner.settings import Secret
from netrunner.web.access import Sources
from netrunner.web.admin.entrance import Entrance
from netrunner.web.admin.pages import Shelf
from netrunner.web.admin.projects import ProjectPages, Rules
from netrunner.web.admin.root import Admin
from netrunner.web.dashboard.lookout import Lookout
from netrunner.web.manage import manage
from netrunner.web.tree import NOTHING, Branch
from tests.support.client import Answer, Client, answers
from tests.support.dashboard import look
from tests.support.reception import Front
from tests.support.shelf import Log
from tests.support.stage import LOOPBACK

ANN, WORD = "ann", "a long word"
TOKEN = "the token of whoever manages"
MANAGE = {"Authorization": f"Bearer {TOKEN}"}
FORM = "application/x-www-form-urlencoded"
BASIC = {"Authorization": f"Basic {base64.b64encode(f'{ANN}:{WORD}'.encode()).decode()}"}


class Desk:
    """An operator's browser, and the pages it asks for.

    Args:
        folder: Holds the database.
        configured: Whether there is a credential.
        managed: Whether there are projects.
    """

    def __init__(self, folder: Path, configured: bool = True, managed: bool = True) -> None:
        self.front = Front(folder)
        self.clock = self.front.clock
        self.lookout = Lookout(Live(), self.clock, look())
        self.log = Log(())
        user, password = (Secret(ANN), Secret(WORD)) if configured else (None, None)
        sources = Sources(["127.0.0.1/32"])
        self.entrance = Entrance(user, password, self.lookout.sessions, self.lookout.tries, sources)
        shelf = Shelf({"mode": "projects"}, lambda: self.log, lambda: [], self.lookout)
        rules = Rules(("up",), 1000)
        pages = ProjectPages(shelf, self.entrance, self.front.reception, self.front.counters, rules)
        root = Branch()
        root.putChild(b"admin", Admin(self.entrance, shelf, pages if managed else None))
        root.putChild(b"manage", manage(Secret(TOKEN), self.front.reception, sources, self.entrance.wrong))
        self.site = Site(root, Sweep(self.clock), Limits(), NOTHING.refusal)
        self.cookie = ""

    def client(self, method: str, path: str, fields: Mapping[str, str] | None = None, body: bytes = b"") -> Client:
        """Return a client that has sent a request, with the cookie that the browser has."""
        sent = {"Host": "localhost", "Accept": "text/html", "Content-Length": str(len(body))}
        sent |= {"Cookie": self.cookie} if self.cookie else {}
        sent |= fields or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        client = Client(self.site, self.clock)
        client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
        client.say(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        self.clock.pump([0] * 5)
        return client

    def ask(self, method: str, path: str, fields: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """Return the answer to a request."""
        (answer,) = answers(self.client(method, path, fields, body).heard(), method.encode())
        return answer

    def get(self, path: str, **fields: str) -> Answer:
        """Return a page."""
        return self.ask("GET", path, fields)

    def post(self, path: str, fields: Mapping[str, str] | None = None, **typed: str) -> Answer:
        """Send a form as it is."""
        return self.ask("POST", path, {"Content-Type": FORM, **(fields or {})}, urlencode(typed).encode())

    def submit(self, path: str, **typed: str) -> Answer:
        """Send the form of a page, with what the page put into it."""
        return self.post(path, None, csrf=self.csrf(path), **typed)

    def csrf(self, path: str = "/admin/") -> str:
        """Return what a form of a page brings along."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).body.decode())
        assert found is not None
        return found[1]

    def log_in(self, password: str = WORD, **fields: str) -> Answer:
        """Log in, and keep the cookie as a browser does."""
        answer = self.post("/admin/login", fields, user=ANN, password=password)
        if b"set-cookie" in answer.headers:
            self.cookie = answer.headers[b"set-cookie"].decode().partition(";")[0]
        return answer

    def audit(self) -> list[dict[str, Any]]:
        """Return the entries of the audit, the newest first."""
        document: dict[str, Any] = json.loads(self.ask("GET", "/admin/audit", {**BASIC, "Accept": "*/*"}).body)
        rows: list[dict[str, Any]] = document["data"]
        return rows

    def close(self) -> None:
        """Let go of the database."""
        self.lookout.close()
        self.front.close()
