"""What deployments install is pinned, with hashes, and is what the metadata asks for."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "requirements" / name for name in ("deploy.txt", "build.txt")]
HASH = r"--hash=sha256:[0-9a-f]{64}"


def pins(path: Path) -> dict[str, str]:
    """Return the version of each pinned package, by its canonical name."""
    found = re.findall(r"(?m)^([\w.-]+)==(\S+)", path.read_text())
    return {canonicalize_name(name): version for name, version in found}


def declared() -> list[Requirement]:
    """Return what the wheel asks for, the extras of the Makefile's ``DEPLOYED`` included."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    (extras,) = re.findall(r"(?m)^DEPLOYED := (.*)$", (ROOT / "Makefile").read_text())
    lists = [metadata["options"]["install_requires"]]
    lists += [metadata["options.extras_require"][extra] for extra in extras.split()]
    return [Requirement(line) for text in lists for line in text.strip().splitlines()]


def needed(requirements: list[Requirement]) -> list[Requirement]:
    """Return these and all they ask for in turn, as far as it is installed here."""
    found: list[Requirement] = []
    asked = [(requirement, frozenset(requirement.extras)) for requirement in requirements]
    known = set()
    while asked:
        requirement, extras = asked.pop()
        found.append(requirement)
        if (requirement.name, extras) in known:
            continue
        known.add((requirement.name, extras))
        for line in importlib.metadata.requires(requirement.name) or ():
            inner = Requirement(line)
            if any(inner.marker is None or inner.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                asked.append((inner, frozenset(inner.extras)))
    return found


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_what_the_metadata_asks_for_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins(FILES[0])[canonicalize_name(requirement.name)])


def test_what_those_ask_for_is_pinned_too() -> None:
    pinned = pins(FILES[0])
    unmet = [
        str(requirement)
        for requirement in needed(declared())
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]
    assert unmet == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_pin_has_its_hashes_and_nothing_tells_where_it_was_made(path: Path) -> None:
    text = re.sub(r"(?m)^ +#.*\n", "", path.read_text()).replace("\\\n", "")
    lines = text.splitlines()
    assert len(lines) == len(pins(path)) > 0
    for line in lines:
        assert re.fullmatch(rf"[\w.-]+==[\w.]+( ; [\w '!=\"<>.()]+)?( +{HASH})+", line.strip()), line


def test_the_image_installs_what_is_pinned_and_nothing_else() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    commands = re.findall(r"(?m)bin/pip (?:install|wheel) (.*?)(?: &&|$)", text)
    # The stage that tests is in no image that serves.
    commands = [rest for rest in commands if '--editable ".[test]"' not in rest]
    assert len(commands) == 4
    assert [rest for rest in commands if "--require-hashes" not in rest and "--no-deps" not in rest] == []
