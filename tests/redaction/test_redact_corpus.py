"""Every secret is hidden wherever it stands and however it is cut, and hardly anything else is."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest

from netrunner.redaction.redact import Redaction, compile_redaction
from tests.redaction.formats import Sample, corpus

CORPUS = corpus(1000)
CODE_BYTES = 10_000_000


@pytest.fixture(scope="module")
def secrets() -> Redaction:
    redaction = compile_redaction(("secrets",))
    assert redaction is not None
    return redaction


def redacted(redaction: Redaction, body: bytes, piece_bytes: int | None = None) -> bytes:
    redactor = redaction.stream()
    size = piece_bytes or max(1, len(body))
    fed = [redactor.feed(body[at : at + size]) for at in range(0, len(body), size)]
    return b"".join(fed) + redactor.close()


def event(text: str) -> bytes:
    chunk = {"id": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def joined(stream: bytes) -> str:
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    return "".join(each["choices"][0]["delta"]["content"] for each in events)


def missed(samples: list[Sample], redaction: Redaction, body: str, piece_bytes: int | None = None) -> list[str]:
    """Return the samples of which anything shows, or around which anything is gone; ``@`` in ``body`` is the sample."""
    wrong = []
    for sample in samples:
        left = redacted(redaction, body.replace("@@", sample.text).encode(), piece_bytes).decode()
        if left != body.replace("@@", sample.hidden):
            wrong.append(f"{sample.text!r} left {left!r}")
    return wrong


def test_the_corpus_has_a_thousand_different_secrets() -> None:
    assert len({sample.text for sample in CORPUS}) == 1000


def test_every_secret_is_hidden_in_plain_text(secrets: Redaction) -> None:
    assert missed(CORPUS, secrets, "This is it: @@ and no more.") == []


def test_every_secret_is_hidden_at_both_ends_of_a_body(secrets: Redaction) -> None:
    assert missed(CORPUS, secrets, "@@") == []


def test_every_secret_is_hidden_on_a_line_of_a_head(secrets: Redaction) -> None:
    assert missed(CORPUS, secrets, "X-Note: @@\r\nAccept: */*\r\n") == []


@pytest.mark.parametrize("text", ["Use\n@@\nplease", "say '@@' \U0001f600", "\t@@\t", "<b>@@</b>"])
def test_every_secret_is_hidden_in_a_prompt(secrets: Redaction, text: str) -> None:
    for sample in CORPUS:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text.replace("@@", sample.text)}]})
        left = json.loads(redacted(secrets, body.encode()))
        assert left["messages"][0]["content"] == text.replace("@@", sample.hidden)


def test_every_secret_is_hidden_in_json_inside_json(secrets: Redaction) -> None:
    for sample in CORPUS:
        inner = json.dumps({"text": f"first\n{sample.text}\n"})
        left = json.loads(redacted(secrets, json.dumps({"arguments": inner}).encode()))
        assert sample.secret not in json.loads(left["arguments"])["text"]
        assert "[redacted:" in left["arguments"]


def test_every_secret_is_hidden_in_an_error(secrets: Redaction) -> None:
    for sample in CORPUS:
        body = json.dumps({"error": {"message": f"Not valid: {sample.text}", "type": "auth", "code": None}})
        left = json.loads(redacted(secrets, body.encode()))
        assert left["error"]["message"] == f"Not valid: {sample.hidden}"


def test_every_secret_is_hidden_however_the_body_is_cut(secrets: Redaction) -> None:
    for size in (1, 7, 64):
        assert missed(CORPUS[::5] if size == 1 else CORPUS, secrets, "This is it: @@ and no more.", size) == []


def test_every_secret_is_hidden_split_over_events_at_every_position(secrets: Redaction) -> None:
    # At every one for some of each format, at every seventh for the others; the private keys are long.
    for number, sample in enumerate(CORPUS):
        step = 37 if sample.name == "private_keys" else 1 if number < 150 else 7
        cuts = range(number % step, len(sample.text) + 1, step)
        stream = b"".join(event(f"a {sample.text[:at]}") + event(f"{sample.text[at:]} b\n") for at in cuts)
        assert joined(redacted(secrets, stream)) == f"a {sample.hidden} b\n" * len(cuts)


def test_every_secret_is_hidden_when_each_character_has_an_event_of_its_own(secrets: Redaction) -> None:
    for sample in CORPUS:
        stream = b"".join(event(character) for character in f"a {sample.text} b")
        assert joined(redacted(secrets, stream, 1000)) == f"a {sample.hidden} b"


def code() -> bytes:
    """Return the source text of Python's library and of what is installed beside it, up to ``CODE_BYTES``."""
    text = bytearray()
    for folder in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(folder)).rglob("*.py")):
            if folder == "purelib" or "site-packages" not in path.parts:
                text += path.read_bytes()
                if len(text) >= CODE_BYTES:
                    return bytes(text[:CODE_BYTES])
    return bytes(text)


def test_less_than_a_thousandth_of_the_lines_of_code_is_touched(secrets: Redaction) -> None:
    text = code()
    assert len(text) == CODE_BYTES
    assert redacted(secrets, text, 65536).count(b"[redacted:") < text.count(b"\n") / 1000
