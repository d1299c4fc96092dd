"""Every example of docs/validation.md does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from netrunner.routing.table import Candidate
from tests.config.test_docs import load_file
from tests.support.client import answers
from tests.support.stage import Stage, request

PAGE = (Path(__file__).parents[2] / "docs" / "validation.md").read_text()
CONFIGURATIONS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DOCUMENTS = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
PATHS = re.findall(r"`POST (/[\w/]+)`", PAGE)
EXAMPLES = list(zip(PATHS, DOCUMENTS[::2], DOCUMENTS[1::2], strict=True))


def filters(text: str, folder: Path) -> list[object]:
    (folder / "x.yaml").write_text("providers: {local: {type: echo}}\n" + text)
    settings, warnings = load_file(folder / "x.yaml", {"MANAGEMENT_TOKEN": "management-token-0123456789"})
    assert warnings == []
    return [one.factory.build(one.settings, None) for one in settings.filters]


def test_there_are_examples() -> None:
    assert (len(EXAMPLES), len(CONFIGURATIONS)) == (3, 3)


@pytest.mark.parametrize(("path", "asked", "told"), EXAMPLES)
def test_a_request_of_the_page_is_refused_as_it_says(path: str, asked: object, told: object, tmp_path: Path) -> None:
    stage = Stage(*filters(CONFIGURATIONS[0], tmp_path), models={"gpt-4o": (Candidate("up", "gpt-4o"),)})
    (answer,) = answers(stage.client().say(request(path, asked)).heard(), b"POST")
    assert (answer.status, json.loads(answer.body)) == (400, told)
    assert stage.upstream.calls == []


def test_every_configuration_of_the_page_loads(tmp_path: Path) -> None:
    assert [len(filters(text, tmp_path)) for text in CONFIGURATIONS] == [1, 2, 2]
