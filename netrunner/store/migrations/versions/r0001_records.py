"""Records: their words, the rows that are searched, and their wholes.

This module must not change: what a database was made by stays readable.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_PLAIN = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_WORDS = (
    "source", "path", "route", "dialect", "model", "upstream_model", "provider", "token", "project", "outcome", "error",
)  # fmt: skip
_ALWAYS = {"source", "path", "route", "outcome"}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "texts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("field", sa.String(16), nullable=False),
        sa.Column("folded", _PLAIN, nullable=False),
        sa.UniqueConstraint("field", "folded", name="texts_once"),
    )
    op.create_table(
        "records",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("request_id", _PLAIN, comment="folded; only where it is not the id itself"),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        *(sa.Column(word, sa.Integer, nullable=word not in _ALWAYS) for word in _WORDS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "documents",
        sa.Column("id", _PLAIN, sa.ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("records_at", "records", ["at", "id"])
    op.create_index("records_status", "records", ["status", "id"])
    for column in _WORDS:
        there = None if column in _ALWAYS else sa.text(f"{column} IS NOT NULL")
        op.create_index(f"records_{column}", "records", [column, "id"], sqlite_where=there, postgresql_where=there)
    there = sa.text("request_id IS NOT NULL")
    op.create_index("records_request_id", "records", ["request_id"], sqlite_where=there, postgresql_where=there)
