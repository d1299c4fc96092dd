"""``python3 -m netrunner.install``: what an operator types, and what is told then.

This module must not know how anything is done.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from netrunner.install import checks
from netrunner.install.asking import Asking, Status
from netrunner.install.building import TREE, Source, build
from netrunner.install.failure import Refused
from netrunner.install.layout import Layout, Release
from netrunner.install.services import Alone, Service, Systemd
from netrunner.install.switch import Switch

_EPILOG = (
    "What is there is never changed: a release is made beside it, looks at the configuration and the machine, and then"
    " takes the place of the one that serves, which goes on if the new one does not start or does not get healthy. The"
    " exit status is 0 only if the new one serves."
)


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs, goes back, uninstalls.

    Args:
        layout: Where releases are.
        service: What looks after the daemon.
        asking: Asks releases.
        switch: Changes which one serves.
    """

    layout: Layout
    service: Service
    asking: Asking
    switch: Switch

    def install(self, source: Source, migrate: bool, keep: int) -> str:
        """Make a release of ``source`` and have it serve; return what to tell.

        Raises:
            Refused: when it does not; all is as before then.
        """
        self._refuse_early(source)
        self._recover()
        release = self.layout.free(source.version)
        try:
            build(source, release, self.layout.tools)
            status, serving = self._look(release)
            self._protect(status, release, serving or self.layout.current, migrate)
            self.switch.to(release, status, serving)
        except BaseException:
            if release.path.exists() and not release.processes():
                release.remove()
            raise
        self.layout.prune(keep)
        return self._told(release, status, serving)

    def go_back(self) -> str:
        """Have the release serve that did before; return what to tell.

        Raises:
            Refused: when there is none, or it does not serve.
        """
        self._recover()
        release = self.layout.previous
        if release is None:
            raise Refused("there is no release before")
        status, serving = self._look(release)
        if checks.migration(status, self.asking, release) is not None:
            raise Refused(f"{release.name} would migrate the database: install it anew, with --migrate")
        self.switch.to(release, status, serving)
        return self._told(release, status, serving)

    def uninstall(self, purge: bool, patience_s: float) -> str:
        """End the daemon and remove what was installed; state and configuration as well for ``purge``.

        Raises:
            Refused: when nothing is installed, or it is not known where the state is.
        """
        release = self.layout.current
        if release is None:
            raise Refused(f"nothing is installed in {self.layout.prefix}")
        state = self.asking.status(release).state if purge else None
        self.service.stop(self.layout.proven(), patience_s)
        self.service.put(None)
        for name in ("current", "previous"):
            self.layout.link(name, None)
        self.layout.prune(0)
        shutil.rmtree(self.layout.pid_file.parent, ignore_errors=True)
        if state is None:
            return f"netrunner is uninstalled; {self.asking.config} and the state folder are kept"
        # systemd keeps the state of a service without a user of its own behind a link.
        for folder in (state.resolve(), self.layout.log_file.parent, self._backups):
            shutil.rmtree(folder, ignore_errors=True)
        if state.is_symlink():
            state.unlink()
        self.asking.config.unlink(missing_ok=True)
        return f"netrunner is uninstalled, and {state} and {self.asking.config} are deleted"

    @property
    def _backups(self) -> Path:
        return self.layout.prefix / "backups"

    def _refuse_early(self, source: Source) -> None:
        """Refuse what can be refused before anything is made."""
        if not self.asking.config.is_file():
            raise Refused(
                f"there is no configuration {self.asking.config}: write it first, conf/prod.yaml is one to begin with"
            )
        if missing := source.missing():
            raise Refused(f"{missing[0]} is not there")
        checks.writable([self.layout.prefix, *self.service.places])
        foreign = self.service.foreign() if self.layout.current is None else None
        if foreign is not None:
            raise Refused(f"{foreign} is there, and not of an installer: remove it")

    def _recover(self) -> None:
        """Leave what an installer that was killed has linked to but has not seen serving."""
        current = self.layout.current
        if current is None or current.proven:
            return
        if current.processes():
            current.prove()
            return
        before = next(iter(self.layout.proven()), None)
        self.layout.link("current", before)
        self.service.put(before)

    def _look(self, release: Release) -> tuple[Status, Release | None]:
        """See that a release can serve; return what it says, and the release that serves now."""
        checks.sound(release, self.asking)
        status = self.asking.status(release)
        checks.writable([status.state])
        serving = checks.replaceable(status, self.layout)
        if serving is not None or not self.service.holds_sockets():
            checks.ports(status)
        return status, serving

    def _protect(self, status: Status, release: Release, before: Release | None, migrate: bool) -> None:
        """See that nothing is lost if a release migrates the database, which the one before could not use any more."""
        found = checks.migration(status, self.asking, release)
        if found is None:
            return
        if not migrate:
            raise Refused(
                f"{release.name} would migrate the database, which is of migration {found}, and there would be no way"
                " back to the release before: say --migrate"
            )
        if before is not None:
            self._backups.mkdir(mode=0o700, exist_ok=True)
            path = self._backups / f"{time.strftime('%Y%m%d-%H%M%S')}-{before.name}.zip"
            done = self.asking.run(before, "backup", "--config", str(self.asking.config), str(path), timeout_s=3600.0)
            if done.returncode:
                raise Refused(f"no backup could be made: {done.stderr.strip()}")

    def _told(self, release: Release, status: Status, serving: Release | None) -> str:
        instead = "" if serving is None else f" in place of {serving.name}"
        return f"netrunner {release.name} serves at {', '.join(status.listen)}{instead}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    layout = Layout(options.prefix.absolute())
    config = options.config.absolute()
    service = _service(options, layout, config)
    asking = Asking(config, service.environ, service.folder)
    switch = Switch(layout, service, asking, options.patience_s)
    installer = Installer(layout, service, asking, switch)
    try:
        checks.writable([layout.prefix])
        with layout.alone():
            print(_done(installer, options))
    except Refused as error:
        print(f"netrunner: {_why(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("netrunner: interrupted, all is as it was", file=sys.stderr)
        return 130
    return 0


def _done(installer: Installer, options: argparse.Namespace) -> str:
    if options.what == "rollback":
        return installer.go_back()
    if options.what == "uninstall":
        return installer.uninstall(options.purge, options.patience_s)
    current = installer.layout.current
    templates = TREE / "conf" if current is None or (TREE / "conf").is_dir() else current.path / "templates"
    source = Source(options.wheel and options.wheel.absolute(), options.requirements.absolute(), templates)
    return installer.install(source, options.migrate, options.keep)


def _why(error: BaseException | None) -> str:
    """Return why something was refused, and then why going back was."""
    reasons = []
    while error is not None:
        if isinstance(error, Refused):
            reasons.append(str(error))
        error = error.__context__
    return "; then, going back: ".join(reversed(reasons))


def _service(options: argparse.Namespace, layout: Layout, config: Path) -> Service:
    systemd = Path("/run/systemd/system").is_dir() and os.geteuid() == 0 if options.systemd is None else options.systemd
    return Systemd(layout, config, options.units) if systemd else Alone(layout, config)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    options = argparse.ArgumentParser(
        prog="python3 -m netrunner.install",
        description="Makes netrunner a service of this machine, or installs another release over the one that serves.",
        epilog=_EPILOG,
    )
    options.add_argument(
        "what", nargs="?", choices=("install", "rollback", "uninstall"), default="install",
        help="rollback has the release serve again that did before; uninstall keeps state and configuration",
    )  # fmt: skip
    options.add_argument(
        "--prefix", type=Path, metavar="PATH", default=Path("/opt/netrunner"), help="where releases go; %(default)s"
    )
    options.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        default=Path("/etc/netrunner/prod.yaml"),
        help="the daemon's configuration; %(default)s",
    )
    options.add_argument(
        "--wheel", type=Path, metavar="PATH", help="netrunner's wheel; built from this source when not given"
    )
    options.add_argument(
        "--requirements", type=Path, metavar="PATH", default=TREE / "requirements" / "deploy.txt",
        help="what it needs, pinned with hashes; %(default)s",
    )  # fmt: skip
    options.add_argument(
        "--systemd",
        action=argparse.BooleanOptionalAction,
        help="whether systemd looks after it; where it does on this machine",
    )
    options.add_argument(
        "--units", type=Path, metavar="PATH", default=Path("/etc/systemd/system"), help="where units go; %(default)s"
    )
    options.add_argument(
        "--patience-s", type=float, default=60.0, metavar="S", help="seconds until it serves; %(default)s"
    )
    options.add_argument("--keep", type=int, default=3, metavar="N", help="releases that are kept; %(default)s")
    options.add_argument(
        "--migrate", action="store_true", help="back up the database, and let the new release migrate it"
    )
    options.add_argument("--purge", action="store_true", help="uninstall: delete state and configuration as well")
    return options


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt
