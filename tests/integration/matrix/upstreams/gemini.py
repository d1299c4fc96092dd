"""``generateContent`` as Gemini serves it: whole calls without ids, and a signature on what comes after thoughts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tests.integration.matrix.terms import (
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    RETRY_AFTER_S,
    SEAL,
    Asked,
    Part,
    Reply,
    ToolCall,
)
from tests.integration.matrix.upstreams.server import Calls, Document, Upstream, Wrong, known, one_of, texts

_UNDERSCORE = re.compile("_([a-z])")
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
UNSIGNED = "skip_thought_signature_validator"
"""What Gemini takes for the signature of a call that has none."""


class Gemini(Upstream):
    """Gemini's native API."""

    name = "gemini"
    signs = True
    path = "/v1beta"
    retry_after: ClassVar[Mapping[str, str]] = {}

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        version, _, method = path.partition(f"/models/{MODEL}:")
        one_of(version, "/v1beta", "/v1")
        stream = one_of(method, "generateContent", "streamGenerateContent?alt=sse") != "generateContent"
        one_of(headers["x-goog-api-key"], "sk-matrix")
        body = _known(body, "contents", "systemInstruction", "tools", "toolConfig", "generationConfig")
        config = _known(
            body.get("generationConfig", {}),
            *("temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "candidateCount"),
            *("responseMimeType", "responseJsonSchema", "thinkingConfig"),
        )
        if "responseJsonSchema" in config:
            one_of(config.get("responseMimeType"), "application/json")
        thinking = _known(config.get("thinkingConfig", {}), "includeThoughts", "thinkingBudget", "thinkingLevel")
        one_of(thinking.get("thinkingLevel", "LOW").upper(), *_LEVELS)
        if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
            raise Wrong("a budget and a level of thinking")
        system = _known(body.get("systemInstruction", {"parts": []}), "parts", "role")
        return Asked(
            stream=stream,
            system="\n".join(part["text"] for part in system["parts"]),
            parts=_contents(body["contents"]),
            tools=_tools(body.get("tools", [])),
            schema=config.get("responseJsonSchema"),
            thinking=bool(thinking) and thinking.get("thinkingBudget") != 0,
            max_tokens=config.get("maxOutputTokens"),
            temperature=config.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        parts = list(_parts(reply, ("".join(reply.thoughts),), ("".join(reply.words),)))
        return _document(parts, "STOP")

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event; the finish comes after everything."""
        for part in _parts(reply, reply.thoughts, reply.words):
            yield _event(_document([part]))
        yield _event(_document([{"text": ""}], "STOP"))

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream: no event, and on several lines."""
        return [json.dumps(self.refusal(503, "It broke."), indent=2).encode() + b"\n"]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        name = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}[status]
        error: Document = {"code": status, "message": message, "status": name}
        if status == 429:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{RETRY_AFTER_S}s"}
            error["details"] = [retry]
        return {"error": error}


_USAGE = {
    "promptTokenCount": INPUT_TOKENS,
    "candidatesTokenCount": OUTPUT_TOKENS - 3,
    "thoughtsTokenCount": 3,
    "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _parts(reply: Reply, thoughts: tuple[str, ...], words: tuple[str, ...]) -> Iterable[Document]:
    for thought in filter(None, thoughts):
        yield {"text": thought, "thought": True}
    sealed: Document = {"thoughtSignature": SEAL} if reply.thoughts else {}
    for word in filter(None, words):
        yield {"text": word}
    for call in reply.calls:
        yield {"functionCall": {"name": call.name, "args": call.arguments}, **sealed}
        sealed = {}  # Of several calls the first one is signed.
    if sealed:
        yield {"text": "", **sealed}


def _document(parts: list[Document], finish: str | None = None) -> Document:
    candidate: Document = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": _USAGE, "modelVersion": MODEL, "responseId": "r1"}


def _event(document: Document) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(document, ensure_ascii=False).encode()


# --- reading --------------------------------------------------------------------------------------------------


def _known(document: Document, *names: str) -> Document:
    """Return a document's fields in camelCase; the SDK writes some of them otherwise, and Gemini reads either."""
    return known({_UNDERSCORE.sub(lambda found: found[1].upper(), name): document[name] for name in document}, *names)


def _decoded(data: str) -> bytes:
    """Return what base64 says, in either alphabet: the SDK writes the one, everybody else the other."""
    return base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)


def _tools(tools: Iterable[Document]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    declared = [one for tool in tools for one in _known(tool, "functionDeclarations")["functionDeclarations"]]
    functions = [_known(one, "name", "description", "parametersJsonSchema") for one in declared]
    return {one["name"]: (one["description"], one["parametersJsonSchema"]) for one in functions}


def _contents(contents: list[Document]) -> tuple[Part, ...]:
    parts: list[Part] = []
    calls = Calls()
    for content in contents:
        role = {"user": "user", "model": "assistant"}[_known(content, "role", "parts")["role"]]
        if not content["parts"]:
            raise Wrong("a content without parts")
        if role == "assistant":
            calls.all_answered()
        parts += [_part(role, part, calls) for part in content["parts"]]
    calls.all_answered()
    return texts(*parts)


def _part(role: Any, part: Document, calls: Calls) -> Part:
    part = _known(part, "text", "thought", "thoughtSignature", "inlineData", "functionCall", "functionResponse")
    seal = part.get("thoughtSignature", "")
    if seal and seal != UNSIGNED:
        one_of((role, _decoded(seal)), ("assistant", _decoded(SEAL)))
        seal = SEAL
    if "functionCall" in part:
        call = _known(part["functionCall"], "id", "name", "args")
        return Part(role=role, seal=seal, call=calls.made(ToolCall(call.get("id", ""), call["name"], call["args"])))
    if "functionResponse" in part:
        response = _known(part["functionResponse"], "id", "name", "response")
        called = calls.answered(id=response.get("id"), name=response["name"])
        told = _known(response["response"], "output", "result", "error")
        return Part(role=role, text="".join(told.values()), result_of=called)
    if "inlineData" in part:
        data = _known(part["inlineData"], "mimeType", "data")
        one_of(data["mimeType"], "image/png")
        return Part(role=role, image=_decoded(data["data"]))
    if part.get("thought"):
        return Part(role=role, thought=part["text"], seal=seal)
    return Part(role=role, text=part["text"], seal=seal)
