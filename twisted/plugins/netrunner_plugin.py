"""What makes ``twistd netrunner`` known to twistd.

This module must not import anything of netrunner: twistd loads it whenever it lists its commands.
"""

from twisted.application.service import ServiceMaker

netrunner = ServiceMaker("netrunner", "netrunner.tap", "A firewall and proxy for AI models.", "netrunner")
