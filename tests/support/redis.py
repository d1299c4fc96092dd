"""A real Redis from the system's packages, on a free port, that keeps nothing on disk."""

from __future__ import annotations

import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from netrunner.limits.scripts import Script
from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, listening_socket

_SHIFT = """
for _, key in ipairs(redis.call('KEYS', 'netrunner:limits:*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if name == 'g' or name:sub(-2) == ':o' then redis.call('HINCRBY', key, name, -ARGV[1]) end
    end
  else
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], id) end
  end
end
"""


class RedisRefused(Exception):
    """The server's own words."""


class RedisServer:
    """One server on 127.0.0.1; a context manager. Skips the test where there is no Redis.

    Args:
        password: What clients have to say; none by default.
    """

    def __init__(self, password: str = "") -> None:
        self._program = require_binary("redis-server")
        self._password = password
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="netrunner-redis-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        """Where it is."""
        user = f":{quote(self._password)}@" if self._password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self._folder.name}"
        secret = ["--requirepass", self._password] if self._password else []
        self._process = subprocess.Popen(
            [self._program, *arguments.split(), "--save", "", *secret],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None
            assert time.monotonic() < limit
            try:
                self.ask("PING")
                return
            except (OSError, RedisRefused):
                select.select([], [], [], 0.01)

    def kill(self) -> None:
        """End it at once, and with it all that it knows."""
        self._process.kill()
        self._process.wait()

    def ask(self, *command: object) -> Any:
        """Return the answer to a command; an error is raised as ``RedisRefused``."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as client, client.makefile("rb") as reader:
            if self._password:
                client.sendall(_command("AUTH", self._password))
                _read(reader)
            client.sendall(_command(*command))
            return _read(reader)

    def flush(self) -> None:
        """Forget everything, scripts too."""
        self.ask("FLUSHALL")
        self.ask("SCRIPT", "FLUSH")

    def age(self, seconds: float) -> None:
        """Make everything that limits count so much older."""
        self.ask("EVAL", _SHIFT, 0, round(seconds * 1e6))


class Dialled:
    """A ``Redis`` that asks a server at once, and makes a test wait for nothing."""

    available = True

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def start(self) -> None:
        """Nothing is kept open."""

    stop = start

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        """Run a script."""
        return self._server.ask("EVAL", script.text, len(keys), *keys, *arguments)


def _command(*command: object) -> bytes:
    words = [str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _read(reader: BinaryIO) -> Any:
    """Return the next value of the protocol RESP."""
    line = reader.readline().removesuffix(b"\r\n")
    kind, value = line[:1], line[1:]
    if kind == b"-":
        raise RedisRefused(value.decode())
    if kind == b"*":
        return [_read(reader) for _ in range(int(value))]
    if kind == b"$":
        return None if value == b"-1" else reader.read(int(value) + 2)[:-2]
    return int(value) if kind == b":" else value
