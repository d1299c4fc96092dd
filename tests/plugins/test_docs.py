"""Every example of docs/plugins.md does what the page says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.logger import Logger

import pytest_twisted
from netrunner import interfaces
from netrunner.cli.main import main
from netrunner.errors import BadRequest
from netrunner.events import ReasoningDelta, TextDelta
from netrunner.registry import Registry
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection
from netrunner.values import Message

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def written(tmp_path):
    """The files of the page and the worked example, each where the page says."""
    (tmp_path / "plugins").mkdir(mode=0o755)
    shutil.copy(ROOT / "plugins" / "example.py", tmp_path / "plugins")
    for text in blocks("python"):
        (name,) = re.findall(r"\A# (\S+\.py)\n", text)
        (tmp_path / name).write_text(text)
    (tmp_path / "netrunner.yaml").write_text("\n".join(["providers: {echo: {type: echo}}", *blocks("yaml")]))
    return tmp_path


@pytest.fixture
def registry(written):
    registry = Registry.discover((str(written / "plugins"),), Logger("test"))
    assert registry.problems == []
    return registry


def test_every_language_on_the_page_is_tried_here():
    assert {language for language, _ in BLOCKS} == {"yaml", "ini", "python", "sh"}


def test_the_commands_run(written, monkeypatch, capsys):
    monkeypatch.chdir(written)
    commands = [shlex.split(line) for text in blocks("sh") for line in text.splitlines()]
    assert len(commands) == 3
    for name, *arguments in commands:
        assert name == "netrunner"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert (ended.value.code, capsys.readouterr().err) == (0, ""), arguments


def test_the_tests_pass(written):
    path = os.pathsep.join([str(ROOT), str(written / "plugins")])
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_twisted",
            "--rootdir",
            written,
            written,
        ],
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=written,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, "3 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


class Turns:
    def __init__(self, *said):
        self.turns = tuple(Message("user", text) for text in said)

    def messages(self):
        return self.turns

    def view(self):
        return self


@pytest_twisted.ensureDeferred
async def test_the_filter_refuses(registry):
    factory = registry.factory("filter", "forbid")
    forbid = factory.build(factory.parse(FakeSection({"words": ["xyzzy"]})), FakeEnvironment())
    assert await forbid.on_request(Turns("Hello")) is None
    with pytest.raises(BadRequest) as refused:
        await forbid.on_request(Turns("Hello", "Say XYZZY."))
    assert refused.value.code == "forbidden_word"


def test_the_event_filter_drops_reasoning_only(registry):
    factory = registry.factory("filter", "hush")
    hush = factory.build(factory.parse(FakeSection({})), FakeEnvironment())
    assert interfaces.IEventPhase.providedBy(hush)
    text = TextDelta(text="Hello")
    assert [hush.on_event(None, event) for event in (text, ReasoningDelta(text="Hm"))] == [text, None]
    assert list(hush.on_end(None)) == []


class Ended:
    def __init__(self, outcome):
        self.outcome = outcome


@pytest_twisted.ensureDeferred
async def test_the_sink_counts(registry, tmp_path):
    factory = registry.factory("sink", "tally")
    tally = factory.build(factory.parse(FakeSection({"path": str(tmp_path / "tally.txt")})), FakeEnvironment())
    await tally.write([Ended("done"), Ended("refused")])
    await tally.write([Ended("done")])
    assert (tmp_path / "tally.txt").read_text() == "done 2\nrefused 1\n"


def test_the_entry_point_is_found(written, monkeypatch):
    ((group, line),) = re.findall(r"^(netrunner\.plugins) =\n\s+(.*)$", blocks("ini")[0], re.MULTILINE)
    dist = written / "plugins" / "forbid-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: forbid\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[{group}]\n{line}\n")
    monkeypatch.syspath_prepend(str(written / "plugins"))
    try:
        assert Registry.discover((), Logger("test")).factory("filter", "forbid").name == "forbid"
    finally:
        sys.modules.pop("forbid", None)


def test_every_phase_is_told():
    phases = {name for name in vars(interfaces) if re.fullmatch("I[A-Z][a-z]+Phase", name)}
    assert {phase for phase in phases if f"| `{phase}` |" not in PAGE} == set()
