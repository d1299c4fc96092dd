"""A real nginx with the shipped ``conf/nginx.conf``, in a folder of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S, ROOT, listening_socket

SNIPPET = ROOT / "conf" / "nginx.conf"

_MAIN = """
worker_processes 1;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/netrunner.conf;
}}
"""


class Nginx:
    """Relays plain HTTP on ``port`` to ``upstream_port``; a context manager. Skips the test where there is no nginx.

    Of the shipped file only addresses, the log's folder and what TLS needs are changed; ``changes`` says what else.
    With a ``certificate`` (a PEM file, its key beside it as ``.key``; both there when it is started) it speaks TLS.
    """

    def __init__(
        self,
        folder: Path,
        upstream_port: int,
        changes: tuple[tuple[str, str], ...] = (),
        certificate: Path | None = None,
    ) -> None:
        self._binary = require_binary("nginx")
        folder.mkdir()
        self._folder = folder
        with listening_socket() as sock:
            self.port: int = sock.getsockname()[1]
        text = SNIPPET.read_text()
        for old, new in (
            ("server 127.0.0.1:8080;", f"server 127.0.0.1:{upstream_port};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port}{' ssl http2' if certificate else ''};"),
            ("/var/log/nginx", str(folder)),
            *changes,
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        if certificate:
            text = text.replace("/etc/ssl/certs/llm.example.com.pem", str(certificate))
            text = text.replace("/etc/ssl/private/llm.example.com.key", str(certificate.with_suffix(".key")))
        else:
            text = re.sub(r"(?m)^ *ssl_certificate.*\n", "", text)
        (folder / "netrunner.conf").write_text(text)
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))

    def __enter__(self) -> Self:
        # It goes into the background as soon as it listens.
        command: list[str | Path] = [
            self._binary,
            "-p",
            self._folder,
            "-c",
            self._folder / "nginx.conf",
            "-e",
            self._folder / "error.log",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        pid = int((self._folder / "nginx.pid").read_text())
        death = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGTERM)
            select.select([death], [], [], PATIENCE_S)
        finally:
            os.close(death)

    def errors(self) -> str:
        """Return what nginx complained about."""
        return (self._folder / "error.log").read_text()
