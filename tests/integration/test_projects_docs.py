"""docs/projects.md: what it tells to type works, one after the other, and its limits are those there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netrunner.projects.terms import WINDOWS
from tests.support.binaries import require_binary
from tests.support.daemon import ROOT, Daemon

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "projects.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
providers: {echo: {type: echo}, up: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: project}}
models: [{name: gpt-4o-mini, targets: [{provider: echo, model: echo}]}]
"""
SECRETS = {"MANAGEMENT_TOKEN": "m" * 32, "OPENAI_API_KEY": "sk-0123456789-0123456789"}


def test_the_page_is_a_tutorial_that_works(tmp_path: Path) -> None:
    for name in ("curl", "jq"):
        require_binary(name)
    with Daemon(tmp_path, CONFIG, environ=SECRETS) as daemon:
        headers = {"Authorization": f"Bearer {SECRETS['MANAGEMENT_TOKEN']}"}
        daemon.wait_for(lambda: daemon.request("GET", "/manage/projects", None, headers)[0] == 200)
        script = "set -e\n" + "\necho\n".join(BLOCKS).replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {**os.environ, **SECRETS, "PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False, env=environ
        )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    chat, withering, audit, tokens = answers
    assert chat["choices"][0]["message"]["content"] == "Hello"
    assert withering["limits"]["wither"] == {"curve": "linear", "floor": 0.1}
    assert [entry["action"] for entry in audit["data"]] == ["token.create", "token.revoke", "token.create"]
    assert [token["state"] for token in tokens] == ["active", "revoked"]


def test_every_limit_is_told() -> None:
    assert [name for name in (*WINDOWS, "max_tokens", "max_cost", "max_requests") if f"`{name}`" not in PAGE] == []
