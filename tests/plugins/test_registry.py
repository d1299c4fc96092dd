"""Where plugins come from, and what happens to those that are broken."""

import importlib
import os
import stat
import subprocess
import sys

import pytest
from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from netrunner.errors import PluginError, UnknownPlugin
from netrunner.offers import FilterFactory, ProviderFactory
from netrunner.plugins import builtin
from netrunner.registry import Registry

OFFER = """
import dataclasses
from netrunner.offers import {kind}Factory

@dataclasses.dataclass(frozen=True)
class Settings:
    pass

class Plugin:
    def __init__(self, settings, environment):
        pass

offered = {kind}Factory(name={name!r}, build=Plugin, settings=Settings, doc="From a test.")
"""


def offer(name, kind="Provider"):
    return OFFER.format(name=name, kind=kind)


@pytest.fixture
def said():
    return []


@pytest.fixture
def log(said):
    @implementer(ILogObserver)
    def observe(event):
        said.append(event["log_format"].format(**event))

    return Logger("test", observer=observe)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "drop"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def discover(folder, log):
    return lambda: Registry.discover((str(folder),), log)


def test_built_in_plugins_are_there(log, said):
    registry = Registry.discover((), log)
    offered = {one.name for one in builtin.BUILT_IN if one.kind == "provider"}
    assert {"echo", "openai"} <= offered == set(registry.names("provider"))
    assert registry.names("filter") == (
        "cache",
        "firewall",
        "no_think",
        "rate_limit",
        "retry",
        "strip_json_markdown",
        "strip_thinking",
        "validate",
    )
    sinks = "access_line cloudwatch console database duplex helicone http_batch jsonl lunary metrics_line otlp"
    assert registry.names("sink") == tuple(sinks.split())
    assert {origin for *_, origin in registry.rows()} == {"built in"}
    assert said == registry.problems == []


def test_a_file_in_the_folder_is_found(folder, discover):
    (folder / "acme.py").write_text(offer("acme"))
    registry = discover()
    assert registry.factory("provider", "acme").name == "acme"
    assert ("provider", "acme", "From a test.", str(folder / "acme.py")) in registry.rows()


def test_a_package_in_the_folder_is_found(folder, discover):
    (folder / "acme").mkdir()
    (folder / "acme" / "__init__.py").write_text(offer("acme"))
    assert "acme" in discover().names("provider")


def test_a_new_file_is_found_the_next_time_and_the_known_one_stays_the_same(folder, discover):
    (folder / "one.py").write_text(offer("one"))
    first = discover()
    (folder / "two.py").write_text(offer("two"))
    second = discover()
    assert {"one", "two"} <= set(second.names("provider"))
    assert second.factory("provider", "one") is first.factory("provider", "one")


def test_a_drop_in_named_like_a_built_in_module_is_not_mistaken_for_it(folder, discover):
    (folder / "openai.py").write_text(offer("openai2"))
    (folder / "json.py").write_text(offer("json2"))
    registry = discover()
    assert {"openai", "openai2", "json2"} <= set(registry.names("provider"))
    import json

    assert json.loads("1") == 1


def test_files_of_one_name_in_two_folders_do_not_meet(folder, log):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "same.py").write_text(offer(name))
    registry = Registry.discover((str(folder / "a"), str(folder / "b")), log)
    assert {"a", "b"} <= set(registry.names("provider"))


def test_one_name_offered_twice_is_an_error_naming_both_origins(folder, discover):
    (folder / "one.py").write_text(offer("acme"))
    (folder / "two.py").write_text(offer("acme"))
    with pytest.raises(PluginError) as caught:
        discover()
    assert str(caught.value) == (f"provider 'acme' is offered twice: by {folder / 'one.py'} and by {folder / 'two.py'}")


def test_a_drop_in_cannot_take_the_name_of_a_built_in_plugin(folder, discover):
    (folder / "mine.py").write_text(offer("echo"))
    with pytest.raises(PluginError, match=r"by built in and by .*mine\.py"):
        discover()


