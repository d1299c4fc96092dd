"""The ``netrunner`` command."""
