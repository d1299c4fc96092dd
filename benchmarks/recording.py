"""What the record of a request costs by itself: microseconds of CPU (``python -m benchmarks.recording``).

Beside the journal stands its bare work: the same documents, digests, checksums and seals, in one piece of code that
knows one kind of request, looks at nothing and keeps nothing. CPU time and not the clock's; the best of several rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import msgspec

from benchmarks.redaction import best
from netrunner.journal.journal import Journal, Policy
from netrunner.journal.masking import mask_headers
from netrunner.pipeline.recording import Recording
from netrunner.sinks.entry import lines
from netrunner.testing.fakes import FakeClock
from netrunner.values import Attempt, Copy, MessageHead, Record, Usage

TURNS = 500
IN_A_TURN = 11
"""Requests that a turn of the reactor brings, as it does at 32 connections."""
START, ANSWER_START = b"POST /v1/chat/completions HTTP/1.1", b"HTTP/1.1 200 OK"
HEADERS = [
    (b"host", b"127.0.0.1:9000"), (b"authorization", b"Bearer sk-0123456789abcdefghijkl"),
    (b"content-type", b"application/json"), (b"content-length", b"125"), (b"user-agent", b"wrk"),
]  # fmt: skip
ANSWER_HEADERS = [
    (b"content-type", b"application/json"), (b"content-length", b"600"), (b"x-request-id", b"0193a1b2" * 4),
    (b"server-timing", b"x" * 80), (b"date", b"x" * 29),
]  # fmt: skip
BODY = b'{"model": "fast", "messages": [{"role": "user", "content": "' + b"x" * 60 + b'"}]}'
ANSWER = b'{"id": "x", "choices": [{"message": {"content": "' + b"y" * 530 + b'"}}], "usage": {}}'

_encode = msgspec.msgpack.Encoder().encode
_frame, _sizes, _part = (struct.Struct(form).pack for form in ("<2sBBII", "<II", "<BQI"))


def record(number: int, ended: bool) -> Record:
    """Return what the pipeline would have made of a request, before and after its end."""
    id = f"0193a1b2-0000-7000-8000-{number:012x}"
    stages = ("body", "filtered", "routed", "upstream_sent", "first_byte", "committed", "last_byte")
    timings = {stage: 0.0001 * (place + 1) for place, stage in enumerate(stages if ended else stages[:3])}
    return Record(
        id, id, None, 1.7e9 + number, "127.0.0.1", "POST", "/v1/chat/completions", "models", "openai", False,
        "fast", "gpt-4o", "up", "http://127.0.0.1:8000", [Attempt("up", "gpt-4o")], 200 if ended else 0,
        "done" if ended else "interrupted", None, "stop" if ended else None, Usage(10, 20) if ended else None,
        len(BODY), len(ANSWER), 0.0013, timings, "sk-***",
    )  # fmt: skip


BEGUN = [record(number, False) for number in range(IN_A_TURN)]
ENDED = [record(number, True) for number in range(IN_A_TURN)]


def journal(folder: Path, messages: bool) -> None:
    """Record requests as the pipeline does: what a turn began, then what it ended."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    kept = Journal(folder, Policy(messages=messages), FakeClock(), random.Random(1).getrandbits)
    for _ in range(TURNS):
        recordings = [Recording() for _ in BEGUN]
        for recording, begun in zip(recordings, BEGUN, strict=True):
            recording.begin(kept, partial(_same, begun), _nothing, START, HEADERS, BODY)
        kept.commit()
        for recording, ended in zip(recordings, ENDED, strict=True):
            recording.answer(ANSWER_START, ANSWER_HEADERS, False)
            recording.piece(1, ANSWER)
            recording.end(partial(_same, ended))
        kept.commit()
    kept.stop()


def _same(one: Record) -> Record:
    return one


def _nothing() -> None:
    pass


def bare(folder: Path) -> None:
    """Write the same bytes, and know of nothing else."""
    file = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    digest, offset = bytes(32), 0
    for _ in range(TURNS):
        for records, kind, start, headers, body in (
            (BEGUN, 2, START, HEADERS, BODY), (ENDED, 5, ANSWER_START, ANSWER_HEADERS, ANSWER),
        ):  # fmt: skip
            frames: list[bytes] = []
            for number, one in enumerate(records):
                head = _encode(MessageHead(start, mask_headers(headers) if kind == 2 else headers))
                one.request_sha256 = sha256(body).hexdigest()
                one.request_copy = Copy("0", offset, len(body), True)
                told = _encode(one)
                payload = b"".join((_sizes(number, len(told)), told, _part(0, offset, len(head)), head, body))
                size = len(payload)
                frames += (_frame(b"\xf7N", kind, 0, size, crc32(payload, 7 ^ kind << 24 ^ size)), payload)
                offset += size + 12
            data = b"".join(frames)
            digest = sha256(digest + data).digest()
            os.write(file, data + _frame(b"\xf7N", 7, 0, 32, crc32(digest, 7)) + digest)
    os.close(file)


def jsonl() -> None:
    """Make the lines of the sink ``jsonl``, as many at once as a tenth of a second brings."""
    batch = [record(number, True) for number in range(IN_A_TURN * 25)]
    for _ in range(TURNS // 25):
        lines(batch)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="netrunner-recording-") as name:
        folder = Path(name)
        rows: dict[str, Callable[[], None]] = {
            "journal without bodies": partial(journal, folder, False),
            "journal with bodies": partial(journal, folder, True),
            "the bare work of the latter": partial(bare, folder),
            "a line of `jsonl`": jsonl,
        }
        print("| what | us a request |\n| --- | ---: |")
        for what, work in rows.items():
            print(f"| {what} | {best(work, rounds) * 1e6 / (TURNS * IN_A_TURN):.1f} |")


if __name__ == "__main__":
    main()
