"""Models with several targets, as the configuration has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netrunner.claims import Claim
from netrunner.config.pooling import claims_of, pools_of, table_of
from netrunner.errors import ConfigurationError
from netrunner.routing.targets import Targets
from netrunner.settings import Limits
from tests.config.test_docs import ENVIRON, load_file

PAGE = (Path(__file__).parents[2] / "docs" / "pools.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROVIDERS = "providers: {e: {type: echo}, o: {type: echo}}\n"


def problems(tmp_path: Path, models: str, more: str = "") -> list[str]:
    path = tmp_path / "x.yaml"
    path.write_text(f"{PROVIDERS}models: {models}\n{more}")
    with pytest.raises(ConfigurationError) as raised:
        load_file(path, {})
    return [problem.message for problem in raised.value.problems]


@pytest.mark.parametrize("text", EXAMPLES, ids=[f"example {n}" for n in range(1, len(EXAMPLES) + 1)])
def test_every_example_of_the_page_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    settings, warnings = load_file(tmp_path / "x.yaml", ENVIRON)
    assert (warnings, bool(settings.providers)) == ([], True)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("[{name: m, targets: [{provider: e, model: a, weight: 2}]}]",
         "weight: means nothing while the strategy is priority, not weighted"),
        ("[{name: m, strategy: weighted, targets: [{provider: e, model: a, weight: 0}]}]",
         "model m: every target has the weight 0"),
        ("[{name: m, targets: [{provider: e, model: a}, {provider: e, model: a}]}]",
         "target 'e a' stands 2 times"),
        ("[{name: m, targets: [{provider: e, model: a, limits: {requests_per_day: 0}}]}]",
         "model m: every target has a limit of 0"),
        ("[{name: m, limits: {requests_per_minute: 9, requests_per_day: 8}, targets: [{provider: e, model: a}]}]",
         "limits: requests_per_minute is 9, which requests_per_day of 8 never lets happen"),
        ("[{name: m, targets: [{provider: e, model: a, limits: {windows: [{length_s: 5}]}}]}]",
         "limits: a window counts neither requests nor tokens"),
        ("[{name: m, limits: {concurrency: 0}, targets: [{provider: e, model: a}]}]",
         "limits: of a limit of 0 model m is never served"),
        ("[{name: BIG, class: BIG, targets: [{provider: e, model: a}]}]",
         "class: BIG is the name of a model as well, so it could mean either"),
        ("[{name: m, class: HUGE, targets: [{provider: e, model: a}]}]",
         "class: expected 'BIG' or 'SMALL' or nothing, got 'HUGE'"),
        ("[{name: m, targets: []}]", "model m: expected at least one target"),
        ("[{name: m, targets: [{provider: e, model: a, limits: {concurrency: 1}}]},"
         " {name: n, targets: [{provider: e, model: a}]}]",
         "limits: e a has other limits in another model"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_an_error_at_the_start(models: str, expected: str, tmp_path: Path) -> None:
    assert problems(tmp_path, models) == [expected]


def test_there_is_one_filter_that_says_what_is_tried_again(tmp_path: Path) -> None:
    assert problems(tmp_path, "[]", "filters: [{type: retry}, {type: retry}]\n") == [
        "filter retry stands twice: what is tried again is decided in one place"
    ]


def test_a_class_holds_every_target_of_its_models_once_with_the_limits_of_both(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        PROVIDERS + "models:\n"
        "  - {name: m, class: SMALL, limits: {concurrency: 5},"
        " targets: [{provider: e, model: a}, {provider: o, model: b}]}\n"
        "  - {name: n, class: SMALL, targets: [{provider: o, model: b}, {provider: o, model: c}]}\n"
        "  - {name: l, targets: [{provider: e, model: d}]}\n"
    )
    settings, _ = load_file(tmp_path / "x.yaml", {})
    table, targets = table_of(settings), Targets()
    assert list(table.names()) == ["m", "n", "l", "SMALL"]
    assert [one.model for one in table.candidates("SMALL")] == ["a", "b", "c"]
    of_m = Claim("model", "m", Limits(concurrency=5))
    assert [one.claims for one in table.candidates("SMALL")] == [(of_m,), (of_m,), ()]
    assert [one.claims for one in table.candidates("m")] == [(), ()]
    assert claims_of(settings) == {"m": of_m}
    assert sorted(pools_of(settings, table, targets)) == ["SMALL", "m", "n"]
    assert {one.model for one in targets} == set("abcd")
