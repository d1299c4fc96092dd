"""What writing an answer again takes that event filters have seen.

This module must not know any dialect.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from netrunner.errors import InternalError
from netrunner.events import Event


def unchanged(before: Sequence[Event], after: Sequence[Event]) -> bool:
    """Return whether filters gave back the very events they were given."""
    return len(after) == len(before) and all(map(operator.is_, after, before))


def unwritable(what: str) -> InternalError:
    """Return the error for events that no answer can hold."""
    return InternalError(f"A filter made {what}, which cannot be written.", code="filter_failed")
