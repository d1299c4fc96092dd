"""TLS towards upstreams: one context per host, kept, since making one costs a megabyte and milliseconds.

This module must not know of requests.
"""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

from netrunner.errors import ConfigurationError, Problem

_MOST_HOSTS = 256
_END = b"-----END CERTIFICATE-----"


class TlsContexts:
    """Makes connections that verify the certificate's chain and name, and offer only HTTP/1.1 (ALPN).

    Args:
        ca_file: PEM file of the authorities to trust; the system's when None.

    Raises:
        ConfigurationError: when there is no certificate to be read from ``ca_file``.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        self._trust = platformTrust() if ca_file is None else trustRootFromCertificates(_certificates(ca_file))
        self._creators: dict[str, IOpenSSLClientConnectionCreator] = {}

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes TLS connections to ``host``, a name or a literal address; the same each time."""
        creator = self._creators.get(host)
        if creator is None:
            if len(self._creators) >= _MOST_HOSTS:
                self._creators.clear()
            creator = self._creators[host] = optionsForClientTLS(
                host, trustRoot=self._trust, acceptableProtocols=[b"http/1.1"]
            )
        return creator


def _certificates(ca_file: str) -> list[Certificate]:
    try:
        blocks = Path(ca_file).read_bytes().split(_END)[:-1]
        certificates = [Certificate.loadPEM(block + _END) for block in blocks]
    except OSError as error:
        raise ConfigurationError([Problem(ca_file, f"a readable PEM file was expected: {error.strerror}")]) from error
    except (crypto.Error, SSL.Error, ValueError) as error:
        raise ConfigurationError([Problem(ca_file, "a certificate in it cannot be read")]) from error
    if not certificates:
        raise ConfigurationError([Problem(ca_file, "no certificate in it")])
    return certificates
