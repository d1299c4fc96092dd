"""What the wheel carries."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.wheels import built

ROOT = Path(__file__).parents[2]
DATA = {"netrunner/projects/prices.yaml", "netrunner/web/openapi.yaml"}
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # Everything that could slip in is there to slip in.
    return zipfile.ZipFile(built(tmp_path_factory.mktemp("source"), "conf", "plugins", "tests"))


def test_wheel_makes_netrunner_known_to_twistd(wheel: zipfile.ZipFile) -> None:
    inside_twisted = sorted(name for name in wheel.namelist() if name.startswith("twisted/"))
    assert inside_twisted == ["twisted/plugins/netrunner_logserver_plugin.py", "twisted/plugins/netrunner_plugin.py"]


def test_wheel_carries_every_module_its_types_and_what_pages_are_made_of(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "netrunner").rglob("*.py")}
    folders = (ROOT / "netrunner" / "web" / "dashboard" / name for name in ("templates", "static"))
    drawn = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    carried = {name for name in wheel.namelist() if name.startswith("netrunner/")}
    assert modules | drawn | {"netrunner/py.typed"} | DATA == carried


def test_wheel_carries_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.partition("/")[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"netrunner", "twisted"}
    assert {name for name in wheel.namelist() if name.endswith((".pth", ".yaml"))} == DATA


def test_wheel_names_its_command_licence_and_python(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "netrunner = netrunner.cli.main:main" in wheel.read(entry_points).decode()
    (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    assert {"License-Expression: MIT", "Requires-Python: >=3.11"} <= set(lines)
