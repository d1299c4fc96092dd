"""The shape of the code base: sizes, names, docstrings, and what is never written."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "netrunner").rglob("*.py"))
MAX_LINES = 500
EMPTY_NAMES = re.compile("(util|helper|manager|handler|engine|processor)s?|misc|common|base")
FRAGMENT = re.compile(r"\d+(\.\d+)?\.(feature|bugfix|doc|removal|misc)\.md")
PARSER_CALLBACKS = re.compile("on_(message_begin|url|status|headers?|headers_complete|body|message_complete)")

BLIND_EXCEPTS = {
    "netrunner/config/load.py:_plugin": "plugin call: a section its plugin cannot read is one problem of several",
    "netrunner/http/channel.py:_dispatch": "resource edge: whatever choosing a resource raises becomes a 500",
    "netrunner/http/channel.py:proceed": "resource edge: the same, once the body is there",
    "netrunner/http/turn.py:_broken": "as below: what cannot even be ended keeps nothing from the others either",
    "netrunner/http/turn.py:run": "as Twisted around each socket: one that fails keeps nothing from the others",
    "netrunner/http/request.py:process": "resource edge: whatever a resource raises becomes a 500",
    "netrunner/parts.py:_start": "sink call: one that cannot start is asked to write all the same, and again",
    "netrunner/pipeline/chain.py:_call": "plugin call: a filter that raises ends the request with a 500",
    "netrunner/pipeline/chain.py:_rest": "hands on what was awaited, to the coroutine that awaits it",
    "netrunner/pipeline/chain.py:on_end": "plugin call: as on_event",
    "netrunner/pipeline/chain.py:on_head": "plugin call: as _call, without a coroutine of its own",
    "netrunner/pipeline/chain.py:on_event": "plugin call: a filter that raises ends the answer, and not cleanly",
    "netrunner/pipeline/chain.py:recall": "plugin call: as _call",
    "netrunner/pipeline/chain.py:on_finish": "plugin call: every filter hears the end, whatever another one raises",
    "netrunner/journal/feed.py:_hand_over": "sink call: a sink that raises never touches a request",
    "netrunner/journal/feed.py:resume": "sink call: the same, at its start",
    "netrunner/journal/journal.py:_append_due": "plugin's data: a record that cannot be written costs itself only",
    "netrunner/pipeline/recording.py:_tell": "watcher call: one that raises sees nothing more, and touches no request",
    "netrunner/pipeline/intent.py:_watchers": "sink call: a live sink that raises never touches a request",
    "netrunner/pipeline/breaking.py:broken": "a turn's step: what is broken may be what ends it; the connection goes",
    "netrunner/pipeline/run.py:_launch": "hands on what was raised, to the one place that ends an exchange",
    "netrunner/registry.py:_drop_ins": "plugin call: a drop-in that cannot be loaded costs itself only",
    "netrunner/registry.py:_load": "plugin call: a plugin that cannot be loaded is told to whoever named it",
    "netrunner/testing/conformance.py:_finding": "plugin call: whatever the plugin raises is what the check found",
}
"""``path:function`` of every ``except Exception`` there may be, and why it stands there."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_modules_keep_to_their_size() -> None:
    assert [str(path) for path in MODULES if len(path.read_text().splitlines()) > MAX_LINES] == []


def test_every_module_has_a_docstring() -> None:
    assert [str(path) for path in MODULES if not ast.get_docstring(parsed(path))] == []


def test_the_names_of_modules_say_what_they_hold() -> None:
    assert [str(path) for path in MODULES if EMPTY_NAMES.fullmatch(path.stem.strip("_"))] == []


def test_everything_public_has_a_docstring() -> None:
    assert [f"{path}: {name}" for path in MODULES for name in undocumented(parsed(path))] == []


def undocumented(module: ast.Module) -> Iterator[str]:
    """Yield public functions, classes and methods without a docstring.

    Methods of a class that has a base or declares an interface are documented where they are defined first; camelCase
    ones by Twisted, and a parser's callbacks by httptools.
    """
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node.name
        if isinstance(node, ast.ClassDef) and not node.bases and not node.decorator_list:
            for method in node.body:
                if (
                    isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                    and re.fullmatch("[a-z][a-z0-9_]*", method.name)
                    and not PARSER_CALLBACKS.fullmatch(method.name)
                    and not ast.get_docstring(method)
                ):
                    yield f"{node.name}.{method.name}"


def test_no_module_has_a_second_event_loop() -> None:
    loop = re.compile(r"^\s*(import|from)\s+asyncio\b|inlineCallbacks", re.MULTILINE)
    assert [str(path) for path in MODULES if loop.search(path.read_text())] == []


def test_blind_excepts_are_at_the_borders_listed_and_nowhere_else() -> None:
    found = {f"{path.relative_to(ROOT)}:{where}" for path in MODULES for where in blind_excepts(parsed(path))}
    assert found == set(BLIND_EXCEPTS)


def blind_excepts(tree: ast.AST, where: str = "<module>") -> Iterator[str]:
    """Yield the function around each ``except`` that keeps whatever was raised; cleaning up and re-raising is fine."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ExceptHandler) and catches_everything(node.type) and not reraises(node):
            yield where
        function = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else where
        yield from blind_excepts(node, function)


def reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def catches_everything(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"} for name in names)


def test_every_package_is_listed_in_the_metadata() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    listed = metadata["options"]["packages"].split()
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    assert sorted(there | {"twisted.plugins"}) == sorted(listed)


def test_base_install_stays_small() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    assert len(metadata["options"]["install_requires"].split("\n")) - 1 <= 15


def test_twisted_namespace_stays_open() -> None:
    # A package marker in either folder would hide Twisted itself, or every other plugin.
    assert not (ROOT / "twisted" / "__init__.py").exists()
    assert not (ROOT / "twisted" / "plugins" / "__init__.py").exists()


def test_news_fragments_are_named_for_an_issue_and_a_kind() -> None:
    names = {path.name for path in (ROOT / "newsfragments").iterdir()} - {"README.md"}
    assert {name for name in names if not FRAGMENT.fullmatch(name)} == set()


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [name[:5] for name in names] == [f"{number:04}-" for number in range(len(names))]
