"""A provider's answer that breaks off at any byte of what is on the wire (row 16)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.crowd import Figures, idle
from tests.support.daemon import Daemon
from tests.support.dialogue import ANSWER, END_OF_BODY, STREAM_HEAD, Provider, chat, dial, event, whole

pytestmark = pytest.mark.integration
STREAM = STREAM_HEAD + b"".join(event(f"number {number}") for number in range(17)) + event("[DONE]") + END_OF_BODY
WHOLE = whole(ANSWER.replace(b"Hello", b"a" * 1900))


def dechunked(data: bytes) -> bytes:
    """Return the body in ``data``, which may be cut anywhere."""
    body = b""
    while found := re.match(rb"([0-9a-f]+)\r\n", data):
        size = int(found[1], 16)
        body += data[found.end() : found.end() + size]
        data = data[found.end() + size + 2 :]
    return body


def code_of(error: bytes) -> str:
    return str(json.loads(error)["error"]["code"])


def assert_cut_stream(told: bytes, sent: bytes) -> str:
    """Require every byte that came, the error, and no end; return the outcome that is to be recorded."""
    head, _, body = told.partition(b"\r\n\r\n")
    came = dechunked(sent.partition(b"\r\n\r\n")[2])
    if b"\n\n" not in came:
        assert head.startswith(b"HTTP/1.1 502 ")
        assert code_of(body) in {"upstream_truncated", "upstream_connection_failed"}
        return "upstream_failed"
    heard = dechunked(body)
    assert heard.startswith(came)
    assert code_of(heard[len(came) :].strip().removeprefix(b"data: ")) == "upstream_truncated"
    assert not told.endswith(END_OF_BODY)
    return "upstream_truncated"


def assert_cut_whole(told: bytes, sent: bytes) -> str:
    """Likewise, of an answer with a length, whose head is passed on as soon as it is there."""
    head, _, body = told.partition(b"\r\n\r\n")
    if b"\r\n\r\n" not in sent:
        assert head.startswith(b"HTTP/1.1 502 ")
        assert code_of(body) in {"upstream_truncated", "upstream_connection_failed"}
        return "upstream_failed"
    came = sent.partition(b"\r\n\r\n")[2]
    assert body == came
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None
    assert int(length[1]) > len(body)
    return "upstream_truncated"


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.torture)])
@pytest.mark.parametrize("answer", [STREAM, WHOLE], ids=["stream", "whole"])
def test_an_answer_cut_at_any_byte_gives_what_came_and_never_looks_complete(
    tmp_path: Path, answer: bytes, every: int, figures: Figures
) -> None:
    expected = []
    with Provider() as provider:
        sinks = f"sinks: [{{type: jsonl, path: {json.dumps(str(tmp_path / 'records'))}}}]\n"
        with Daemon(tmp_path, provider.config + sinks) as daemon:
            for cut in range(0, len(answer), every):
                with dial(daemon.port) as client:
                    client.send(chat("Connection: close", stream=answer is STREAM))
                    with provider.accept() as upstream:
                        upstream.message()
                        upstream.send(answer[:cut])
                    told = client.rest()
                    check = assert_cut_stream if answer is STREAM else assert_cut_whole
                    expected.append(check(told, answer[:cut]))
            daemon.wait_for(lambda: idle(daemon))
            assert provider.untouched()
    records = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert [record["outcome"] for record in records] == expected
    figures.add(
        f"cut at each of {len(answer)} bytes",
        f"{len(expected)}, {expected.count('upstream_truncated')} after the commit",
    )
