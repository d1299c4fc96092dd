"""A provider that counts what it is asked, and answers each request as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


class Counting:
    """A provider on a port of its own; a context manager that serves in threads.

    Args:
        status: Returns the status of the answer to the request of that number, from 0; 0 breaks the connection off.
    """

    def __init__(self, status: Callable[[int], int]) -> None:
        self.status = status
        self.posts = 0
        self.looks = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.looks += 1
                self._answer(200, {"object": "list", "data": []})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                with outer._lock:
                    number, outer.posts = outer.posts, outer.posts + 1
                status = outer.status(number)
                if status:
                    self._answer(status, ANSWER if status == 200 else {"error": {"message": "no"}})
                else:
                    self.close_connection = True

            def _answer(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address, up to the endpoint."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
