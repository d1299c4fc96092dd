"""The command line: ``netrunner check`` and what stands around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netrunner import __version__
from netrunner.cli.main import main

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_a_valid_configuration_is_said_to_be_valid_beside_the_plugins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("PORT", raising=False)
    assert run("check", "conf/dev.yaml") == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.endswith("configuration is valid\n")
    assert {"echo", "openai", "no_think", "console", "jsonl"} <= set(output.out.split())


def test_models_without_a_breaker_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "providers: {a: {type: echo}, b: {type: openai, base_url: 'http://b.example', health: {alone: true}}}\n"
        "models:\n"
        "  - {name: one, targets: [{provider: a, model: m}]}\n"
        "  - {name: alone, targets: [{provider: b, model: m}]}\n"
        "  - {name: two, targets: [{provider: a, model: m}, {provider: a, model: n}]}\n"
        "  - {name: other, targets: [{provider: a, model: n}]}\n"
    )
    assert run("check", str(path)) == 0
    told = capsys.readouterr().out.splitlines()[-2]
    assert told == "asked however they fare, since they have one target (health.alone): one, other"


def test_every_problem_goes_to_the_error_stream(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("listen: tcp:0\nstate:\n  - a\n")
    assert run("check", str(path)) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        f"{path}:1: listen: expected a port from 1 to 65535, got 'tcp:0'\n"
        f"{path}:3: state: expected a string, got a list\n"
    )


def test_what_cannot_be_redacted_is_told_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("journal:\n  redact:\n    - secrets\n    - jwts\n    - /(/\n    - /a*/\n")
    assert run("check", str(path)) == 1
    wrong = capsys.readouterr().err.splitlines()
    assert [line.split(", got")[0][:60] for line in wrong] == [
        f"{path}:{line}: redact: expected {expected}"[:60] for line, expected in ((4, "/an"), (5, "an"), (6, "an"))
    ]
    assert wrong[0].endswith("phones, cards, ibans, got 'jwts'")
    assert wrong[1].endswith("an RE2 pattern: missing ): (, got '/(/'")


def test_too_much_to_redact_is_told_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("journal:\n  redact: [" + ", ".join(["jwt"] * 65) + "]\n")
    assert run("check", str(path)) == 1
    assert capsys.readouterr().err == f"{path}:2: redact: expected at most 64 classes and patterns\n"


def test_warnings_do_not_make_a_configuration_invalid(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("providers: {a: {type: openai, api_key: canary}}\n")
    assert run("check", str(path)) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"warning: {path}:1: api_key is a literal secret")
    assert "canary" not in output.out + output.err


def test_no_file_means_the_built_in_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 0
    assert capsys.readouterr().out.endswith("configuration is valid\n")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    output = capsys.readouterr().out
    assert "check" in output
    assert "plugins" in output
    assert "twistd netrunner --config" in output


def test_help_of_check_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--help") == 0
    assert "netrunner check [FILE]" in capsys.readouterr().out


def test_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"netrunner {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("chuck",), ("check", "a", "b"), ("check", "--nothing")])
def test_a_command_line_that_makes_no_sense_is_told_with_the_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("netrunner: ")
    assert "Usage: netrunner" in error


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("journal", "--help"), "Usage: netrunner journal [--state DIR | --config FILE] verify | show ID | export"),
        (("store", "status", "--help"), "Usage: netrunner store status"),
        (
            ("project", "create", "--help"),
            "Usage: netrunner project [--config FILE | --url URL] [--json] create [options] NAME",
        ),
        (("bench", "--help"), "Usage: netrunner bench [FLAGS] | netrunner bench compare BEFORE.json AFTER.json"),
    ],
)
def test_help_begins_with_what_is_typed(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], usage: str
) -> None:
    assert run(*arguments) == 0
    assert capsys.readouterr().out.splitlines()[0] == usage


def test_the_usage_that_is_told_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("journal", "show") == 2
    assert capsys.readouterr().err.splitlines()[2].startswith("Usage: netrunner journal ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--max-bytes", "many"), "Parameter type enforcement failed: invalid literal for int() with base 10: 'many'"),
        (("--colour", "red"), "option --colour not recognized"),
    ],
)
def test_what_the_logging_server_does_not_take_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert run("logserver", *arguments) == 2
    assert capsys.readouterr().err == f"netrunner logserver: {told}; --help tells what it takes\n"
