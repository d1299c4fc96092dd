"""An event filter in a real daemon, as a client sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.daemon import ECHO, Daemon
from tests.support.sdk import client, said

CONFIG = f"{ECHO}filters: [{{type: strip_thinking}}]\n"


def ask(daemon: Daemon, orders: str, path: str = "/v1/chat/completions", **more: Any) -> tuple[dict[str, str], bytes]:
    turn = {"role": "user", "content": f"/echo {orders}"}
    status, headers, body = daemon.request("POST", path, {"model": "echo", "messages": [turn], **more})
    assert status == 200
    return headers, body


def test_strip_thinking_takes_the_thoughts_of_echo_out_of_streams_and_answers(tmp_path: Path) -> None:
    with Daemon(tmp_path / "plain") as daemon:
        unfiltered = ask(daemon, "think Hello <you>")[1]
        assert b"<think>" in unfiltered
        before = ask(daemon, "Hello <you>", stream=True, stream_options={"include_usage": True})[1]
    with Daemon(tmp_path / "stripping", CONFIG) as daemon:
        headers, whole = ask(daemon, "think Hello <you>")
        assert headers["content-length"] == str(len(whole))
        content = json.loads(whole)["choices"][0]["message"]["content"]
        assert content.strip() == "Hello <you>"
        headers, body = ask(daemon, "think Hello <you>", stream=True, stream_options={"include_usage": True})
        assert headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]
        text = "".join(choice["delta"].get("content") or "" for one in events for choice in one["choices"])
        assert text == content
        assert [choice["finish_reason"] for one in events for choice in one["choices"]][-1] == "stop"
        assert events[-1]["usage"]["completion_tokens"] > 0
        assert body.endswith(b"data: [DONE]\n\n")
        assert b"think>" not in body
        same = ask(daemon, "Hello <you>", stream=True, stream_options={"include_usage": True})[1]
        assert [len(line) for line in same.split(b"\n\n")] == [len(line) for line in before.split(b"\n\n")]


def test_an_endpoint_that_strip_thinking_cannot_see_is_refused(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG) as daemon:
        status, _, body = daemon.request("POST", "/v1/images/edits", {"model": "echo", "prompt": "Hello"})
        assert (status, json.loads(body)["error"]["code"]) == (501, "filter_unsupported")
        assert daemon.request("POST", "/v1/embeddings", {"model": "echo", "input": "Hello"})[0] == 200
        assert daemon.request("GET", "/v1/models")[0] == 200


def test_responses_are_filtered_as_chats_are(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG) as daemon, client(daemon.port) as sdk:
        assert sdk.responses.create(model="echo", input="/echo think Hello you").output_text.strip() == "Hello you"


def test_the_official_client_puts_a_filtered_stream_together(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG) as daemon, client(daemon.port) as sdk:
        with sdk.chat.completions.stream(model="echo", messages=said("/echo think Hello you"), n=2) as stream:
            answer = stream.get_final_completion()
        assert [choice.message.content.strip() for choice in answer.choices] == ["Hello you"] * 2
        assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 2
        tools = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {}}}}]
        with sdk.chat.completions.stream(model="echo", messages=said("/echo tools Hello"), tools=tools) as stream:
            (call,) = stream.get_final_completion().choices[0].message.tool_calls
        assert call.function.name == "get"
        completion = sdk.completions.create(model="echo", prompt="/echo think Hello you", stream=True)
        assert "".join(chunk.choices[0].text for chunk in completion).strip() == "Hello you"
