"""Fixtures for configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.fakes import Loader


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """Load YAML text against a registry of four plugins."""
    return Loader(tmp_path)
