"""The database: tables, migrations and queries; SQLite by default, PostgreSQL by URL."""

FILE = "netrunner.sqlite3"
"""Name of the SQLite database in the state folder."""
