"""The npm package ``@copilotkit/aimock``: a provider that nobody here has written, of every dialect at one port."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.node import FOLDER, NODE, require_packages

PACKAGE = "@copilotkit/aimock"
_LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")


class Aimock:
    """One server; a context manager. Tests that ask for it are skipped where the package is not installed.

    Args:
        folder: Where its script is written.
        fixtures: What it answers to what; the first that matches.
    """

    def __init__(self, folder: Path, fixtures: Sequence[Mapping[str, Any]]) -> None:
        require_packages([PACKAGE])
        self._fixtures = folder / "fixtures.json"
        self._fixtures.write_text(json.dumps({"fixtures": fixtures}))

    def __enter__(self) -> Self:
        script = FOLDER / "node_modules" / PACKAGE / "dist" / "cli.js"
        self._process = subprocess.Popen(
            [NODE, script, "-p", "0", "-f", self._fixtures], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        said = b""
        while (found := _LISTENING.search(said)) is None:
            line = self._process.stdout.readline()
            assert line, said.decode()
            said += line
        self.port = int(found[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def journal(self) -> list[Any]:
        """Return what it was asked since it was asked for this last, path and body among it."""
        with self._own("GET", "/__aimock/journal") as answer:
            asked: list[Any] = json.load(answer)
        self._own("POST", "/__aimock/reset/journal").close()
        return asked

    def _own(self, method: str, path: str) -> Any:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30)
