"""The variables that each preset reads, by the names and with the defaults of the system whose users come over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.config.settings import Settings
from netrunner.errors import ConfigurationError
from netrunner.registry import Registry

PRESETS = Path(__file__).parents[2] / "conf" / "presets"
TOKENS = dict.fromkeys(("AUTH_TOKEN", "GROQ_TOKEN", "OPENROUTER_TOKEN"), "x" * 20)


def preset(name: str, **environ: str) -> Settings:
    settings, _, _ = load(str(PRESETS / f"{name}.yaml"), lambda folders: Registry.discover(folders, Logger()), environ)
    return settings


def provider(settings: Settings, name: str) -> Any:
    return next(one.settings for one in settings.providers if one.name == name)


def types(plugins: Any) -> set[str]:
    return {one.type for one in plugins}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, ("http://localhost:8000/v1", "http://localhost:11434")),
        ({"UPSTREAM_URL": "http://u:1/", "OLLAMA_UPSTREAM_URL": "https://o"}, ("http://u:1/v1", "https://o")),
        ({"UPSTREAM_URL": "u:1", "OLLAMA_UPSTREAM_URL": "http://http://o:2"}, ("http://u:1/v1", "http://o:2")),
    ],
    ids=["neither", "a slash at the end", "no scheme, and two"],
)
def test_rerouter_both_upstreams_are_read_as_they_were_meant(given: dict[str, str], read: tuple[str, str]) -> None:
    settings = preset("rerouter", **given)
    assert (provider(settings, "upstream").base_url, provider(settings, "ollama").base_url) == read


@pytest.mark.parametrize("name", ["UPSTREAM_URL", "OLLAMA_UPSTREAM_URL"])
@pytest.mark.parametrize("value", ["", "ftp://u"])
def test_rerouter_an_upstream_that_is_empty_or_of_another_scheme_refuses_the_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url: expected an absolute http or https URL"):
        preset("rerouter", **{name: value})


@pytest.mark.parametrize(("given", "seconds"), [({}, 60.0), ({"REQUEST_TIMEOUT": "7.5"}, 7.5)])
def test_rerouter_request_timeout_is_how_long_the_upstream_may_be_silent(given: dict[str, str], seconds: float) -> None:
    assert provider(preset("rerouter", **given), "upstream").timeouts.first_byte_s == seconds


@pytest.mark.parametrize("value", ["1", "true", "True", "YES"])
def test_rerouter_a_switch_is_on_by_one_true_and_yes_in_any_case(value: str) -> None:
    settings = preset("rerouter", STRIP_THINKING=value, DISABLE_THINKING=value, ENABLE_LOGGING=value)
    assert types(settings.filters) == {"strip_thinking", "no_think"}
    assert "database" in types(settings.sinks)


@pytest.mark.parametrize("value", ["0", "false", "No"])
def test_rerouter_a_switch_is_off_by_the_opposite(value: str) -> None:
    settings = preset("rerouter", STRIP_THINKING=value, DISABLE_THINKING=value, ENABLE_LOGGING=value)
    assert types(settings.filters) == set()
    assert types(settings.sinks) == {"console"}


def test_rerouter_strips_thinking_and_logs_to_a_database_for_a_week_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = preset("rerouter")
    (database,) = (one.settings for one in settings.sinks if one.type == "database")
    assert types(settings.filters) == {"strip_thinking"}
    assert settings.store == f"sqlite:{tmp_path}/requests.db"
    assert (database.keep_days, database.vacuum) == (7.0, True)


def test_rerouter_the_database_s_place_and_age_are_read() -> None:
    settings = preset("rerouter", DB_PATH="/data/r.db", MAX_LOG_AGE_DAYS="30")
    (database,) = (one.settings for one in settings.sinks if one.type == "database")
    assert (settings.store, database.keep_days) == ("sqlite:/data/r.db", 30.0)


@pytest.mark.parametrize(
    ("name", "given", "listen"),
    [
        ("alias-firewall", {}, "tcp:8080:interface=127.0.0.1"),
        ("alias-firewall", {"PORT": "81", "HOST": "127.0.0.2"}, "tcp:81:interface=127.0.0.2"),
        ("rerouter", {}, "tcp:1234:interface=127.0.0.1"),
        ("rerouter", {"LISTEN_PORT": "81", "LISTEN_HOST": "127.0.0.2"}, "tcp:81:interface=127.0.0.2"),
        ("duplex", {}, "tcp:5601:interface=127.0.0.1"),
        ("duplex", {"PORT": "81"}, "tcp:81:interface=127.0.0.1"),
        ("pool", TOKENS, "tcp:8080:interface=127.0.0.1"),
        ("pool", {**TOKENS, "PORT": "65535"}, "tcp:65535:interface=127.0.0.1"),
    ],
)
def test_each_keeps_its_system_s_port(name: str, given: dict[str, str], listen: str) -> None:
    assert preset(name, **given).listen == (listen,)


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_pool_a_port_that_is_none_refuses_the_start(port: str) -> None:
    with pytest.raises(ConfigurationError, match=r"listen: expected"):
        preset("pool", **{**TOKENS, "PORT": port})


@pytest.mark.parametrize("given", [{}, {"AUTH_TOKEN": ""}], ids=["absent", "empty"])
def test_pool_without_a_token_nothing_starts(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="AUTH_TOKEN"):
        preset("pool", **{name: value for name, value in TOKENS.items() if name != "AUTH_TOKEN"}, **given)
