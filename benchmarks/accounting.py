"""Child processes: started, asked by the kernel's own accounting what they used, and ended by their ids.

This module must not know what a process is for.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """The run cannot give a figure; the message says what is wrong and what to do."""


def tree(pid: int) -> list[int]:
    """Return ``pid`` and the ids of all its descendants that are alive."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(int(child) for child in children.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, that all threads of ``pid`` and its descendants have used.

    Fields 14 and 15 of proc(5) ``/proc/PID/stat``; they count in ticks of 10 ms on most machines.
    """
    total = 0
    for member in tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


class Others:
    """Watches how much of the machine is used by processes that are not ours: figures of a busy machine say little."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._foreign_s = self._foreign()

    def cores(self) -> float:
        """Return how many cores, on average, others have kept busy since this was made."""
        return max(0.0, self._foreign() - self._foreign_s) / (time.monotonic() - self._began)

    def _foreign(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        user, nice, system, _, _, irq, softirq, steal = _machine_ticks()
        busy_s = (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
        return busy_s - cpu_s(os.getpid()) - ended.ru_utime - ended.ru_stime


def _machine_ticks() -> list[int]:
    with Path("/proc/stat").open() as lines:
        return [int(field) for field in lines.readline().split()[1:9]]


def rss_bytes(pid: int) -> int:
    """Return the resident memory of ``pid`` and its descendants in bytes."""
    total = 0
    for member in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
    return total


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and all its descendants, those started meanwhile too, on one core."""
    before = os.sched_getaffinity(0)
    _pin(os.getpid(), {max(before)})
    try:
        yield
    finally:
        _pin(os.getpid(), before)


def _pin(pid: int, cores: set[int]) -> None:
    for member in tree(pid):
        for thread in Path(f"/proc/{member}/task").glob("*"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread.name), cores)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A process with a log file of its own; a context manager that ends it and its descendants."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, env=environ
            )
        self.pid = self._process.pid

    def wait_for_200(self, port: int, path: str, timeout_s: float = 20.0) -> float:
        """Wait until a GET of ``path`` is answered with 200; return the seconds since the process was started.

        Raises:
            BenchmarkError: The process ended, or did not answer in ``timeout_s``; with the end of its log.
        """
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
        while time.monotonic() - self.started < timeout_s and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as client:
                client.sendall(request)
                if client.recv(64).startswith(b"HTTP/1.1 200"):
                    return time.monotonic() - self.started
            time.sleep(0.002)
        tail = self.log.read_text(errors="replace")[-1500:]
        raise BenchmarkError(f"{self._process.args!r} does not answer {path}; its log ends:\n{tail}")

    def end(self) -> None:
        """Terminate the process; after at most 5 s kill what is left of it and its descendants."""
        members = tree(self.pid)
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
