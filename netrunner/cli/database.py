"""What the commands share that look into the database: the configuration, the database, its secrets.

This module must not be imported by the daemon: it blocks.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from netrunner.cli.configured import configured
from netrunner.errors import StoreError
from netrunner.store.database import Database, locate
from netrunner.store.master import keyring
from netrunner.store.sealing import Keyring

CONFIG: list[Any] = ["config", "c", None, "The configuration of the daemon whose database it is."]
"""The option by which all of them are told where to look."""


class Place:
    """One configuration's database, opened when it is first used; a context manager.

    Args:
        config: Path of the configuration; None for the built-in one.

    Raises:
        ConfigurationError: when it is wrong.
    """

    def __init__(self, config: str | None) -> None:
        self.settings = configured(config)
        self.state = Path(self.settings.state)
        self.url = locate(self.settings.store, self.state)
        self.database = Database(self.url, bring_up, time.monotonic)

    def __enter__(self) -> Place:
        if not self.state.is_dir():
            raise StoreError(f"There is no state folder {self.state}: name the configuration by --config.")
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def keyring(self) -> Keyring:
        """Return the master keys that are configured, or those of the state folder."""
        secrets = self.settings.secrets
        return keyring(secrets.key, secrets.previous, self.state)


def bring_up(url: URL) -> None:
    """Bring a database to the latest migration."""
    # With it comes Alembic, a sixth of what such a command costs; most databases need no migration.
    from netrunner.store.migrate import migrate

    migrate(url.render_as_string(hide_password=False))
