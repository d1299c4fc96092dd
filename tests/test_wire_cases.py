"""docs/wire-cases.md names every case, and tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "wire-cases.md").read_text()
ROWS = [[cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (\d+ \| .*) \|$", PAGE, re.MULTILINE)]
TESTED_IN = re.findall(r"`(tests/\S+\.py)`", PAGE)


def named_in(path: str) -> set[str]:
    module = ast.parse((ROOT / path).read_text())
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_case_is_there_with_what_is_done() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 49))
    assert all(len(row) == 4 and all(row) for row in ROWS)


def test_every_case_names_its_tests_and_every_test_is_named() -> None:
    named = [(int(number), name) for number, _, _, tests in ROWS for name in re.findall(r"`(\w+)`", tests)]
    assert {number for number, _ in named} == set(range(1, 49))
    assert all(name.startswith(f"test_case_{number:02}_") for number, name in named)
    assert len(TESTED_IN) == 2
    assert sorted(name for _, name in named) == sorted(set().union(*map(named_in, TESTED_IN)))
