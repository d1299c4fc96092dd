"""Writes what a deployment is made of: a CycloneDX SBOM of the environment in which netrunner is installed.

    python requirements/sbom.py PYTHON FILE

PYTHON is that environment's interpreter. The same packages give the same bytes: neither a time nor a path is in it.

This module must not look at the environment it runs in: what makes the SBOM is no part of what is described.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

_ASK = """
import importlib.metadata, json, re
for_work_on_it = re.compile("extra == .(docs|lint|release|test)")
about = importlib.metadata.metadata("netrunner")
print(json.dumps({
    "name": about["Name"],
    "version": about["Version"],
    "description": about["Summary"],
    "license": about["License-Expression"],
    "dependencies": sorted(
        line.partition(";")[0].strip() for line in about.get_all("Requires-Dist") if not for_work_on_it.search(line)
    ),
}))
"""


def project_of(python: str) -> str:
    """Return what the environment of ``python`` knows of netrunner, as a ``pyproject.toml``.

    What an extra would bring counts as a dependency; that it is installed decides whether it is told.
    """
    told = subprocess.run([python, "-I", "-c", _ASK], check=True, capture_output=True, text=True).stdout
    # A value of JSON made of texts and lists of texts is one of TOML.
    return "\n".join(["[project]", *(f"{key} = {json.dumps(value)}" for key, value in json.loads(told).items()), ""])


def write(python: str, output: Path) -> None:
    """Write the SBOM of the environment of ``python`` to ``output``, in JSON, after its schema has been checked."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as project:
        project.write(project_of(python))
        project.flush()
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", project.name]
        command += ["--output-reproducible", "--validate", "--output-file", str(output), python]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
