"""What redaction costs: megabytes in a second of CPU time, by what passes (``python -m benchmarks.redaction``).

CPU time and not the clock's, so that other processes on the machine matter less; the best of several rounds.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sysconfig
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from netrunner.journal.masking import mask_headers
from netrunner.redaction.redact import Redaction, compile_redaction

BYTES = 10_000_000
PIECE_BYTES = 65536
CLASSES = (("secrets",), ("secrets", "personal"))
HEADERS = [
    (b"host", b"llm.example"), (b"user-agent", b"OpenAI/Python 1.2.3"), (b"accept", b"application/json"),
    (b"content-type", b"application/json"), (b"authorization", b"Bearer sk-proj-0123456789abcdefghij"),
    (b"content-length", b"123"), (b"x-request-id", b"0123456789"), (b"accept-encoding", b"gzip"),
]  # fmt: skip


def code(size: int) -> bytes:
    text = bytearray()
    for folder in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(folder)).rglob("*.py")):
            if folder == "purelib" or "site-packages" not in path.parts:
                text += path.read_bytes()
                if len(text) >= size:
                    return bytes(text[:size])
    return bytes(text)


def prose(size: int) -> bytes:
    """Return the words of docstrings and comments of Python's library, as a model would put them."""
    words = [word for word in code(4_000_000).decode("utf-8", "replace").split() if word.strip(",.").isalpha()]
    return " ".join(words * (size // (4 * len(words)) + 1)).encode()[:size]


def prompts(size: int) -> bytes:
    """Return requests that carry code, as JSON."""
    text = code(size).decode("utf-8", "replace")
    parts = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": part} for part in parts]}).encode()


def images(size: int) -> bytes:
    data = base64.b64encode(random.Random(1).randbytes(size // 4 * 3 // 10)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": [part] * 10}]}).encode()


def embeddings(size: int) -> bytes:
    chance = random.Random(2)
    rows = [{"index": row, "embedding": [chance.uniform(-1, 1) for _ in range(1536)]} for row in range(size // 33_000)]
    return json.dumps({"data": rows}).encode()


def events(size: int) -> bytes:
    """Return a stream of chat chunks, a word each."""
    words = prose(size // 40).decode("utf-8", "replace").split(" ")
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": {"content": f" {word}"}, "logprobs": None, "finish_reason": None}]}
        for word in words
    ]
    return b"".join(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in chunks)


def split_events(body: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in body.split(b"\n\n") if event]


def pieces(body: bytes) -> list[bytes]:
    return [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the least CPU time in seconds."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def redacted(redaction: Redaction, parts: list[bytes], watched: bool = False) -> bytes:
    redactor = redaction.stream()
    next_bytes = redactor.feed if watched else redactor.take
    return b"".join([next_bytes(part) for part in parts]) + redactor.close()


def rows(rounds: int) -> Iterator[tuple[str, ...]]:
    stream = events(BYTES)
    loads = {
        "prose": pieces(prose(BYTES)), "source code": pieces(code(BYTES)),
        "prompts of code, JSON": pieces(prompts(BYTES)),
        "images in base64, JSON": pieces(images(BYTES)), "embeddings, JSON": pieces(embeddings(BYTES)),
        "events, in reads of 64 KiB": pieces(stream), "events, one by one": split_events(stream),
        "events, one by one, watched": split_events(stream),
    }  # fmt: skip
    compiled = [redaction for names in CLASSES if (redaction := compile_redaction(names))]
    for name, parts in loads.items():
        size = sum(map(len, parts))
        took = [best(partial(redacted, one, parts, "watched" in name), rounds) for one in compiled]
        finds = [redacted(one, parts).count(b"[redacted:") for one in compiled]
        yield name, f"{size / 1e6:.1f}", *(f"{size / 1e6 / each:.0f}" for each in took), *(str(each) for each in finds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redaction", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("| body | MB | secrets, MB/s | and personal, MB/s | finds | finds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows(rounds):
        print(f"| {' | '.join(row)} |", flush=True)
    took = best(lambda: [mask_headers(HEADERS) for _ in range(100_000)], rounds)
    print(f"\nmask_headers, 8 fields: {took * 10:.2f} us")


if __name__ == "__main__":
    main()
