"""What the pages tell a reader to type works: the curls against a daemon, the YAML in a file, the targets of make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import Daemon

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLLOWED = frozenset({"cache.md", "forward-proxy.md", "tutorial.md"})
"""Pages whose curls need what stands before them: tests of their own follow them from their beginning."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, kinds: set[str]) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind in kinds]


CURLS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, {"", "sh"}))
    if text.startswith("curl ") and page.name not in FOLLOWED
]
TARGETS = [
    pytest.param(target, id=f"{page.name}-{target}")
    for page in PAGES
    for target in sorted(set(re.findall(r"^make (\w+)", "".join(blocks(page, {"", "sh"})), re.MULTILINE)))
]


def test_there_are_examples_to_try() -> None:
    assert len(CURLS) >= 2
    assert len(TARGETS) >= 5


@pytest.mark.parametrize("command", CURLS)
def test_a_curl_of_the_pages_streams_an_answer_to_its_end(command: str, tmp_path: Path) -> None:
    require_binary("curl")
    with Daemon(tmp_path) as daemon:
        command = command.replace("http://127.0.0.1:8080/", f"http://127.0.0.1:{daemon.port}/")
        told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert "Hello" in told.stdout
    assert told.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_the_pages_name_exists(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "README.md", {"yaml"})
    (tmp_path / "netrunner.yaml").write_text(text)
    command = [sys.executable, "-c", "from netrunner.cli.main import main; main()", "check", "netrunner.yaml"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "AUTH_TOKEN": "t" * 32, "OPENAI_API_KEY": "sk-not-a-real-one"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sk-not-a-real-one" not in done.stdout
