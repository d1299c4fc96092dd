"""Embeddings asked for and given, as Gemini has them: one content, or a batch of requests for one each.

This module must not know chats.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from netrunner import sse
from netrunner.dialects import answers
from netrunner.dialects.conversation import Asked, Embedding, Written
from netrunner.dialects.fields import Fields, document, invalid
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini import contents, paths
from netrunner.dialects.gemini.failures import stream_error
from netrunner.dialects.gemini.spelling import camelised
from netrunner.dialects.interfaces import IDecoder, IEncoder
from netrunner.events import Event, Start, UsageSeen, Vectors
from netrunner.values import Usage

_PURPOSES = {
    "RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "SEMANTIC_SIMILARITY": "similarity",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
    "QUESTION_ANSWERING": "question",
    "FACT_VERIFICATION": "fact",
    "CODE_RETRIEVAL_QUERY": "code_query",
}
_TASKS = {purpose: task for task, purpose in _PURPOSES.items()}


def read(body: bytes, batch: bool, gaps: Gaps) -> Embedding:
    """Return what is to be embedded.

    Raises:
        BadRequest: naming the field; ``UnsupportedParameter`` for contents that are no texts, and for a batch whose
            requests ask for different things.
    """
    gaps.called("purpose", "taskType")
    gaps.called("dimensions", "outputDimensionality")
    fields = Fields(camelised(document(body)), "", gaps)
    if not batch:
        text, dimensions, purpose = _asked(fields)
        return Embedding(inputs=(text,), single=True, dimensions=dimensions, purpose=purpose)
    if not fields.items("requests"):
        raise invalid("requests", "a list of at least one request")
    inputs: list[str] = []
    alike: set[tuple[int | None, str | None]] = set()
    for request in fields.objects("requests"):
        text, dimensions, purpose = _asked(request)
        inputs.append(text)
        alike.add((dimensions, purpose))
    if len(alike) > 1:
        raise gaps.unsupported("requests", "all have to ask for the same")
    fields.value("model")
    fields.drop_rest()
    [(dimensions, purpose)] = alike
    return Embedding(inputs=tuple(inputs), dimensions=dimensions, purpose=purpose)


def _asked(request: Fields) -> tuple[str, int | None, str | None]:
    """Return the text, dimensions and purpose of one request."""
    content = request.inner("content")
    if content is None:
        raise invalid(request.name("content"), "an object")
    content.value("role")
    text = "\n".join(contents.texts(content))
    holder = request.inner("embedContentConfig") or request
    task, dimensions = holder.text("taskType"), holder.integer("outputDimensionality", 1)
    if task is not None and task not in _PURPOSES and task != "TASK_TYPE_UNSPECIFIED":
        raise invalid(holder.name("taskType"), f"one of {', '.join(_PURPOSES)}")
    request.value("model")
    holder.drop_rest()
    request.drop_rest()
    return text, dimensions, _PURPOSES.get(task or "")


def write(request: Embedding, model: str, gaps: Gaps) -> Written:
    """Return a request for embeddings: of one text if the caller gave one, else a batch."""
    asked: dict[str, Any] = {"model": paths.resource(model)}
    if request.dimensions is not None:
        asked["outputDimensionality"] = request.dimensions
    if request.purpose in _TASKS:
        asked["taskType"] = _TASKS[request.purpose]
    elif request.purpose is not None:
        gaps.drop("purpose")
    if request.user is not None:
        gaps.drop("user")
    written = [{**asked, "content": {"parts": [{"text": text}]}} for text in request.inputs]
    if request.single:
        return Written(paths.path(model, paths.EMBED), sse.compact(written[0]))
    return Written(paths.path(model, paths.BATCH_EMBED), sse.compact({"requests": written}))


@implementer(IDecoder)
class EmbeddingDecoder:
    """Reads an answer with embeddings.

    Args:
        max_bytes: The most that it may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self.complete = False
        self._max = max_bytes
        self._body = bytearray()

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return all events once the answer is here; see ``IDecoder``."""
        if len(self._body) + len(data) > self._max:
            raise answers.too_large()
        self._body += data
        if not last:
            return []
        if not self._body.strip():
            raise answers.truncated()
        native = answers.document(bytes(self._body))
        failed = stream_error(native)
        self.complete = True
        if failed is not None:
            return [failed]
        usage = answers.count(answers.obj(native, "usageMetadata"), "promptTokenCount")
        found = answers.objects(native, "embeddings") or [answers.obj(native, "embedding")]
        events: list[Event] = [Start(), Vectors(vectors=answers.vectors([one.get("values") for one in found]))]
        if usage is not None:
            events.append(UsageSeen(usage=Usage(input_total=usage, output_total=0)))
        return events


@implementer(IEncoder)
class EmbeddingEncoder:
    """Writes an answer with embeddings, in the form that its endpoint has.

    Args:
        asked: What it answers.
    """

    content_type = b"application/json"

    def __init__(self, asked: Asked) -> None:
        self._batch = paths.parsed(asked.endpoint)[1] == paths.BATCH_EMBED
        self._vectors: list[list[float]] | None = None
        self._usage: Usage | None = None

    def write(self, events: list[Event]) -> bytes:
        """Remember what came; see ``IEncoder``."""
        for event in events:
            if isinstance(event, Vectors):
                self._vectors = event.vectors
        self._usage = answers.last_usage(self._usage, events)
        return b""

    def end(self) -> bytes:
        """Return the whole answer.

        Raises:
            UpstreamError: ``upstream_truncated`` if no embedding ever came.
        """
        if not self._vectors:
            raise answers.truncated()
        values = [{"values": vector} for vector in self._vectors]
        written: dict[str, Any] = {"embeddings": values} if self._batch else {"embedding": values[0]}
        if self._usage is not None and self._usage.input_total is not None:
            written["usageMetadata"] = {"promptTokenCount": self._usage.input_total}
        return sse.compact(written)
