"""What plugins may keep where every process finds it that has the same ``shared``.

This module must not know where that is.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class ISharedStore(Interface):
    """Values by their keys, each for a time; of one plugin, which starts and stops it.

    Nothing here fails but ``clear``: what cannot be reached holds nothing.
    """

    available = Attribute("bool: whether it can be reached now.")

    def start():
        """Connect, and again whenever the connection is lost."""

    def stop():
        """Hang up. May return a Deferred."""

    async def get(key):
        """Return the bytes kept under ``key``, bytes as well; None if there are none, or within a second or so."""

    def put(key, value, ttl_s):
        """Keep bytes for so many seconds, above 0; nobody waits for that."""

    async def clear():
        """Forget every key; return how many there were.

        Raises:
            NetrunnerError: when that is not known.
        """
