"""The README says what the Makefile does. `.ci/run` executes what it shows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def make(*arguments: str) -> str:
    command = ["make", "--silent", "--no-print-directory", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in {"PORT", "MAKEFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_readme_opens_with_the_two_commands() -> None:
    commands = [line.split("#")[0].strip() for line in shell_blocks(README)[0].splitlines()]
    assert commands == ["make run", "make test"]


def test_readme_shows_the_curl_that_make_run_prints() -> None:
    assert make("try") in shell_blocks(README)


def test_make_run_prints_that_curl_and_starts_the_daemon_with_the_development_configuration() -> None:
    recipe = make("--dry-run", "--assume-old=.venv/.run", "run")
    assert '"$CURL"' in recipe
    assert re.search(r"twistd -n .*netrunner --config conf/dev\.yaml", recipe)
    assert (ROOT / "conf" / "dev.yaml").is_file()


def test_the_figures_of_the_readme_are_those_of_the_page_that_tells_how_they_were_measured() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    table = README.partition("| of nginx |")[2].partition("\n\n")[0]
    figures = re.findall(r"\| ([\d.,]+)(?: \w+)? (?=\|)", table)
    assert len(figures) >= 10
    assert [figure for figure in figures if f"| {figure} " not in page] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_named_exists(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`+[^`]+`+", (ROOT / page).read_text()))))
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named - there == set()