def test_one_name_may_be_a_provider_and_a_filter(folder, discover):
    (folder / "one.py").write_text(offer("acme"))
    (folder / "two.py").write_text(offer("acme", "Filter"))
    registry = discover()
    assert "acme" in registry.names("provider")
    assert "acme" in registry.names("filter")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = (\n", "{path}:1: SyntaxError: '(' was never closed"),
        ("\nraise ValueError('no\\nway')\n", "{path}:2: ValueError: no way"),
        ("import nowhere_to_be_found\n", "{path}:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)\n", "{path}:1: SystemExit: 3"),
        ("x = 1\n", "{path}: offers no plugin"),
        (offer("two words"), "{path}: the name 'two words' is not 1-64 characters of A-Za-z0-9._-"),
        (
            offer("x").replace("settings=Settings", "settings=int"),
            "{path}: the settings of provider 'x' are no dataclass",
        ),
    ],
    ids=["syntax", "raises", "import", "exit", "nothing", "name", "settings"],
)
def test_a_broken_drop_in_is_one_line_and_the_others_are_there(source, line, folder, discover, said):
    (folder / "broken.py").write_text(source)
    (folder / "whole.py").write_text(offer("whole"))
    registry = discover()
    expected = line.format(path=folder / "broken.py")
    assert registry.problems == [expected]
    assert said == [f"plugin skipped: {expected}"]
    assert "whole" in registry.names("provider")


def test_an_offer_that_lacks_a_part_is_one_line_naming_it(folder, discover):
    (folder / "broken.py").write_text(
        "from zope.interface import implementer\n"
        "from netrunner.interfaces import IProviderFactory\n"
        "@implementer(IProviderFactory)\n"
        "class Factory:\n"
        "    name = 'acme'\n"
        "    doc = 'x'\n"
        "    settings = None\n"
        "    def parse(self, section): ...\n"
        "offered = Factory()\n"
    )
    (problem,) = discover().problems
    assert problem.startswith(f"{folder / 'broken.py'}: ")
    assert "build" in problem
    assert "\n" not in problem


def test_an_offer_of_no_kind_is_one_line(folder, discover):
    (folder / "broken.py").write_text(
        "from zope.interface import implementer\n"
        "from netrunner.interfaces import IPluginFactory\n"
        "@implementer(IPluginFactory)\n"
        "class Factory: ...\n"
        "offered = Factory()\n"
    )
    assert discover().problems == [f"{folder / 'broken.py'}: Factory makes neither providers nor filters nor sinks"]


def test_a_repaired_drop_in_is_found_the_next_time(folder, discover):
    path = folder / "acme.py"
    path.write_text("x = (")
    assert discover().problems
    path.write_text(offer("acme"))
    assert "acme" in discover().names("provider")


def test_what_begins_with_an_underscore_is_shared_by_the_others(folder, discover):
    (folder / "_shared.py").write_text("NAME = 'acme'\n")
    (folder / "acme.py").write_text("from ._shared import NAME\n" + offer("x").replace("'x'", "NAME"))
    registry = discover()
    assert "acme" in registry.names("provider")
    assert registry.problems == []


def test_a_missing_folder_is_an_error(folder, log):
    with pytest.raises(PluginError, match="there is no such plugin folder"):
        Registry.discover((str(folder / "nowhere"),), log)


