"""What leads out of the daemon: routes in both forms, destinations that make sense, proxies, and loops."""

from __future__ import annotations

from pathlib import Path

import pytest

from netrunner.config.outward import chosen
from netrunner.routing.proxies import Proxy
from netrunner.values import Origin
from tests.config.fakes import Loader

UP = Origin("https", "up.example", 443)


def route(text: str = "", destination: str = "http://up.example") -> str:
    """Return a configuration with one route, which stands in its first line."""
    return f"routes: [{{name: r, source: /r/, destination: '{destination}'{text}}}]\n"


def test_routes_are_a_list_or_a_mapping_by_name(loaded: Loader) -> None:
    listed, _ = loaded(
        "routes:\n  - {name: a, source: /a/, destination: http://a}\n  - {name: b, source: /b/, destination: http://b}\n"
    )
    mapped, _ = loaded(
        "routes:\n  a: {source: /a/, destination: http://a}\n  b: {source: /b/, destination: http://b}\n"
    )
    renamed, _ = loaded("routes:\n  x: {name: a, source: /a/, destination: http://a}\n")
    assert mapped.routes == listed.routes
    assert renamed.routes == listed.routes[:1]


def test_problems_of_mapped_routes_are_told_where_they_stand(loaded: Loader) -> None:
    assert loaded.problems(
        "routes:\n  a: {source: a, destination: http://a}\n  b: 1\n  c/d: {source: /c, destination: http://c, x: 1}\n"
    ) == [
        "netrunner.yaml:2: source: expected a path beginning with a slash, in ASCII, got 'a'",
        "netrunner.yaml:3: routes: expected a mapping, got 1",
        "netrunner.yaml:4: name: expected 1 to 64 letters, digits, dots, underscores and hyphens, got 'c/d'",
        "netrunner.yaml:4: unknown key 'x'; known are source, destination, name, rewrite, record, timeouts, ca_file,"
        " proxy",
    ]


def test_one_prefix_written_in_two_ways_is_one(loaded: Loader) -> None:
    assert loaded.problems(
        "routes:\n  - {name: a, source: /a, destination: http://a}\n  - {name: b, source: /a/, destination: http://b}\n"
    ) == ["netrunner.yaml:3: source '/a' stands twice, first at netrunner.yaml:2"]


@pytest.mark.parametrize(
    ("destination", "more", "expected"),
    [
        ("http://h/?a=b", "", "expected no query, the caller's own is what is sent"),
        ("http://h/é", ", rewrite: replace", "expected a path in ASCII, anything else percent-encoded"),
        (
            "http://h/base",
            "",
            "the path /base has no place while the whole path of a request is kept; leave it out, or say rewrite:"
            " replace",
        ),
    ],
)
def test_a_part_of_a_destination_that_would_go_nowhere_is_refused(
    loaded: Loader, destination: str, more: str, expected: str
) -> None:
    assert loaded.problems(route(more, destination)) == [f"netrunner.yaml:1: destination: {expected}"]


@pytest.mark.parametrize("more", ["", ", rewrite: replace"])
def test_a_destination_may_end_in_a_slash(loaded: Loader, more: str) -> None:
    assert loaded.problems(route(more, "http://h/")) == []


LISTENERS = {
    "tcp:80:interface=127.0.0.1": (["http://127.0.0.1", "http://localhost/x", "http://0.0.0.0"], ["http://127.0.0.2", "http://[::1]"]),
    "'tcp:8080:interface=[::1]'": (["http://[::1]:8080", "http://localhost:8080"], ["http://127.0.0.1:8080", "http://[::1]:8081"]),
    "tcp:443:interface=localhost": (["https://localhost", "https://127.0.0.1/v1"], ["https://up.example", "http://localhost"]),
    "'unix:/run/x'": ([], ["http://localhost", "http://127.0.0.1:8080"]),
}  # fmt: skip


