"""One database for the tests of a module, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from netrunner.store.tables import metadata
from tests.support.admin import Desk
from tests.support.reception import Front


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a database."""
    folder = tmp_path_factory.mktemp("admin")
    front = Front(folder)
    front.close()
    return folder


@pytest.fixture
def desk(place: Path) -> Iterator[Desk]:
    """The admin pages over an empty database."""
    front = Front(place)
    front.desk.database.write(
        lambda connection: [connection.execute(delete(table)) for table in reversed(metadata.sorted_tables)]
    )
    front.close()
    made = Desk(place)
    yield made
    made.close()
