"""Values from outside the YAML: ``${NAME}``, .env files, and secrets by reference.

This module must not look at ``os.environ``; the environment is an argument.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netrunner.config import tree
from netrunner.errors import Problem
from netrunner.settings import Secret

MAX_FILE_BYTES = 65536
"""Of a secret or a .env file."""

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<or_empty>:?)-(?P<default>[^}]*)|:\+(?P<instead>[^}]*))?\})?"
)
_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*(?:\#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t"}


def interpolate(node: tree.Node, environ: Mapping[str, str]) -> tree.Node:
    """Return the tree with every ``${NAME}`` and ``${NAME:-default}`` in its scalars replaced.

    The default stands in for a variable that is unset or empty, in ``${NAME-default}`` for one that is unset, as in a
    shell; ``${NAME:+text}`` is the text if the variable is neither, and nothing otherwise. ``$${`` is a literal ``${``.
    A scalar that cannot be completed carries the problem and keeps its text.
    """
    match node:
        case tree.Scalar():
            return _scalar(node, environ) if "${" in node.text else node
        case tree.Sequence():
            return tree.Sequence(node.where, tuple(interpolate(item, environ) for item in node.items))
        case tree.Mapping():
            entries = {key: interpolate(value, environ) for key, value in node.entries.items()}
            return replace(node, entries=entries)


def _scalar(scalar: tree.Scalar, environ: Mapping[str, str]) -> tree.Scalar:
    references = list(_REFERENCE.finditer(scalar.text))
    for match in references:
        message = _lacking(match, environ)
        if message:
            return replace(scalar, problem=Problem(scalar.where, message))
    text = _REFERENCE.sub(lambda match: _replacement(match, environ), scalar.text)
    return replace(scalar, text=text, interpolated=any(match["name"] for match in references))


def structure(scalar: tree.Scalar) -> tree.Node:
    """Return the list or mapping that is written as JSON in a scalar that came from the environment.

    Raises:
        ValueError: with what is wrong, never quoting it.
    """
    try:
        value = json.loads(scalar.text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _node(value, scalar.where)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _node(value: Any, where: str) -> tree.Node:
    if isinstance(value, dict):
        entries = {key: _node(one, where) for key, one in value.items()}
        return tree.Mapping(where, entries, dict.fromkeys(entries, where))
    if isinstance(value, list):
        return tree.Sequence(where, tuple(_node(one, where) for one in value))
    text = value if isinstance(value, str) else json.dumps(value)
    return tree.Scalar(where, text, not isinstance(value, str), interpolated=True)


def _lacking(match: re.Match[str], environ: Mapping[str, str]) -> str | None:
    if match[0] == "$${" or match["default"] is not None or match["instead"] is not None or match["name"] in environ:
        return None
    if match["name"] is None:
        return "expected ${NAME} or ${NAME:-default}; a literal ${ is written $${"
    return f"environment variable {match['name']} is not set, and has no default here"


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match[0] == "$${":
        return "${"
    value = environ.get(match["name"])
    if match["instead"] is not None:
        return match["instead"] if value else ""
    return match["default"] or "" if value is None or (not value and match["or_empty"]) else value


def read_env_files(
    paths: Sequence[str], environ: Mapping[str, str], warnings: list[str], problems: list[Problem]
) -> dict[str, str]:
    """Return the environment with what .env files add to it: what is set already stays as it is.

    A file that does not exist is a warning, so that one configuration serves machines with and without it.
    """
    merged: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        if not os.path.exists(path):
            warnings.append(f"{path}: env file does not exist, left out")
            continue
        try:
            text = read_private(path, warnings)
        except (OSError, ValueError) as error:
            problems.append(Problem(path, f"env file cannot be read: {_reason(error)}"))
            continue
        for name, value in _assignments(path, text, problems):
            merged.setdefault(name, value)
    return merged | dict(environ)


def _assignments(path: str, text: str, problems: list[Problem]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        value = _unquoted(assignment["value"]) if assignment else None
        if assignment is None or value is None:
            problems.append(
                Problem(f"{path}:{number}", "expected NAME=value, the value quoted on both ends or not at all")
            )
        else:
            found[assignment["name"]] = value
    return list(found.items())


def _unquoted(text: str) -> str | None:
    if not text.startswith(("'", '"')):
        return re.split(r"\s+#", text, maxsplit=1)[0]
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return None
    if quoted["single"] is not None:
        return quoted["single"]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted["double"])


def secret_from_environment(name: str, environ: Mapping[str, str]) -> Secret:
    """Return the secret a variable holds.

    Raises:
        ValueError: if there is none or it cannot be one; never quoting it.
    """
    if not _VARIABLE.fullmatch(name):
        # Perhaps the secret itself was put here.
        raise ValueError("expected the name of an environment variable")
    if name not in environ:
        raise ValueError(f"environment variable {name} is not set")
    return checked_secret(environ[name], f"environment variable {name}")


def secret_from_file(path: str, warnings: list[str]) -> Secret:
    """Return the secret a file holds, less one newline at its end.

    Raises:
        ValueError: if there is none or it cannot be one; never quoting it.
    """
    try:
        text = read_private(path, warnings)
    except (OSError, ValueError) as error:
        raise ValueError(f"file {path} cannot be read: {_reason(error)}") from None
    return checked_secret(text.removesuffix("\n").removesuffix("\r"), f"file {path}")


def checked_secret(text: str, name: str) -> Secret:
    """Return ``text`` as a secret.

    Raises:
        ValueError: if it is empty, or could break out of a header field.
    """
    if not text.strip():
        raise ValueError(f"{name} is empty")
    if not text.isprintable():
        raise ValueError(f"{name} holds a control character or a line break")
    return Secret(text)


def read_private(path: str, warnings: list[str]) -> str:
    """Return the text of a small file; a file that everybody may read is worth a warning.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is too large or not UTF-8.
    """
    # A named pipe must not hold up the start.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
            warnings.append(f"{path}: may be read by everybody on this machine; chmod 600 keeps it to its owner")
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return data.decode("utf-8-sig")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
