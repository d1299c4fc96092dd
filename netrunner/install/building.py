"""How a release is made: a virtual environment with what is pinned, checked by hash, and netrunner's own wheel.

This module must not touch what is in use.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import netrunner
from netrunner.install.failure import Refused
from netrunner.install.layout import Release

TREE = Path(netrunner.__file__).parents[1]
"""The source that this installer came with."""
UNITS = ("netrunner.service", "netrunner.socket")
_BUILT_FROM = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "netrunner", "twisted")
_LIST_PLUGINS = "import twisted.plugin, twisted.plugins; twisted.plugin.getCache(twisted.plugins)"
_WHEEL = re.compile(r"netrunner-([0-9][A-Za-z0-9.!+]*)-py3-none-any\.whl")


@dataclass(frozen=True, slots=True)
class Source:
    """What a release is made from.

    Args:
        wheel: netrunner's wheel; None for one that is built from ``TREE``.
        requirements: What else is installed, pinned with hashes.
        units: The folder of systemd's unit files.
    """

    wheel: Path | None
    requirements: Path
    units: Path

    @property
    def version(self) -> str:
        """The version of what is installed.

        Raises:
            Refused: when the wheel's name does not tell.
        """
        if self.wheel is None:
            return netrunner.__version__
        named = _WHEEL.fullmatch(self.wheel.name)
        if named is None:
            raise Refused(f"{self.wheel} is no wheel of netrunner")
        return named[1]

    def missing(self) -> list[Path]:
        """Return the files that it needs and that are not there."""
        wanted = [self.requirements, *(self.units / name for name in UNITS)]
        wanted += [TREE / name for name in _BUILT_FROM] if self.wheel is None else [self.wheel]
        return [path for path in wanted if not path.exists()]


def build(source: Source, release: Release, tools: Path) -> None:
    """Make ``release``; what its folder holds when that fails is the caller's to remove.

    Args:
        source: What it is made from.
        release: Its folder is not there yet.
        tools: An environment with pip, which releases have none of; made when it is not there.

    Raises:
        Refused: with the last thing that was said by what failed.
    """
    if not (tools / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", "--clear", tools])
    _run([sys.executable, "-m", "venv", "--without-pip", release.path])
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        wheel = source.wheel or _wheel(scratch, tools)
        own = scratch / "requirements.txt"
        own.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        _pip(tools, release.path, "--requirement", source.requirements, "--requirement", own)
    # The daemon may not write where it is installed, and Twisted looks at every plugin anew until it is written down.
    _run([release.path / "bin" / "python", "-c", _LIST_PLUGINS])
    templates = release.path / "templates"
    templates.mkdir()
    for name in UNITS:
        shutil.copy(source.units / name, templates)


def _wheel(scratch: Path, tools: Path) -> Path:
    """Build the wheel of ``TREE`` in a copy of it: nothing is written where the source is."""
    copy, built = scratch / "source", scratch / "wheel"
    copy.mkdir()
    for name in _BUILT_FROM:
        (shutil.copytree if (TREE / name).is_dir() else shutil.copy)(TREE / name, copy / name)
    _pip(tools, tools, "--requirement", TREE / "requirements" / "build.txt")
    _run([tools / "bin" / "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", built, copy])
    return next(built.glob("*.whl"))


def _pip(tools: Path, environment: Path, *arguments: str | Path) -> None:
    """Install into an environment what is pinned with its hash, and nothing else."""
    python = environment / "bin" / "python"
    quietly = ("--quiet", "--disable-pip-version-check", "--require-hashes")
    _run([tools / "bin" / "pip", "--python", python, "install", *quietly, *arguments])


def _run(command: Sequence[str | Path]) -> None:
    # Python looks for modules in the folder it is started in, pip for what is installed: there is nothing in this one.
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd="/")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Refused(f"{Path(command[0]).name} ended with {done.returncode}: {said[-1]}")
