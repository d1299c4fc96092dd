"""A real daemon keeps to what /openapi.json says, whatever it is asked within it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from tests.support.daemon import Daemon

pytestmark = pytest.mark.integration
MANAGEMENT = "management-token-of-the-test-0123456789"
CONFIG = f"""
access: {{mode: projects, management_token: {MANAGEMENT}}}
providers: {{echo: {{type: echo}}}}
models: [{{name: echo, targets: [{{provider: echo, model: echo}}], images: true}}]
model_map: {{/.*/: echo}}
"""
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)
EXAMPLES = 3
"""Of each operation."""


def test_what_is_asked_by_the_document_is_answered_by_it(tmp_path: Path) -> None:
    with Daemon(tmp_path / "d", CONFIG) as daemon:
        manage = {"Authorization": f"Bearer {MANAGEMENT}"}
        daemon.wait_for(lambda: daemon.request("GET", "/manage/projects", headers=manage)[0] == 200)
        _, _, made = daemon.request("POST", "/manage/projects", {"name": "p"}, manage)
        wanted = {"project_id": json.loads(made)["id"], "duration_hours": 1}
        _, _, issued = daemon.request("POST", "/manage/tokens", wanted, manage)
        caller = {"Authorization": f"Bearer {json.loads(issued)['token']}"}
        document = json.loads(daemon.request("GET", "/openapi.json")[2])
        schema: Any = schemathesis.openapi.from_dict(document)
        asked = 0
        for found in schema.get_all_operations():
            operation = found.ok()
            if "feeds" in operation.tags:
                continue  # These answers do not end; tests/web/test_live.py reads them.
            managed = "/manage/" in operation.path or "register" in operation.path
            answers(operation, f"http://127.0.0.1:{daemon.port}", manage if managed else caller)
            asked += 1
        assert asked > len(document["paths"])


def answers(operation: Any, url: str, headers: dict[str, str]) -> None:
    """Ask an operation a few times, and see that each answer is as the document says."""

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)

    ask()
