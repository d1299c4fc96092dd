"""Reloads under load: whatever the file says, nobody is refused, and what is in use is one configuration or another."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from netrunner.process.control import ControlError
from tests.integration.test_handover import Load
from tests.support.daemon import ECHO, Daemon

pytestmark = pytest.mark.integration

Change = Callable[[str, random.Random], str]


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(1, len(text))]


def _flip(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chance.choice("{}[]:,'\"#&*!|>%@`\t\0x9 \n") + text[place + 1 :]


def _line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(WRONG_LINES) + "\n")
    return "".join(lines)


WRONG_LINES = (
    "lisen: tcp:80",
    "workers: 0",
    "workers: 9",
    "store: postgresql://x@127.0.0.1/none",
    "state: /elsewhere",
    "listen: tcp:1:interface=127.0.0.1",
    "unknown_model: nobody",
    "server: {drain_s: soon}",
    "access: {mode: token, token: {file: /no/such/file}}",
    "access: {mode: token, token: {env: NOT_SET}}",
    "plugins: {directories: [/no/such/folder]}",
    "filters: [{type: nobody}]",
    "sinks: [{type: jsonl}]",
    "journal: {redact: ['(']}",
    "<<: *gone",
)
CHANGES: tuple[Change, ...] = (_cut, _flip, _line)


def models(daemon: Daemon) -> list[str]:
    """Return the names of the models that are served."""
    return [model["id"] for model in json.loads(daemon.request("GET", "/v1/models")[2])["data"]]


def why_refused(daemon: Daemon) -> str | None:
    """Reload; return None, or why that was refused."""
    try:
        daemon.control("reload")
    except ControlError as error:
        return str(error)
    return None


def reload_again_and_again(folder: Path, times: int) -> tuple[int, int]:
    """Reload that often; return how many were taken and how many refused."""
    chance = random.Random(times)
    refused = 0
    with Daemon(folder, ECHO) as daemon:
        load = Load(daemon.port)
        with load.running():
            load.wait_for_more(50)
            expected = models(daemon)
            for number in range(times):
                good = ECHO.replace("{name: echo,", f"{{name: m{number},")
                broken = chance.random() < 0.75
                daemon.write_config(good)
                if broken:
                    text = daemon.config_path.read_text()
                    daemon.config_path.write_text(chance.choice(CHANGES)(text, chance))
                why = why_refused(daemon)
                told = models(daemon)
                if why is None:
                    assert broken or told == [f"m{number}"]
                    expected = told
                else:
                    refused += 1
                    assert broken, why
                    assert told == expected
            load.wait_for_more(50)
        assert load.failures == []
        assert len(daemon.control("status")["listening"]) == 1
    return times - refused, refused


def test_random_and_broken_configurations_change_nothing_or_all(tmp_path: Path) -> None:
    taken, refused = reload_again_and_again(tmp_path, 30)
    assert taken >= 3
    assert refused >= 10


@pytest.mark.torture
def test_a_thousand_reloads_under_load(tmp_path: Path) -> None:
    taken, refused = reload_again_and_again(tmp_path, 1000)
    assert taken >= 100
    assert refused >= 400


def test_files_of_secrets_are_read_again(tmp_path: Path) -> None:
    key = tmp_path / "token"
    key.write_text("first\n")
    with Daemon(tmp_path, ECHO + f"access: {{mode: token, token: {{file: {key}}}}}\n") as daemon:

        def let_in(token: str) -> bool:
            return daemon.request("GET", "/v1/models", headers={"Authorization": f"Bearer {token}"})[0] == 200

        assert (let_in("first"), let_in("second")) == (True, False)
        key.write_text("second\n")
        daemon.control("reload")
        assert (let_in("first"), let_in("second")) == (False, True)
