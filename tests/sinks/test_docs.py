"""Every example of docs/sinks.md does what the page says."""

import json
import re
from pathlib import Path

import pytest
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.registry import Registry
from netrunner.sinks.entry import documents
from netrunner.sinks.posting import ABOUT_THE_DOOR
from netrunner.testing.fakes import FakeEnvironment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sinks.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "yaml"]


def loaded(text, folder):
    (folder / "x.yaml").write_text(text)
    settings, _, warnings = load(
        str(folder / "x.yaml"),
        lambda directories: Registry.discover((), Logger()),
        {"LOG_AUTHORIZATION": "Bearer canary", "LUNARY_KEY": "canary", "HELICONE_KEY": "canary"},
    )
    assert warnings == []
    return settings.sinks


def test_every_language_on_the_page_is_tried_here():
    assert {language for language, _ in BLOCKS} == {"yaml", "json"}


@pytest.mark.parametrize("text", EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)])
def test_every_example_is_a_configuration_whose_sinks_can_be_built(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = loaded(text, tmp_path)
    sinks = [config.factory.build(config.settings, FakeEnvironment(config.name)) for config in configs]
    assert len(sinks) == text.count("type: ") - 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_the_sinks_of_the_first_example_write_what_the_table_says(tmp_path, monkeypatch, capsys, run, record):
    monkeypatch.chdir(tmp_path)
    for config in loaded(EXAMPLES[0], tmp_path):
        sink = config.factory.build(config.settings, FakeEnvironment(config.name))
        sink.start()
        run(sink.write([record()]))
        sink.stop()
    assert " -> https://api.test:443 [acme] 200 " in capsys.readouterr().out
    assert " -> 200 (1.234s) [acme]" in (tmp_path / "access.log").read_text()
    assert (tmp_path / "metrics.log").read_text().startswith("REQUEST_METRICS {")
    assert json.loads((tmp_path / "requests.jsonl").read_text())["status_code"] == 200


def test_the_line_on_the_page_has_the_fields_of_a_real_one(record):
    (shown,) = (json.loads(text) for language, text in BLOCKS if language == "json")
    (real,) = map(json.loads, documents([record()]))
    assert list(shown)[:9] == list(real)[:9]
    assert shown.keys() <= real.keys()
    assert shown["metadata"].keys() == real["metadata"].keys()


def test_every_status_about_the_door_is_told():
    (row,) = re.findall(r"^\| ([\d, ]+) \| the key", PAGE, re.MULTILINE)
    assert {int(status) for status in row.split(", ")} == ABOUT_THE_DOOR


def test_every_built_in_sink_is_told():
    rows = Registry.discover((), Logger()).rows()
    names = [name for kind, name, _, origin in rows if (kind, origin) == ("sink", "built in")]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []
