"""Projects, their provider keys and tokens, and the audit of what is changed about them.

This module must not change: what a database was made by stays readable.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_PLAIN = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "projects",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("limits", sa.Text, nullable=False, comment="JSON"),
        sa.Column("tokens_used", sa.BigInteger, nullable=False),
        sa.Column("cost_used", sa.Double, nullable=False, comment="US dollars"),
    )
    op.create_table(
        "keys",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("project", _PLAIN, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        sa.Column("provider", _PLAIN, nullable=False),
        sa.Column("masked", sa.Text, nullable=False),
        sa.Column("sealed_by", _PLAIN, comment="id of the master key; null for a key that lies there as it is"),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("keys_project", "keys", ["project", "id"])
    op.create_index("keys_sealed_by", "keys", ["sealed_by"])
    _tokens()
    op.create_table(
        "secrets",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("sealed_by", _PLAIN, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    _audit()


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("project", _PLAIN, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("masked", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.Column("max_requests", sa.BigInteger, comment="null: as many as one likes"),
        sa.Column(
            "taken", sa.BigInteger, nullable=False, comment="of max_requests, by processes that may still spend it"
        ),
        sa.Column("request_count", sa.BigInteger, nullable=False),
        sa.Column("last_used_at", sa.Double),
        sa.Column("tokens_used", sa.BigInteger, nullable=False),
        sa.Column("cost_used", sa.Double, nullable=False, comment="US dollars"),
        sa.Column("limits", sa.Text, nullable=False, comment="JSON"),
        sa.Column("metadata", sa.Text, nullable=False, comment="JSON"),
        sa.UniqueConstraint("digest", name="tokens_once"),
    )
    op.create_index("tokens_project", "tokens", ["project", "id"])
    op.create_index("tokens_expires_at", "tokens", ["expires_at"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _PLAIN, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", _PLAIN, nullable=False),
        sa.Column("outcome", _PLAIN, nullable=False),
        sa.Column("project", _PLAIN),
        sa.Column("token", _PLAIN),
        sa.Column("request_id", _PLAIN),
        sa.Column("address", sa.Text),
        sa.Column("details", sa.Text, nullable=False, comment="JSON"),
    )
    op.create_index("audit_project", "audit", ["project", "id"])
    op.create_index("audit_token", "audit", ["token", "id"])
    op.create_index("audit_action", "audit", ["action", "id"])
