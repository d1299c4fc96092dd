"""What a URL given by a caller may lead to."""

from __future__ import annotations

import ipaddress
from itertools import product

import pytest

from netrunner.errors import BadRequest
from netrunner.routing.addresses import AddressPolicy
from netrunner.values import Origin

FORBIDDEN_V4 = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.0.0.2", "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
)  # fmt: skip
FORBIDDEN_V6 = (
    "::", "::1", "::2", "::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2001:10::1",
    "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "febf::1", "fec0::1",
    "ff02::1", "ff0e::1", "4000::1", "e000::1",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "1.1.1.1", "104.18.7.192", "2606:4700::6812:7c0", "2a00:1450:4001:80b::200e")


def embedded(v4: str) -> list[str]:
    """Return the IPv6 addresses that lead to an IPv4 one."""
    number = int(ipaddress.IPv4Address(v4))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    hidden = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{v4}",
        f"::ffff:{high}:{low}",
        f"64:ff9b::{v4}",
        f"64:ff9b::{high}:{low}",
        f"2002:{high}:{low}::1",
        f"2001:0:808:808:0:0:{hidden >> 16:x}:{hidden & 0xFFFF:x}",
        f"2001:0:{high}:{low}::f7f7:f7f7",
    ]


def spellings(v4: str) -> list[str]:
    """Return what some reader of URLs takes for an IPv4 address."""
    octets = [int(part) for part in v4.split(".")]
    number = int(ipaddress.IPv4Address(v4))
    a, b, c, d = octets
    wide = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
    circled = {ord("0"): "⓪"} | {ord(str(digit)): chr(0x2460 + digit - 1) for digit in range(1, 10)}
    return [
        str(number),
        hex(number),
        f"0X{number:X}",
        oct(number).replace("0o", "0"),
        ".".join(f"0{octet:o}" for octet in octets),
        ".".join(f"0x{octet:x}" for octet in octets),
        ".".join(f"{octet:03}" for octet in octets),
        f"{a}.{b}.{c * 256 + d}",
        f"{a}.{b * 65536 + c * 256 + d}",
        f"0x{a:x}.{b}.0{c:o}.{d}",
        f"{v4}.",
        f"[{v4}]",
        f"{v4}%00",
        v4.replace(".", "\u3002"),
        v4.replace(".", "\uff0e"),
        v4.translate(wide),
        v4.translate(circled),
        "".join(f"%{ord(character):02x}" for character in v4),
        f"{a}..{b}.{c}.{d}",
        f"{a + 256}.{b}.{c}.{d}",
        f"public.example@{v4}",
        f"public.example:443@{v4}",
        f"{v4}#@public.example",
        f"{v4}\\@public.example",
        f"public.example\\@{v4}",
        f"public.example\t@{v4}",
        f"{v4}:0",
        f"{v4}:65536",
        f"{v4}:+443",
        f"{v4}:443:443",
    ]


HOSTS = [
    *FORBIDDEN_V4,
    *(f"[{one}]" for one in FORBIDDEN_V6),
    *(f"[{one}]" for v4 in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "8.8.8.8") for one in embedded(v4)),
    *(one for v4 in ("127.0.0.1", "169.254.169.254", "192.168.0.1", "0.0.0.0", "8.8.8.8") for one in spellings(v4)),
    "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[2606:4700:0:0:0:0:6812:7c0]",
    "[2606:4700::6812:7C0]", "[::1", "::1", "[]", "[v1.a]", "0", "0x", "0x7f", "1", "127.1", "a.1", "a.0x7f", "a.0X",
    "example.com.", ".example.com", "a..b", "", ".", "-", "exa mple.com",
    "example.com\n", "\nexample.com", "ex\tample.com",
    "ex%61mple.com", "example.com?x", "example.com#x", "user@example.com", "user:pw@example.com", "@example.com",
    "example.com:99999", "example.com:", "example.com:0", "example.com:0443", "ex\u0430mple.com", "K.example",
    "\u212a.example", "\u017f.example", "пример.example", "localhost\\", "a" * 64 + ".example", "a." * 130 + "example",
]  # fmt: skip
URLS = [
    *(f"https://{host}/v1" for host in HOSTS if host not in ("-", "K.example")),
    *(
        f"{scheme}{host}"
        for scheme, host in product(
            ("http://", "//", "https:/", "https:", "https:\\\\", "https:///", "ftp://", "file://", "gopher://", "ws://",
             "javascript:", "data:", " https://", "http+unix://", "https//", ""),
            ("example.com", "127.0.0.1"),
        )
    ),
    "https://example.com/a b", "https://example.com/a\r\nHost: x", "https://example.com/\\x", "https://example.com/é",
]  # fmt: skip


