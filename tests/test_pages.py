"""Every page is in the index, every link leads somewhere, every example can be read, every configuration is right."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from netrunner.cli.main import NetrunnerOptions, main
from tests.support.pages import blocks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "newsfragments/README.md", "plugins/README.md")),
    *sorted(DOCS.rglob("*.md")),
]
CONFIGURATIONS = [
    *(ROOT / "conf" / name for name in ("dev.yaml", "prod.yaml", "docker/netrunner.yaml")),
    *sorted((ROOT / "conf" / "presets").glob("*.yaml")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def anchors(path: Path) -> set[str]:
    """Return what the headings of a page are linked by, as GitHub makes it."""
    headings = re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```$", "", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(page: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    return not path.exists() or (bool(anchor) and path.suffix == ".md" and anchor not in anchors(path))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if not re.match(r"https?://", link)]
    assert [link for link in links if leads_nowhere(page, link)] == []


def test_a_link_to_a_heading_that_is_not_there_would_be_found() -> None:
    page = DOCS / "config.md"
    assert not leads_nowhere(page, "names.md#the-map")
    assert leads_nowhere(page, "names.md#no-such-heading")
    assert leads_nowhere(page, "nowhere.md")


def test_every_page_is_in_the_index_once() -> None:
    linked = [(DOCS / link).resolve() for link in LINK.findall((DOCS / "README.md").read_text())]
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - {DOCS / "README.md"}
    assert sorted(linked) == sorted({*pages, DOCS / "decisions" / "README.md"})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_of_a_page_can_be_read(page: Path) -> None:
    for language, text in blocks(page):
        if language == "json":
            for document in [text] if text.startswith("{\n") else re.split(r"\n(?=\{)", text.strip()):
                json.loads(re.sub(r": \{(\w+)\}", r": 0", document))
        elif language == "yaml":
            list(yaml.safe_load_all(text))
        elif language in {"sh", "bash"}:
            read = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
            assert read.stderr == "", text


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=name)
def test_check_finds_no_fault_with_a_configuration_that_is_handed_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = path.read_text()
    for secret in re.findall(r"CREDENTIALS_DIRECTORY:-/etc/netrunner}/(\w+)", text):
        (tmp_path / secret).write_text("0123456789-0123456789")
        (tmp_path / secret).chmod(0o600)
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / ".env").touch(mode=0o600)
    for variable in re.findall(r"env: (\w+)", text):
        monkeypatch.setenv(variable, "0123456789-0123456789")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(path)])
    assert ended.value.code == 0
    assert [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")] == []


def test_help_tells_where_the_documentation_is_and_every_command() -> None:
    told = " ".join(str(NetrunnerOptions()).split())
    assert "docs/README.md" in told
    for command, _, _, summary in NetrunnerOptions.subCommands:
        assert f"{command} {summary}" in told
