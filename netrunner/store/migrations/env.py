"""What Alembic runs around the migrations: they share the connection, and the transaction, of whoever asks.

This module must not connect by itself.
"""

from alembic import context

from netrunner.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
