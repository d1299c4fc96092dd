"""Which proxy leads to an upstream."""

from __future__ import annotations

import pytest

from netrunner.routing.proxies import Bypass, Proxies, Proxy
from netrunner.values import Origin

NEAR = ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example", Proxy("http", "proxy.example", 80)),
        ("http://proxy.example:3128/", Proxy("http", "proxy.example", 3128)),
        ("https://PROXY.example", Proxy("https", "proxy.example", 443)),
        ("socks5://10.0.0.1", Proxy("socks5", "10.0.0.1", 1080)),
        ("socks5h://[fd00::1]:9050", Proxy("socks5h", "fd00::1", 9050)),
        ("http://me:secret@proxy.example:8", Proxy("http", "proxy.example", 8, b"me", b"secret")),
        ("socks5://m%40e:se%3Acr%2Fet@p:1", Proxy("socks5", "p", 1, b"m@e", b"se:cr/et")),
        ("http://me@proxy.example", Proxy("http", "proxy.example", 80, b"me")),
    ],
)
def test_a_url_is_read(url: str, proxy: Proxy) -> None:
    assert Proxy.of(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "", "proxy", "proxy:3128", "ftp://proxy", "socks4://proxy", "socks://proxy", "http://", "http://:80", "http://p:0",
        "http://p:99999", "http://p:x", "http://p/path", "http://p?q", "http://p#f", "http://p /", "http://[::1",
        "http://a%3Ab:c@p", f"http://{'u' * 256}:c@p", f"http://u:{'c' * 256}@p",
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^an http, https, socks5"):
        Proxy.of(url)


def test_a_password_is_in_no_text() -> None:
    proxy = Proxy.of("http://me:canary@proxy.example")
    assert "canary" not in f"{proxy!r} {proxy!s}"
    assert proxy.authorization == b"Basic bWU6Y2FuYXJ5"
    assert Proxy.of("http://proxy.example").authorization is None


def chosen(environ: dict[str, str], url: str) -> str | None:
    """Return where the proxy is that leads to ``url``."""
    proxy = Proxies.of_environment(environ).of(Origin.of(url))
    return None if proxy is None else f"{proxy.host}:{proxy.port}"


def test_the_environment_chooses_by_scheme_and_its_lowercase_names_come_first() -> None:
    environ = {"HTTP_PROXY": "http://a:1", "HTTPS_PROXY": "socks5h://b:2"}
    assert chosen(environ, "http://up.example") == "a:1"
    assert chosen(environ, "https://up.example") == "b:2"
    assert chosen({**environ, "https_proxy": "c:3"}, "https://up.example") == "c:3"
    assert chosen({"ALL_PROXY": "http://d:4", "HTTP_PROXY": "http://a:1"}, "https://up.example") == "d:4"
    assert chosen({"ALL_PROXY": "http://d:4", "HTTP_PROXY": "http://a:1"}, "http://up.example") == "a:1"
    assert chosen({"HTTPS_PROXY": ""}, "https://up.example") is None


def test_a_variable_that_is_no_url_is_named() -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY: expected an http"):
        Proxies.of_environment({"HTTPS_PROXY": "ftp://a:1"})


def test_one_proxy_that_was_configured_leads_everywhere() -> None:
    proxy = Proxy.of("http://p:1")
    proxies = Proxies.always(proxy)
    assert all(proxies.of(Origin("http", host, 80)) is proxy for host in (*NEAR, "up.example"))


@pytest.mark.parametrize(
    ("rules", "direct", "proxied"),
    [
        ("", (), ("up.example", "8.8.8.8")),
        ("*", ("up.example", "8.8.8.8", "fd00::1"), ()),
        ("example", ("example", "up.example", "EXAMPLE", "example."), ("example.com", "anexample", "8.8.8.8")),
        (".up.example", ("up.example", "a.up.example"), ("xup.example", "example")),
        ("*.up.example", ("up.example", "a.up.example"), ("xup.example",)),
        ("a.example, b.example  c.example", ("a.example", "b.example", "c.example"), ("d.example",)),
        ("a.example:8443,b.example:80", ("b.example",), ("a.example",)),
        ("10.0.0.0/8,fd00::/8", ("10.1.2.3", "fd00::1"), ("11.0.0.1", "10.example", "fe00::1")),
        ("192.0.2.7,[2001:db8::1]", ("192.0.2.7", "2001:db8::1"), ("192.0.2.8", "2001:db8::2")),
        ("192.0.2.7:80,192.0.2.8:81,[2001:db8::1]:80", ("192.0.2.7", "2001:db8::1"), ("192.0.2.8",)),
        ("a:b:c,[x,,:80", (), ("up.example", "a")),
    ],
)
def test_rules_say_what_is_reached_directly(rules: str, direct: tuple[str, ...], proxied: tuple[str, ...]) -> None:
    bypass = Bypass(rules)
    assert [host for host in direct if not bypass.covers(Origin("http", host, 80))] == []
    assert [host for host in proxied if bypass.covers(Origin("http", host, 80))] == []
    assert all(bypass.covers(Origin("http", host, 80)) for host in NEAR)


def test_rules_of_the_environment_count() -> None:
    environ = {"HTTP_PROXY": "http://a:1", "NO_PROXY": "near.example"}
    assert chosen(environ, "http://near.example") is None
    assert chosen(environ, "http://far.example") == "a:1"
    assert chosen({**environ, "no_proxy": "far.example"}, "http://near.example") == "a:1"
