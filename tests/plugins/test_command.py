"""``netrunner plugins`` and ``netrunner plugins check``."""

import shutil
from pathlib import Path

import pytest

from netrunner.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example.py"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "drop"
    path.mkdir(mode=0o755)
    shutil.copy(EXAMPLE, path)
    return path


@pytest.fixture
def netrunner(capsys):
    def netrunner(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return (ended.value.code, *capsys.readouterr())

    return netrunner


def test_the_table_tells_kind_name_origin_and_purpose(netrunner, folder):
    code, out, err = netrunner("plugins", "--directory", folder)
    assert (code, err) == (0, "")
    rows = [line.split(None, 2) for line in out.splitlines()]
    assert rows[0] == ["KIND", "NAME", "ORIGIN"]
    assert ["provider", "example"] in [row[:2] for row in rows]
    example = next(line for line in out.splitlines() if "example" in line)
    assert str(folder / "example.py") in example
    assert example.endswith("An OpenAI-compatible API that wants its key in x-api-key.")


def test_the_folders_may_come_from_a_configuration(netrunner, folder, tmp_path):
    config = tmp_path / "netrunner.yaml"
    config.write_text(f"plugins: {{directories: [{folder}]}}\nproviders: {{echo: {{type: echo}}}}\n")
    code, out, _ = netrunner("plugins", "--config", config)
    assert code == 0
    assert "example" in out


def test_a_broken_drop_in_is_told_and_the_others_are_listed(netrunner, folder):
    (folder / "broken.py").write_text("x = (")
    code, out, err = netrunner("plugins", "-d", folder)
    assert code == 0
    assert err == f"skipped: {folder / 'broken.py'}:1: SyntaxError: '(' was never closed\n"
    assert "example" in out


def test_a_folder_that_is_not_there_is_an_error(netrunner, folder):
    code, out, err = netrunner("plugins", "-d", folder / "nowhere")
    assert (code, out) == (1, "")
    assert "there is no such plugin folder" in err


@pytest.mark.parametrize("name", ["cohere", "echo", "gigachat", "openai", "example"])
def test_a_good_provider_passes(name, netrunner, folder):
    code, out, err = netrunner("plugins", "-d", folder, "check", name)
    assert (code, err) == (0, "")
    assert all(line.startswith("ok  ") for line in out.splitlines())


def test_a_bad_provider_fails_and_is_told_why(netrunner, folder):
    source = EXAMPLE.read_text().replace('(b"x-team",', '(b"Host",').replace('name="example"', 'name="bad"')
    (folder / "bad.py").write_text(source)
    code, out, _ = netrunner("plugins", "-d", folder, "check", "--set", "team=blue", "bad")
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith("FAILED")] == [
        "FAILED  headers: the header name b'Host' is not in lowercase, or no token"
    ]


def test_a_wrong_setting_is_told(netrunner, folder):
    code, out, _ = netrunner("plugins", "-d", folder, "check", "--set", "team=[1]", "example")
    assert code == 1
    assert "FAILED  build: raised ConfigurationError" in out


def test_a_name_nobody_offers_is_told_with_those_there_are(netrunner):
    assert netrunner("plugins", "check", "nobody") == (
        1,
        "",
        "there is no provider called 'nobody'; there are: cohere, echo, gigachat, openai\n",
    )


@pytest.mark.parametrize(
    "arguments", [["check"], ["check", "--set", "team", "echo"], ["check", "--set", "a={", "echo"], ["nonsense"]]
)
def test_a_command_line_that_makes_no_sense_is_refused(arguments, netrunner):
    code, _, err = netrunner("plugins", *arguments)
    assert code == 2
    assert "Traceback" not in err
