"""docs/limits.md: its examples are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.registry import Registry
from tests.filters.test_rate_limit import Limited, limits_of, told

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ECHO = "providers: {echo: {type: echo}}\n"


@pytest.mark.parametrize("text", EXAMPLES, ids=[f"example {n}" for n in range(1, len(EXAMPLES) + 1)])
def test_every_example_is_a_configuration(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(ECHO + text)
    settings, _, warnings = load(str(tmp_path / "x.yaml"), lambda _: Registry.discover((), Logger()), {})
    assert warnings == []
    assert {one.type for one in settings.filters} == {"rate_limit"}


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_the_fields_are_what_the_page_says() -> None:
    (fields,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    stage = Limited({"requests_per_hour": 1000})
    client = stage.ask()
    stage.answer()
    assert limits_of(told(client)[1]) == dict(line.split(": ") for line in fields.splitlines())
