"""The admin pages: projects, tokens, what they use, the audit, health and the configuration, at ``/admin/``.

- ``entrance``       who is let in: Basic authentication for tools, a session for people
- ``forms``          what the forms of the pages ask for, as documents of the management operations
- ``bars``           limits, and how much of each is used
- ``usage``          what tokens and models used over time, as charts
- ``configuration``  the configuration in force, its secrets masked
- ``pages``          what is shown whatever callers are let in by
- ``projects``       the pages of projects, tokens and the audit, and what their forms do
- ``root``           everything at ``/admin/``: login, pages, and the same as JSON

This package must not change anything by a way of its own: ``netrunner.projects.office`` does.
"""
