"""``netrunner chat`` against a daemon, in every dialect that callers speak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import ECHO, PATIENCE_S, ROOT, Daemon

pytestmark = pytest.mark.integration

TOKEN = "t-0123456789abcdef0123456789abcdef"
CONFIG = ECHO + f"access: {{mode: token, token: {TOKEN}}}\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("chat"), CONFIG) as daemon:
        yield daemon


def chat(daemon: Daemon, *words: str, given: str = "", token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    where = ["--base-url", f"http://127.0.0.1:{daemon.port}", "--token", "env:CHAT_TOKEN"]
    return subprocess.run(
        [str(Path(sys.executable).with_name("netrunner")), "chat", *where, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CHAT_TOKEN": token},
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )


@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic", "gemini", "ollama"])
def test_a_question_is_answered_in_the_dialect_of_choice(daemon: Daemon, dialect: str) -> None:
    done = chat(daemon, "--dialect", dialect, "--json", "one", "two three")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["text"], told["usage"]["output_total"] > 0) == ("one two three", True)
    assert told["finish_reason"]


def test_lines_are_one_conversation_until_another_one_is_begun(daemon: Daemon) -> None:
    done = chat(daemon, given="first\n\nsecond\n/new\nthird\n/quit\nnever\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "first\nsecond\nthird\n", "")
    rows = json.loads(daemon.request("GET", "/api/logs?limit=3&service_type=openai")[2])
    bodies = [json.loads(daemon.request("GET", f"/api/logs/{row['id']}/request")[2]) for row in reversed(rows)]
    assert [[turn["content"] for turn in body["messages"]] for body in bodies] == [
        ["first"], ["first", "first", "second"], ["third"],
    ]  # fmt: skip


def test_what_is_not_answered_is_told_and_the_next_line_is_asked_all_the_same(daemon: Daemon) -> None:
    done = chat(daemon, given="/echo error=503\nstill there\n")
    assert (done.returncode, done.stdout) == (1, "still there\n")
    assert done.stderr.startswith("netrunner: 503: ")


@pytest.mark.parametrize(
    ("words", "token", "status", "why"),
    [
        (["hi"], "wrong", 1, "netrunner: 401: "),
        (["--model", "nobody", "hi"], TOKEN, 1, "netrunner: 404: "),
        (["--dialect", "french", "hi"], TOKEN, 2, "dialect"),
        (["--dialect", "none", "hi"], TOKEN, 2, "netrunner: dialect: "),
        (["--base-url", "http://127.0.0.1:9", "hi"], TOKEN, 1, "netrunner: http://127.0.0.1:9: "),
    ],
)
def test_what_is_wrong_is_one_line(daemon: Daemon, words: list[str], token: str, status: int, why: str) -> None:
    done = chat(daemon, *words, token=token)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done.stderr
    assert why in done.stderr
    assert TOKEN not in done.stderr
