"""From a file to settings: the two phases, the plugins, and what has to fit together."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netrunner.config.load import load
from netrunner.config.settings import ServerSettings
from netrunner.errors import ConfigurationError
from tests.config.fakes import FakeRegistry, Loader, Sample

ECHO = "providers: {echo: {type: echo}}\n"
TOKEN = "access: {mode: token, token: {env: TOKEN}}\n"


def test_no_file_is_the_built_in_echo_on_loopback() -> None:
    built_in, _, warnings = load(None, FakeRegistry, {})
    assert warnings == []
    assert built_in.listen == ("tcp:8080:interface=127.0.0.1",)
    assert [(provider.name, provider.type) for provider in built_in.providers] == [("echo", "echo")]
    assert [(model.name, model.targets[0].provider) for model in built_in.models] == [("echo", "echo")]
    assert built_in.default_provider == "echo"
    assert [sink.type for sink in built_in.sinks] == ["console"]


def test_the_contract_has_its_defaults(loaded: Loader) -> None:
    plain, _ = loaded(ECHO)
    assert plain.server == ServerSettings(hosts=("localhost", "127.0.0.1", "[::1]"))
    assert (plain.server.header_timeout_s, plain.server.max_header_bytes, plain.server.max_headers) == (10, 16384, 100)
    assert (plain.server.max_body_bytes, plain.server.max_buffered_bytes) == (33554432, 268435456)
    assert (plain.unknown_model, plain.default_provider, plain.access.mode) == ("reject", None, "open")
    assert [sink.type for sink in plain.sinks] == ["console"]
    assert plain.state == os.path.abspath("var")


def test_no_sinks_at_all_may_be_chosen(loaded: Loader) -> None:
    assert loaded(f"{ECHO}sinks: []\n")[0].sinks == ()


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=r"^/.*: cannot be read: (No such file|Is a directory)"):
            load(str(path), FakeRegistry, {})


def test_plugins_are_looked_for_where_the_file_says(loaded: Loader) -> None:
    loaded.path.write_text(f"{ECHO}plugins: {{directories: ['${{HERE}}/a', /b]}}\n")
    _, registry, _ = load(str(loaded.path), FakeRegistry, {"HERE": "/here"})
    assert registry.directories == ("/here/a", "/b")


def test_a_registry_that_cannot_be_made_is_told_beside_other_problems(loaded: Loader) -> None:
    assert loaded.problems("workers: 0\nplugins: {directories: [/no-plugins]}\n") == [
        "netrunner.yaml:1: workers: expected a number from 1 to 256, got 0",
        "netrunner.yaml:2: two providers are called echo",
        "netrunner.yaml:2: and two sinks console",
    ]


def test_a_plugin_reads_its_section_without_the_type(loaded: Loader) -> None:
    parsed, _ = loaded("providers:\n  a:\n    type: echo\n    count: 3\n")
    (provider,) = parsed.providers
    assert (provider.name, provider.type, provider.settings) == ("a", "echo", Sample(count=3))
    assert provider.factory.name == "echo"
    assert provider.where.endswith("netrunner.yaml:3")


def test_filters_and_sinks_are_named_by_type_and_numbered(loaded: Loader) -> None:
    parsed, _ = loaded(
        f"{ECHO}filters: [{{type: no_think, count: 2}}]\nsinks: [{{type: jsonl}}, {{type: console}}, {{type: jsonl}}]\n"
    )
    assert [(each.name, each.settings.count) for each in parsed.filters] == [("no_think", 2)]
    assert [each.name for each in parsed.sinks] == ["jsonl", "console", "jsonl-2"]


def test_a_filter_or_sink_that_is_not_enabled_is_checked_and_left_out(loaded: Loader) -> None:
    text = (
        ECHO + 'filters: [{type: no_think, enabled: "${STRIP:-no}"}]\nsinks: [{type: console, enabled: "${LOG:-yes}"}]'
    )
    off, _ = loaded(text)
    on, _ = loaded(text, STRIP="TRUE", LOG="0")
    assert ([one.type for one in off.filters], [one.type for one in off.sinks]) == ([], ["console"])
    assert ([one.type for one in on.filters], [one.type for one in on.sinks]) == (["no_think"], [])
    assert loaded.problems(f"{ECHO}filters:\n  - {{type: no_think, enabled: false, count: 99}}\n") != []


def test_a_type_that_nobody_offers_is_told_with_those_there_are(loaded: Loader) -> None:
    assert loaded.problems("providers:\n  a:\n    type: ecko\nfilters:\n  - type: x\nsinks:\n  - {path: y}\n") == [
        "netrunner.yaml:3: there is no provider called 'ecko'; there are: echo, openai",
        "netrunner.yaml:5: there is no filter called 'x'; there are: no_think, broken",
        "netrunner.yaml:7: type is missing",
    ]


def test_a_plugin_that_fails_to_read_its_settings_is_a_problem_without_its_words(loaded: Loader) -> None:
    assert loaded.problems(f"{ECHO}filters:\n  - type: broken\n") == [
        "netrunner.yaml:3: filter broken failed to read its settings: KeyError"
    ]


def test_names_that_lead_nowhere_are_told_with_those_there_are(loaded: Loader) -> None:
    assert loaded.problems(
        f"{ECHO}unknown_model: a\ndefault_provider: b\nmodels:\n"
        "  - name: m\n    targets:\n      - {provider: echo, model: x}\n      - provider: c\n        model: x\n"
    ) == [
        "netrunner.yaml:2: unknown_model: no provider is called 'a'; there are: echo",
        "netrunner.yaml:3: default_provider: no provider is called 'b'; there are: echo",
        "netrunner.yaml:8: provider: no provider is called 'c'; there are: echo",
    ]


def test_unknown_models_may_go_to_a_provider(loaded: Loader) -> None:
    assert loaded(f"{ECHO}unknown_model: echo\n")[0].unknown_model == "echo"


def test_a_provider_cannot_take_the_word_of_a_refusal(loaded: Loader) -> None:
    (problem,) = loaded.problems("providers: {reject: {type: echo}}\n")
    assert problem == "netrunner.yaml:1: a provider cannot be called reject, unknown_model has that word"


def test_names_that_stand_twice_are_told_with_where_they_first_stood(loaded: Loader) -> None:
    target = "targets: [{provider: echo, model: x}]"
    route = "destination: http://h/"
    assert loaded.problems(
        f"{ECHO}models:\n  - {{name: a, {target}}}\n  - {{name: a, {target}}}\n"
        f"routes:\n  - {{name: r, source: /a, {route}}}\n  - {{name: r, source: /b, {route}}}\n"
        f"  - {{name: s, source: /a, {route}}}\n"
        "listen: [tcp:1:interface=127.0.0.1, tcp:1:interface=127.0.0.1]\n"
    ) == [
        "netrunner.yaml:4: model 'a' stands twice, first at netrunner.yaml:3",
        "netrunner.yaml:7: route 'r' stands twice, first at netrunner.yaml:6",
        "netrunner.yaml:8: source '/a' stands twice, first at netrunner.yaml:6",
        "netrunner.yaml:9: listen 'tcp:1:interface=127.0.0.1' stands twice, first at netrunner.yaml:9",
    ]


def test_a_model_needs_a_target(loaded: Loader) -> None:
    assert loaded.problems(f"{ECHO}models:\n  - {{name: a, targets: []}}\n") == [
        "netrunner.yaml:3: model a: expected at least one target"
    ]


def test_somewhere_has_to_be_listened(loaded: Loader) -> None:
    assert loaded.problems(f"{ECHO}listen: []\n") == ["netrunner.yaml:2: listen: expected at least one endpoint"]


@pytest.mark.parametrize(
    ("forward", "problem"),
    [
        (
            "listen: tcp:81",
            "3: forward.listen: tcp:81 is not on loopback, so forward.user and forward.password are needed",
        ),
        (
            "listen: tcp:81:interface=127.0.0.1\n  user: {env: SOMEBODY}",
            "2: forward: user and password belong together",
        ),
        ("listen: []", "3: forward.listen: expected at least one endpoint"),
    ],
)
def test_a_forward_proxy_beyond_loopback_asks_who_comes(loaded: Loader, forward: str, problem: str) -> None:
    assert loaded.problems(f"{ECHO}forward:\n  {forward}\n", SOMEBODY="me") == [f"netrunner.yaml:{problem}"]


@pytest.mark.parametrize("endpoint", ["tcp:80", "tcp:80:interface=10.0.0.1", "tcp6:80"])
def test_an_open_door_beyond_loopback_is_refused_naming_the_setting_to_choose(loaded: Loader, endpoint: str) -> None:
    assert loaded.problems(
        f"{ECHO}server: {{hosts: [a]}}\nlisten:\n  - tcp:81:interface=127.0.0.1\n  - {endpoint}\n"
    ) == [
        f"netrunner.yaml:5: listen: {endpoint} is not on loopback while access.mode is open; choose access.mode: token,"
        " or access.public: true to let everybody in"
    ]


def test_an_open_door_may_be_chosen_and_every_start_warns(loaded: Loader) -> None:
    _, warnings = loaded(f"{ECHO}server: {{hosts: [a]}}\nlisten: tcp:80\naccess: {{public: true}}\n")
    assert warnings == [
        "netrunner.yaml:4: access.public lets everybody who reaches this server use it, and its providers' keys"
    ]


def test_alerts_are_not_posted_readable_for_everybody_unless_that_is_asked_for(loaded: Loader) -> None:
    assert loaded.problems(f'{ECHO}alerts: {{webhook: "http://a.example/"}}\n') == [
        "netrunner.yaml:2: webhook: expected https, or a loopback address; allow_http: true sends it unencrypted"
    ]
    for good in ("https://a.example/", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"):
        assert loaded(f'{ECHO}alerts: {{webhook: "{good}"}}\n')[0].alerts.webhook == good
    assert loaded(f'{ECHO}alerts: {{webhook: "http://a.example/", allow_http: true}}\n')[0].alerts.allow_http


def test_a_listener_beyond_loopback_requires_the_names_of_its_hosts(loaded: Loader) -> None:
    assert loaded.problems(f"{ECHO}{TOKEN}listen: tcp:80\n", TOKEN="t") == [
        "netrunner.yaml:3: listen: tcp:80 is not on loopback,"
        " so server.hosts has to name the hosts that are answered for"
    ]
    assert loaded(f"{ECHO}{TOKEN}listen: tcp:80\nserver: {{hosts: A.example}}\n", TOKEN="t")[0].server.hosts == (
        "a.example",
    )


def test_any_host_is_answered_for_only_with_credentials(loaded: Loader) -> None:
    assert loaded.problems(f'{ECHO}server: {{hosts: "*"}}\n') == [
        'netrunner.yaml:2: server.hosts: "*" needs an access.mode that asks for credentials'
    ]
    assert loaded(f'{ECHO}{TOKEN}server: {{hosts: "*"}}\n', TOKEN="t")[0].server.hosts == ("*",)


def test_the_addresses_listened_at_are_hosts(loaded: Loader) -> None:
    both, _ = loaded(f"{ECHO}listen: [tcp:80:interface=127.0.0.2, 'tcp:80:interface=[::1]', unix:/x]\n")
    assert both.server.hosts == ("localhost", "127.0.0.1", "[::1]", "127.0.0.2")


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("{mode: token}", "access.token is missing, and access.mode is token"),
        ("{mode: token, token: {env: TOKEN}}", "token: environment variable TOKEN is empty"),
        ("{mode: token, token: '${TOKEN:-}'}", "access.token is missing, and access.mode is token"),
    ],
)
def test_a_token_that_is_not_there_refuses_the_start(loaded: Loader, access: str, message: str) -> None:
    assert loaded.problems(f"{ECHO}access: {access}\n", TOKEN="") == [f"netrunner.yaml:2: {message}"]


def test_a_token_that_nobody_asks_for_is_a_warning(loaded: Loader) -> None:
    _, warnings = loaded(f"{ECHO}access: {{token: {{env: TOKEN}}}}\n", TOKEN="t")
    assert warnings == ["netrunner.yaml:2: access.token is not asked for while access.mode is open"]


def test_a_star_for_pages_is_for_those_who_need_no_token(loaded: Loader) -> None:
    assert loaded.problems(f"{ECHO}{TOKEN}cors: {{origins: ['*']}}\n", TOKEN="t") == [
        'netrunner.yaml:3: cors.origins: "*" is for an access.mode that asks for no credentials;'
        " name the origins that may call"
    ]
    named, warnings = loaded(f"{ECHO}{TOKEN}cors: {{origins: [https://App.example]}}\n", TOKEN="t")
    assert (named.cors.origins, warnings) == (("https://app.example",), [])


def test_pages_that_would_be_refused_all_the_same_are_a_warning(loaded: Loader) -> None:
    assert loaded(f"{ECHO}cors: {{origins: ['http://localhost:3000', 'http://[::1]']}}\n")[1] == []
    for origin in ("*", "https://app.example"):
        assert loaded(f"{ECHO}cors: {{origins: ['{origin}']}}\n")[1] == [
            f"netrunner.yaml:2: pages of {origin} are refused all the same while access.mode is open"
        ]


PASSED_ON = (
    "providers:\n  own:\n    {type: openai, base_url: http://h, api_key: passthrough}\n"
    "routes:\n  - {name: raw, source: /raw/, destination: http://h/}\n"
)


@pytest.mark.parametrize("header", ["", ", header: Authorization", ", header: x-api-key"])
def test_two_secrets_cannot_share_one_header(loaded: Loader, header: str) -> None:
    advice = (
        "leaves Authorization to the caller's own credential; set access.header to a field of its own for the token"
    )
    assert loaded.problems(f"{PASSED_ON}access: {{mode: token, token: {{env: TOKEN}}{header}}}\n", TOKEN="t") == [
        f"netrunner.yaml:3: api_key: passthrough {advice}",
        f"netrunner.yaml:5: route raw {advice}",
    ]


def test_a_header_of_its_own_lets_both_secrets_through(loaded: Loader) -> None:
    settled, _ = loaded(
        f"{PASSED_ON}access: {{mode: token, token: {{env: TOKEN}}, header: X-Proxy-Token}}\n", TOKEN="t"
    )
    assert settled.access.header == "x-proxy-token"
    loaded(PASSED_ON)


def test_a_file_for_the_audit_needs_something_that_is_audited(loaded: Loader) -> None:
    assert loaded.problems("audit: {file: audit.jsonl}\n") == [
        "netrunner.yaml:1: audit.file: nothing is audited without access.mode: projects"
    ]
    settled, _ = loaded("access: {mode: projects}\naudit: {file: audit.jsonl}\n")
    assert settled.audit.file is not None
    assert settled.audit.file.startswith("/")


def test_a_key_of_the_calling_project_is_not_taken_for_a_key(loaded: Loader) -> None:
    assert loaded.problems("providers:\n  a: {type: openai, base_url: http://h, api_key: project}\n") == [
        "netrunner.yaml:2: api_key: project needs access.mode: projects"
    ]


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ("{required: true}", "secrets.key is missing, and secrets.required is true"),
        ("{key: {env: KEY}}", "key: expected base64 of 32 bytes, as `openssl rand -base64 32` prints them"),
        ("{previous: [{env: KEY}]}", "previous: expected base64 of 32 bytes, as `openssl rand -base64 32` prints them"),
    ],
)
def test_a_master_key_that_is_none_refuses_the_start(loaded: Loader, secrets: str, message: str) -> None:
    assert loaded.problems(f"{ECHO}secrets: {secrets}\n", KEY="canary") == [f"netrunner.yaml:2: {message}"]


def test_a_master_key_is_32_bytes(loaded: Loader) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    assert loaded(f"{ECHO}secrets: {{key: {{env: KEY}}, required: true}}\n", KEY=key)[0].secrets.key is not None


def test_nothing_to_serve_is_a_warning(loaded: Loader) -> None:
    assert loaded("")[1] == [
        "netrunner.yaml:1: neither providers nor routes, so only models that are registered are served"
    ]


def test_everything_wrong_is_told_in_one_go_in_the_order_of_the_lines(loaded: Loader) -> None:
    problems = loaded.problems(
        "server: {max_headers: 0}\nlisten: tcp:0\nproviders:\n  a: {type: none}\n  b: {type: echo, count: x}\n"
        "models: [{name: m, targets: [{provider: q, model: m}]}]\ndefault_provider: q\nroutes: [{source: a}]\n"
        "log: {keep: -1}\nlisten_on: x\n"
    )
    assert [int(problem.split(":")[1]) for problem in problems] == [1, 2, 4, 5, 6, 7, 8, 8, 8, 9, 10]


def test_a_broken_key_raises_no_problem_elsewhere(loaded: Loader) -> None:
    assert loaded.problems(
        "providers: [echo]\ndefault_provider: echo\nmodels: [{name: m, targets: [{provider: echo, model: m}]}]\n"
    ) == ["netrunner.yaml:1: providers: expected a mapping or nothing, got a list"]


def test_no_secret_is_in_any_problem_or_warning(loaded: Loader) -> None:
    text = (
        "access: {mode: token, token: canary, header: [canary-not]}\n"
        "providers:\n  a: {type: openai, base_url: 'http://x:canary@h', api_key: canary, pool: '${KEY}'}\n"
        "  b: {type: echo, key: \"canary\\n\"}\n  c: {type: echo, count: '${KEY}', word: '${KEY}'}\n"
    )
    problems = loaded.problems(text, KEY="canary")
    assert len(problems) == 6
    assert [problem for problem in problems if "canary" in problem] == []


_LINES = """\
listen: tcp:80
listen: []
access: {mode: token, token: "${A}"}
access: {public: true}
providers: {echo: {type: echo}, b: {type: openai, base_url: http://h, api_key: passthrough}}
providers: {}
models: [{name: a, targets: [{provider: b, model: c}]}]
models: {a: b}
unknown_model: b
server: {hosts: a}
routes: [{name: a, source: /, destination: http://h}]
filters: [{type: no_think}]
filters: no_think
sinks: []
plugins: {directories: [a]}
plugins: 1
env_files: [a]
env_files: "${A}"
state: ""
workers: 1
x: y
"""
_lines = st.lists(st.sampled_from(_LINES.splitlines()) | st.text(max_size=20), max_size=8)


@given(_lines, st.dictionaries(st.just("A"), st.text()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_settings_or_a_configuration_error(
    loaded: Loader, lines: list[str], environ: dict[str, str]
) -> None:
    loaded.path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    with suppress(ConfigurationError):
        load(str(loaded.path), FakeRegistry, environ)
