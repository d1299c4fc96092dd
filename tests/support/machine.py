"""A systemd that is process 1 of namespaces of its own: what is written, mounted and started there ends with it."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.support.binaries import require_binary
from tests.support.daemon import PATIENCE_S

_KEPT = (
    "basic.target",
    "multi-user.target",
    "network-online.target",
    "shutdown.target",
    "sockets.target",
    "sysinit.target",
    "systemd-journald-dev-log.socket",
    "systemd-journald.service",
    "systemd-journald.socket",
)
"""The units of the distribution that are left; no hardware, no login, no network, no clock is looked after."""

_PROGRAMS = ("systemd", "systemctl", "unshare", "nsenter", "setpriv")
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_NAMESPACES = ("--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup")

# Everything lies over this machine's root folder, in memory. The kernel's settings can be read and not written.
_BOOT = """
set -eu
folder=$1 systemd=$2 kept=$3
shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs usr/lib/systemd/system-generators
units=usr/lib/systemd/system
mkdir run/kept
for unit in $kept; do cp $units/$unit run/kept; done
mount --bind run/kept $units
mkdir etc/systemd/system/sysinit.target.wants
ln -s /$units/systemd-journald.service etc/systemd/system/sysinit.target.wants
mkdir run/host
mount --bind "$folder" run/host
while [ $# -gt 0 ]; do
    mkdir -p ".$2"
    mount --bind "$1" ".$2"
    mount -o remount,bind,ro ".$2"
    shift 2
done
mount -t tmpfs -o mode=755 tmpfs dev
for name in full null random tty urandom zero; do : > dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec env -i container=test NOTIFY_SOCKET=/run/host/started PATH="$PATH" \\
    "$systemd" --system --unit=multi-user.target --log-target=journal
"""


class Machine:
    """A machine that systemd has started, with no network but its own loopback; a context manager.

    It sees this machine's files, those of other file systems excepted, and what it changes it keeps to itself. Where
    systemd is not installed, or none may be started, the test is skipped.

    Args:
        folder: For what it tells; made.
        shown: Folders of this machine, and where it has them, to be read only.
    """

    def __init__(self, folder: Path, shown: Mapping[Path, str]) -> None:
        self._programs = {name: require_binary(name) for name in _PROGRAMS}
        if os.geteuid() != 0:
            pytest.skip("only root can start a systemd")
        self._folder = folder
        self._cgroup = _own_cgroup() / f"netrunner-{uuid.uuid4()}"
        self._shown = [word for source, target in shown.items() for word in (str(source), target)]

    def __enter__(self) -> Self:
        try:
            self._cgroup.mkdir()
        except OSError as error:
            pytest.skip(f"no systemd can be started here: {error}")
        self._folder.mkdir()
        log_path = self._folder / "boot.log"
        with log_path.open("wb") as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(self._folder / "started"))
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
            running = _is_told(told, b"READY=1", self._process.pid)
        if running:
            self.pid = self._systemd()
            return self
        self._end()
        said = log_path.read_text()
        if re.search("not permitted|denied", said):
            pytest.skip(f"no systemd can be started here: {said.strip()}")
        raise AssertionError(f"systemd did not start:\n{said}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _command(self) -> list[str]:
        join = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
        alone = [self._programs["setpriv"], "--pdeathsig", "KILL", self._programs["unshare"], "--fork", "--kill-child"]
        boot = ["sh", "-c", _BOOT, "sh", str(self._folder), self._programs["systemd"], " ".join(_KEPT), *self._shown]
        return ["sh", "-c", join, str(self._cgroup), *alone, *_NAMESPACES, *boot]

    def _systemd(self) -> int:
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def _end(self) -> None:
        """End every process there, and with the last one all that is mounted there."""
        if self._process.poll() is None:
            os.kill(self._systemd(), signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            os.rmdir(folder)

    def path(self, name: str) -> Path:
        """Return a path of this machine for an absolute one of that."""
        return Path(f"/proc/{self.pid}/root{name}")

    def run(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program there, as root."""
        return subprocess.run(
            [self._programs["nsenter"], "--all", f"--target={self.pid}", *words],
            env={"PATH": os.environ["PATH"], **(environ or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_S,
            check=False,
        )

    def systemctl(self, *words: str) -> str:
        """Ask systemd for something that it does; return what it says."""
        done = self.run("systemctl", *words)
        assert done.returncode == 0, done.stderr + self.journal()
        return done.stdout

    def told(self, unit: str, name: str) -> str:
        """Return one property of a unit, by its name in ``systemctl show``."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str = "netrunner") -> str:
        """Return what a unit has logged, and what systemd has of it."""
        return self.run("journalctl", "--unit", unit, "--no-pager", "--output=cat").stdout

    @contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread, and those that it starts, open sockets there while the block runs."""
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.pid}/ns/net") as there:
            _enter_network(there.fileno())
            try:
                yield
            finally:
                _enter_network(here.fileno())


def _own_cgroup() -> Path:
    """Return the folder of the cgroup that this process is in (cgroups(7)), of version 2; skip the test without one."""
    mounted = re.search(r"(?m)^\S+ (\S+) cgroup2 ", Path("/proc/mounts").read_text())
    own = re.search(r"(?m)^0::/(.*)$", Path("/proc/self/cgroup").read_text())
    if not mounted or not own:
        pytest.skip("no systemd can be started here: there are no cgroups of version 2")
    return Path(mounted[1], own[1])


def _is_told(told: socket.socket, wanted: bytes, pid: int) -> bool:
    """Wait for a message with ``wanted``; return False if the process ends before."""
    death = os.pidfd_open(pid)
    try:
        while True:
            ready, _, _ = select.select([told.fileno(), death], [], [], PATIENCE_S)
            if told.fileno() not in ready:
                return False
            if wanted in told.recv(4096):
                return True
    finally:
        os.close(death)


def _enter_network(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