@pytest.mark.parametrize("mode", [0o707, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(mode, folder, discover):
    (folder / "acme.py").write_text("raise AssertionError('was imported')")
    folder.chmod(mode)
    with pytest.raises(PluginError, match=f"{folder}: others may write here .mode 0{mode:o}.; .*chmod go-w"):
        discover()


def writable_by_a_group(path, group):
    path.chmod(0o770)
    os.chown(path, -1, group)
    if not path.stat().st_mode & stat.S_IWGRP:
        pytest.skip("this file system keeps no group permissions")


def test_a_folder_that_a_shared_group_may_write_to_is_refused_and_a_private_one_is_not(folder, discover):
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder to any group")
    (folder / "acme.py").write_text(offer("acme"))
    writable_by_a_group(folder, folder.stat().st_uid + 12345)
    with pytest.raises(PluginError, match="others may write here"):
        discover()
    writable_by_a_group(folder, folder.stat().st_uid)
    assert "acme" in discover().names("provider")


def test_a_file_that_others_may_write_to_is_skipped(folder, discover):
    (folder / "acme.py").write_text("raise AssertionError('was imported')")
    (folder / "acme.py").chmod(0o606)
    (problem,) = discover().problems
    assert "others may write here" in problem


def test_a_stale_cache_in_the_folder_hides_nothing_and_is_not_read(folder, discover):
    (folder / "dropin.cache").write_bytes(b"cposix\nsystem\n(S'exit 1'\ntR.")
    (folder / "acme.py").write_text(offer("acme"))
    os.utime(folder / "acme.py", (1, 1))
    assert "acme" in discover().names("provider")
    assert sorted(path.name for path in folder.iterdir() if path.suffix) == ["acme.py", "dropin.cache"]


def test_all_errors_of_discovery_come_together(folder, log):
    (folder / "acme.py").write_text(offer("echo"))
    with pytest.raises(PluginError) as caught:
        Registry.discover((str(folder), str(folder / "nowhere")), log)
    assert len(str(caught.value).splitlines()) == 2


def test_a_name_nobody_offers_is_told_with_those_there_are(log):
    with pytest.raises(UnknownPlugin, match=r"there is no provider called 'nobody'; there are: .*echo, .*openai"):
        Registry.discover((), log).factory("provider", "nobody")


def test_a_plugin_can_be_added_at_run_time(log):
    registry = Registry.discover((), log)
    factory = FilterFactory(name="late", build=lambda settings, environment: None, settings=Logger, doc="Late.")
    with pytest.raises(PluginError, match="no dataclass"):
        registry.add(factory, "test")
    known = registry.factory("provider", "echo")
    late = ProviderFactory(name="late", build=known.build, settings=known.settings, doc="Late.")
    registry.add(late, "test")
    registry.add(late, "test")
    assert registry.factory("provider", "late") is late
    assert ("provider", "late", "Late.", "test") in registry.rows()
    other = ProviderFactory(name="late", build=known.build, settings=known.settings, doc="Another.")
    with pytest.raises(PluginError, match="is offered twice: by test and by elsewhere"):
        registry.add(other, "elsewhere")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one module and one entry point, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = []

    def install(module, source, entry_point):
        (tmp_path / f"{module}.py").write_text(source)
        dist = tmp_path / f"{module}-1.2.dist-info"
        dist.mkdir()
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\nSummary: Of {module}.\n")
        (dist / "entry_points.txt").write_text(f"[netrunner.plugins]\n{entry_point}\n")
        installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)


def test_an_installed_plugin_is_listed_without_being_imported_and_imported_when_asked_for(install, log):
    install("acme_pip", offer("acme"), "provider.acme = acme_pip:offered")
    registry = Registry.discover((), log)
    assert ("provider", "acme", "Of acme_pip.", "acme_pip 1.2 (acme_pip:offered)") in registry.rows()
    assert "acme_pip" not in sys.modules
    factory = registry.factory("provider", "acme")
    assert factory.name == "acme"
    assert registry.factory("provider", "acme") is factory
    assert ("provider", "acme", "From a test.", "acme_pip 1.2 (acme_pip:offered)") in registry.rows()


@pytest.mark.parametrize(
    ("source", "entry_point", "message"),
    [
        ("raise ValueError('no')", "provider.acme = acme_pip:offered", "ValueError: no"),
        (offer("other"), "provider.acme = acme_pip:offered", "promised provider.acme, is provider.other"),
        (offer("acme"), "filter.acme = acme_pip:offered", "promised filter.acme, is provider.acme"),
        ("offered = 3", "provider.acme = acme_pip:offered", "int makes neither"),
        (offer("acme"), "provider.acme = acme_pip:absent", "AttributeError"),
    ],
)
def test_a_broken_installed_plugin_is_told_to_who_asks_for_it(source, entry_point, message, install, log):
    install("acme_pip", source, entry_point)
    registry = Registry.discover((), log)
    with pytest.raises(UnknownPlugin, match=f"acme_pip 1.2 .*{message}"):
        registry.factory(entry_point.partition(".")[0], "acme")


@pytest.mark.parametrize("name", ["acme", "thing.acme", "provider."])
def test_an_entry_point_of_another_form_is_skipped_with_one_line(name, install, log):
    install("acme_pip", offer("acme"), f"{name} = acme_pip:offered")
    registry = Registry.discover((), log)
    (problem,) = registry.problems
    assert "is not called <kind>.<name>" in problem


def test_an_installed_plugin_and_a_drop_in_of_one_name_are_an_error(install, folder, discover):
    install("acme_pip", offer("acme"), "provider.acme = acme_pip:offered")
    (folder / "mine.py").write_text(offer("acme"))
    with pytest.raises(PluginError, match=r"by .*mine\.py and by acme_pip 1\.2"):
        discover()
    assert "acme_pip" not in sys.modules


def test_built_in_plugins_say_of_themselves_what_the_list_says(log):
    registry = Registry.discover((), log)
    for kind, name, doc, module in builtin.BUILT_IN:
        assert registry.factory(kind, name).doc == doc
        assert registry.factory(kind, name) is importlib.import_module(module).plugin


def test_a_built_in_plugin_is_imported_when_somebody_asks_for_it():
    code = (
        "import sys; from twisted.logger import Logger; from netrunner.registry import Registry;"
        "registry = Registry.discover((), Logger()); assert 'netrunner.providers.groq' not in sys.modules;"
        "registry.factory('provider', 'groq'); assert 'netrunner.providers.groq' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
