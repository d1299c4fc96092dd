"""Projects at full size: revocation of 500 streams (row 20), rotation (row 48), a million tokens."""

from __future__ import annotations

import json
import random
import secrets
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import insert

from netrunner.projects.callers import Callers, Opened
from netrunner.projects.tokens import Mint
from netrunner.store.database import Database, locate
from netrunner.store.master import keyring
from netrunner.store.migrate import migrate
from netrunner.store.projects import KeyRow, ProjectRow, add, keys_of, put_keys
from netrunner.store.sealing import Keyring, MasterKey
from netrunner.store.secrets import reseal, status
from netrunner.store.tables import tokens
from netrunner.testing.fakes import FakeClock
from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.postgres import Postgres
from tests.support.reception import Desk, now
from tests.support.redis import RedisServer
from tests.support.tenants import CONFIG, ENVIRON, chat, issue, manage, stalled

pytestmark = [pytest.mark.integration, pytest.mark.torture]

STREAMS = 500
REFUSED_S = 0.1
ENDED_S = 1.0
KEYS = 10_000
ROTATED_S = 10.0
KILLS = 20
TOKENS = 1_000_000


@pytest.mark.parametrize("apart", [False, True], ids=["one machine", "two machines"])
def test_streams_of_a_revoked_token_end_within_a_second(tmp_path: Path, apart: bool, figures: Figures) -> None:
    with Postgres() as postgres, RedisServer() as redis, ExitStack() as everything:
        config = f"{CONFIG}store: {postgres.database()}\nshared: {redis.url}\n"
        one = everything.enter_context(Daemon(tmp_path / "one", config, environ=ENVIRON))
        two = everything.enter_context(Daemon(tmp_path / "two", config, environ=ENVIRON)) if apart else one
        told = issue(one, limits={"requests_per_hour": STREAMS + 10})
        clients = [everything.enter_context(stalled(two, told["token"])) for _ in range(STREAMS)]
        assert manage(one, "DELETE", f"/manage/tokens/{told['id']}")[0] == 204
        begun = time.monotonic()
        refused_s = 0.0
        while chat(two, told["token"])[0] == 200:
            refused_s = time.monotonic() - begun
        assert all(b"token_inactive" in client.rest() for client in clients)
        ended_s = time.monotonic() - begun
    figures.add("the last one let in after the answer", f"{refused_s * 1000:.0f} ms")
    figures.add(f"the last of {STREAMS} streams ended after", f"{ended_s * 1000:.0f} ms")
    assert refused_s <= REFUSED_S
    assert ended_s <= ENDED_S


def test_ten_thousand_keys_are_sealed_anew_in_ten_seconds(tmp_path: Path, figures: Figures) -> None:
    url = locate("sqlite", tmp_path)
    migrate(url.render_as_string(hide_password=False))
    database = Database(url, lambda _: None, time.monotonic)
    old, new = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
    before = Keyring([old], secrets.token_bytes)
    project = ProjectRow("p", "p", True, 0.0, 0.0)
    database.write(add, project)
    rows = [KeyRow(f"{n:05}", "p", "up", "sk-***", old.id, before.seal(b"sk-%05d" % n, f"{n:05}")) for n in range(KEYS)]
    database.write(put_keys, "p", ["up"], rows)
    after = Keyring([new, old], secrets.token_bytes)
    begun = time.monotonic()
    while database.write(reseal, after):
        pass
    took_s = time.monotonic() - begun
    assert database.read(status) == {new.id: KEYS}
    database.close()
    figures.add(f"{KEYS} keys sealed anew in", f"{took_s:.1f} s")
    assert took_s <= ROTATED_S


