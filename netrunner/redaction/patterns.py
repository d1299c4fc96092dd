"""The built-in classes of what is hidden: for each a sentence, its patterns, and what a find has to prove.

A pattern is RE2 over the body as ``scan.readable`` shows it. Where it has a group, the group alone is hidden, so that
``password=`` and the quotes around a value stay. A part that may be long stands last, so that a match is one before it
is at its end; only what has begun unmistakably may be long in the middle.

This module must not compile or match anything but what proves a single find.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

Proof = Callable[[bytes, int, int], bool]
"""Tells of a text and where a find starts and ends in it whether it is one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One pattern of a class, and what a find has to prove beyond it."""

    pattern: str
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Class:
    """Something that can be hidden, as the configuration names it."""

    doc: str
    kinds: tuple[Kind, ...]


def _has_digit(text: bytes, start: int, end: int) -> bool:
    return any(digit in text[start:end] for digit in _DIGITS)


def _has_both(text: bytes, start: int, end: int) -> bool:
    """Letters and digits: no word, and no number."""
    found = text[start:end]
    return _has_digit(text, start, end) and found.lower() != found.upper()


def _is_basic(text: bytes, start: int, end: int) -> bool:
    """A name and a password (RFC 7617, 2)."""
    found = text[start:end].rstrip(b"=")
    try:
        return b":" in binascii.a2b_base64(found + b"=" * (-len(found) % 4))
    except binascii.Error:
        return False


def _numbers(text: bytes, start: int, end: int) -> list[int]:
    return [byte - 48 for byte in text[start:end] if 48 <= byte <= 57]


def _is_card(text: bytes, start: int, end: int) -> bool:
    """13 to 19 digits whose check digit is right (ISO/IEC 7812-1, annex B)."""
    numbers = _numbers(text, start, end)
    doubled = [number * 2 - 9 * (number > 4) for number in numbers[-2::-2]]
    return 13 <= len(numbers) <= 19 and (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(text: bytes, start: int, end: int) -> bool:
    return 8 <= len(_numbers(text, start, end)) <= 15


def _is_iban(text: bytes, start: int, end: int) -> bool:
    """The check digits are right (ISO 7064, MOD 97-10)."""
    found = text[start:end].replace(b" ", b"").decode("latin-1")
    if not 15 <= len(found) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in found[4:] + found[:4])) % 97 == 1


_DIGITS = tuple(b"%d" % digit for digit in range(10))
_QUOTES = r"""[\\"'`]{0,16}"""
_NAMES = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|credentials?|api[_-]?key|access[_-]?key|secret[_-]?(?:access[_-]?)?key|"
    r"private[_-]?key|account[_-]?key|encryption[_-]?key|signing[_-]?key|(?:access|auth|refresh|bearer|id|session)[_-]?token"
)


def _any(*alternatives: str) -> str:
    return rf"\b(?:{'|'.join(alternatives)})"


_PROVIDER_KEYS = (
    Kind(r"\bsk-[A-Za-z0-9_-]{16,}", _has_digit),
    Kind(
        _any(
            r"AIza[A-Za-z0-9_-]{35}",
            r"AQ\.[A-Za-z0-9_-]{40,}",
            r"gsk_[A-Za-z0-9]{32,}",
            r"hf_[A-Za-z0-9]{30,}",
            r"api_org_[A-Za-z0-9]{30,}",
            r"r8_[A-Za-z0-9]{36,}",
            r"xai-[A-Za-z0-9]{40,}",
            r"pplx-[A-Za-z0-9]{32,}",
            r"nvapi-[A-Za-z0-9_-]{32,}",
            r"fw_[A-Za-z0-9]{20,}",
            r"tgp_v1_[A-Za-z0-9_-]{32,}",
            r"csk-[a-z0-9]{32,}",
            r"jina_[A-Za-z0-9_-]{32,}",
            r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}",
            r"pa-[A-Za-z0-9_-]{40,}",
            r"tvly-[A-Za-z0-9-]{20,}",
            r"pcsk_[A-Za-z0-9_]{40,}",
            r"bce-v3/ALTAK-[A-Za-z0-9]{16,}/[a-f0-9]{32,}",
            r"ABSK[A-Za-z0-9+/]{60,}={0,2}",
        )
    ),
)

