"""The change from one release to another: link, units and process, all of them or none.

Each step is undone, the last one first, when a later one fails: the link before the process, so that whoever is started
to take over again is the release before.

This module must not make or remove a release.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from dataclasses import dataclass

from netrunner.install.asking import Asking, Status, last_line
from netrunner.install.checks import split
from netrunner.install.failure import Refused
from netrunner.install.layout import Layout, Release
from netrunner.install.services import LOOK_S, Service, end

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where somebody who listens everywhere is asked."""
_ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Switch:
    """Changes which release serves.

    Args:
        layout: Where releases are.
        service: What looks after the daemon.
        asking: Asks releases.
        patience_s: How long a release may take until it serves.
    """

    layout: Layout
    service: Service
    asking: Asking
    patience_s: float

    def to(self, release: Release, status: Status, serving: Release | None) -> None:
        """Have ``release`` serve in the place of ``serving``, or of nobody.

        Args:
            release: What is to serve.
            status: What it says of the configuration, and who runs.
            serving: The release that serves now.

        Raises:
            Refused: when it does not serve; who served before does so again then.
        """
        linked = self.layout.current
        before = serving or linked
        with contextlib.ExitStack() as undo:
            undo.callback(self._go_back, release, serving)
            undo.callback(self.service.put, before)
            undo.callback(self.layout.link, "current", before)
            self.layout.link("current", release)
            self.service.write(release, status.listen)
            self.service.put(release)
            if serving is None:
                self.service.start(self.patience_s)
            else:
                self._hand_over(serving)
            self._await(release, status)
            release.prove()
            undo.pop_all()
        if before is not None and before.path != release.path:
            self.layout.link("previous", before)

    def _hand_over(self, asked: Release) -> None:
        """Have who serves start what is linked to, and leave it the sockets; ``asked`` knows how to say so."""
        done = self.asking.run(asked, "upgrade", "--config", str(self.asking.config), timeout_s=self.patience_s)
        if done.returncode:
            raise Refused(last_line(done).removeprefix("netrunner: "))

    def _await(self, release: Release, status: Status) -> None:
        """Wait until the release is healthy, and nobody else serves."""
        limit = time.monotonic() + self.patience_s
        told = ""
        while time.monotonic() < limit:
            if not release.processes():
                raise Refused(f"its process has ended; {self.service.log} tells why")
            told = health(status.listen[0], status.host)
            if not told and self._serves(release):
                return
            time.sleep(LOOK_S)
        raise Refused(f"within {self.patience_s:g} s it does not get healthy: {told or 'somebody else serves'}")

    def _serves(self, release: Release) -> bool:
        process = self.asking.status(release).serving
        return process is not None and process["pid"] in release.processes()

    def _go_back(self, release: Release, serving: Release | None) -> None:
        """See that ``serving`` serves, and that nothing of ``release`` runs; link and units are as they were by now."""
        if serving is None:
            with contextlib.suppress(Refused):
                self.service.stop([release], 0.0)
            end([release], 0.0)
            return
        with contextlib.suppress(Refused):
            if not self._serves(serving):
                # It drains already: the new one hands its sockets back, and ends in peace the streams that it has.
                self._hand_over(serving)
                return
        end([release], 0.0)
        if not self._serves(serving):
            # It drains, and has the state folder until its last stream has ended; before that nobody could be served.
            end([serving], 0.0)
            self.service.start(self.patience_s)


def health(name: str, host: str) -> str:
    """Ask for ``/health`` at an address; return why it is not well, nothing if it is."""
    try:
        with contextlib.closing(_connection(name)) as connection:
            connection.request("GET", "/health", headers={"Host": host})
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{name}: {error}"
    return "" if status == 200 else f"GET /health at {name} answers {status}"


def _connection(name: str) -> http.client.HTTPConnection:
    if not name.startswith("unix:"):
        address, port = split(name)
        return http.client.HTTPConnection(_ANY.get(address, address), port, timeout=_ASK_S)
    connection = http.client.HTTPConnection("localhost", timeout=_ASK_S)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(_ASK_S)
    connection.sock.connect(name.removeprefix("unix:"))
    return connection
