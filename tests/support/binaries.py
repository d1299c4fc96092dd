"""Programs of other projects that a test starts: nginx, haproxy, wrk, slowhttptest, varnishtest, systemd."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = "NETRUNNER_REQUIRE_BINARIES"
"""Set to 1, a missing program fails its tests instead of skipping them."""


def require_binary(name: str) -> str:
    """Return the path of the program ``name``; without it, skip the test that asks, by name.

    Where ``NETRUNNER_REQUIRE_BINARIES=1``, as in CI, the test fails instead.
    """
    folders = (os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/usr/lib/systemd")
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is not None:
        return path
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{name} is not installed, and {REQUIRED}=1")
    pytest.skip(f"{name} is not installed")
