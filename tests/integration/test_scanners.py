"""What scanners of other projects find in a daemon with projects, pages, a log and a database: nothing (row 54).

`make test` has a few of the places behind which there is SQL, `make torture` all of them, and the admin pages.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.crowd import Figures
from tests.support.daemon import Daemon
from tests.support.dialogue import dial
from tests.support.scanners import MARK, Attack, Fenced, Leaky, Scanned, findings
from tests.support.surface import ADMIN, PASSWORD, USER, Surface
from tests.support.tenants import CONFIG, ENVIRON, MANAGE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), CONFIG + ADMIN, environ=ENVIRON) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def surface(daemon: Daemon) -> Surface:
    return Surface(daemon)


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Fenced:
    return Fenced(tmp_path_factory.mktemp("scanners"))


@pytest.fixture(scope="module")
def leaky() -> Iterator[Leaky]:
    with Leaky() as server:
        yield server


def test_what_scanners_are_to_change_is_right_before_they_do(daemon: Daemon, surface: Surface) -> None:
    told = {}
    for attack in surface.everything():
        with dial(daemon.port) as client:
            client.send(attack.plain(daemon.port).encode())
            head, _ = client.message()
        told[f"{attack.method} {attack.target}"] = int(head.split(b" ", 2)[1])
    wrong = {asked: status for asked, status in told.items() if status >= 400}
    # Nothing is in progress, and the alias has been taken back.
    assert [asked.partition("/")[2][:8] for asked in wrong] == ["api/infl", "model/re"]
    assert set(wrong.values()) == {404}


PLACES = [("GET", "/api/logs?"), ("GET", "/manage/projects?"), ("GET", "/manage/tokens/"), ("POST", "/manage/tokens")]
"""Of the operations, those behind which there is most SQL: one whose request begins so."""
LEAK = Attack("GET", "/item?id=7*", {})


def attacked(fenced: Fenced, daemon: Daemon, leaky: Leaky, attacks: list[Attack], *options: str) -> Scanned:
    """Have sqlmap find the one injection there is, in requests among which there is none."""
    # It comes last, since sqlmap leaves a host alone once it has found something there.
    asked = [*((daemon.port, one) for one in attacks), (leaky.server_port, LEAK)]
    scanned = fenced.sqlmap(f"sqlmap-{len(asked)}", asked, "--dbms", "sqlite", *options)
    assert scanned.injectable == ["/item #1*"]
    assert scanned.places >= len(asked)
    assert scanned.statuses[200] >= len(asked)
    assert {status for status in scanned.statuses if status >= 500} == set()
    assert fenced.strays() == []
    return scanned


def test_sqlmap_finds_no_injection_but_the_one_it_has_to_find(
    daemon: Daemon, surface: Surface, fenced: Fenced, leaky: Leaky
) -> None:
    operations = list(surface.operations("logs", "management"))
    chosen = [
        next(one for one in operations if one.method == method and one.target.startswith(path))
        for method, path in PLACES
    ]
    chosen.append(next(surface.credentials()))
    attacked(fenced, daemon, leaky, chosen, "--level", "1", "--technique", "BEU")


@pytest.mark.torture
def test_sqlmap_finds_no_injection_in_anything_that_can_be_asked(
    daemon: Daemon, surface: Surface, fenced: Fenced, leaky: Leaky, figures: Figures
) -> None:
    everything = surface.everything()
    scanned = attacked(fenced, daemon, leaky, everything, "--level", "2")
    figures.add("requests that were changed, values in them", f"{len(everything)}, {scanned.places}")
    figures.add("answers by status", dict(scanned.statuses))


OPERATOR = ("-a", f"{USER}%{PASSWORD}", "--auth-type", "basic")
MANAGER = ("-H", f"Authorization: {MANAGE['Authorization']}")
INJECTING = ("sql", "xss", "crlf", "redirect", "exec", "file", "shellshock")
LOOKING = ("csp", "cookieflags", "csrf", "http_headers", "methods", "htaccess", "backup")
"""Left out is what fetches a list from elsewhere (``wapp``, ``nikto``), what asks a host elsewhere who came (``ssrf``,
``xxe``), what guesses names and passwords (``buster``, ``brute_login_form``), what takes pauses for a finding
(``blindsql``: sqlmap does that, and makes sure), and what tries each name anew that the scans before it have left
(``permanentxss``: ``test_admin.py`` has hostile names in a browser)."""
OLD_FIELDS = {
    "HTTP Secure Headers": [
        "GET / : Strict-Transport-Security is not set",
        "GET / : X-Frame-Options is not set",
        "GET / : X-XSS-Protection is not set",
    ]
}
"""The first is for answers by TLS (RFC 6797, 7.2), so nginx's; ``frame-ancestors`` of the policy says what the second
did; browsers do not know the third any more."""


def start(daemon: Daemon, attack: Attack) -> str:
    """Return the address of a request as it is."""
    return f"http://127.0.0.1:{daemon.port}{attack.target.replace(MARK, '')}"


def test_wapiti_finds_nothing_in_a_page_and_finds_what_is_there_elsewhere(
    daemon: Daemon, surface: Surface, fenced: Fenced, leaky: Leaky
) -> None:
    modules = ("sql", "xss")
    leak = fenced.wapiti("leaky", f"http://127.0.0.1:{leaky.server_port}/", (), modules)
    assert findings(leak).keys() == {"SQL Injection", "Cross Site Scripting"}
    page = start(daemon, next(surface.pages()))
    report = fenced.wapiti("page", page, (), modules, *OPERATOR, "--scope", "url")
    assert (findings(report), findings(report, "anomalies")) == ({}, {})
    assert fenced.strays() == []


@pytest.mark.torture
def test_wapiti_finds_nothing_behind_the_login(
    daemon: Daemon, surface: Surface, fenced: Fenced, figures: Figures
) -> None:
    root = f"http://127.0.0.1:{daemon.port}/"
    pages = [start(daemon, one) for one in (*surface.pages(), *surface.operations("logs")) if one.method == "GET"]
    managed = [start(daemon, one) for one in surface.operations("management") if one.method == "GET"]
    bounds = ("-d", "1", "--max-scan-time", "60", "--max-attack-time", "600")
    looked = fenced.wapiti("looked", root, pages, (*INJECTING, *LOOKING), *OPERATOR, *bounds)
    by_manager = fenced.wapiti("managed", root, managed, INJECTING, *MANAGER, *bounds)
    figures.add(
        "found, and failed",
        [findings(one, of) for one in (looked, by_manager) for of in ("vulnerabilities", "anomalies")],
    )
    assert findings(looked) == OLD_FIELDS
    assert [findings(looked, "anomalies"), findings(by_manager), findings(by_manager, "anomalies")] == [{}, {}, {}]
    assert fenced.strays() == []
