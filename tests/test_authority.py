"""The authority for connections that are looked into."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from netrunner.authority import LEAF_DAYS, Authority, create
from netrunner.errors import ConfigurationError

AT = 1_750_000_000.0


def made(folder: Path, name: str = "ca") -> tuple[str, str]:
    certificate, key = create("authority of a test", 30, AT)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(key)
    paths[1].chmod(0o600)
    return str(paths[0]), str(paths[1])


def names(certificate: x509.Certificate) -> list[object]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [one.value for one in found]


def test_a_host_is_certified_by_its_name_or_address_for_a_week(tmp_path: Path) -> None:
    authority = Authority.read(*made(tmp_path))
    leaf = authority.certify("api.example", AT)
    leaf.verify_directly_issued_by(authority.certificate)
    assert names(leaf) == ["api.example"]
    assert names(authority.certify("2001:db8::1", AT)) == [ipaddress.ip_address("2001:db8::1")]
    assert leaf.not_valid_after_utc.timestamp() == AT + LEAF_DAYS * 86400
    assert leaf.not_valid_before_utc < datetime.datetime.fromtimestamp(AT, datetime.UTC)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_key_of_hosts_is_not_that_of_the_authority(tmp_path: Path) -> None:
    authority = Authority.read(*made(tmp_path))
    assert authority.certify("api.example", AT).public_key() != authority.certificate.public_key()


def test_an_authority_signs_hosts_and_no_other_authority(tmp_path: Path) -> None:
    own = Authority.read(*made(tmp_path)).certificate
    basic = own.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_a_certificate_and_a_key_belong_together(tmp_path: Path) -> None:
    certificate, _ = made(tmp_path)
    _, key = made(tmp_path, "another")
    with pytest.raises(ConfigurationError, match="is not that of this certificate"):
        Authority.read(certificate, key)


def test_a_certificate_of_a_host_makes_no_authority(tmp_path: Path) -> None:
    authority = Authority.read(*made(tmp_path))
    leaf, key = tmp_path / "leaf.pem", tmp_path / "leaf.key"
    leaf.write_bytes(authority.certify("api.example", AT).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = authority.leaf_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    key.write_bytes(private)
    key.chmod(0o600)
    with pytest.raises(ConfigurationError, match="no certificate of an authority"):
        Authority.read(str(leaf), str(key))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n", None])
def test_what_cannot_be_read_is_named_and_not_quoted(tmp_path: Path, which: int, content: bytes | None) -> None:
    paths = made(tmp_path)
    if content is None:
        Path(paths[which]).unlink()
    else:
        Path(paths[which]).write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        Authority.read(*paths)
    assert str(tmp_path) in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_key_that_others_may_read_is_none(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    Path(key).chmod(0o644)
    with pytest.raises(ConfigurationError, match="only its owner may read the key"):
        Authority.read(certificate, key)