@pytest.mark.parametrize("listener", LISTENERS)
def test_what_leads_back_to_the_daemon_is_refused(loaded: Loader, listener: str) -> None:
    loops, others = LISTENERS[listener]
    for url in loops:
        provider = f"providers: {{p: {{type: openai, base_url: '{url}'}}}}\n"
        told = "is where this daemon listens itself"
        (problem,) = loaded.problems(f"listen: {listener}\n{provider}")
        assert problem.startswith("netrunner.yaml:2: base_url: ")
        assert problem.endswith(told)
        (problem,) = loaded.problems(f"listen: {listener}\n{route(', rewrite: replace', url)}")
        assert problem.startswith("netrunner.yaml:2: destination: ")
        proxy = url.removesuffix("/x").removesuffix("/v1")
        (problem,) = loaded.problems(f"listen: {listener}\n{route(f', proxy: {chr(39)}{proxy}{chr(39)}')}")
        assert problem.startswith("netrunner.yaml:2: proxy: ")
        assert problem.endswith(told)
    for url in others:
        assert loaded.problems(f"listen: {listener}\n{route('', url)}") == []


def test_pages_that_are_served_apart_are_the_daemon_as_well(loaded: Loader) -> None:
    admin = "admin: {user: {env: U}, password: {env: U}, listen: tcp:9000:interface=127.0.0.1}\n"
    assert loaded.problems(admin + route("", "http://127.0.0.1:9000"), U="u") == [
        "netrunner.yaml:2: destination: http://127.0.0.1:9000 is where this daemon listens itself"
    ]


def test_a_listener_on_every_address_is_met_on_loopback(loaded: Loader) -> None:
    everywhere = "listen: tcp:8080\nserver: {hosts: [llm.example]}\naccess: {mode: open, public: true}\n"
    for host in ("127.0.0.1", "127.1.2.3", "localhost"):
        assert len(loaded.problems(everywhere + route("", f"http://{host}:8080"))) == 1
    assert loaded.problems(everywhere + route("", "http://10.0.0.1:8080")) == []


def test_a_proxy_is_a_url_a_secret_or_the_environments(loaded: Loader, tmp_path: Path) -> None:
    held = tmp_path / "proxy"
    held.write_text("socks5h://me:secret@proxy.example\n")
    held.chmod(0o600)
    for text, expected in (
        ("'http://proxy.example:3128'", Proxy("http", "proxy.example", 3128)),
        ("{env: PROXY}", Proxy("https", "proxy.example", 443, b"me", b"secret")),
        (f"{{file: '{held}'}}", Proxy("socks5h", "proxy.example", 1080, b"me", b"secret")),
        ("environment", Proxy("socks5", "other.example", 1080)),
        ('"${PLAIN}"', Proxy("http", "plain.example", 80)),
    ):
        settings, warnings = loaded(
            route(f", proxy: {text}"),
            PROXY="https://me:secret@proxy.example",
            ALL_PROXY="socks5://other.example",
            PLAIN="http://plain.example",
        )
        proxies = chosen(settings.routes[0].proxy, settings.environment)
        assert proxies is not None
        assert proxies.of(UP) == expected
        assert warnings == []


def test_no_proxy_is_used_that_was_not_asked_for(loaded: Loader) -> None:
    settings, _ = loaded(route(), HTTPS_PROXY="ftp://canary")
    assert settings.environment is None
    assert chosen(settings.routes[0].proxy, settings.environment) is None


EXPECTED = "expected an http, https, socks5 or socks5h URL of a proxy's host and port"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'ftp://canary'", f"netrunner.yaml:1: proxy: {EXPECTED}, or `environment`"),
        ("{env: BAD}", f"netrunner.yaml:1: proxy: {EXPECTED}, or `environment`"),
        (
            "'http://me:canary@proxy.example'",
            "netrunner.yaml:1: proxy: expected a URL without user and password; with them the whole URL comes as"
            " {env: NAME} or {file: PATH}",
        ),
        ("environment", f"the environment: HTTPS_PROXY: {EXPECTED}"),
        ("[a]", "netrunner.yaml:1: proxy: expected {env: NAME} or {file: PATH} or a string or nothing, got a list"),
    ],
)
def test_what_is_no_proxy_is_told_and_not_repeated(loaded: Loader, text: str, expected: str) -> None:
    for config in (
        route(f", proxy: {text}"),
        f"providers: {{p: {{type: openai, base_url: http://h, proxy: {text}}}}}\n",
    ):
        assert loaded.problems(config, BAD="canary", HTTPS_PROXY="ftp://canary") == [expected]
