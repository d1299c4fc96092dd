"""GigaChat, version 1: access tokens for a key, one call a turn, and the state that a call belongs to."""

from __future__ import annotations

import email
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from tests.integration.matrix.terms import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, SEAL, Asked, Part, Reply, ToolCall
from tests.integration.matrix.upstreams.server import Answer, Calls, Document, Upstream, known, one_line, one_of, texts

TOKEN = "an-access-token"
FAR_AWAY_MS = 4_000_000_000_000


class GigaChat(Upstream):
    """GigaChat's chat completions and files, and the address where it gives access tokens."""

    name = "gigachat"
    signs = True
    path = "/v1"
    one_call = True

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        """That were sent and not deleted, by their ids."""
        self._sent = 0

    @property
    def config(self) -> str:
        """The settings of the provider, without braces."""
        return f"{super().config}, auth_url: 'http://127.0.0.1:{self.port}/oauth'"

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return what a request gets: an access token, a file's id, or an answer."""
        if path.startswith("/v1/files"):
            told = json.dumps(self._file(path, headers, body)).encode()
            return Answer(200, "application/json", [told])
        if path != "/oauth":
            return super().answer(path, headers, body)
        one_of(headers["authorization"], "Basic sk-matrix")
        one_of(len(headers["rquid"]), 36)
        one_of(parse_qs(body.decode())["scope"], ["GIGACHAT_API_PERS"])
        told = json.dumps({"access_token": TOKEN, "expires_at": FAR_AWAY_MS}).encode()
        return Answer(200, "application/json", [told])

    def _file(self, path: str, headers: Mapping[str, str], body: bytes) -> Document:
        """Keep a file, or delete one; return what is told of it."""
        one_of(headers["authorization"], f"Bearer {TOKEN}")
        if path.endswith("/delete"):
            id = path.split("/")[-2]
            del self.files[id]
            return {"id": id, "deleted": True}
        form: Any = email.message_from_bytes(b"Content-Type: %b\n\n%b" % (headers["content-type"].encode(), body))
        fields = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        one_of(sorted(fields), ["file", "purpose"])
        one_of(fields["purpose"].get_payload(decode=True), b"general")
        one_of(fields["file"].get_content_type(), "image/png")
        data = fields["file"].get_payload(decode=True)
        self._sent += 1
        id = f"file-{self._sent}"
        self.files[id] = data
        told = {"id": id, "object": "file", "bytes": len(data), "created_at": _HEAD["created"]}
        return {**told, "filename": fields["file"].get_filename(), "purpose": "general", "access_policy": "private"}

    def read(self, path: str, headers: Mapping[str, str], body: Document) -> Asked:
        """Return what a request asks for."""
        one_of(path, "/v1/chat/completions")
        one_of(headers["authorization"], f"Bearer {TOKEN}")
        known(
            body,
            *("model", "messages", "stream", "functions", "function_call", "response_format", "reasoning_effort"),
            *("max_tokens", "temperature", "top_p", "n", "repetition_penalty", "update_interval"),
        )
        one_of(body["model"], MODEL)
        functions = [known(one, "name", "description", "parameters") for one in body.get("functions", [])]
        system, parts = _messages(body["messages"], self.files)
        return Asked(
            stream=bool(body.get("stream")),
            system=system,
            parts=parts,
            tools={one["name"]: (one["description"], one["parameters"]) for one in functions},
            schema=_schema(body.get("response_format")),
            thinking="reasoning_effort" in body,
            max_tokens=body.get("max_tokens"),
            temperature=body.get("temperature"),
        )

    def whole(self, reply: Reply) -> Any:
        """Return the answer as one document."""
        message: Document = {"role": "assistant", "content": "".join(reply.words)}
        if reply.thoughts:
            message["reasoning_content"] = "".join(reply.thoughts)
        for call in reply.calls:
            message |= _call(call)
        choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
        return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}

    def events(self, reply: Reply) -> Iterable[bytes]:
        """Return the answer as a stream, event by event."""
        yield _chunk({"role": "assistant", "content": ""})
        for thought in reply.thoughts:
            yield _chunk({"reasoning_content": thought})
        for word in reply.words:
            yield _chunk({"content": word})
        for call in reply.calls:
            yield _chunk({"content": "", **_call(call)})
        yield _chunk({"content": ""}, _finish(reply))
        yield b"data: [DONE]\n\n"

    def failure(self) -> list[bytes]:
        """Return how an error is told in the middle of a stream."""
        return [_chunk({"content": ""}, "error")]

    def refusal(self, status: int, message: str) -> Any:
        """Return the document of an error answer."""
        return {"status": status, "message": message}


_HEAD = {"created": 1_700_000_000, "model": f"{MODEL}:1.0"}
# Two of the tokens were read from the cache: they are counted apart.
_USAGE = {
    "prompt_tokens": INPUT_TOKENS - 2,
    "completion_tokens": OUTPUT_TOKENS,
    "precached_prompt_tokens": 2,
    "total_tokens": INPUT_TOKENS - 2 + OUTPUT_TOKENS,
}


def _finish(reply: Reply) -> str:
    return "function_call" if reply.calls else "stop"


def _call(call: ToolCall) -> Document:
    return {"function_call": {"name": call.name, "arguments": call.arguments}, "functions_state_id": SEAL}


def _chunk(delta: Document, finish: str | None = None) -> bytes:
    choice: Document = {"index": 0, "delta": delta}
    usage: Document = {}
    if finish is not None:
        choice["finish_reason"] = finish
        usage = {"usage": _USAGE}
    document = {**_HEAD, "object": "chat.completion", "choices": [choice], **usage}
    return b"data: %b\n\n" % one_line(document)


# --- reading --------------------------------------------------------------------------------------------------


def _schema(format: Document | None) -> Mapping[str, Any] | None:
    if format is None:
        return None
    one_of(known(format, "type", "schema", "strict")["type"], "json_schema")
    return dict(format["schema"])


def _messages(messages: Iterable[Document], files: Mapping[str, bytes]) -> tuple[str, tuple[Part, ...]]:
    system = ""
    parts: list[Part] = []
    calls = Calls()
    for number, message in enumerate(messages):
        known(message, "role", "content", "name", "function_call", "functions_state_id", "attachments")
        role, content = message["role"], message.get("content", "")
        one_of(type(content), str)
        if role == "system":
            one_of(number, 0)
            system = content
        elif role == "function":
            call = calls.answered(name=message["name"])
            one_of(type(json.loads(content)), dict)
            parts.append(Part(role="user", text=content, result_of=call))
        else:
            calls.all_answered()
            parts.append(Part(role=one_of(role, "user", "assistant"), text=content))
            parts += [Part(role=role, image=files[id]) for id in message.get("attachments", [])]
            if "function_call" in message:
                function = known(message["function_call"], "name", "arguments")
                call = calls.made(ToolCall("", function["name"], function["arguments"]))
                parts.append(Part(role=role, call=call, seal=one_of(message.get("functions_state_id", ""), "", SEAL)))
    calls.all_answered()
    return system, texts(*parts)
