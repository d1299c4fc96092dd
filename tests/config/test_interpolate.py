"""Values from outside the YAML: variables, .env files, secrets by reference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.config import tree
from netrunner.config.interpolate import interpolate, read_env_files
from netrunner.errors import Problem
from netrunner.settings import Secret
from tests.config.fakes import Loader


def interpolated(text: str, environ: dict[str, str]) -> tree.Scalar:
    node = interpolate(tree.Scalar("x.yaml:7", text, plain=True), environ)
    assert isinstance(node, tree.Scalar)
    return node


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", "1"), ("x${A}y${A}", "x1y1"), ("${B:-2}", "2"), ("${A:-2}", "1"), ("${EMPTY:-2}", "2"),
        ("${B:-}", ""), ("$${A}", "${A}"), ("$A $ {A}", "$A $ {A}"), ("${B:-a:-b}", "a:-b"), ("${EMPTY}", ""),
        ("${EMPTY-2}", ""), ("${B-2}", "2"), ("${A-2}", "1"), ("${B-}", ""), ("${B--1}", "-1"),
        ("${A:+yes}", "yes"), ("${B:+yes}", ""), ("${EMPTY:+yes}", ""), ("${A:+}", ""),
    ],
)  # fmt: skip
def test_variables_stand_in_anywhere(text: str, result: str) -> None:
    assert interpolated(text, {"A": "1", "EMPTY": ""}).text == result


def test_what_a_variable_holds_is_not_interpolated_again() -> None:
    assert interpolated("${A}", {"A": "${B}", "B": "2"}).text == "${B}"


def test_a_missing_variable_is_named_with_its_line(loaded: Loader) -> None:
    assert loaded.problems("state: /a\nunknown_model: ${WHO}\n") == [
        "netrunner.yaml:2: environment variable WHO is not set, and has no default here"
    ]


def test_a_missing_variable_hides_no_other_problem(loaded: Loader) -> None:
    assert loaded.sample_problems("flag: ${A}\ncount: ${B}\nlabels: x") == [
        "netrunner.yaml:4: environment variable A is not set, and has no default here",
        "netrunner.yaml:5: environment variable B is not set, and has no default here",
        "netrunner.yaml:6: unknown key 'labels', did you mean label?",
    ]


@pytest.mark.parametrize("text", ["${", "${A", "${1}", "${A+b}", "${}", "a ${ b"])
def test_a_malformed_reference_is_a_problem(text: str) -> None:
    expected = "expected ${NAME} or ${NAME:-default}; a literal ${ is written $${"
    assert interpolated(text, {"A": "1"}).problem == Problem("x.yaml:7", expected)


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "Yes", "on", "tRuE"])
def test_a_switch_from_a_variable_is_on_for_every_way_to_say_so(loaded: Loader, word: str) -> None:
    assert loaded.sample('flag: "${FLAG}"', FLAG=word).flag is True


@pytest.mark.parametrize("word", ["0", "false", "NO", "off", ""])
def test_a_switch_from_a_variable_is_off_for_every_way_to_say_so(loaded: Loader, word: str) -> None:
    assert loaded.sample("flag: ${FLAG}", FLAG=word).flag is False


def test_what_comes_from_a_variable_is_typed_by_what_the_setting_wants(loaded: Loader) -> None:
    sample = loaded.sample('count: "${N}"\nshare: ${N}\nlabel: ${N}\nword: ${W:-two}', N="3")
    assert (sample.count, sample.share, sample.label, sample.word) == (3, 3.0, "3", "two")


def test_a_list_or_a_mapping_from_a_variable_is_json_in_its_order(loaded: Loader) -> None:
    sample = loaded.sample('tags: ${TAGS}\nweights: "${MAP}"', TAGS='["b", "a", "1"]', MAP='{"z": 1, "a": 2}')
    assert sample.tags == ("b", "a", "1")
    assert list(sample.weights.items()) == [("z", 1), ("a", 2)]
    assert loaded.sample('tags: "${TAGS:-}"').tags == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'a': canary}", "Expecting property name enclosed in double quotes at character 2"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("canary", "Expecting value at character 1"),
    ],
)
def test_a_variable_that_is_no_json_where_a_mapping_is_wanted_is_told_with_its_place(
    loaded: Loader, text: str, reason: str
) -> None:
    expected = f"netrunner.yaml:4: weights: expected JSON in the environment variable: {reason}"
    assert loaded.sample_problems("weights: ${MAP}", MAP=text) == [expected]


def test_what_stands_in_such_json_is_checked_as_if_it_stood_in_the_file(loaded: Loader) -> None:
    problem = "netrunner.yaml:4: a: expected a whole number"
    assert loaded.sample_problems("weights: ${MAP}", MAP='{"a": "canary"}') == [problem]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://http://h:1", "http://h:1/v1"),
        ("http://https://h", "https://h/v1"),
        ("https://h//a//", "https://h/a/v1"),
        ("http://[::1]:8/", "http://[::1]:8/v1"),
    ],
)
def test_a_url_from_a_variable_is_read_as_it_was_meant(loaded: Loader, text: str, url: str) -> None:
    settings, _ = loaded('providers: {a: {type: openai, base_url: "${URL}/v1"}}', URL=text)
    assert settings.providers[0].settings.base_url == url


@pytest.mark.parametrize("text", ["ftp://h", "", "http://ftp://h", "http://", "file:/etc/passwd"])
def test_a_url_from_a_variable_that_cannot_be_meant_refuses_the_start(loaded: Loader, text: str) -> None:
    (problem,) = loaded.problems('providers: {a: {type: openai, base_url: "${URL}"}}', URL=text)
    assert "base_url: expected" in problem or "URL is not set" in problem


def test_a_value_from_a_variable_is_never_repeated_in_a_message(loaded: Loader) -> None:
    assert loaded.sample_problems("count: ${N}", N="canary") == ["netrunner.yaml:4: count: expected a whole number"]


def test_env_files_fill_in_what_is_not_set_the_first_one_winning(tmp_path: Path) -> None:
    first, second = tmp_path / "a.env", tmp_path / "b.env"
    first.write_text("ONE=a\nTWO=a\n")
    second.write_text("TWO=b\nTHREE=b\n")
    first.chmod(0o600)
    second.chmod(0o600)
    warnings: list[str] = []
    merged = read_env_files([str(first), str(second)], {"ONE": "process"}, warnings, [])
    assert merged == {"ONE": "process", "TWO": "a", "THREE": "b"}
    assert warnings == []


def test_env_files_are_read_before_everything_else(loaded: Loader) -> None:
    env_file = loaded.folder / ".env"
    env_file.write_text("WHO=echo\nTOKEN=t\n")
    env_file.chmod(0o600)
    settings, _ = loaded(
        f"env_files: [{env_file}]\nproviders: {{echo: {{type: echo}}}}\ndefault_provider: ${{WHO}}\n"
        "access: {mode: token, token: {env: TOKEN}}\n"
    )
    assert settings.default_provider == "echo"
    assert settings.access.token == Secret("t")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b c", "b c"), ("A = b # c", "b"), ("A=b#c", "b#c"), ("export A=b", "b"), ("A='b # c' # d", "b # c"),
        (r'A="b\n\"c\""', 'b\n"c"'), ("A=", ""), (r"A='b\n'", r"b\n"), ("A=b\r", "b"), ("  A=b  ", "b"),
        ("A=b=c", "b=c"), ("A=${B}", "${B}"), ("# x\n\nA=b", "b"),
    ],
)  # fmt: skip
def test_env_files_are_lines_of_name_and_value(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text(line + "\n", newline="")
    assert read_env_files([str(path)], {}, [], [])["A"] == value


def test_lines_that_are_no_assignment_are_problems(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nnonsense\n2A=1\nB='open\n")
    problems: list[Problem] = []
    read_env_files([str(path)], {}, [], problems)
    assert [problem.where for problem in problems] == [f"{path}:2", f"{path}:3", f"{path}:4"]


def test_an_env_file_that_does_not_exist_is_a_warning(loaded: Loader) -> None:
    _, warnings = loaded(f"env_files: [{loaded.folder}/none.env]\nproviders: {{echo: {{type: echo}}}}\n")
    assert warnings == ["none.env: env file does not exist, left out"]


def test_an_env_file_that_cannot_be_read_is_a_problem(loaded: Loader) -> None:
    (problem,) = loaded.problems(f"env_files: [{loaded.folder}]\n")
    assert "env file cannot be read: Is a directory" in problem


def test_a_secret_comes_from_a_variable(loaded: Loader) -> None:
    assert loaded.sample("key: {env: KEY}", KEY="canary").key == Secret("canary")


@pytest.mark.parametrize("content", ["canary", "canary\n", "canary\r\n"])
def test_a_secret_comes_from_a_file_less_one_newline(loaded: Loader, content: str) -> None:
    path = loaded.folder / "key"
    path.write_text(content, newline="")
    assert loaded.sample(f"key: {{file: {path}}}").key == Secret("canary")


def test_a_secret_file_that_everybody_may_read_is_a_warning(loaded: Loader) -> None:
    path = loaded.folder / "key"
    path.write_text("canary")
    path.chmod(0o644)
    _, warnings = loaded(f"access: {{mode: token, token: {{file: {path}}}}}\nproviders: {{echo: {{type: echo}}}}\n")
    assert warnings == ["key: may be read by everybody on this machine; chmod 600 keeps it to its owner"]
    path.chmod(0o600)
    assert loaded(loaded.path.read_text())[1] == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("{env: NONE}", "key: environment variable NONE is not set"),
        ("{env: sk-canary}", "key: expected the name of an environment variable"),
        ("{env: EMPTY}", "key: environment variable EMPTY is empty"),
        ("{env: LINES}", "key: environment variable LINES holds a control character or a line break"),
        ("{file: /nonexistent/key}", "key: file /nonexistent/key cannot be read: No such file or directory"),
        ("{file: /proc}", "key: file /proc cannot be read: Is a directory"),
        ("{file: /dev/zero}", "key: file /dev/zero cannot be read: larger than 65536 bytes"),
        ('{file: "${NONE}"}', "environment variable NONE is not set, and has no default here"),
        ("{env: A, file: B}", "key: expected {env: NAME} or {file: PATH}"),
        ("{variable: A}", "key: expected {env: NAME} or {file: PATH}"),
        ('""', "key: key is empty"),
        ("[canary]", "key: expected {env: NAME} or {file: PATH} or nothing, got a list"),
        ("17", "key: expected {env: NAME} or {file: PATH} or nothing"),
    ],
)  # fmt: skip
def test_a_secret_that_cannot_be_had_is_a_problem(loaded: Loader, key: str, message: str) -> None:
    assert loaded.sample_problems(f"key: {key}", EMPTY="", LINES="a\nb") == [f"netrunner.yaml:4: {message}"]


def test_a_literal_secret_works_with_a_warning_and_is_masked(loaded: Loader) -> None:
    settings, warnings = loaded("access: {mode: token, token: canary}\nproviders: {echo: {type: echo, key: canary}}\n")
    assert settings.access.token == Secret("canary")
    assert warnings == [
        "netrunner.yaml:1: token is a literal secret; {env: NAME} or {file: PATH} keeps it out of this file",
        "netrunner.yaml:2: key is a literal secret; {env: NAME} or {file: PATH} keeps it out of this file",
    ]
    assert "canary" not in repr(settings)


def test_a_named_pipe_does_not_hold_up_the_start(loaded: Loader) -> None:
    os.mkfifo(loaded.folder / "pipe", 0o600)
    (problem,) = loaded.sample_problems(f"key: {{file: {loaded.folder}/pipe}}")
    assert problem.endswith("is empty")


@given(st.text(alphabet="${}:-AB1 \n") | st.text(), st.dictionaries(st.sampled_from("AB"), st.text()))
def test_any_text_is_interpolated_or_carries_a_problem(text: str, environ: dict[str, str]) -> None:
    scalar = interpolated(text, environ)
    assert scalar.problem is not None or scalar.interpolated or scalar.text == text.replace("$${", "${")


@given(st.text())
def test_any_text_is_an_env_file_or_its_problems(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(text.encode("utf-8", "replace"))
    problems: list[Problem] = []
    read_env_files([str(path)], {}, [], problems)
    assert all(problem.where.startswith(str(path)) for problem in problems)
