"""Real proxies on 127.0.0.1: tinyproxy for HTTP, the same inside haproxy's TLS, microsocks for SOCKS 5; and haproxy
in front of netrunner.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, ROOT, listening_socket

USER, PASSWORD = "me", "pass-word.1"
ESCAPED = "me:pass%2Dword.1"
"""Both, as they stand in a URL."""

_TINYPROXY = """
Listen 127.0.0.1
Port {port}
Allow 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Connect
{credential}
"""
_HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout server 60s
    timeout client 60s
listen tls
    bind 127.0.0.1:{port} ssl crt {certificate}
    server one 127.0.0.1:{behind}
"""


class _Program:
    """One program in the foreground; a context manager that waits until it listens."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]
        self._command: list[str] = []

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            assert self._process.poll() is None, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def told(self) -> str:
        """Return its log."""
        return self._log.read_text(errors="replace")


class Tinyproxy(_Program):
    """A proxy of HTTP.

    Args:
        folder: For its files.
        credential: Whether it asks for ``USER`` and ``PASSWORD``.
    """

    def __init__(self, folder: Path, credential: bool = False) -> None:
        super().__init__(folder / "tinyproxy.log")
        config = folder / "tinyproxy.conf"
        text = f"BasicAuth {USER} {PASSWORD}" if credential else ""
        config.write_text(_TINYPROXY.format(port=self.port, credential=text))
        self._command = [require_binary("tinyproxy"), "-d", "-c", str(config)]


class Tls(_Program):
    """What stands before a proxy and speaks TLS.

    Args:
        folder: For its files.
        certificate: PEM file of certificate and key.
        behind: Port of the proxy.
    """

    def __init__(self, folder: Path, certificate: Path, behind: int) -> None:
        super().__init__(folder / "haproxy.log")
        config = folder / "haproxy.cfg"
        config.write_text(_HAPROXY.format(port=self.port, certificate=certificate, behind=behind))
        self._command = [require_binary("haproxy"), "-db", "-f", str(config)]


class Haproxy(_Program):
    """The shipped ``conf/haproxy.cfg``, with plain HTTP.

    Args:
        folder: For its files.
        servers: Its lines of servers.
    """

    def __init__(self, folder: Path, servers: str) -> None:
        folder.mkdir()
        super().__init__(folder / "haproxy.log")
        text = (ROOT / "conf" / "haproxy.cfg").read_text()
        for old, new in (
            ("bind :443 ssl crt /etc/ssl/private/llm.example.com.pem alpn h2,http/1.1", f"bind 127.0.0.1:{self.port}"),
            ("inter 2s", "inter 100ms"),
            ("    server one 127.0.0.1:8080\n", servers),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        config = folder / "haproxy.cfg"
        config.write_text(text)
        self._command = [require_binary("haproxy"), "-db", "-f", str(config)]


class Microsocks(_Program):
    """A proxy of SOCKS 5.

    Args:
        folder: For its log.
        credential: Whether it asks for ``USER`` and ``PASSWORD``.
    """

    def __init__(self, folder: Path, credential: bool = False) -> None:
        super().__init__(folder / "microsocks.log")
        shown = ["-u", USER, "-P", PASSWORD] if credential else []
        self._command = [require_binary("microsocks"), "-i", "127.0.0.1", "-p", str(self.port), *shown]
