"""The scripts of varnishtest beside this file, a raw client of another project, against a real daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration

SCRIPTS = sorted(Path(__file__).parent.glob("*.vtc"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_passes(script: Path, tmp_path: Path) -> None:
    binary = require_binary("varnishtest")
    with Daemon(tmp_path / "daemon") as daemon:
        macro = f"netrunner=127.0.0.1:{daemon.port}"
        done = subprocess.run(
            [binary, "-D", macro, str(script)],
            capture_output=True,
            text=True,
            env={"TMPDIR": str(tmp_path)},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
