"""netrunner's wheel, built from this source, and others of it that differ in what a test says."""

from __future__ import annotations

import hashlib
import importlib.util
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from netrunner import __version__
from tests.support.daemon import ROOT

_IGNORED = shutil.ignore_patterns("__pycache__", "dropin.cache")


def built(folder: Path, *besides: str) -> Path:
    """Build the wheel in a copy of the source in ``folder``, which has the folders ``besides`` too; return its path."""
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("netrunner", "twisted", *besides):
        shutil.copytree(ROOT / name, folder / name, ignore=_IGNORED)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def with_bytecode(wheel: Path) -> None:
    """Put what Python makes of this source into its wheel, to be believed unseen (PEP 552): nobody else compiles it."""
    with zipfile.ZipFile(wheel, "a") as archive, tempfile.TemporaryDirectory() as folder:
        compiled = str(Path(folder) / "compiled")
        for name in [name for name in archive.namelist() if name.endswith(".py")]:
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(ROOT / name), compiled, name, doraise=True, invalidation_mode=mode)
            archive.write(compiled, importlib.util.cache_from_source(name))


def changed(wheel: Path, version: str, changes: Mapping[str, tuple[str, str]]) -> Path:
    """Return another wheel, of ``version``, in which files by name have one text in the place of another."""
    changes = {"netrunner/__init__.py": (f'"{__version__}"', f'"{version}"'), **changes}
    path = wheel.with_name(wheel.name.replace(__version__, version))
    outdated = {importlib.util.cache_from_source(name) for name in changes}
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name in outdated:
                continue
            data = old.read(name)
            if name in changes:
                before, after = changes[name]
                assert before in data.decode()
                data = data.decode().replace(before, after).encode()
            elif ".dist-info/" in name:
                text = data.decode().replace(f"netrunner-{__version__}", f"netrunner-{version}")
                data = text.replace(f"\nVersion: {__version__}\n", f"\nVersion: {version}\n").encode()
            new.writestr(name.replace(f"-{__version__}.", f"-{version}."), data)
    return path


def script(folder: Path, name: str, function: str) -> Path:
    """Write a wheel that has a program only, which calls ``module:function``; return requirements that name it."""
    wheel = folder / f"{name}_script-1-py3-none-any.whl"
    info = f"{name}_script-1.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}-script\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {function}\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")))
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return requirements


def installed_packages() -> Path:
    """Return the folder of what is installed here."""
    (site,) = (Path(path) for path in sys.path if path.endswith("site-packages"))
    return site


def dependencies(folder: Path, seen_at: Path | None = None) -> Path:
    """Make a folder with all that is installed here but netrunner itself; return it, to be a ``PYTHONPATH``.

    Args:
        folder: Where; made.
        seen_at: Where those who look into it find what is installed here; in its own place when not given.
    """
    site = installed_packages()
    folder.mkdir()
    for path in site.iterdir():
        if "netrunner" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to((seen_at or site) / path.name)
    return folder
