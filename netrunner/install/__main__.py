"""``python3 -m netrunner.install``: the door of the installer, which an older Python can read as well.

This module must not do anything but see that this Python is new enough.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this has not installed anything yet
    sys.exit(
        "netrunner needs Python 3.11 or newer, and this is {}.{}: run the installer by another one".format(
            *sys.version_info[:2]
        )
    )

from netrunner.install.command import main

sys.exit(main())
