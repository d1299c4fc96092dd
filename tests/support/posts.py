"""A stand-in for the client of HTTP: answers posts as a test decides, and keeps them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone


class Response:
    """An answer whose body is ``body``, and then ends or not."""

    def __init__(self, code: int, body: bytes = b"", ends: bool = True) -> None:
        self.code = code
        self.body = body
        self.ends = ends
        self.aborted = 0
        self._producer = self

    def deliverBody(self, protocol: Any) -> None:
        """Hand the body over."""
        protocol.makeConnection(self)
        protocol.dataReceived(self.body)
        if self.ends:
            protocol.connectionLost(Failure(ResponseDone()))

    def abortConnection(self) -> None:
        """Note that nobody wants the rest."""
        self.aborted += 1


def ids_of_records(document: Any) -> list[str]:
    """Return the ids in a post of ``http_batch``."""
    return [record["id"] for record in document]


class Http:
    """Answers each post by ``decide``, which is handed the ids in it: a status, a response, a failure or a Deferred.

    Args:
        ids: Finds them in what was posted.
    """

    def __init__(self, ids: Callable[[Any], list[str]] = ids_of_records) -> None:
        self.posts: list[tuple[str, dict[str, Any], bytes]] = []
        self.decide: Callable[[list[str]], Any] = lambda ids: 200
        self._ids = ids

    def post(self, url: str, **options: Any) -> Deferred[Any]:
        """Take a post."""
        data = options.pop("data")
        if options["headers"].get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        self.posts.append((url, options, data))
        answer = self.decide(self._ids(json.loads(data)))
        if isinstance(answer, int):
            answer = Response(answer)
        return succeed(answer) if isinstance(answer, Response) else answer

    @property
    def documents(self) -> list[Any]:
        """Everything that was posted."""
        return [json.loads(data) for _, _, data in self.posts]

    @property
    def batches(self) -> list[list[str]]:
        """The ids in each post."""
        return [self._ids(document) for document in self.documents]
