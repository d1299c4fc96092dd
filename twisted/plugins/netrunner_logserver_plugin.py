"""What makes ``twistd netrunner-logserver`` known to twistd.

This module must not import anything of netrunner: twistd loads it whenever it lists its commands.
"""

from twisted.application.service import ServiceMaker

netrunner_logserver = ServiceMaker(
    "netrunner-logserver",
    "netrunner.logserver.tap",
    "Keeps the requests and responses that netrunner copies to it.",
    "netrunner-logserver",
)
