"""The tables of the database, as the latest migration leaves them.

A record is three things: a row of ``records``, narrow and made of numbers, which is what is searched; its whole in
``documents``, which only those that were found are read from; and its words in ``texts``, each kept once. A filter
looks for its substring among those words first, and then by index for the records that have one: a million records
hold a few thousand different words.

Who may call is four tables more: ``projects``, their provider ``keys``, their ``tokens``, and the ``audit`` of every
change. No secret stands in them as it is: keys are sealed (``netrunner.store.sealing``), of tokens there are digests.
``secrets`` holds what this database itself needs to read them, sealed as well.

This module must not read or write anything.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0003"
"""The migration that these tables are of; a database of any other is not touched before it was migrated."""

WORDS = (
    "source", "path", "route", "dialect", "model", "upstream_model", "provider", "token", "project", "outcome", "error",
)  # fmt: skip
"""Fields of a record that are kept as numbers of ``texts``; columns of the same name."""

_SOMETIMES = frozenset({"dialect", "model", "upstream_model", "provider", "token", "project", "error"})

PLAIN = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is ordered by its characters' numbers wherever it is kept, as Python orders it."""

metadata = MetaData()

texts = Table(
    "texts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("field", String(16), nullable=False),
    Column("folded", PLAIN, nullable=False),
    UniqueConstraint("field", "folded", name="texts_once"),
)

# No foreign keys to ``texts``: eleven look-ups a row to prove what one writer at a time sees to anyway.
records = Table(
    "records",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("request_id", PLAIN, comment="folded; only where it is not the id itself"),
    Column("at", Double, nullable=False),
    Column("status", SmallInteger, nullable=False),
    *(Column(word, Integer, nullable=word in _SOMETIMES) for word in WORDS),
    Index("records_at", "at", "id"),
    Index("records_status", "status", "id"),
    sqlite_with_rowid=False,
)
for word in WORDS:
    there = records.c[word].is_not(None) if word in _SOMETIMES else None
    Index(f"records_{word}", records.c[word], records.c.id, sqlite_where=there, postgresql_where=there)
Index(
    "records_request_id",
    records.c.request_id,
    sqlite_where=records.c.request_id.is_not(None),
    postgresql_where=records.c.request_id.is_not(None),
)

documents = Table(
    "documents",
    metadata,
    Column("id", PLAIN, ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("record", LargeBinary, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", PLAIN, primary_key=True),
    Column("model", Text, nullable=False),
    Column("api_url", Text, nullable=False),
    Column("at_registered", Double, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("limits", Text, nullable=False, comment="JSON"),
    Column("tokens_used", BigInteger, nullable=False),
    Column("cost_used", Double, nullable=False, comment="US dollars"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("project", PLAIN, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("provider", PLAIN, nullable=False),
    Column("masked", Text, nullable=False),
    Column("sealed_by", PLAIN, comment="id of the master key; null for a key that lies there as it is"),
    Column("sealed", LargeBinary, nullable=False),
    Index("keys_project", "project", "id"),
    Index("keys_sealed_by", "sealed_by"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("project", PLAIN, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("masked", Text, nullable=False),
    Column("name", Text),
    Column("active", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("max_requests", BigInteger, comment="null: as many as one likes"),
    Column("taken", BigInteger, nullable=False, comment="of max_requests, by processes that may still spend it"),
    Column("request_count", BigInteger, nullable=False),
    Column("last_used_at", Double),
    Column("tokens_used", BigInteger, nullable=False),
    Column("cost_used", Double, nullable=False, comment="US dollars"),
    Column("limits", Text, nullable=False, comment="JSON"),
    Column("metadata", Text, nullable=False, comment="JSON"),
    UniqueConstraint("digest", name="tokens_once"),
    Index("tokens_project", "project", "id"),
    Index("tokens_expires_at", "expires_at"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("sealed_by", PLAIN, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", PLAIN, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", PLAIN, nullable=False),
    Column("outcome", PLAIN, nullable=False),
    Column("project", PLAIN),
    Column("token", PLAIN),
    Column("request_id", PLAIN),
    Column("address", Text),
    Column("details", Text, nullable=False, comment="JSON"),
    Index("audit_project", "project", "id"),
    Index("audit_token", "token", "id"),
    Index("audit_action", "action", "id"),
)
