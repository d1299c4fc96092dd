"""docs/names.md: its examples are taken, and mean what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netrunner.cli.explain import ExplainOptions
from netrunner.config.naming import names_of
from tests.config.test_docs import load_file

PAGE = (Path(__file__).parents[2] / "docs" / "names.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_means_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(EXAMPLES[0])
    settings, warnings = load_file(tmp_path / "x.yaml", {"OPENAI_API_KEY": "k"})
    assert warnings == []
    names = names_of(settings)
    assert names.resolve("my-gpt4").name == "my-gpt4"
    assert names.resolve("gpt-5", "10.0.0.1").name == "cheap"
    assert names.resolve("gpt-5", "192.0.2.1").provider == "local"
    assert names.resolve("x", "192.0.2.1", b"/v1/embeddings").name == "nomic-embed-text"
    assert names.resolve("gpt-3.5-turbo").name == "cheap"
    assert names.resolve("gpt-4-turbo").name == "llama-4"


def test_the_explanation_is_the_one_that_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = re.findall(r"^```console\n\$ netrunner explain (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "netrunner.yaml").write_text(EXAMPLES[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    options = ExplainOptions()
    options.parseOptions(shown[0].split())
    assert options.run() == 0
    assert capsys.readouterr().out == shown[1]
