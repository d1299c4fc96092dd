"""``netrunner setup``: a first configuration and its secrets, from a few answers or flags.

The configuration names secrets, and a file beside it, mode 0600, holds them. Neither is ever written over.

This module must not start anything.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from netrunner.cli.check import CheckOptions
from netrunner.cli.options import Options

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "together": "TOGETHER_API_KEY",
    "cohere": "COHERE_API_KEY",
    "ollama": None,
    "echo": None,
}
"""Providers that need nothing but a key, and the variable that it is in; None for those without one."""
TOKENS = {"open": None, "token": "AUTH_TOKEN", "projects": "MANAGEMENT_TOKEN"}
"""Ways to let callers in, and the variable of the credential that is made up for each."""
_TOKEN_BYTES = 32


class _Unusable(Exception):
    """What was answered cannot be used; the message says why."""


@dataclass(slots=True)
class _Wanted:
    """What is to be written."""

    providers: list[str]
    access: str
    port: int
    state: str
    secrets: dict[str, str] = field(default_factory=dict)
    """By the name of the variable; those that the environment has already are not among them."""

    def configuration(self, secrets_path: str) -> str:
        """Return the configuration as YAML."""
        providers = "".join(f"  {name}: {_provider(name)}\n" for name in self.providers)
        credential = {
            "open": "access: {mode: open}   # this machine only",
            "token": "access: {mode: token, token: {env: AUTH_TOKEN}}",
            "projects": "access: {mode: projects, management_token: {env: MANAGEMENT_TOKEN}}",
        }[self.access]
        files = f"env_files: [{json.dumps(secrets_path)}]   # secrets; the environment goes before it\n"
        return (
            "# Made by `netrunner setup`; docs/config.md tells every key there is.\n\n"
            f"{files if self.secrets else ''}"
            f"listen: tcp:{self.port}:interface=127.0.0.1\n"
            f"state: {json.dumps(self.state)}\n"
            f"{credential}\n\n"
            f"providers:\n{providers}\n"
            f"# Who serves a model that no entry of `models` names.\n"
            f"unknown_model: {self.providers[0]}\n\n"
            "sinks: [{type: console}, {type: database}]\n"
        )


def _provider(name: str) -> str:
    variable = KEYS[name]
    return f"{{type: {name}}}" if variable is None else f"{{type: {name}, api_key: {{env: {variable}}}}}"


class SetupOptions(Options):
    """``netrunner setup``."""

    synopsis = "Usage: netrunner setup [--provider TYPE ...] [--access MODE] [--port N] [--state DIR] [--config FILE]"
    longdesc = (
        "Writes a first configuration and, mode 0600, the file of its secrets, and checks them. What no flag says is"
        " asked for in a terminal, and otherwise its default. A provider's key comes from its variable of the"
        " environment, and then stays there, or is asked for; never from a flag. Tokens are made up. Nothing is written"
        " over."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["access", "a", None, f"Who is let in: {', '.join(TOKENS)}; open, which is this machine only."],
        ["port", None, None, "Where to listen on this machine; 8080."],
        ["state", "s", "./var", "The state folder."],
        [
            "config",
            "c",
            "netrunner.yaml",
            "The configuration to write; secrets go beside it, in a file ending in .env.",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.providers: list[str] = []

    def opt_provider(self, text: str) -> None:
        self.providers.append(text)

    opt_provider.__doc__ = f"Who is asked, may be given more than once: {', '.join(KEYS)}; echo."

    def run(self) -> int:
        """Ask what is missing, write both files, check them; return the exit status."""
        config = Path(self["config"])
        beside = config.with_suffix(".env")
        try:
            for path in (config, beside):
                if path.exists():
                    raise _Unusable(f"{path} is there already, and is not written over")
            wanted = self._wanted()
            _write(config, beside, wanted)
        except _Unusable as error:
            print(f"netrunner: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"netrunner: {error.filename}: {(error.strerror or '').lower()}", file=sys.stderr)
            return 1
        except (EOFError, KeyboardInterrupt):
            print("\nnetrunner: nothing was written", file=sys.stderr)
            return 130
        print(f"{config} is written" + (f", and {beside} with its secrets" if wanted.secrets else ""))
        check = CheckOptions()
        check.parseArgs(str(config))
        status = check.run()
        if status == 0:
            print(f"start it by: twistd -n netrunner --config {config}")
        return status

    def _wanted(self) -> _Wanted:
        named = self.providers or _asked(f"Providers ({', '.join(KEYS)})", "echo").replace(",", " ").split()
        providers = list(dict.fromkeys(named))
        for name in providers:
            if name not in KEYS:
                raise _Unusable(f"provider: {name!r} is none of {', '.join(KEYS)}")
        access = self["access"] or _asked(f"Who is let in ({', '.join(TOKENS)})", "open")
        if access not in TOKENS:
            raise _Unusable(f"access: {access!r} is none of {', '.join(TOKENS)}")
        port = self["port"] or _asked("Port on this machine", "8080")
        if not (port.isascii() and port.isdecimal() and len(port) < 6 and 1 <= int(port) <= 65535):
            raise _Unusable(f"port: {port!r} is no number from 1 to 65535")
        wanted = _Wanted(providers or ["echo"], access, int(port), self["state"])
        wanted.secrets.update(_keys(wanted.providers))
        token = TOKENS[access]
        if token is not None and not os.environ.get(token):
            wanted.secrets[token] = secrets.token_urlsafe(_TOKEN_BYTES)
        return wanted


def _keys(providers: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables of keys that the environment does not have, and what was typed for each."""
    for name in providers:
        variable = KEYS[name]
        if variable is None or os.environ.get(variable):
            continue
        if not _somebody():
            raise _Unusable(f"{variable} is not set, and nobody is there to be asked for the key of {name}")
        key = getpass.getpass(f"Key of {name}: ").strip()
        if not key or not key.isascii() or not key.isprintable() or set(key) & set(" '\"\\$"):
            raise _Unusable(f"that is no key of {name}")
        yield variable, key


def _somebody() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked(what: str, default: str) -> str:
    """Return what is typed; the default where nothing is, or nobody is there."""
    return (input(f"{what} [{default}]: ").strip() if _somebody() else "") or default


def _write(config: Path, beside: Path, wanted: _Wanted) -> None:
    """Write both files, or neither."""
    if wanted.secrets:
        _new(beside, "".join(f"{name}={value}\n" for name, value in wanted.secrets.items()), 0o600)
    try:
        _new(config, wanted.configuration(str(beside)), 0o640)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise


def _new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
