"""Commands for programs that cannot run here: whatever of ours they name is there, under that name.

docker and kubectl want an engine, systemctl a machine that systemd has started, as ``test_under_systemd`` does where it
can. What the pages and the files for them say is read here: every image, file, port, volume, variable, secret and unit
in a command has to be one that is shipped.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCKER = ROOT / "conf" / "docker"
MANIFESTS = (ROOT / "conf" / "kubernetes" / "netrunner.yaml").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
FILES = [ROOT / "Dockerfile", *(path for path in (ROOT / "conf").rglob("*") if path.is_file())]
PROGRAMS = ("docker", "kubectl", "systemctl")
IMAGE = "netrunner"


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command for one of the programs, whether it stands on lines of its own or within one."""
    joined = re.sub(r"\\\n[#\s]*", "", text)
    within = re.findall(r"`([^`\n]+)`", joined)
    alone = [re.sub(r"^[#\s$]*(?:[^`]*: (?=systemctl ))?", "", line) for line in joined.splitlines()]
    for line in [*within, *alone]:
        if line.startswith(tuple(f"{program} " for program in PROGRAMS)) and "`" not in line:
            yield shlex.split(line)


COMMANDS = [(path, words) for path in [*PAGES, *FILES] for words in commands(path.read_text(errors="replace"))]


def options(words: list[str], *flags: str, first: bool = False) -> tuple[dict[str, list[str]], list[str]]:
    """Return the values of each option, which may stand behind ``=``, and the words that are none.

    Args:
        words: Behind the program's name.
        flags: Options without a value.
        first: Whether options end where something else begins.
    """
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, has, value = word.partition("=")
        if word.startswith("-") and not (first and rest):
            values.setdefault(name, []).append(value if has or name in flags else next(left))
        else:
            rest.append(word)
    return values, rest


def docker_build(words: list[str]) -> None:
    given, folder = options(words)
    assert folder == ["."]
    assert {*given.get("--target", [])} <= {*re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)}
    assert given["--tag"][0].partition(":")[0] == IMAGE


def docker_run(words: list[str]) -> None:
    given, rest = options([word for word in words if word != "..."], "--rm", first=True)
    assert rest[0].partition(":")[0] == IMAGE
    assert {port.split(":")[-1] for port in given.get("--publish", [])} <= set(re.findall(r"EXPOSE (\d+)", DOCKERFILE))
    volumes = {volume.split(":")[1] for volume in given.get("--volume", [])}
    assert volumes <= set(re.findall(r"^VOLUME (\S+)", DOCKERFILE, re.MULTILINE))
    if "--publish" in given:
        # It serves by the configuration in the image, which wants these and has a default for all others.
        wanted = set(re.findall(r"\{env: (\w+)\}", (DOCKER / "netrunner.yaml").read_text()))
        assert set(given["--env"]) == wanted
    shipped = "".join(path.read_text() for path in (ROOT / "twisted" / "plugins").glob("*.py"))
    assert not rest[1:] or rest[1] in (*re.findall(r'ServiceMaker\(\s*"([\w-]+)"', shipped), "--help", "bench")
    scripts = re.findall(r"^    ([\w-]+) = netrunner\.\S+:main$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert set(given.get("--entrypoint", [])) <= set(scripts)


def docker_stop(words: list[str]) -> None:
    given, _ = options(words)
    assert int(given["--time"][0]) > 30, "server.drain_s"


def docker_compose(words: list[str]) -> None:
    given, rest = options(words, "--build")
    assert (ROOT / given["--file"][0]).samefile(DOCKER / "compose.yaml")
    assert rest == ["up"]


def kubectl_create(words: list[str]) -> None:
    given, rest = options(words)
    keys = {literal.partition("=")[0] for literal in given["--from-literal"]}
    assert rest == ["secret", "generic", IMAGE]
    assert f"secretName: {IMAGE}," in MANIFESTS
    mounted = set(re.findall(r"/run/secrets/netrunner/(\w+)", MANIFESTS))
    referred = set(re.findall(rf"secretKeyRef: {{name: {IMAGE}, key: (\w+)}}", MANIFESTS))
    assert keys == mounted | referred


def kubectl_apply(words: list[str]) -> None:
    given, rest = options(words)
    assert rest == []
    assert (ROOT / given["--filename"][0]).is_file()


def unit(name: str) -> Any:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    assert parsed.read(ROOT / "conf" / f"{name.removesuffix('.service')}.service")
    return parsed["Service"]


def systemctl_kill(words: list[str]) -> None:
    given, rest = options(words)
    assert given["--kill-whom"] == ["main"]
    assert (given.get("--signal") or given["-s"]) == ["USR2"]
    assert unit(rest[0])["NotifyAccess"] == "all", "the main process is another one afterwards"


def systemctl_reload(words: list[str]) -> None:
    assert "-HUP $MAINPID" in unit(words[0])["ExecReload"]


def systemctl_start(words: list[str]) -> None:
    for name in words:
        assert (ROOT / "conf" / (name if "." in name else f"{name}.service")).is_file()


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "docker build": docker_build,
    "docker run": docker_run,
    "docker stop": docker_stop,
    "docker compose": docker_compose,
    "kubectl create": kubectl_create,
    "kubectl apply": kubectl_apply,
    "systemctl kill": systemctl_kill,
    "systemctl reload": systemctl_reload,
    "systemctl start": systemctl_start,
    "systemctl stop": systemctl_start,
}


@pytest.mark.parametrize("kind", CHECKS)
def test_what_a_command_names_is_there(kind: str) -> None:
    found = [(path, words[2:]) for path, words in COMMANDS if " ".join(words[:2]) == kind]
    assert found
    for path, words in found:
        try:
            CHECKS[kind](words)
        except (KeyError, IndexError) as error:
            pytest.fail(f"{path}: {kind} {shlex.join(words)}: {error!r}")


def test_no_command_is_of_a_kind_that_nobody_looks_at() -> None:
    assert {" ".join(words[:2]) for _, words in COMMANDS} == set(CHECKS)


def test_what_the_page_says_of_addresses_is_what_the_compose_file_publishes() -> None:
    page = (ROOT / "docs" / "how-to" / "run-in-docker-or-kubernetes.md").read_text()
    section = page.partition("## Compose")[2].partition("\n## ")[0]
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    published = {port.split(":")[1] for each in services.values() for port in each.get("ports", ())}
    assert set(re.findall(r"http://127\.0\.0\.1:(\d+)", section)) == published
    wanted = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    assert wanted <= set(re.findall(r"(\w+)=\.\.\.", section))
