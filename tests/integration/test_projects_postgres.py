"""Projects in a real PostgreSQL that goes away and comes back while they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.postgres import Postgres

pytestmark = pytest.mark.integration

MANAGE = {"Authorization": f"Bearer {'m' * 32}"}
CONFIG = """
access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}
providers: {echo: {type: echo}, up: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: project}}
models: [{name: echo, targets: [{provider: echo, model: echo}]}]
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


def manage(daemon: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, _, told = daemon.request(method, path, body, MANAGE)
    return status, json.loads(told) if told else None


def test_a_database_that_is_away_at_the_start_is_told_of_and_nobody_is_to_be_sent_here(tmp_path: Path) -> None:
    config = f"{CONFIG}store: postgresql://u:canary@127.0.0.1:9/none\n"
    with Daemon(tmp_path, config, environ={"MANAGEMENT_TOKEN": "m" * 32}) as daemon:
        assert [daemon.request("GET", path)[0] for path in ("/live", "/ready")] == [200, 503]
        assert manage(daemon, "GET", "/manage/projects")[0] == 503
        assert "nobody can be let in for now: The database" in daemon.log()
        assert "canary" not in daemon.log()


def test_known_tokens_work_without_the_database_and_changes_are_refused(tmp_path: Path) -> None:
    with Postgres() as postgres:
        config = f"{CONFIG}store: {postgres.database()}\n"
        with Daemon(tmp_path, config, environ={"MANAGEMENT_TOKEN": "m" * 32}) as daemon:
            project = manage(daemon, "POST", "/manage/projects", {"name": "team"})[1]["id"]
            wanted = {"project_id": project, "duration_hours": 1}
            known, unknown = (manage(daemon, "POST", "/manage/tokens", wanted)[1]["token"] for _ in range(2))

            def chat(token: str) -> int:
                credential = {"Authorization": f"Bearer {token}"}
                return daemon.request("POST", "/v1/chat/completions", CHAT, credential)[0]

            assert chat(known) == 200
            postgres.stop()
            assert (chat(known), chat(unknown)) == (200, 503)
            assert daemon.request("GET", "/ready")[0] == 200
            status, told = manage(daemon, "POST", "/manage/projects", {"name": "crew"})
            assert (status, told["error"]["code"]) == (503, "store_unavailable")
            postgres.start()
            daemon.wait_for(lambda: manage(daemon, "DELETE", "/manage/tokens", {"token": known})[0] == 204)
            daemon.wait_for(lambda: chat(unknown) == 200)
            assert chat(known) == 401
            (listed,) = manage(daemon, "GET", "/manage/projects")[1]["data"]
            assert listed["name"] == "team"
