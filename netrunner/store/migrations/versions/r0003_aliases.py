"""Aliases: names that were registered for models elsewhere.

This module must not change: what a database was made by stays readable.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_PLAIN = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "aliases",
        sa.Column("name", _PLAIN, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("api_url", sa.Text, nullable=False),
        sa.Column("at_registered", sa.Double, nullable=False),
    )
