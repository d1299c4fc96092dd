"""The files for containers: no engine runs here, so they are checked by what reads them strictly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from twisted.logger import Logger

from netrunner.config.load import load
from netrunner.config.settings import Settings
from netrunner.registry import Registry
from tests.support.binaries import require_binary
from tests.support.daemon import ROOT

pytestmark = pytest.mark.integration

CONF = ROOT / "conf"
DOCKER = CONF / "docker"
MANIFESTS = CONF / "kubernetes" / "netrunner.yaml"
ENVIRON = dict.fromkeys(("AUTH_TOKEN", "ADMIN_USER", "ADMIN_PASSWORD", "OPENAI_API_KEY"), "x" * 20)


def loads(path: Path, environ: dict[str, str]) -> Settings:
    settings, _, _ = load(str(path), lambda folders: Registry.discover(folders, Logger()), environ)
    return settings


def run(name: str, *arguments: object) -> None:
    """Run a checker that is installed with the tests."""
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def manifests() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFESTS.read_text())}


def test_the_dockerfile_has_nothing_a_linter_finds_fault_with() -> None:
    run("hadolint", ROOT / "Dockerfile")


def test_everything_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert len(sources) >= 7
    assert all((ROOT / source).exists() and source.split("/")[0] in kept for source in sources)


def test_the_test_stage_is_given_all_there_is_and_the_image_is_still_the_last_stage() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert stages[1:] == [("build", "test"), ("python:3.13-slim", "")]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted({path.split("/")[0] for path in tracked.splitlines()}) == kept


def test_the_configuration_in_the_image_needs_only_what_its_comment_names() -> None:
    settings = loads(DOCKER / "netrunner.yaml", ENVIRON)
    assert settings.access.mode == "token"
    assert settings.listen == ("tcp:8080",)
    for name in ENVIRON:
        assert name in (DOCKER / "netrunner.yaml").read_text().partition("\n\n")[0]


def test_the_compose_file_is_one() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")


def test_all_that_the_compose_file_mounts_is_there() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    mounted = [one.split(":")[0] for each in services.values() for one in each.get("volumes", ()) if one[0] == "."]
    assert len(mounted) >= 5
    assert all((DOCKER / path).exists() for path in mounted)


def test_nginx_takes_its_part_of_the_compose_file(tmp_path: Path) -> None:
    nginx = require_binary("nginx")
    server = (DOCKER / "nginx.conf").read_text().replace("server netrunner:8080;", "server 127.0.0.1:8080;")
    path = tmp_path / "nginx.conf"
    path.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{server} }}\n")
    done = subprocess.run([nginx, "-t", "-p", tmp_path, "-c", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_both_ways_through_nginx_publish_the_same_paths() -> None:
    published = [
        re.findall(r"location ~ (\S+) \{", path.read_text()) for path in (CONF / "nginx.conf", DOCKER / "nginx.conf")
    ]
    assert len(published[0]) == 1
    assert published[0] == published[1]


def test_haproxy_publishes_the_same_paths_as_nginx() -> None:
    published = re.findall(r"location ~ (\S+) \{", (CONF / "nginx.conf").read_text())
    assert re.findall(r"acl api path_reg (\S+)", (CONF / "haproxy.cfg").read_text()) == published


def test_the_manifests_are_what_kubernetes_expects() -> None:
    run("kubernetes-validate", "--strict", MANIFESTS)


def test_the_configuration_in_the_manifests_is_valid_with_what_the_pod_is_given(tmp_path: Path) -> None:
    container = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    given = {one["name"]: one.get("value", "10.1.2.3") for one in container["env"]}
    given |= {"DATABASE_URL": "postgresql://h/db", "REDIS_URL": "redis://h:6379/0"}
    text: str = manifests()["ConfigMap"]["data"]["netrunner.yaml"]
    for name in re.findall(r"/run/secrets/netrunner/(\w+)", text):
        (tmp_path / name).write_text("x" * 20)
    path = tmp_path / "netrunner.yaml"
    path.write_text(text.replace("/run/secrets/netrunner", str(tmp_path)).replace("/data/state", str(tmp_path)))
    assert (
        loads(path, given).server.drain_s
        < manifests()["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    )
