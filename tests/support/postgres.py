"""A real PostgreSQL from the system's packages, in a folder of its own, without any safety that costs time."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, listening_socket

# What is committed survives the server's death all the same; only the machine's would cost something.
_UNSAFE = "-c fsync=off -c full_page_writes=off -c max_connections=20 -c shared_buffers=16MB"


class Postgres:
    """One server on 127.0.0.1; a context manager. Skips the test where there is no PostgreSQL.

    A superuser cannot run it: then it belongs to the system's user ``postgres`` or ``nobody``.
    """

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._databases = 0
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]

    def __enter__(self) -> Self:
        # Not below pytest's folders: those are for their owner alone, who here is another.
        self._folder = Path(tempfile.mkdtemp(prefix="netrunner-postgres-"))
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "netrunner", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        """Where its first database is."""
        return f"postgresql://netrunner@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it serves."""
        options = f"{_UNSAFE} -c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories=''"
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """Stop it as after a crash: nobody is waited for."""
        self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        """Cut every connection at once and start again."""
        self._control("restart", "-m", "immediate", "-l", str(self._folder / "log"))

    def database(self) -> str:
        """Make a new empty database; return its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "netrunner", name)
        return f"postgresql://netrunner@127.0.0.1:{self.port}/{name}"

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-t", str(int(PATIENCE_S)), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        user = _unprivileged() if os.geteuid() == 0 else None
        # Output goes to a file: the server inherits it, and nobody would ever see a pipe's end.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                timeout=PATIENCE_S * 3,
                check=False,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user for it")


def _binaries() -> Path:
    """Return the folder of the newest version there is; Debian keeps each in its own, out of the way."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return Path(found[-1]).parent if found else Path(require_binary("initdb")).parent