_CLOUD_KEYS = (
    Kind(r"[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    Kind(
        _any(
            r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b",
            r"ya29\.[A-Za-z0-9_-]{20,}",
            r"GOCSPX-[A-Za-z0-9_-]{24,}",
            r"do[opr]_v1_[a-f0-9]{64}",
            r"LTAI[A-Za-z0-9]{12,24}\b",
            r"AKID[A-Za-z0-9]{32}\b",
            r"dapi[a-f0-9]{32}",
            r"hvs\.[A-Za-z0-9_-]{20,}",
            r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}",
            r"SharedAccessSignature=[A-Za-z0-9%&=+/_.-]{20,}",
        )
    ),
    Kind(
        rf"(?i)aws_?(?:secret_?access_?key|session_?token|secret_?key){_QUOTES}\s{{0,4}}(?:=>|:=|[:=])\s{{0,4}}{_QUOTES}"
        r"([A-Za-z0-9+/=]{40,})"
    ),
)

_SERVICE_TOKENS = (
    Kind(
        _any(
            r"gh[pousr]_[A-Za-z0-9]{36,}",
            r"github_pat_[A-Za-z0-9_]{60,}",
            r"gl(?:pat|dt|rt|cbt|ptt|oas|soat|agent|ft|imt)-[A-Za-z0-9_.-]{20,}",
            r"xox[abceoprs]-[A-Za-z0-9-]{10,}",
            r"xapp-[0-9]-[A-Za-z0-9-]{20,}",
            r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{40,}",
            r"discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{40,}",
            r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
            r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
            r"whsec_[A-Za-z0-9+/]{24,}={0,2}",
            r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}",
            r"(?:SK|AC)[0-9a-f]{32}\b",
            r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
            r"sq0[a-z]{3}-[A-Za-z0-9_-]{22,}",
            r"EAAA[A-Za-z0-9_-]{60}\b",
            r"sntry[su]_[A-Za-z0-9+/=_-]{40,}",
            r"ntn_[A-Za-z0-9]{40,}",
            r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}",
            r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
            r"dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9_.-]{40,}",
            r"ATATT3[A-Za-z0-9_=-]{50,}",
            r"ATCTT3[A-Za-z0-9_=-]{50,}",
            r"fig[dou]_[A-Za-z0-9_-]{40,}",
            r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}",
            r"HRKU-[A-Za-z0-9_-]{36,}",
            r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}",
            r"pul-[a-f0-9]{40}",
            r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,}",
            r"sbp_[a-f0-9]{40}",
            r"npm_[A-Za-z0-9]{36}",
            r"pypi-AgE[A-Za-z0-9_-]{50,}",
            r"rubygems_[a-f0-9]{48}",
            r"key-[0-9a-f]{32}\b",
            r"NRAK-[A-Z0-9]{27}",
            r"phc_[A-Za-z0-9]{40,}",
            r"CFPAT-[A-Za-z0-9_-]{43}",
            r"secret_[A-Za-z0-9]{43}\b",
            r"tfp_[A-Za-z0-9_]{40,}",
        )
    ),
)

_BEARER_TOKENS = (
    Kind(r"(?i)\bbearer[\s+]{1,4}([A-Za-z0-9._~+/=-]{16,})", _has_digit),
    Kind(r"(?i)\bbasic[\s+]{1,4}([A-Za-z0-9+/]{8,}={0,2})", _is_basic),
    Kind(
        rf"(?i)authorization{_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}"
        r"""(?:basic|bearer|token|apikey|api-key|key|bot|digest|negotiate)\s{1,4}([^\s"'\\,;<>]{8,})"""
    ),
    Kind(
        rf"(?i)\b(?:x-api-key|api-key|x-goog-api-key|x-(?:auth|access|gitlab|vault|amz-security)-token|apikey){_QUOTES}\s{{0,4}}:"
        rf"""\s{{0,4}}{_QUOTES}([^\s"'\\,;<>]{{8,}})""",
        _has_digit,
    ),
)

