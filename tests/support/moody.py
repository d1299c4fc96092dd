"""A receiver of batches whose mood changes while it is posted to: in threads, or as a process of its own.

``python -m tests.support.moody`` tells its port, then answers each line that it is told with a line of JSON: a mood,
which it takes on, or an empty one with its ``Count``, and ``tell`` with the ids of all that it owns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from tests.support.daemon import ROOT

GIVES_UP_S = 30.0
"""After which a request that nobody answers is let go of, if its client has not done so."""


class Mood(StrEnum):
    """What becomes of a batch."""

    WELL = "well"
    """It is taken: answered with 200."""
    REFUSES = "refuse"
    """Nobody listens."""
    HANGS = "hang"
    """It is read and never answered."""
    FAILS = "500"
    BUSY = "429"
    SLOW = "slow"
    """It is taken, after a while."""
    DROPS = "200-then-drop"
    """One in two is answered with 200 and forgotten, the others are read and their connection is closed."""


class Count(NamedTuple):
    """What has come so far."""

    batches: int
    """However they were answered."""
    seen: int
    """Records in them; one that comes again counts again."""
    owned: int
    """Records in batches that were answered with 200: they are the receiver's to keep from then on."""


class MoodyReceiver:
    """Takes batches as its mood is; a context manager.

    Args:
        port: Where it listens; a free one if 0.
        slow_s: How long a slow answer takes.
    """

    def __init__(self, port: int = 0, slow_s: float = 3.0) -> None:
        self.mood = Mood.WELL
        self.owned: list[str] = []
        """Ids of records, as often as they were answered with 200."""
        self._batches = self._seen = 0
        self._slow_s = slow_s
        self._over = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: object) -> None:
                """Tell nobody."""

        self._kind = Answer
        self._server: ThreadingHTTPServer | None = ThreadingHTTPServer(("127.0.0.1", port), Answer)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._close()

    @property
    def count(self) -> Count:
        """What has come so far."""
        with self._lock:
            return Count(self._batches, self._seen, len(self.owned))

    def become(self, mood: Mood) -> None:
        """Change the mood."""
        self.mood = mood
        if mood is Mood.REFUSES:
            self._close()
        elif self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._kind)
            self._serve()

    def _serve(self) -> None:
        assert self._server is not None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            # Those that hang are not waited for.
            server.socket.close()

    def _answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["content-length"]))
        ids = [one["id"] for one in json.loads(body)]
        with self._lock:
            self._batches += 1
            self._seen += len(ids)
            mood, number = self.mood, self._batches
        if mood is Mood.HANGS:
            self._over.wait(GIVES_UP_S)
        elif mood in (Mood.FAILS, Mood.BUSY):
            self._say(asked, int(mood))
        elif mood is not Mood.DROPS or number % 2 == 0:
            self._over.wait(self._slow_s if mood is Mood.SLOW else 0)
            with self._lock:
                self.owned += ids
            self._say(asked, 200)

    def _say(self, asked: BaseHTTPRequestHandler, status: int) -> None:
        asked.send_response(status)
        asked.send_header("Content-Length", "0")
        asked.end_headers()


class MoodyProcess:
    """Such a receiver in a process of its own, so that it shares no interpreter with a load; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.moody"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        # It ends with what it reads.
        self._process.communicate(timeout=GIVES_UP_S)

    @property
    def count(self) -> Count:
        """What has come so far."""
        return Count(*self._ask(""))

    @property
    def owned(self) -> Counter[str]:
        """Ids of records, as often as they were answered with 200."""
        return Counter(self._ask("tell"))

    def become(self, mood: Mood) -> None:
        """Change the mood."""
        self._ask(mood)

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def _run() -> None:
    with MoodyReceiver() as receiver:
        print(receiver.port, flush=True)  # noqa: T201 - told to who started it
        for line in sys.stdin:
            asked = line.strip()
            if asked in list(Mood):
                receiver.become(Mood(asked))
            print(json.dumps(receiver.owned if asked == "tell" else receiver.count), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    _run()
