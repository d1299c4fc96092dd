"""A certificate authority of our own, for connections that are looked into: making it, reading it, what it signs.

This module must not tell a private key in any message, and must not know who connects.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netrunner.errors import ConfigurationError, Problem

LEAF_DAYS = 7
"""How long a host's certificate is good; it is made anew long before."""
_SLACK = datetime.timedelta(days=1)
"""By which clocks of clients may be behind."""
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Authority:
    """Signs certificates of hosts; all of them have one key, which never leaves this process.

    Args:
        certificate: Its own.
        key: For that.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._key = key

    @classmethod
    def read(cls, certificate: str, key: str) -> Authority:
        """Read what ``create`` wrote.

        Args:
            certificate, key: Paths of two PEM files.

        Raises:
            ConfigurationError: for what cannot be read, does not belong together, or is not its owner's alone.
        """
        try:
            if os.stat(key).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError([Problem(key, "only its owner may read the key of an authority: chmod 600")])
            private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
            own = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
            basic = own.extensions.get_extension_for_class(x509.BasicConstraints).value
        except OSError as error:
            raise ConfigurationError([Problem(str(error.filename), f"cannot be read: {error.strerror}")]) from error
        except (ValueError, TypeError, x509.ExtensionNotFound):
            # What a parser says of a key stays here.
            wrong = "a key and a certificate of `netrunner ca create` were expected"
            raise ConfigurationError([Problem(certificate, wrong)]) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != own.public_key():
            raise ConfigurationError([Problem(certificate, f"the key in {key} is not that of this certificate")])
        if not basic.ca:
            raise ConfigurationError([Problem(certificate, "this is no certificate of an authority")])
        return cls(own, private)

    def certify(self, host: str, at: float) -> x509.Certificate:
        """Return a certificate of a name or a literal address, good from the Unix time ``at`` for ``LEAF_DAYS``."""
        now = datetime.datetime.fromtimestamp(at, datetime.UTC)
        builder = _builder(x509.Name([]), self.certificate.subject, self.leaf_key.public_key(), now, LEAF_DAYS)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host)]), critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage("digital_signature"), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())


def create(name: str, days: int, at: float) -> tuple[bytes, bytes]:
    """Return certificate and private key of a new authority, in PEM.

    Args:
        name: What it is called where certificates are shown.
        days: For which it is good.
        at: Unix time.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), datetime.datetime.fromtimestamp(at, datetime.UTC), days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