_PRIVATE_KEYS = (
    Kind(
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:\s*[A-Z][A-Za-z-]{1,20}: ?[A-Za-z0-9 ,.:/()@<>_-]{0,200}[\r\n])*"
        r"[A-Za-z0-9+/=\s\\]{16,}(?:-----END [A-Z0-9 ]{1,80}-----)?"
    ),
    Kind(r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}"),
)

_PASSWORDS = (
    Kind(r"""://[^\s/:@"'\\<>{}]{0,100}:([^\s/@"'\\<>{}]{1,200})@"""),
    Kind(rf"""(?i)(?:{_NAMES})[0-9]?{_QUOTES}\s{{0,4}}(?:=>|:=|[:=])\s{{0,4}}\\*["'`]{{1,2}}([^"'`\r\n]{{4,}})"""),
    Kind(
        rf"""(?i)(?:{_NAMES}|\btoken|[?&]key)(?:\s{{0,2}}(?:[:=]|\bis\b)|%3d)\s{{0,4}}([^\s"'`\\&,;<>(){{}}\[\]]{{6,}})""",
        _has_both,
    ),
    Kind(rf"""(?i)token{_QUOTES}\s{{0,4}}(?:=>|:=|[:=])\s{{0,4}}\\*["'`]{{1,2}}([^\s"'`]{{16,}})""", _has_both),
)

_PHONES = (
    Kind(r"\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}\b", _is_phone),
    Kind(r"(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b"),
)

_JWT = Kind(r"\beyJ[A-Za-z0-9_-]{8,}\.\.?[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}")
_EMAIL = Kind(r"\b[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}\b")
_CARD = Kind(
    r"(?:^|[^.0-9A-Za-z_-])([2-6](?:[0-9]{12,18}|[0-9]{3}(?:[ -][0-9]{4}){3}|[0-9]{3}[ -][0-9]{6}[ -][0-9]{5}))\b",
    _is_card,
)
_IBAN = Kind(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _is_iban)

CLASSES: Mapping[str, Class] = MappingProxyType(
    {
        "provider_keys": Class("API keys of model providers: `sk-...`, `AIza...`, `gsk_...`, `hf_...`", _PROVIDER_KEYS),
        "cloud_keys": Class("Keys of clouds: AWS, Google, Azure, DigitalOcean, Alibaba, Vault", _CLOUD_KEYS),
        "service_tokens": Class("Tokens of other services: GitHub, GitLab, Slack, Stripe, npm, ...", _SERVICE_TOKENS),
        "bearer_tokens": Class("What follows `Bearer`, `Basic` or the name of a credential header", _BEARER_TOKENS),
        "private_keys": Class("Private keys as PEM, OpenSSH, PGP or age write them", _PRIVATE_KEYS),
        "jwt": Class("JSON Web Tokens, signed or encrypted", (_JWT,)),
        "passwords": Class("Passwords in URLs, and values of names such as `password` and `api_key`", _PASSWORDS),
        "emails": Class("Addresses of e-mail", (_EMAIL,)),
        "phones": Class("Telephone numbers with a country's prefix, and North American ones", _PHONES),
        "cards": Class("Numbers of payment cards whose check digit is right", (_CARD,)),
        "ibans": Class("Numbers of bank accounts (IBAN) whose check digits are right", (_IBAN,)),
    }
)  # fmt: skip
"""By name, in the order in which they are tried where two find something at the same place."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "secrets": (
            "provider_keys", "cloud_keys", "service_tokens", "bearer_tokens", "private_keys", "jwt", "passwords",
        ),
        "personal": ("emails", "phones", "cards", "ibans"),
    }
)  # fmt: skip
"""Names that stand for several classes."""
