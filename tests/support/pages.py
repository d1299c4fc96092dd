"""Pages that are followed as a reader would: files are written, commands are typed, answers are compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.daemon import PATIENCE_S, ROOT, Daemon

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = "twistd -n netrunner --config netrunner.yaml\n"
RELOAD = "kill -HUP $(cat twistd.pid)"
PIDFILE = ("--pidfile=twistd.pid",)
"""Options of twistd for the daemon of a reader: where it writes its process id unless it is told otherwise."""

_KEEP = "{ export -p; declare -f; } >.shell"
"""Of a shell that ends: what the next one begins with."""


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return language and text of each fenced block of a page, in order."""
    return BLOCK.findall(path.read_text())


class Reader:
    """Follows pages, one after the other, with a daemon that runs in its folder.

    A block in ``sh`` is run there, all of it has to succeed, and a ``text`` behind it is what it prints, ``...`` being
    anything. A block of another language whose first line is a comment with a name is a file of that name, and
    ``netrunner.yaml`` the daemon's, which takes it into use when it is told to. What else a page shows is passed over.

    Args:
        daemon: Runs with ``PIDFILE``; its state folder is ``var`` in its folder.
        environ: What the reader's shell has besides, and keeps over all blocks of a page.
        changes: What stands elsewhere here than the page says, and where.
    """

    def __init__(self, daemon: Daemon, environ: Mapping[str, str], changes: Mapping[str, str]) -> None:
        self._daemon = daemon
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environ}
        self._changes = {"127.0.0.1:8080": f"127.0.0.1:{daemon.port}", **changes}

    def follow(self, page: Path, passed_over: tuple[str, ...] = ()) -> int:
        """Do what a page says but for the blocks ``passed_over``; return how many of its blocks were run."""
        return sum(1 for _ in self.steps(page, passed_over))

    def steps(self, page: Path, passed_over: tuple[str, ...] = ()) -> Iterator[str]:
        """Do the same, and yield each block before it is run."""
        self._clear()
        told = None
        for language, text in blocks(page):
            if language == "sh" and text not in passed_over:
                yield text
                told = self._type(text)
            elif language == "text":
                assert told is not None, f"nothing was run before {text!r}"
                pattern = r".*?".join(map(re.escape, text.strip().split("...")))
                assert re.fullmatch(pattern, told.strip(), re.DOTALL), told
                told = None
            elif name := re.match(r"# (\S+\.\w+)\n", text):
                self._save(name[1], text)

    def _clear(self) -> None:
        """Leave nothing of another page."""
        for path in self._daemon.folder.iterdir():
            if path not in {self._daemon.state, self._daemon.log_path, self._daemon.folder / "twistd.pid"}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _save(self, name: str, text: str) -> None:
        text = self._changed(text)
        if name == "netrunner.yaml":
            self._daemon.write_config(re.sub(r"(?m)^(listen: tcp:|state: ).*\n", "", text))
        else:
            (self._daemon.folder / name).write_text(text)

    def _changed(self, text: str) -> str:
        for old, new in self._changes.items():
            text = text.replace(old, new)
        return text

    def _type(self, text: str) -> str:
        """Run a block; return what it printed. It must neither fail nor complain."""
        if text == START:
            self._daemon.control("reload")
            return ""
        reloads = self._reloads()
        script = f"set -aeo pipefail; [ ! -e .shell ] || . ./.shell\n{self._changed(text)}\n{_KEEP}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._daemon.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{text}\n{done.stdout}\n{done.stderr}\n{self._daemon.log()}"
        if RELOAD in text:
            self._daemon.wait_for(lambda: self._reloads() > reloads)
            # Whoever types is slower than a database that is opened.
            headers = {"Authorization": f"Bearer {self._environ.get('MANAGEMENT_TOKEN')}"}
            self._daemon.wait_for(lambda: self._daemon.request("GET", "/manage/projects", None, headers)[0] != 503)
        return done.stdout

    def _reloads(self) -> int:
        log = self._daemon.log()
        assert "not reloaded" not in log, log
        return log.count("configuration reloaded")
