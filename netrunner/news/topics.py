"""What notices are about.

This module must not hold anything but names.
"""

PROJECTS = "projects"
"""Who may call; the id is a project's."""
ALIASES = "aliases"
"""Names that are registered while netrunner runs; there is no id."""
