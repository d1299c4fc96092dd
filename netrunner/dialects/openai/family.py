"""What single members of OpenAI's family do otherwise, and requests made fit for them.

What a member refuses although it could be left out is left out and told; what would change the answer is refused here,
by the caller's name, before anybody is called. Fields that nobody listed go on as their own bytes.

This module must not name any member.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from netrunner.dialects.gaps import Gaps

COMFORT = frozenset(
    {
        "store", "metadata", "user", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "verbosity", "prediction", "moderation",
    }
)  # fmt: skip
"""What OpenAI alone takes, and nobody misses in an answer."""
HOSTED = {"web_search_options": "it does not search"}
"""What OpenAI alone does itself."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_decode = msgspec.json.decode
_encode = msgspec.json.encode
_NOTHING = frozenset({b"null", b"[]", b"{}", b'""'})
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One member's differences in chats."""

    renamed: Mapping[str, str] = {}
    """Fields it knows by another name."""
    dropped: frozenset[str] = frozenset()
    """Fields it does not take, and that change nothing but comfort."""
    refused: Mapping[str, str] = {}
    """Fields without which the answer would be another, and why they are refused."""
    answers: bool = True
    """Whether it gives more than one answer, ``n``."""
    developer: bool = False
    """Whether it knows the role ``developer``; the others are told ``system``."""
    max_stop: int | None = 4
    """Most texts in ``stop``."""
    formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    """Of ``response_format``."""
    tools: frozenset[str] = frozenset({"function"})
    """Kinds of tools."""
    audio: bool = False
    """Whether it hears and speaks."""
    choices: Mapping[str, str] = {}
    """Its words for a ``tool_choice``."""
    reasoning: str | None = None
    """The field in which it wants to see again what it thought; None takes it out."""
    call_id: str | None = None
    """The pattern of a tool call's id; others are replaced, in calls and results alike."""
    merges: bool = False
    """Whether turns of one side in a row have to be one."""


def fit(body: bytes, family: Family, gaps: Gaps) -> bytes:
    """Return a chat's body as a member wants it; the same bytes if there is nothing to change.

    Args:
        body: A JSON object; what is none is returned as it is, the member will say so.
        family: The member's differences.
        gaps: Hears of what is given up.

    Raises:
        UnsupportedParameter: for what would change the answer if it were left out.
    """
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    before = dict(fields)
    for name in [name for name in fields if name in family.dropped or name in family.refused]:
        if bytes(fields[name]) not in _NOTHING and name in family.refused:
            raise gaps.unsupported(name, family.refused[name])
        if bytes(fields[name]) not in _NOTHING:
            gaps.drop(name)
        del fields[name]
    _check_answers(fields, family, gaps)
    _fit_tools(fields, family, gaps)
    for name, other in family.renamed.items():
        if name in fields:
            value = fields.pop(name)
            fields.setdefault(other, value)
    if "messages" in fields and _has_to_change(bytes(fields["messages"]), family):
        fields["messages"] = Raw(_encode(_turns(_value(fields, "messages"), family, gaps)))
    return body if fields == before else _encode(fields)


def _value(fields: dict[str, Raw], name: str) -> Any:
    """Return a field's value; None if it is absent, or cannot be read: the member will say so."""
    try:
        return _decode(fields[name]) if name in fields else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _check_answers(fields: dict[str, Raw], family: Family, gaps: Gaps) -> None:
    if not family.answers and bytes(fields.get("n", Raw(b"1"))) not in (b"1", b"null"):
        raise gaps.unsupported("n", "it gives one answer")
    stop = _value(fields, "stop")
    if family.max_stop is not None and isinstance(stop, list) and len(stop) > family.max_stop:
        raise gaps.unsupported("stop", f"at most {family.max_stop} texts")
    form = _value(fields, "response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    if isinstance(kind, str) and kind not in family.formats:
        raise gaps.unsupported("response_format.type", f"it knows {', '.join(sorted(family.formats))}")
    if not family.audio and bytes(fields.get("audio", Raw(b"null"))) not in _NOTHING:
        raise gaps.unsupported("audio", "it does not speak")


def _fit_tools(fields: dict[str, Raw], family: Family, gaps: Gaps) -> None:
    tools = _value(fields, "tools")
    for number, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
        if kind not in family.tools:
            raise gaps.unsupported(f"tools[{number}].type", f"it knows {', '.join(sorted(family.tools))}")
    choice = _value(fields, "tool_choice")
    if isinstance(choice, str) and choice in family.choices:
        fields["tool_choice"] = Raw(_encode(family.choices[choice]))


def _has_to_change(messages: bytes, family: Family) -> bool:
    """Return whether anything in the turns may have to change; words inside of texts cost a decoding, no more."""
    return (
        family.merges
        or (not family.developer and b'"developer"' in messages)
        or b'"reasoning' in messages
        or (family.call_id is not None and b'"tool_call' in messages)
    )


def _turns(messages: Any, family: Family, gaps: Gaps) -> Any:
    if not isinstance(messages, list):
        return messages
    turns = [_turn(one, family) if isinstance(one, dict) else one for one in messages]
    if family.reasoning is None and any(_thinks(one) for one in messages):
        gaps.drop("reasoning")
    return list(_merged(turns)) if family.merges else turns


def _turn(turn: dict[str, Any], family: Family) -> dict[str, Any]:
    if turn.get("role") == "developer" and not family.developer:
        turn = {**turn, "role": "system"}
    if any(name in turn for name in _REASONING):
        turn = _with_reasoning(turn, family.reasoning)
    if family.call_id is not None:
        if isinstance(turn.get("tool_call_id"), str):
            turn = {**turn, "tool_call_id": _call_id(turn["tool_call_id"], family.call_id)}
        if isinstance(turn.get("tool_calls"), list):
            turn = {**turn, "tool_calls": [_call(one, family.call_id) for one in turn["tool_calls"]]}
    return turn


def _thinks(turn: Any) -> bool:
    return isinstance(turn, dict) and any(turn.get(name) for name in _REASONING)


def _with_reasoning(turn: dict[str, Any], field: str | None) -> dict[str, Any]:
    """Return a turn whose reasoning is where the member looks for it, or gone."""
    told = next((turn[name] for name in _REASONING[:2] if turn.get(name) and isinstance(turn[name], str)), None)
    details = turn.get("reasoning_details")
    turn = {name: value for name, value in turn.items() if name not in _REASONING}
    if field is not None and told is not None:
        turn[field] = told
    if field == "reasoning" and details:
        turn["reasoning_details"] = details
    return turn


def _call(call: Any, pattern: str) -> Any:
    if isinstance(call, dict) and isinstance(call.get("id"), str):
        return {**call, "id": _call_id(call["id"], pattern)}
    return call


def _call_id(id: str, pattern: str) -> str:
    """Return an id that fits, always the same for the same one."""
    return id if re.fullmatch(pattern, id) else hashlib.sha256(id.encode()).hexdigest()[:9]


def _merged(turns: Iterable[Any]) -> Iterable[Any]:
    """Yield turns; those of the user in a row become one, texts parted by a blank line."""
    last: dict[str, Any] | None = None
    for turn in turns:
        mergeable = isinstance(turn, dict) and turn.get("role") == "user"
        if mergeable and last is not None:
            last = {**last, "content": _joined(last.get("content"), turn.get("content"))}
            continue
        if last is not None:
            yield last
        last = turn if mergeable else None
        if last is None:
            yield turn
    if last is not None:
        yield last


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_parts(first), *_parts(second)]


def _parts(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []
