"""One hierarchy of errors: whose fault it is, whether a retry may help, which status and code.

The canonical kinds and their HTTP statuses are those of the team's error table; a dialect turns them
into its own shape. A message names the field and never quotes a credential or a prompt.

This module must not import anything of netrunner.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_RETRY_AFTER_S = 3600
"""The longest wait that callers are told of: there are clients that sleep for as long as they are told."""
MAX_SLEEP_S = 120
"""A longer wait is told as well, but clients are asked not to sit it out by themselves."""


class Fault(enum.Enum):
    """Who has to change something."""

    CALLER = "caller"
    UPSTREAM = "upstream"
    PROXY = "proxy"


class NetrunnerError(Exception):
    """Anything netrunner itself raises."""


class ExchangeError(NetrunnerError):
    """What ends an exchange early, as the caller is to be told.

    Args:
        message: One sentence for the caller, naming the field where there is one.
        code: Machine-readable code; the class's own by default.
        param: The field at fault.
        status: HTTP status, the class's own by default.
        retry_after_s: Seconds after which a retry makes sense; becomes ``Retry-After``.
        headers: Further response header fields, lowercase names.
    """

    kind: str = "upstream_error"
    fault: Fault = Fault.PROXY
    retryable: bool = False
    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "proxy_error"
    provider: str | None = None
    """Who has failed, by its name in the configuration; None where it is nobody out there."""
    model: str | None = None
    """What it was asked for, by the name that it knows."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.status = status or self.default_status
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)
        self.exhausted = False
        """It was tried again here already, as often as makes sense: clients had better not go on with that."""

    def of(self, provider: str, model: str) -> None:
        """Note who has failed, and at what."""
        self.provider, self.model = provider, model or None

    def whose(self) -> dict[str, str]:
        """Return what its body tells of who has failed: ``provider`` and ``model``, as far as there are any."""
        named = {"provider": self.provider, "model": self.model}
        return {name: value for name, value in named.items() if value is not None}

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields of its answer: its own, ``Retry-After``, and whether to come again at all."""
        fields = list(self.headers)
        if self.wait_s is not None:
            fields.append((b"retry-after", b"%d" % self.wait_s))
        if self.exhausted or self._is_final():
            fields.append((b"x-should-retry", b"false"))
        return fields

    @property
    def wait_s(self) -> int | None:
        """Whole seconds that the caller is told to wait, from 1 to ``MAX_RETRY_AFTER_S``; None if nobody knows."""
        if self.retry_after_s is None:
            return None
        return max(1, math.ceil(min(self.retry_after_s, MAX_RETRY_AFTER_S)))

    def _is_final(self) -> bool:
        """Return whether clients that retry by themselves had better not."""
        return self.retry_after_s is not None and self.retry_after_s > MAX_SLEEP_S


class BadRequest(ExchangeError):
    """The request cannot be understood or is not allowed to be that way."""

    kind, fault, default_status, default_code = "bad_request", Fault.CALLER, 400, "invalid_request"


class UnsupportedParameter(BadRequest):
    """Something is asked for that the model's provider cannot do, and leaving it out would change the meaning."""

    kind, default_code = "unsupported_parameter", "unsupported_parameter"


class Unauthenticated(ExchangeError):
    """No credential, or one that is not valid."""

    kind, fault, default_status, default_code = "auth", Fault.CALLER, 401, "invalid_token"


class Forbidden(ExchangeError):
    """A valid caller who may not do this."""

    kind, fault, default_status, default_code = "permission", Fault.CALLER, 403, "forbidden"


class NotFound(ExchangeError):
    """No such model, endpoint or record."""

    kind, fault, default_status, default_code = "not_found", Fault.CALLER, 404, "not_found"


class MethodNotAllowed(ExchangeError):
    """The path exists, the method does not."""

    kind, fault, default_status, default_code = "bad_request", Fault.CALLER, 405, "method_not_allowed"


class TooLarge(ExchangeError):
    """A declared or real size over its limit."""

    kind, fault, default_status, default_code = "too_large", Fault.CALLER, 413, "request_too_large"


class Misdirected(ExchangeError):
    """A Host this server does not answer for (RFC 9110, 15.5.20)."""

    kind, fault, default_status, default_code = "bad_request", Fault.CALLER, 421, "misdirected_request"


class RateLimited(ExchangeError):
    """Too many requests or tokens, ours or the provider's count."""

    kind, fault, default_status, default_code = "rate_limit", Fault.CALLER, 429, "rate_limit_exceeded"
    retryable = True


class Overloaded(ExchangeError):
    """No room here, or nobody to serve it, for now."""

    kind, fault, default_status, default_code = "overloaded", Fault.PROXY, 503, "overloaded"
    retryable = True


class InternalError(ExchangeError):
    """Our own fault: a filter or plugin raised."""

    kind, fault, default_status, default_code = "upstream_error", Fault.PROXY, 500, "proxy_error"


class UpstreamError(ExchangeError):
    """The provider could not be reached, broke off, or answered with nonsense.

    ``sent`` tells whether any byte of the request may have reached the provider.
    """

    kind, fault, default_status, default_code = "upstream_error", Fault.UPSTREAM, 502, "upstream_connection_failed"
    retryable = True
    sent: bool = True


class UpstreamTimeout(UpstreamError):
    """The provider did not answer in its time."""

    kind, default_status, default_code = "timeout", 504, "upstream_timeout"


class ProxyFailed(UpstreamError):
    """The proxy on the way to the provider could not be reached, or could not or would not connect."""

    default_code = "proxy_connection_failed"
    sent = False


class ProxyUnauthorized(ProxyFailed):
    """The proxy on the way to the provider asks who we are, and is not satisfied."""

    default_code = "proxy_auth_required"


class UpstreamRejected(UpstreamError):
    """The provider answered with an error status; classified by its plugin.

    Args:
        message: One sentence for the caller.
        kind: Canonical kind: rate_limit, auth, ...
        fault: CALLER if asking anyone else would be as futile, UPSTREAM if another candidate may do better.
        retryable: Whether the same provider may do better after a while.
        code, status, retry_after_s: As of every ``ExchangeError``.
    """

    default_code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        kind: str = "upstream_error",
        fault: Fault = Fault.UPSTREAM,
        retryable: bool = False,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, retry_after_s=retry_after_s)
        self.kind = kind
        self.fault = fault
        self.retryable = retryable

    def _is_final(self) -> bool:
        return not self.retryable or super()._is_final()


class Expired(NetrunnerError):
    """A recorded message that the journal no longer holds, or cannot read any more."""


class StoreError(NetrunnerError):
    """The database cannot be reached, or does not take what it is given; may be tried again."""


class Unusable(StoreError):
    """The database is not for this code and configuration; nothing is to be gained by trying again."""


class NewerDatabase(Unusable):
    """The database is of a newer version than this code."""


class ForeignKey(Unusable):
    """The database is sealed by a master key that is not configured."""


class PluginError(NetrunnerError):
    """A plugin that cannot be loaded, or two of one name."""


class UnknownPlugin(PluginError, LookupError):
    """A name nobody offers, or whose plugin turned out to be broken when it was asked for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: where, and what was expected."""

    where: str
    """``file:line``, or a file, or the name of an environment variable."""
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class ConfigurationError(NetrunnerError):
    """Everything wrong in a configuration, reported together."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
