"""What pages remember, whatever configuration is in force.

This module must not answer any request.
"""

from __future__ import annotations

from netrunner.interfaces import IClock
from netrunner.pipeline.live import Live
from netrunner.web.dashboard.figures import Figures
from netrunner.web.dashboard.look import Look
from netrunner.web.recent import Recent
from netrunner.web.sessions import Sessions
from netrunner.web.tries import Tries


class Lookout:
    """Follows every exchange from when it is made until ``close``; made once in a process.

    Args:
        live: What is in progress.
        clock: Time.
        look: Templates and static files; read from the package unless they are there already.
    """

    def __init__(self, live: Live, clock: IClock, look: Look | None = None) -> None:
        self.live = live
        self.clock = clock
        self.look = look or Look()
        self.figures = Figures(clock)
        self.recent = Recent(live)
        self.sessions = Sessions(clock)
        self.tries = Tries(clock)
        live.follow(self.figures)

    def close(self) -> None:
        """Hear of nothing more; idempotent."""
        self.live.unfollow(self.figures)
        self.live.unfollow(self.recent)
        self.tries.close()
