"""The list of what a deployment is made of, of an environment with three packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import ROOT

pytestmark = pytest.mark.integration

METADATA = """Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: One of three
License-Expression: MIT
{requires}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The interpreter of an environment in which netrunner, what an extra of it brings, and another are installed."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (packages,) = (folder / "lib").glob("*/site-packages")
    wanted = ("absent>=1", "Part[all]>=2; extra == 'more'", "other; extra == 'test'")
    asks = "\n".join(f"Requires-Dist: {one}" for one in wanted)
    for name, version, requires in (("netrunner", "1.2", asks), ("part", "2.1", ""), ("other", "3", "")):
        about = packages / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(METADATA.format(name=name, version=version, requires=requires))
    return folder / "bin" / "python"


def sbom(python: Path, output: Path) -> dict[str, Any]:
    command: list[str | Path] = [sys.executable, ROOT / "requirements" / "sbom.py", python, output]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    document: dict[str, Any] = json.loads(output.read_text())
    return document


def test_the_sbom_tells_netrunner_what_it_depends_on_and_neither_times_nor_places(
    environment: Path, tmp_path: Path
) -> None:
    document = sbom(environment, tmp_path / "sbom.json")
    assert (document["bomFormat"], document.get("serialNumber")) == ("CycloneDX", None)
    assert "timestamp" not in document["metadata"]
    root = document["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("netrunner", "1.2", "application")
    assert root["licenses"][0]["license"]["id"] == "MIT"
    _, part = document["components"]
    assert (part["purl"], part["licenses"][0]["license"]["id"]) == ("pkg:pypi/part@2.1", "MIT")
    assert {"ref": root["bom-ref"], "dependsOn": [part["bom-ref"]]} in document["dependencies"]
    assert str(tmp_path) not in json.dumps(document)
