"""A collector of OpenTelemetry's traces over OTLP/HTTP, on loopback, in a thread of its own."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

PATIENCE_S = 60.0


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as a mapping of plain values."""
    return {one.key: _plain(one.value) for one in attributes if isinstance(one, KeyValue)}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value") or ""
    found = getattr(value, kind)
    return [_plain(one) for one in found.values] if kind == "array_value" else found


def spans_in(body: bytes) -> list[Any]:
    """Return the spans of one export."""
    export = ExportTraceServiceRequest.FromString(body)
    return [span for resource in export.resource_spans for scope in resource.scope_spans for span in scope.spans]


class Collector:
    """Takes exports; a context manager."""

    def __init__(self) -> None:
        self.exports: list[ExportTraceServiceRequest] = []
        self.heads: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.visits: list[dict[str, str]] = []
        """Fields of each GET: it can be an upstream as well."""
        self.statuses: list[int] = []
        """Of the next answers, one each; then all is well."""
        self._more = threading.Condition()
        collector = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                status = collector.take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                collector.visits.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def take(self, head: dict[str, str], body: bytes) -> int:
        """Keep an export, unless it is to be refused; return the status it is answered with."""
        with self._more:
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.heads.append(head)
                self.exports.append(ExportTraceServiceRequest.FromString(body))
                self.spans += spans_in(body)
                self._more.notify_all()
            return status

    def wait_for(self, count: int) -> list[Any]:
        """Return the spans that came, once there are ``count`` of them."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.spans) >= count, PATIENCE_S)
            return list(self.spans)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
