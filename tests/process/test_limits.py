"""What the process asks of the kernel; each asked in a child, since there is no way back."""

from __future__ import annotations

import subprocess
import sys

ASK = """
import resource
from netrunner.process import limits
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
print(limits.raise_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE))
limits.forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
print(__import__("ctypes").CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""


def test_no_dump_is_left_and_every_descriptor_is_had() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines() == ["128 (128, 128)", "(0, 0)", "0"]
