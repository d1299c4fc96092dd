"""``/openapi.json``: valid, and about everything that is served."""

from __future__ import annotations

import json
from pathlib import Path

from openapi_spec_validator import validate

from netrunner import __version__
from netrunner.web.openapi import document
from netrunner.web.rows import row
from netrunner.web.tree import BUILT_IN
from tests.support.client import answers
from tests.support.records import make_record
from tests.support.stage import Stage, request

ROOT = Path(__file__).parents[2]
BRANCHES = {"/v1", "/v1beta"}
"""Built-in paths at which nothing is served, only below."""


def test_the_document_is_valid() -> None:
    validate(document())


def test_it_is_served_with_the_version_of_the_daemon() -> None:
    # As docs/api.md shows it.
    assert "curl -s http://127.0.0.1:8080/openapi.json\n" in (ROOT / "docs" / "api.md").read_text()
    client = Stage().client().say(request("/openapi.json"))
    (answer,) = answers(client.heard(), b"GET")
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"application/json")
    told = json.loads(answer.body)
    assert told["info"]["version"] == __version__
    assert told == document()


def test_every_built_in_path_is_described() -> None:
    assert {path.decode() for path in BUILT_IN} - BRANCHES - set(document()["paths"]) == set()


def test_every_operation_has_a_name_of_its_own_and_a_known_tag() -> None:
    told = document()
    operations = [
        operation for path in told["paths"].values() for method, operation in path.items() if method != "parameters"
    ]
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert {tag for one in operations for tag in one["tags"]} == {tag["name"] for tag in told["tags"]}


def test_every_field_of_a_row_is_described() -> None:
    assert set(document()["components"]["schemas"]["Row"]["properties"]) == set(row(make_record()))
