"""Scanners of other projects, sqlmap and wapiti, which attack a server of this machine and reach no other.

Each is a program in Python, and is started with a module of ours that refuses every connection which leaves loopback,
and tells of it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.binaries import require_binary

LIMIT_S = 1800.0
"""Seconds for the longest scan; whoever takes longer has failed."""
MARK = "*"
"""Stands in a request behind each value that sqlmap is to change."""

_FENCE = """
import sys

def look(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else "localhost"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0] or "localhost"
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in ("localhost", "127.0.0.1", "::1"):
        with open({told!r}, "a") as told:
            told.write(f"{{event}} {{host}}\\n")
        raise PermissionError(host)

sys.addaudithook(look)
"""
"""Python imports a module of the name ``sitecustomize`` before anything else."""


class Attack(NamedTuple):
    """A request that is complete and right; each value that is to be changed has ``MARK`` behind it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str | None = None

    def text(self, port: int) -> str:
        """Return it as it goes to a port of this machine."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([*lines, "", self.body or ""])

    def plain(self, port: int) -> str:
        """Return it without marks, as clients send it."""
        body = (self.body or "").replace(MARK, "")
        headers = {name: value.replace(MARK, "") for name, value in self.headers.items()}
        whole = Attack(self.method, self.target.replace(MARK, ""), {**headers, "Content-Length": str(len(body))}, body)
        return whole.text(port).replace("\n", "\r\n", len(whole.headers) + 3)


class Scanned(NamedTuple):
    """What came of a scan by sqlmap."""

    injectable: list[str]
    """Which parameters of which path."""
    statuses: Counter[int]
    """Of the answers."""
    places: int
    """Values that were changed, one after the other."""


class Fenced:
    """Starts scanners.

    Args:
        folder: For all of their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told = folder / "left-loopback"
        self._fence = folder / "fence"
        self._fence.mkdir()
        (self._fence / "sitecustomize.py").write_text(_FENCE.format(told=str(self._told)))

    def strays(self) -> list[str]:
        """Return what they wanted of other machines."""
        return self._told.read_text().splitlines() if self._told.exists() else []

    def _run(self, folder: Path, name: str, *arguments: str) -> str:
        """Run one that has a folder; return what it says."""
        program = require_binary(name)
        folder.mkdir()
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(self._fence)}
        with (folder / "said").open("wb") as said:
            ended = subprocess.run(
                [program, *arguments],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=LIMIT_S,
                check=False,
            )
        told = (folder / "said").read_text(errors="replace")
        assert ended.returncode == 0, told[-5000:]
        return told

    def sqlmap(self, name: str, attacks: Iterable[tuple[int, Attack]], *options: str) -> Scanned:
        """Have sqlmap look for injections in requests to ports of this machine; ``name`` is that of the scan."""
        folder = self._folder / name
        requests, results, traffic = (folder.with_suffix(f".{one}") for one in ("requests", "csv", "traffic"))
        line = "=" * 54
        requests.write_text("".join(f"{line}\n{attack.text(port)}\n{line}\n\n" for port, attack in attacks))
        said = self._run(
            folder,
            "sqlmap",
            *("-l", str(requests), "--results-file", str(results), "-t", str(traffic), "--output-dir", str(folder)),
            *("--batch", "--ignore-stdin", "--disable-coloring", "--skip-waf", "--ignore-proxy", "--ignore-redirects"),
            *("--ignore-code", "*", *options),
        )
        rows = list(csv.DictReader(results.read_text().splitlines()))
        # What it takes back when it tries to make use of it is an answer that depends on what was asked, as echoes do.
        rows = [row for row in rows if row["Parameter"] and "false positive" not in row["Note(s)"]]
        found = [f"{urlsplit(row['Target URL']).path} {row['Parameter']}" for row in rows]
        statuses = re.findall(r"^HTTP response \[#\d+\] \((\d+) ", traffic.read_text(errors="replace"), re.MULTILINE)
        return Scanned(found, Counter(map(int, statuses)), said.count("testing for SQL injection on"))

    def wapiti(self, name: str, url: str, starts: Iterable[str], modules: Iterable[str], *options: str) -> Any:
        """Have wapiti look for what it knows in the pages at, and below, ``url``; return its report."""
        folder = self._folder / name
        report, ours = folder.with_suffix(".json"), folder.with_suffix(".config")
        ours.mkdir()
        # Where it is missing it is fetched from elsewhere, for a module that is not even run.
        (ours / "apps.json").write_text("{}")
        said = self._run(
            folder,
            "wapiti",
            *("-u", url, *(part for start in starts for part in ("-s", start))),
            *("-m", ",".join(modules), "-f", "json", "-o", str(report), "--no-bugreport"),
            *("--store-session", str(folder), "--store-config", str(ours), *options),
        )
        assert not re.search("Max attack time was reached|Traceback", said), said
        return json.loads(report.read_text())


def findings(report: Any, kind: str = "vulnerabilities") -> dict[str, list[str]]:
    """Return what a report of wapiti names, by category."""
    return {
        category: sorted({f"{one['method']} {one['path']} {one['parameter']}: {one['info']}" for one in found})
        for category, found in report[kind].items()
        if found
    }


class Leaky(ThreadingHTTPServer):
    """Has something to be found: one page takes a number for SQL, another one a name for HTML."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.executescript("CREATE TABLE items (id INTEGER, name TEXT); INSERT INTO items VALUES (7, 'seven')")
        self.lock = threading.Lock()

    def __enter__(self) -> Leaky:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        self.database.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scanner that hangs up is no error."""


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Leaky

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/item":
            told = self._found(asked.get("id", [""])[-1])
        elif path == "/hello":
            told = f"Hello {asked.get('name', [''])[-1]}"
        else:
            told = '<a href="/item?id=7">seven</a> <a href="/hello?name=you">hello</a>'
        body = f"<html><body>{told}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _found(self, id: str) -> str:
        try:
            with self.server.lock:
                rows = self.server.database.execute(f"SELECT name FROM items WHERE id = {id}").fetchall()
        except sqlite3.Error as error:
            return escape(f"sqlite3.{type(error).__name__}: {error}")
        return escape(str(rows))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
