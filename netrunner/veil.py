"""Keys of providers in what providers answer: found however an answer is cut into reads, and masked byte for byte.

A mask is as long as what it stands for, so that lengths and offsets stay true and every other byte is left alone.

Pure. This module must not know whose keys these are, nor what an answer says.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote_from_bytes

from netrunner.values import ResponseHead

SHORTEST_BYTES = 8
"""Of a key that is masked, and of its beginning at the end of an answer; anything shorter may be a word of a text."""
_KEPT = 1024
"""Combinations of keys that are remembered: those of projects are as many as there are projects."""
_MASKS = b"*#x0-_.XYZ"
"""What masks are made of: the first that no key holds, so that no mask makes a key of what is beside it."""

_ANCHOR_BYTES = 24
"""Most of what is looked for first. That is done by ``replace``, which returns its own object where there is nothing to
replace, and takes half of the time that ``in`` takes; where it returns another one, nothing but time is lost."""
_PLAIN = re.compile(rb"[A-Za-z0-9._~\-]+")
"""What is written alike in JSON and in URLs."""
_UNSAFE = ((b"&<>", b"%02x"), (b"&'<=>", b"%02x"), (b"\"&'+<>`", b"%02X"))
"""Characters that writers of JSON escape by number: Go's, Gson, and .NET's."""
_URL_SAFE = ("", "/", "!'()*")
"""What else is left as it is in a URL: in a form, in a path, by JavaScript."""


_Group = tuple[bytes, tuple[bytes, ...]]
"""Forms, and before them what is in each of them."""


class Keys:
    """The keys that one request is made with, in every form that is looked for.

    Args:
        keys: Each of them, none shorter than ``SHORTEST_BYTES``.
    """

    __slots__ = ("_all", "_quoted")

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        quoted: list[_Group] = [(_anchor(key), tuple(dict.fromkeys(_quoted(key)))) for key in keys]
        coded: list[_Group] = [(form[:_ANCHOR_BYTES], (form,)) for key in keys for form in dict.fromkeys(_coded(key))]
        every = b"".join(form for _, forms in quoted + coded for form in forms)
        mask = next((_MASKS[n : n + 1] for n in range(len(_MASKS)) if _MASKS[n] not in every), _MASKS[:1])
        self._quoted, self._all = _Forms(quoted, mask), _Forms(quoted + coded, mask)

    def masked(self, data: bytes) -> bytes:
        """Return what is whole by itself without the keys."""
        return self._all.masked(data)

    def masked_head(self, head: ResponseHead) -> ResponseHead:
        """Return the head of an answer without the keys."""
        said = b"\n".join([head.reason, *[value for _, value in head.headers]])
        if self.masked(said) == said:
            return head
        fields = [(name, self.masked(value)) for name, value in head.headers]
        return ResponseHead(head.status, self.masked(head.reason), fields)

    def veil(self, events: bool) -> Veil:
        """Return what the body of one answer goes through.

        Args:
            events: Whether it is a stream of events. In these nobody looks for base64, which would cost each of them
                more than all the rest.
        """
        return Veil(self._quoted if events else self._all)


@lru_cache(_KEPT)
def keys_of(keys: tuple[bytes, ...]) -> Keys | None:
    """Return what masks ``keys``; None if none of them is long enough to be one."""
    long = tuple(key for key in keys if len(key) >= SHORTEST_BYTES)
    return Keys(long) if long else None


class Veil:
    """One body on its way, read by read, without the keys; see ``Keys.veil``."""

    __slots__ = ("_anchor", "_forms", "_held", "_several", "_within")

    def __init__(self, forms: _Forms) -> None:
        self._forms = forms
        # Each event passes here, so what it needs is at hand.
        self._anchor = forms.groups[0][0]
        self._several = len(forms.groups) > 1
        self._within = forms.within
        self._held = b""
        """The end of what has come, while it may be the beginning of a key."""

    def feed(self, data: bytes, last: bool = False) -> bytes:
        """Return what may be told by now: as many bytes as came, but for an end that may be the beginning of a key.

        No form of a key holds a line end, so nothing of an event is ever kept back.
        """
        if self._held:
            data, self._held = self._held + data, b""
        if self._several or data.replace(self._anchor, b"") is not data:
            data = self._forms.masked(data)
        if data and data[-1] in self._within:
            begun = self._forms.begun(data)
            if begun:
                data, self._held = data[:-begun], data[-begun:]
                return data + self.close() if last else data
        return data

    def close(self) -> bytes:
        """Return what was kept back: nothing follows. Of a long beginning of a key a mask is left."""
        held, self._held = self._held, b""
        return held if len(held) < SHORTEST_BYTES else self._forms.mask * len(held)


class _Forms:
    """What is looked for, and what stands in its place.

    Args:
        groups: Forms.
        mask: The byte that masks are made of.
    """

    __slots__ = ("groups", "mask", "within")

    def __init__(self, groups: list[_Group], mask: bytes) -> None:
        self.mask = mask
        self.groups = tuple((anchor, tuple((form, mask * len(form)) for form in forms)) for anchor, forms in groups)
        self.within = frozenset(byte for _, forms in groups for form in forms for byte in form[:-1])
        """Every byte after which a form may go on."""

    def masked(self, data: bytes) -> bytes:
        """Return what is whole by itself without the keys."""
        for anchor, group in self.groups:
            if data.replace(anchor, b"") is not data:
                for form, mask in group:
                    data = data.replace(form, mask)
        return data

    def begun(self, data: bytes) -> int:
        """Return how many of the last bytes of ``data`` are the beginning of a form, and not all of it; the most."""
        return max(_begun(form, data) for _, group in self.groups for form, _ in group)


def _begun(form: bytes, data: bytes) -> int:
    at = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while at >= 0:
        if form.startswith(data[at:]):
            return len(data) - at
        at = data.find(form[:1], at + 1)
    return 0


def _anchor(key: bytes) -> bytes:
    """Return what is in a key however it is quoted; short, since a long one takes longer to look for."""
    return max(_PLAIN.findall(key), key=len, default=b"")[-_ANCHOR_BYTES:]


def _quoted(key: bytes) -> Iterator[bytes]:
    """Yield how a key is written: as it is, in JSON, in a URL."""
    yield key
    if _PLAIN.fullmatch(key):
        return
    in_json = key.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    yield in_json
    yield in_json.replace(b"/", b"\\/")
    for unsafe, digits in _UNSAFE:
        escapes = {byte: b"\\u00" + digits % byte for byte in unsafe}
        escapes.setdefault(ord('"'), b'\\"')
        escapes[ord("\\")] = b"\\\\"
        yield b"".join(escapes.get(byte, bytes([byte])) for byte in key)
    for safe in _URL_SAFE:
        in_url = quote_from_bytes(key, safe).encode("ascii")
        yield in_url
        yield re.sub(rb"%..", lambda found: found[0].lower(), in_url)


def _coded(key: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of a key behind any number of bytes, without the ends that its neighbours share."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + key)[-(-before * 8 // 6) : (before + len(key)) * 8 // 6]
        yield coded
        yield coded.translate(bytes.maketrans(b"+/", b"-_"))