PUBLIC_URLS = [
    "https://api.llm.example/v1", "https://api.llm.example", "https://API.Example:8443/a/b-c_d~e/%7Euser/@x",
    "https://xn--e1afmkfd.example/", "https://8.8.8.8/v1", "https://[2606:4700::6812:7c0]:444/v1", "https://a_b.example/",
    "https://3com.example/", "https://0x.example/",
]  # fmt: skip
PAGE = Origin("https", "public.example", 443)
ALLOWED = AddressPolicy(["localhost:11434", "10.1.2.3", "[fd00::1]", "llm.internal"])


def is_refused(policy: AddressPolicy, url: str) -> bool:
    """Return whether a URL is refused, and refused as it should be."""
    try:
        policy.check(url, "api_url")
    except BadRequest as error:
        return (error.code, error.param, error.status) == ("address_denied", "api_url", 400)
    return False


def test_every_url_that_leads_astray_is_refused() -> None:
    assert len(set(URLS)) >= 300
    assert [url for url in URLS if not is_refused(AddressPolicy(), url)] == []


def test_a_public_https_url_is_taken_and_its_name_waits_for_the_connection() -> None:
    assert [url for url in PUBLIC_URLS if is_refused(AddressPolicy(), url)] == []
    assert not is_refused(AddressPolicy(), "https://localhost/v1")
    assert not AddressPolicy().permits(Origin.of("https://localhost/v1"), "127.0.0.1")


def test_no_address_that_is_not_public_is_connected_to() -> None:
    hidden = [one for v4 in FORBIDDEN_V4 for one in embedded(v4)]
    addresses = [
        *FORBIDDEN_V4,
        *FORBIDDEN_V6,
        *hidden,
        "fe80::1%lo",
        "::1%lo",
        "127.1",
        "0x7f000001",
        "",
        "localhost",
        "[::1]",
    ]
    assert [one for one in addresses if AddressPolicy().permits(PAGE, one)] == []


def test_a_public_address_is_connected_to_by_https_only() -> None:
    addresses = [*PUBLIC, "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
    assert all(AddressPolicy().permits(PAGE, one) for one in addresses)
    assert not any(AddressPolicy().permits(Origin("http", "public.example", 80), one) for one in addresses)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:11434/v1", "127.0.0.1"), ("http://localhost:11434", "::1"), ("http://10.1.2.3", "10.1.2.3"),
        ("http://[fd00::1]:8000/", "fd00::1"), ("https://llm.internal", "192.168.1.1"),
        ("http://LLM.internal:99", "10.0.0.1"),
    ],
)  # fmt: skip
def test_an_allowed_host_may_be_private_and_spoken_to_by_http(url: str, address: str) -> None:
    assert not is_refused(ALLOWED, url)
    assert ALLOWED.permits(Origin.of(url), address)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/", "https://10.1.2.4/", "http://a.llm.internal/", "http://internal/"]
)
def test_a_host_is_allowed_with_its_port_and_without_those_below_it(url: str) -> None:
    assert is_refused(ALLOWED, url)


def test_not_even_an_allowed_host_leads_to_a_metadata_service() -> None:
    clouds = ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "100.100.100.200", "fd00:ec2::254"]
    nobody = ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "127.1"]
    host = Origin("http", "llm.internal", 80)
    assert [one for one in (*clouds, *nobody) if ALLOWED.permits(host, one)] == []
