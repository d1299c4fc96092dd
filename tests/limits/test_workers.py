"""Several workers that would count each by itself."""

from __future__ import annotations

import pytest
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.errors import ConfigurationError
from netrunner.registry import Registry

NEEDS = "counts, so several workers need shared: redis://HOST:PORT/DB"
ECHO = "providers:\n  echo: {type: echo}\n"
FILTER = "filters: [{type: rate_limit, concurrency: 1}]\n"
MODEL = "models: [{name: m, targets: [{provider: echo, model: m, limits: {requests_per_minute: 1}}]}]\n"
PROJECTS = "access: {mode: projects, management_token: management-token-0123456789}\n"


def problems(path: str, text: str) -> list[str]:
    with open(path, "w") as file:
        file.write(ECHO + text)
    try:
        load(path, lambda folders: Registry.discover(folders, Logger()), {"K": "key"})
    except ConfigurationError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FILTER, "rate_limit"),
        (MODEL, "model m"),
        (PROJECTS, "access.mode projects"),
        ("  up: {type: openai, api_key: {env: K}, min_gap_s: 1}\n", "provider up"),
        ("  up: {type: openai, api_key: {env: K}, max_at_once: 1}\n", "provider up"),
    ],
)
def test_several_workers_that_count_have_to_count_together(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = str(tmp_path_factory.mktemp("config") / "netrunner.yaml")
    assert problems(path, text + "workers: 2") == [f"{name} {NEEDS}"]
    assert problems(path, text + "workers: 1") == []
    assert problems(path, text + "workers: 2\nshared: redis://127.0.0.1") == []


def test_several_workers_that_count_nothing_need_nobody_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert problems(str(tmp_path_factory.mktemp("config") / "netrunner.yaml"), "workers: 2") == []
