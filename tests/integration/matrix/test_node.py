"""The official Node SDKs of every inbound dialect, and Vercel's, to every outbound one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.matrix.clients.node import Node, Process
from tests.integration.matrix.matrix import OUTBOUND, Matrix
from tests.integration.matrix.scenarios import OK, SCENARIOS, Cell, run
from tests.support.node import require_packages

pytestmark = pytest.mark.integration

PACKAGES = json.loads((Path(__file__).parent / "node" / "package.json").read_text())["dependencies"]
SDKS = ("openai", "anthropic", "gemini", "ollama", "ai")


@pytest.fixture(scope="module")
def node() -> Iterator[Process]:
    require_packages(list(PACKAGES))
    with Process() as process:
        yield process


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with Matrix(tmp_path_factory.mktemp("matrix") / "daemon") as matrix:
        yield matrix


@pytest.mark.parametrize("scenario", ["text", "stream", "tool call"])
@pytest.mark.parametrize("outbound", OUTBOUND)
@pytest.mark.parametrize("sdk", SDKS)
def test_a_node_sdk_is_served(node: Process, matrix: Matrix, sdk: str, outbound: str, scenario: str) -> None:
    client = Node(matrix.port, node, sdk)
    assert run(SCENARIOS[scenario], Cell(client, matrix.upstreams[outbound], outbound)) == OK
