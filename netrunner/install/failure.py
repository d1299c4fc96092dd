"""What ends an installation: told in one line, after which everything is as it was.

This module must not know what went wrong.
"""


class Refused(Exception):
    """The installation does not take place; the message says why, for the operator."""
