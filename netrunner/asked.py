"""What the path of an exchange asks of filters that have no phase of their own.

Of several filters in a chain that are asked the same, the first one counts. Everything here is called on the
reactor's thread and must not block.

This module must not import anything of netrunner.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IRetries(Interface):
    """A filter that says what is tried again; asked once per failure."""

    settings = Attribute(
        "Has ``attempts``, ``base_delay_s``, ``max_delay_s``, ``jitter`` and ``unanswered``, as the filter ``retry``."
    )


class IRemembers(Interface):
    """A filter that answers with what was answered before; has ``IResponsePhase`` besides where it tells of it.

    The other filters have let the request in by then, and changed it. What is answered so was not asked of anybody.
    """

    available = Attribute("bool: whether what it keeps elsewhere can be reached.")
    held_bytes = Attribute("int: what its memory takes.")
    hits = Attribute("int: how often it has answered.")
    misses = Attribute("int: how often it was asked for what it had not.")

    async def recall(exchange, places):
        """Called once for a request whose model is known, before anybody is asked; the exchange may end meanwhile.

        Args:
            exchange: What is asked; its body as it goes on, but for the model's name.
            places: Who may serve it, best first: a text for each, with its address, provider and model.

        Returns:
            A ``Recalled``, to be answered at once; an ``IWatcher`` that is to hear the answer, as the caller gets it
            and unredacted; or None.

        Raises:
            ExchangeError: to refuse.
        """

    async def purge():
        """Forget everything; return how many answers that were. May raise ``NetrunnerError``."""
