"""Secrets as the world writes them: templates of formats, and a corpus made of them."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

LETTERS = string.ascii_letters + string.digits
URL_SAFE = LETTERS + "_-"
BASE64 = LETTERS + "+/"
HEX = "0123456789abcdef"
CAPITALS = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Sample:
    """A secret in its place: what stands before and after it stays."""

    name: str
    """Of the class that hides it."""
    before: str
    secret: str
    after: str = ""

    @property
    def text(self) -> str:
        """The whole."""
        return self.before + self.secret + self.after

    @property
    def hidden(self) -> str:
        """What is left of it."""
        return f"{self.before}[redacted:{self.name}]{self.after}"


def chars(alphabet: str, count: int) -> Callable[[random.Random], str]:
    """Return a maker of ``count`` characters, a digit and a letter among them."""

    def make(chance: random.Random) -> str:
        text = [*chance.choices(alphabet, k=count - 2), "7", chance.choice([c for c in alphabet if c.isalpha()])]
        chance.shuffle(text)
        if not text[-1].isalnum():
            text[-1] = "7"
        return "".join(text)

    return make


def pem(kind: str) -> Callable[[random.Random], str]:
    """Return a maker of private keys."""

    def make(chance: random.Random) -> str:
        body = base64.b64encode(chance.randbytes(chance.randint(120, 700))).decode()
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----"

    return make


def jwt(chance: random.Random) -> str:
    """Return a signed token."""
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    claims = base64.urlsafe_b64encode(b'{"sub":"%d"}' % chance.randrange(10**9)).decode().rstrip("=")
    return f"{header}.{claims}.{chars(URL_SAFE, 43)(chance)}"


def basic(chance: random.Random) -> str:
    """Return a name and a password as Basic authentication has them."""
    return base64.b64encode(f"user:{chars(LETTERS, 12)(chance)}".encode()).decode()


PROVIDER_KEYS = [
    ("sk-", LETTERS, 48), ("sk-", HEX, 32), ("sk-proj-", URL_SAFE, 120), ("sk-svcacct-", URL_SAFE, 80),
    ("sk-admin-", URL_SAFE, 80), ("sk-ant-api03-", URL_SAFE, 95), ("sk-ant-admin01-", URL_SAFE, 95),
    ("sk-ant-oat01-", URL_SAFE, 95), ("sk-or-v1-", HEX, 64), ("AIza", URL_SAFE, 35), ("gsk_", LETTERS, 52),
    ("hf_", LETTERS, 34), ("api_org_", LETTERS, 34), ("r8_", LETTERS, 37), ("xai-", LETTERS, 80),
    ("pplx-", LETTERS, 48), ("nvapi-", URL_SAFE, 64), ("fw_", LETTERS, 24), ("tgp_v1_", URL_SAFE, 43),
    ("csk-", string.ascii_lowercase + string.digits, 48), ("jina_", URL_SAFE, 60), ("pa-", URL_SAFE, 43),
    ("tvly-", LETTERS, 32), ("pcsk_", LETTERS, 70),
]  # fmt: skip
CLOUD_KEYS = [
    ("AKIA", CAPITALS, 16), ("ASIA", CAPITALS, 16), ("ya29.", URL_SAFE, 120), ("GOCSPX-", URL_SAFE, 28),
    ("dop_v1_", HEX, 64), ("doo_v1_", HEX, 64), ("LTAI", LETTERS, 20), ("dapi", HEX, 32), ("hvs.", URL_SAFE, 90),
]  # fmt: skip
SERVICE_TOKENS = [
    ("ghp_", LETTERS, 36), ("gho_", LETTERS, 36), ("ghs_", LETTERS, 36), ("github_pat_", LETTERS, 82),
    ("glpat-", URL_SAFE, 20), ("xoxb-", LETTERS, 50), ("xoxp-", LETTERS, 70), ("xapp-1-", LETTERS, 60),
    ("sk_live_", LETTERS, 24), ("rk_live_", LETTERS, 24), ("sk_test_", LETTERS, 24), ("whsec_", LETTERS, 32),
    ("npm_", LETTERS, 36), ("pypi-AgEIcHlwaS5vcmc", URL_SAFE, 140), ("dckr_pat_", URL_SAFE, 27), ("shpat_", HEX, 32),
    ("SK", HEX, 32), ("sntrys_", LETTERS, 64), ("ntn_", LETTERS, 46), ("lin_api_", LETTERS, 40),
    ("figd_", URL_SAFE, 43),
    ("glsa_", LETTERS, 41), ("rubygems_", HEX, 48), ("pul-", HEX, 40), ("sbp_", HEX, 40), ("key-", HEX, 32),
    ("110201543:AA", URL_SAFE, 33), ("sq0atp-", URL_SAFE, 22), ("phc_", LETTERS, 43),
]  # fmt: skip
BEARERS = [
    ("Authorization: Bearer ", URL_SAFE, 40, ""), ("authorization: token ", LETTERS, 40, ""),
    ("Bearer ", LETTERS, 32, ""),
    ("x-api-key: ", LETTERS, 40, ""), ("api-key: ", HEX, 32, ""), ("X-Goog-Api-Key: ", URL_SAFE, 39, ""),
    ("curl -H 'Authorization: Bearer ", LETTERS, 30, "' http://a/"), ('{"Authorization": "Bearer ', LETTERS, 40, '"}'),
]  # fmt: skip
PASSWORDS = [
    ("postgres://user:", LETTERS, 16, "@db.example/x"), ("mysql://root:", LETTERS, 8, "@127.0.0.1:3306/"),
    ("mongodb+srv://a:", URL_SAFE, 20, "@cluster0.example.net/?w=1"), ("redis://:", LETTERS, 24, "@cache:6379/0"),
    ("amqp://guest:", LETTERS, 12, "@mq"), ("https://me:", LETTERS, 40, "@git.example/r.git"),
    ('{"password": "', LETTERS, 12, '"}'), ('{"client_secret":"', URL_SAFE, 40, '"}'), ("password='", LETTERS, 10, "'"),
    ("OPENAI_API_KEY=", LETTERS, 40, ""), ("DB_PASSWORD=", LETTERS, 14, " x"), ("?access_token=", LETTERS, 32, "&a=1"),
    ("my password is ", LETTERS, 12, ", thanks"), ("api_key: \"", LETTERS, 32, '"'),
    ('"auth_token" => "', HEX, 40, '"'),
    ("passphrase: ", LETTERS, 16, "; x"), ('{\\"secret_key\\": \\"', LETTERS, 24, '\\"}'),
]  # fmt: skip


def corpus(count: int, seed: int = 50) -> list[Sample]:
    """Return ``count`` secrets, each format as often as the others but for private keys, which are long."""
    chance = random.Random(seed)
    makers: list[Callable[[], Sample]] = []

    def bare(name: str, prefix: str, alphabet: str, length: int) -> Callable[[], Sample]:
        return lambda: Sample(name, "", prefix + chars(alphabet, length)(chance))

    def inside(name: str, before: str, alphabet: str, length: int, after: str) -> Callable[[], Sample]:
        return lambda: Sample(name, before, chars(alphabet, length)(chance), after)

    tables = (("provider_keys", PROVIDER_KEYS), ("cloud_keys", CLOUD_KEYS), ("service_tokens", SERVICE_TOKENS))
    makers += [bare(name, *entry) for name, table in tables for entry in table]
    places = (("bearer_tokens", BEARERS), ("passwords", PASSWORDS))
    makers += [inside(name, *entry) for name, table in places for entry in table]
    makers += [
        lambda: Sample("jwt", "", jwt(chance)),
        lambda: Sample("bearer_tokens", "Authorization: Basic ", basic(chance)),
        lambda: Sample("cloud_keys", "aws_secret_access_key = ", chars(BASE64, 40)(chance)),
        lambda: Sample("cloud_keys", "", "AccountKey=" + chars(BASE64, 86)(chance) + "=="),
        lambda: Sample("cloud_keys", "abc", "7Q~" + chars(URL_SAFE, 34)(chance)),
        lambda: Sample("service_tokens", "", "SG." + chars(URL_SAFE, 22)(chance) + "." + chars(URL_SAFE, 43)(chance)),
        lambda: Sample(
            "service_tokens", "https://", "hooks.slack.com/services/T0ABC/B0ABC/" + chars(LETTERS, 24)(chance) + "a" * 9
        ),
    ]
    kinds = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
    keys = [Sample("private_keys", "", pem(kinds[number % 5])(chance)) for number in range(20)]
    return keys + [makers[number % len(makers)]() for number in range(count - len(keys))]