def test_a_rotation_that_is_killed_loses_no_key(tmp_path: Path, figures: Figures) -> None:
    state, config = tmp_path / "state", tmp_path / "config.yaml"
    state.mkdir()
    config.write_text(f"state: {json.dumps(str(state))}\nproviders: {{echo: {{type: echo}}}}\n")
    url = locate("sqlite", state)
    migrate(url.render_as_string(hide_password=False))
    database = Database(url, lambda _: None, time.monotonic)
    first = keyring(None, (), state)
    database.write(add, ProjectRow("p", "p", True, 0.0, 0.0))
    secret = {f"{n:05}": b"sk-%05d" % n for n in range(KEYS)}
    rows = [KeyRow(id, "p", "up", "sk-***", first.current.id, first.seal(key, id)) for id, key in secret.items()]
    database.write(put_keys, "p", ["up"], rows)
    chance, midway = random.Random(48), 0
    rotate = [str(Path(sys.executable).with_name("netrunner")), "secrets", "--config", str(config), "rotate"]
    for _ in range(KILLS):
        before, wanted = database.read(status), chance.randrange(1, KEYS)
        with subprocess.Popen(rotate, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and moved(before, database.read(status)) < wanted:
                pass
            process.kill()
        assert process.returncode in (0, -signal.SIGKILL)
        midway += len(database.read(status)) > 1
        now = keyring(None, (), state)
        assert {
            row.id: now.open(row.sealed, row.sealed_by or "", row.id) for row in database.read(keys_of, ["p"])
        } == secret
    subprocess.run(rotate, stdout=subprocess.DEVNULL, check=True)
    assert database.read(status) == {keyring(None, (), state).current.id: KEYS}
    database.close()
    figures.add("rotations killed, of them in the midst of it", f"{KILLS}, {midway}")
    assert midway > KILLS // 4


def moved(before: dict[str | None, int], after: dict[str | None, int]) -> int:
    """Return how many keys are sealed by another master key than before."""
    return sum(max(0, count - before.get(id, 0)) for id, count in after.items())


def test_a_million_tokens_change_nothing_for_one_that_is_known_and_little_for_one_that_is_not(
    tmp_path: Path, figures: Figures
) -> None:
    url = locate("sqlite", tmp_path)
    migrate(url.render_as_string(hide_password=False))
    database = Database(url, lambda _: None, time.monotonic)
    mint, ring = Mint(b"p" * 32), Keyring([MasterKey(b"m" * 32)], secrets.token_bytes)
    database.write(add, ProjectRow("p", "p", True, 0.0, 0.0))
    mine = [mint.make(secrets.token_bytes).encode() for _ in range(2000)]

    def fill(digests: list[bytes], first: int) -> None:
        rows = [
            {"id": f"{first + n:09}", "project": "p", "masked": "nr-***", "active": True, "created_at": 0.0,
             "expires_at": 4e9, "digest": digest, "taken": 0, "request_count": 0, "tokens_used": 0, "cost_used": 0.0,
             "limits": "{}", "metadata": "{}"}
            for n, digest in enumerate(digests)
        ]  # fmt: skip
        database.write(lambda connection: connection.execute(insert(tokens), rows))

    def measure() -> tuple[float, float]:
        """Return the microseconds that a look for a token takes: in the database, and in the process."""
        callers = Callers(lambda: Desk(database), FakeClock())  # type: ignore[arg-type,return-value]  # asks for reads
        callers.opened = Opened(ring, mint)
        begun = time.thread_time()
        for token in mine:
            now(callers.ask(token))
        asked = time.thread_time() - begun
        begun = time.thread_time()
        for token in mine:
            assert callers.known(token) is not None
        return asked / len(mine) * 1e6, (time.thread_time() - begun) / len(mine) * 1e6

    fill([mint.digest(token) for token in mine], 0)
    few = measure()
    for first in range(0, TOKENS, 50_000):
        fill([secrets.token_bytes(32) for _ in range(50_000)], 10_000 + first)
    many = measure()
    database.close()
    figures.add("asked for, 2,000 tokens against 1,002,000", f"{few[0]:.0f} us, {many[0]:.0f} us")
    figures.add("known, likewise", f"{few[1]:.1f} us, {many[1]:.1f} us")
    assert many[0] <= few[0] * 2
    assert many[1] <= few[1] * 1.5
