"""Rules and the map as a configuration has them: what does not fit is told with its line, its key and the reason."""

from __future__ import annotations

import pytest

from netrunner.config.checks import is_own
from netrunner.config.naming import names_of
from netrunner.values import Origin
from tests.config.fakes import Loader

ECHO = "providers: {echo: {type: echo}}\nmodels: [{name: m, targets: [{provider: echo, model: m}]}]\n"


NOWHERE = "no model is called 'b', and unknown_model is reject"
AUTHORITY = "expected a host name or an address (IPv6 in brackets), with `:port` or without"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model_map:\n  '/gpt-(/': m", "4: model_map: '/gpt-(/': expected an RE2 pattern: missing ): gpt-("),
        (
            "model_map:\n  '/a/': 'm\\2'",
            "4: model_map: '/a/': expected a target that fits its pattern, which has no group '2'",
        ),
        ("model_map:\n  a: ''", "4: model_map: 'a': expected a name that is not empty"),
        ("model_map:\n  m: b", "4: model_map: 'm' is a configured model, so it would never be mapped to 'b'"),
        ("model_map:\n  a: a", "4: model_map: 'a' leads to itself"),
        ("model_map:\n  a: b", f"4: model_map: 'a': {NOWHERE}"),
        ("model_map:\n  /a/: b", f"4: model_map: '/a/': {NOWHERE}"),
        ("model_map:\n  a: b\n  b: a", f"4: model_map: 'a': {NOWHERE}"),
        ("model_map: [a]", "3: model_map: expected a mapping or nothing, got a list"),
        ("model_map: {a: 1}", "3: a: expected a string, got 1"),
        ("rules:\n  - {model: a, to: {}}", "4: to: expected a model, a provider, or both"),
        ("rules:\n  - {model: a}", "4: to is missing"),
        ("rules:\n  - {model: '/(/', to: {model: m}}", "4: model: expected an RE2 pattern: missing ): ("),
        (
            "rules:\n  - {source: x, to: {model: m}}",
            "4: source: expected an address or a network such as 10.0.0.0/8, got 'x'",
        ),
        ("rules:\n  - {model: a, to: {model: b}}", f"4: rules[0]: {NOWHERE}"),
        ("rules:\n  - {model: a, to: {provider: b}}", "4: provider: no provider is called 'b'; there are: echo"),
        (
            "rules:\n  - to: {model: m}\n  - {path: /v1, to: {provider: echo}}",
            "5: rules[1] is never reached: rules[0] matches whatever it does",
        ),
        ("register:\n  allow: ['a:0']", f"4: allow: {AUTHORITY}, got 'a:0'"),
        ("register: {allow: '*'}", f"3: allow: {AUTHORITY}, got '*'"),
    ],
)
def test_what_leads_nowhere_or_is_never_reached_refuses_the_start(text: str, problem: str, loaded: Loader) -> None:
    assert f"netrunner.yaml:{problem}" in loaded.problems(ECHO + text + "\n")


def test_names_that_lead_somewhere_are_taken(loaded: Loader) -> None:
    settings, warnings = loaded(
        ECHO
        + "unknown_model: echo\n"
        + "model_map: {a: b, b: a, '/gpt-(.*)/': 'llama-\\1', /x/: m}\n"
        + "rules:\n  - {source: 10.0.0.0/8, model: /gpt-.*/, path: /v1, to: {model: m}}\n"
        + "  - {model: m, to: {provider: echo}}\n"
        + "register: {allow: [LLM.internal, '127.0.0.1:8000', '[::1]']}\n"
    )
    assert warnings == []
    names = names_of(settings)
    assert names.resolve("gpt-5").name == "llama-5"
    assert names.resolve("gpt-5", "10.0.0.1", b"/v1/x").name == "m"
    assert settings.register.allow == ("llm.internal", "127.0.0.1:8000", "[::1]")


def test_patterns_that_together_take_too_much_memory_are_told(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netrunner.routing.patterns.MAX_TOGETHER_BYTES", 20_000)
    heavy = ", ".join(f"'/{letter}?(a|b)*a(a|b){{16}}$/': m" for letter in "abcdefghijklmnop")
    (problem,) = loaded.problems(f"{ECHO}model_map: {{{heavy}}}\n")
    assert problem.endswith("model_map and rules: expected patterns that take less memory together")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:9000/v1", True),
        ("http://localhost:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost:9001", False),
        ("https://me.example/v1", True),
        ("https://me.example:8443/v1", True),
        ("https://other.example/v1", False),
    ],
)
def test_this_server_is_known_by_its_ports_and_by_its_hosts(url: str, own: bool, loaded: Loader) -> None:
    settings, _ = loaded(f"{ECHO}listen: tcp:9000:interface=127.0.0.1\nserver: {{hosts: [me.example, localhost]}}\n")
    assert is_own(settings, Origin.of(url)) is own
