"""The command that rewrites other systems' files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from twisted.logger import Logger

from netrunner.cli.importing import ImportOptions
from netrunner.config.load import load
from netrunner.registry import Registry

POOL = """models:
  - name: groq/llama
    provider: groq
    url: https://api.groq.com/openai/v1/chat/completions
    token: 'it''s "secret"'
    model_size: SMALL
    requests_per_minute: 20
"""


def run(*arguments: object) -> int:
    options = ImportOptions()
    options.parseOptions([str(one) for one in arguments])
    return options.run()


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(POOL)
    return path


def test_what_is_written_starts_with_the_secrets_that_are_written_beside_it(pool: Path, tmp_path: Path) -> None:
    made, secrets = tmp_path / "netrunner.yaml", tmp_path / "secrets.env"
    assert run("--from", "pool", "--output", made, "--env-file", secrets, pool) == 0
    assert "secret" not in made.read_text().replace(str(secrets), "")
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    settings, _, _ = load(str(made), lambda folders: Registry.discover(folders, Logger()), {"AUTH_TOKEN": "x" * 20})
    assert settings.providers[0].settings.api_key.reveal() == 'it\'s "secret"'


def test_without_a_file_for_them_the_variables_to_set_are_named(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", "pool", pool) == 0
    told = capsys.readouterr()
    assert "secret" not in told.out + told.err
    assert "these variables have to be set: GROQ_TOKEN" in told.err


def test_a_file_that_is_there_is_left_alone(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", "pool", "--output", pool, pool) == 1
    assert pool.read_text() == POOL
    assert capsys.readouterr().err == f"{pool}: File exists\n"


def test_nothing_is_written_beside_secrets_that_are_there(pool: Path, tmp_path: Path) -> None:
    made, secrets = tmp_path / "netrunner.yaml", tmp_path / "secrets.env"
    secrets.write_text("MINE=1")
    assert run("--from", "pool", "--output", made, "--env-file", secrets, pool) == 1
    assert (made.exists(), secrets.read_text()) == (False, "MINE=1")


@pytest.mark.parametrize(
    ("text", "message"), [("models: [", "line 1: not YAML"), ("- a\n", "expected a mapping"), ("\x00", "not YAML")]
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert run("--from", "pool", path) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
