"""docs/config.md and the configurations that are handed out: complete, and true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from twisted.logger import Logger

from netrunner.config.forms import listener
from netrunner.config.load import load
from netrunner.config.settings import Document, Settings
from netrunner.process.listen import name_of
from netrunner.registry import Registry
from netrunner.settings import ProviderSettings
from tests.config.reference import rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "config.md").read_text()
UNIT = (ROOT / "conf" / "netrunner.service").read_text()
SECRETS = ("auth_token", "openai_api_key", "admin_user", "admin_password")
ENVIRON = {"OPENAI_API_KEY": "k", "DATABASE_URL": "postgresql://netrunner@db.example/netrunner"}
PAGES = [
    PAGE,
    *(
        (ROOT / "docs" / name).read_text()
        for name in ("dialects.md", "metrics.md", "projects.md", "providers.md", "raw-routes.md")
    ),
]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", "".join(PAGES), re.MULTILINE | re.DOTALL)


def discover(directories: tuple[str, ...]) -> Registry:
    """Return what is built in, whatever the folders."""
    return Registry.discover((), Logger())


def load_file(path: Path, environ: dict[str, str]) -> tuple[Settings, list[str]]:
    settings, _, warnings = load(str(path), discover, environ)
    return settings, warnings


def test_every_setting_is_documented_with_its_default() -> None:
    assert [row for row in rows(Document) if row not in PAGE] == []


def section(heading: str) -> str:
    """Return what stands under a heading of the page."""
    _, found, part = PAGE.partition(f"\n{heading}\n")
    assert found, f"{heading} is missing"
    return re.split(r"^#", part, maxsplit=1, flags=re.MULTILINE)[0]


def test_every_setting_of_a_built_in_plugin_is_documented_under_its_name() -> None:
    registry = discover(())
    built_in = [(kind, name) for kind, name, _, origin in registry.rows() if origin == "built in"]
    assert built_in
    missing = []
    shared = section("### Every provider over HTTP")
    every = [row for row in rows(ProviderSettings) if "`base_url`" not in row]
    assert [row for row in every if row not in shared] == []
    for kind, name in built_in:
        part = section(f"### {kind.capitalize()} `{name}`")
        wanted = [row for row in rows(registry.factory(kind, name).settings) if row not in every]
        missing += [f"{kind} {name}: {row}" for row in wanted if row not in part]
    assert missing == []


@pytest.mark.parametrize("text", EXAMPLES, ids=[f"example {n}" for n in range(1, len(EXAMPLES) + 1)])
def test_every_example_loads_without_a_warning(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    (tmp_path / "x.yaml").write_text(re.sub(r"file: /[\w./-]+", f"file: {secret}", text))
    environ = dict.fromkeys((*re.findall(r"env: (\w+)", text), "PUBLIC_HOST"), "value")
    assert load_file(tmp_path / "x.yaml", environ)[1] == []


def test_the_pages_have_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_configuration_for_development_needs_nothing() -> None:
    settings, warnings = load_file(ROOT / "conf" / "dev.yaml", {})
    assert warnings == []
    assert settings.listen == ("tcp:8080:interface=127.0.0.1",)
    assert [provider.name for provider in settings.providers] == ["echo"]
    assert {model.name: model.images for model in settings.models} == {"echo": True, "test-model": False}


def test_the_port_of_the_configuration_for_development_comes_from_the_environment() -> None:
    assert load_file(ROOT / "conf" / "dev.yaml", {"PORT": "9090"})[0].listen == ("tcp:9090:interface=127.0.0.1",)


def test_the_configuration_for_production_keeps_its_secrets_in_files(tmp_path: Path) -> None:
    for name in SECRETS:
        (tmp_path / name).write_text(f"{name}-canary\n")
        (tmp_path / name).chmod(0o600)
    environ = {name: str(tmp_path) for name in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "LOGS_DIRECTORY")}
    settings, warnings = load_file(ROOT / "conf" / "prod.yaml", environ | {"PUBLIC_HOST": "llm.example"})
    assert warnings == []
    assert settings.access.token is not None
    assert settings.access.token.reveal() == "auth_token-canary"
    assert settings.providers[0].settings.api_key.reveal() == "openai_api_key-canary"
    assert settings.admin is not None
    assert settings.admin.user.reveal() == "admin_user-canary"
    assert settings.admin.password.reveal() == "admin_password-canary"
    assert settings.server.hosts == ("llm.example", "localhost", "127.0.0.1")
    assert [sink.type for sink in settings.sinks] == ["jsonl"]
    assert "canary" not in repr(settings)


def test_the_configuration_for_production_keeps_no_bodies_and_no_secret_of_its_own(tmp_path: Path) -> None:
    for name in SECRETS:
        (tmp_path / name).write_text("secret")
    settings, _ = load_file(ROOT / "conf" / "prod.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.journal.bodies == "none"
    assert settings.access.mode == "token"


def test_the_unit_of_systemd_hands_over_every_secret_of_the_configuration_for_production() -> None:
    named = re.findall(r"CREDENTIALS_DIRECTORY:-/etc/netrunner}/(\w+)", (ROOT / "conf" / "prod.yaml").read_text())
    handed = re.findall(r"^LoadCredential=(\w+):/etc/netrunner/\1$", UNIT, re.MULTILINE)
    assert set(handed) == set(named) == set(SECRETS)


def test_the_socket_unit_listens_where_prod_yaml_does() -> None:
    (stream,) = re.findall(r"(?m)^ListenStream=(.*)$", (ROOT / "conf" / "netrunner.socket").read_text())
    (listen,) = re.findall(r"(?m)^listen: (.*)$", (ROOT / "conf" / "prod.yaml").read_text())
    assert name_of(listener(listen)) == stream


@pytest.mark.parametrize("name", ["dev.yaml", "prod.yaml"])
def test_every_commented_line_of_a_handed_out_configuration_could_be_used(name: str, tmp_path: Path) -> None:
    text = (ROOT / "conf" / name).read_text()
    usable = re.sub(r"^( *)# (?=(?:- )?\w+: |- \{)", r"\1", text, flags=re.MULTILINE)
    for secret in SECRETS:
        (tmp_path / secret).write_text("secret")
    (tmp_path / "x.yaml").write_text(usable)
    settings, _ = load_file(tmp_path / "x.yaml", ENVIRON | {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.providers
