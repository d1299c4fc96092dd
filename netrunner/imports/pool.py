"""The file of the provider pool: models of many providers, each with its own address, token, size class and limits.

This module must not read files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from netrunner.imports.imported import Imported, NotImportable, mapping, number, text

_TOP = frozenset({"models"})
_LIMITS = ("requests_per_minute", "requests_per_hour", "requests_per_day")
_MODEL = frozenset(
    {"name", "provider", "priority", "url", "token", "max_request_length", "model_size", "http_client_config", *_LIMITS}
)
_CLIENT = frozenset({"timeout_seconds", "idle_conn_timeout_seconds"})
_TYPES = {
    "openrouter": "openrouter", "groq": "groq", "github": "github", "cloudflare": "cloudflare", "google": "gemini",
    "gemini": "gemini", "cohere": "cohere", "gigachat": "gigachat", "huggingface": "huggingface",
    "together": "together", "deepseek": "deepseek", "mistral": "mistral", "ollama": "ollama", "anthropic": "anthropic",
}  # fmt: skip
"""Providers there, and the types here; any other speaks like OpenAI."""
_OWN_ADDRESS = frozenset({"cohere", "gemini", "gigachat"})
"""Types whose API there was another than here: their address here is the type's own."""
_ENDPOINTS = re.compile(r"/(chat/completions|completions|images/generations|embeddings)/?$")
SIZES = ("SMALL", "BIG")


def imported(document: Mapping[str, Any]) -> Imported:
    """Return what becomes of the file.

    Args:
        document: The file, decoded.

    Raises:
        NotImportable: if it is none of this system.
    """
    models = document.get("models")
    if not isinstance(models, list) or not models:
        raise NotImportable("models: expected a list of models")
    result = Imported(
        {
            "env_files": ["./.env"],
            "listen": "tcp:${PORT:-8080}:interface=127.0.0.1",
            "access": {"mode": "token", "token": {"env": "AUTH_TOKEN"}},
            "providers": {},
            "models": [],
            "filters": [{"type": "retry", "attempts": 3, "base_delay_s": 1, "max_delay_s": 30, "jitter": 0.1}],
        }
    )
    result.unknown("", document, _TOP)
    accounts: dict[tuple[Any, ...], str] = {}
    for index, one in enumerate(models):
        model = mapping(one, f"models[{index}]")
        result.unknown(f"models[{index}].", model, _MODEL)
        _add(result, f"models[{index}]", _model(result, f"models[{index}]", model, accounts))
    return result


def _add(result: Imported, where: str, model: dict[str, Any]) -> None:
    """Add a model, or one more target of the one of its name."""
    same = next((one for one in result.config["models"] if one["name"] == model["name"]), None)
    if same is None:
        result.config["models"].append(model)
        return
    same["targets"] += model["targets"]
    result.notes.append(f"{where}.name: is there already; it became one more target of that model")
    if any(model.get(key) != same.get(key) for key in ("class", "images")):
        result.notes.append(f"{where}: its model_size and kind are those of the first of that name")


def _model(result: Imported, where: str, model: dict[str, Any], accounts: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    name, company = text(model, "name", where), text(model, "provider", where).lower()
    provider = _provider(result, where, company, model, accounts)
    target: dict[str, Any] = {"provider": provider, "model": name.removeprefix(f"{company}/")}
    if number(model, "priority", where) is not None:
        target["priority"] = model["priority"]
    limits = {key: model[key] for key in _LIMITS if number(model, key, where)}
    result.notes += [
        f"{where}.{key}: 0 never chose the model there; left out here, which is no limit"
        for key in _LIMITS
        if model.get(key) == 0
    ]
    for position, key in enumerate(_LIMITS):
        longer = [limits[one] for one in _LIMITS[position + 1 :] if one in limits]
        if key in limits and longer and min(longer) < limits[key]:
            del limits[key]
            result.notes.append(f"{where}.{key}: a longer window has fewer, so it never decided; left out here")
    if limits:
        target["limits"] = limits
    made: dict[str, Any] = {"name": name}
    if number(model, "max_request_length", where):
        target["max_request_bytes"] = model["max_request_length"]
    elif "max_request_length" in model:
        made["images"] = True
    size = model.get("model_size")
    if size in SIZES:
        made["class"] = size
    elif size is not None:
        raise NotImportable(f"{where}.model_size: expected {' or '.join(SIZES)}")
    return {**made, "targets": [target]}


def _provider(
    result: Imported, where: str, company: str, model: dict[str, Any], accounts: dict[tuple[Any, ...], str]
) -> str:
    """Return the name of the provider that stands for an account: a company, an address, a token, a client."""
    client = mapping(model.get("http_client_config"), f"{where}.http_client_config")
    result.unknown(f"{where}.http_client_config.", client, _CLIENT)
    type = _TYPES.get(company, "openai")
    url, token = str(model.get("url") or ""), str(model.get("token") or "")
    section: dict[str, Any] = {"type": type}
    base_url = _base_url(url)
    if base_url and type in _OWN_ADDRESS:
        result.notes.append(f"{where}.url: the provider's current API has another address, which is the default here")
    elif base_url:
        section["base_url"] = base_url
    elif type == "openai" and company != "openai":
        raise NotImportable(f"{where}.url: expected the address of {company}, which is not known here")
    if client.get("timeout_seconds"):
        section["timeouts"] = {"first_byte_s": client["timeout_seconds"]}
    if client.get("idle_conn_timeout_seconds"):
        section["pool"] = {"idle_s": client["idle_conn_timeout_seconds"]}
    account = (type, base_url, token, str(client))
    if account not in accounts:
        accounts[account] = _unused(re.sub(r"[^A-Za-z0-9._-]", "-", company), result.config["providers"])
        result.config["providers"][accounts[account]] = section
        _credential(result, accounts[account], section, token)
    return accounts[account]


def _credential(result: Imported, name: str, section: dict[str, Any], token: str) -> None:
    """Let the provider take its token from the environment."""
    if not token:
        return
    # Names that differ may have the same letters: `a-b` and `a_b`.
    variable = _unused(re.sub("[^A-Z0-9]", "_", name.upper()) + "_TOKEN", result.secrets, "_")
    if section["type"] == "gigachat" and ":" in token:
        section["client_id"], _, token = token.partition(":")
        section["client_secret"] = {"env": variable}
    else:
        section["api_key"] = {"env": variable}
    result.secrets[variable] = token


def _base_url(url: str) -> str:
    """Return the address below which a full endpoint lies."""
    if not url:
        return ""
    if urlsplit(url).scheme not in ("http", "https"):
        raise NotImportable("url: expected an absolute http or https URL")
    return _ENDPOINTS.sub("", url.partition("?")[0]).rstrip("/")


def _unused(name: str, taken: Mapping[str, Any], between: str = "-") -> str:
    numbered, count = name, 1
    while numbered in taken:
        count += 1
        numbered = f"{name}{between}{count}"
    return numbered
