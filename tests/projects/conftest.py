"""One database for the tests of a module, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from netrunner.store.tables import metadata
from tests.support.reception import Front


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a database."""
    folder = tmp_path_factory.mktemp("projects")
    Front(folder).close()
    return folder


@pytest.fixture
def front(place: Path) -> Iterator[Front]:
    """A reception over an empty database."""
    made = Front(place)
    made.desk.database.write(
        lambda connection: [connection.execute(delete(table)) for table in reversed(metadata.sorted_tables)]
    )
    made.reception = made.another()
    made.desk.asked.clear()
    yield made
    made.close()
