"""Hostile text stays text: whatever was logged, a page has the elements and attributes of its templates alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from netrunner.sse import DONE, event
from netrunner.values import Attempt, Record, Usage
from netrunner.web.dashboard.look import POLICY
from tests.support.dashboard import NOW_S, Stage, record
from tests.support.payloads import PAYLOADS

HARMLESS = "word"
BATCH = 20
LAST = len(PAYLOADS) % BATCH or BATCH
TAGS = frozenset(
    {"html", "head", "meta", "title", "script", "link", "body", "a", "header", "svg", "path", "nav", "button", "span"}
    | {"main", "footer", "h1", "form", "label", "input", "select", "option", "p", "div", "section", "code", "pre"}
)
ADDRESSES = frozenset({"href", "src", "action", "formaction", "xlink:href", "data", "srcdoc"})
Skeleton = list[tuple[str, tuple[str, ...]]]


TAG = re.compile(r"<[^>]*>")
VALUE = re.compile(r'"[^"]*"')
ADDRESS = re.compile(rf'\s(?:{"|".join(sorted(ADDRESSES))})="([^"]*)"')


class Bones(HTMLParser):
    """Keeps every element with the names of its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Skeleton = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, tuple(name for name, _ in attrs)))


@cache
def read(markup: str) -> Skeleton:
    """Return the elements of a page of which only the markup is left."""
    parser = Bones()
    parser.feed(markup)
    parser.close()
    return parser.found


def markup(page: str) -> str:
    """Return a page without its text and the values of attributes: what is left of a text there made it markup."""
    return "".join(VALUE.sub('""', tag) for tag in TAG.findall(page))


def bones(page: str) -> Skeleton:
    """Return the elements of a page, with the names of their attributes."""
    return read(markup(page))


def foreign(page: str) -> list[str]:
    """Return the addresses in a page that do not lead to another of ours."""
    found = (unescape(address) for address in ADDRESS.findall(page))
    return [one for one in found if one != "#main" and (not one.startswith("/") or one.startswith("//"))]


def hostile(number: int, text: str, stage: Stage) -> str:
    """Put a record into the log whose every text is ``text``, bodies and fields included; return its id."""
    field = text.encode("utf-8").replace(b"\n", b" ")
    asked = {"model": text, "messages": [{"role": text, "content": text}, {"role": "user", "content": [{text: text}]}]}
    answer = b"event: " + field + b"\n" + event({"choices": [{"delta": {"content": text, "reasoning": text}}]}) + DONE
    request_copy = stage.copies.add(field, [(field, field)], json.dumps(asked).encode())
    response_copy = stage.copies.add(field, [(b"content-type", b"text/event-stream"), (field, field)], answer)
    numbers = {"id", "at_accept", "status", "bytes_in", "bytes_out", "duration_s", "streaming"}
    made = {"upstream_model", "usage", "attempts", "timings", "request_copy", "response_copy"}
    names = [name for name in Record.__struct_fields__ if name not in numbers | made]
    changes: dict[str, Any] = dict.fromkeys(names, text)
    whole = record(
        number,
        **changes,
        upstream_model=f"{text} served",
        attempts=[Attempt(text, text, 500, text, None, True)],
        usage=Usage(1, 2, 3, 4, 5, 6),
        timings={"body": 0.1, text: 0.2, "last_byte": 1.0},
        request_copy=request_copy,
        response_copy=response_copy,
    )
    stage.log.records.append(whole)
    return whole.id


def batches() -> Iterator[tuple[str, ...]]:
    for start in range(0, len(PAYLOADS), BATCH):
        yield PAYLOADS[start : start + BATCH]


def fill(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    stage.log.records.clear()
    return [hostile(number, text, stage) for number, text in enumerate(texts)]


def overview(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    fill(stage, texts)
    return [stage.text("/")]


def log(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    fill(stage, texts)
    return [stage.text("/logs")]


def performance(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    fill(stage, tuple(f"{number:02}{text}" for number, text in enumerate(texts)))
    return [stage.text("/performance")]


def clients(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    fill(stage, tuple(f"{number:02}{text}" for number, text in enumerate(texts)))
    return [stage.text("/clients")]


def exchanges(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    return [stage.text(f"/logs/{id}") for id in fill(stage, texts)]


def in_flight(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    stage.live.inflight.clear()
    pages = []
    for number, text in enumerate(texts):
        raw = text.encode()
        begun = stage.begin(
            number, path=raw, method=raw, source=text, model=text, upstream_model=f"{text} served", provider=text
        )
        pages.append(stage.text(f"/logs/{begun.id}"))
    return [*pages, stage.text("/")]


def forms(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    typed = [quote(text, safe="") for text in texts]
    paths = [f"/logs?q={one}&service={one}&before={one}" for one in typed]
    paths += [f"/logs?{name}={one}" for one in typed for name in ("status", "since")]
    return [stage.get(path).body.decode() for path in paths]


def errors(stage: Stage, texts: tuple[str, ...]) -> list[str]:
    paths = [f"/logs/x/{quote(text.replace('/', ''), safe='')}" for text in texts]
    found = [stage.get(path) for path in paths]
    # What the channel itself refuses, such as a backslash, is no page.
    return [answer.body.decode() for answer in found if answer.headers[b"content-type"].startswith(b"text/html")]


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) >= 500


Draw = Callable[[Stage, tuple[str, ...]], list[str]]


@pytest.mark.parametrize("draw", [overview, log, performance, clients, exchanges, in_flight])
def test_no_logged_text_becomes_markup(draw: Draw) -> None:
    stage = Stage()
    wanted = {size: [markup(page) for page in draw(stage, (HARMLESS,) * size)] for size in (BATCH, LAST)}
    for texts in batches():
        pages = draw(stage, texts)
        assert [bones(page) for page in pages] == [read(one) for one in wanted[len(texts)]]
        assert [address for page in pages for address in foreign(page)] == []


@pytest.mark.parametrize("draw", [forms, errors])
def test_no_asked_text_becomes_markup(draw: Draw) -> None:
    stage = Stage()
    drawn = 0
    for texts in batches():
        for page in draw(stage, texts):
            drawn += 1
            found = bones(page)
            assert {tag for tag, _ in found} <= TAGS
            assert [names for tag, names in found if tag == "script"] == [("src",), ("src", "defer")]
            assert not any(name.startswith("on") or name == "style" for _, names in found for name in names)
            assert foreign(page) == []
    assert drawn >= 500


@pytest.mark.parametrize("text", ['a" onclick="b', "<i>", "</p><script>", "<i", "<!--"])
def test_a_text_that_became_markup_would_be_seen(text: str) -> None:
    page = '<p title="%s">%s</p><a href="/x">x</a>'
    plain = markup(page % ("a", "b"))
    assert read(plain) == [("p", ("title",)), ("a", ("href",))]
    if '"' in text or ">" in text:
        assert markup(page % (text, "b")) != plain
    if "<" in text:
        assert markup(page % ("a", text)) != plain


def test_an_address_that_leads_elsewhere_would_be_seen() -> None:
    assert foreign('<a href="javascript:x">x</a><a href="/x">x</a><img src="//x">') == ["javascript:x", "//x"]


@pytest.mark.parametrize("path", ["/", "/logs", "/performance", "/clients", "/now", "/logs/none", "/static/none"])
def test_everything_comes_with_the_strict_policy(path: str) -> None:
    headers = Stage(record(1)).get(path).headers
    assert headers[b"content-security-policy"] == POLICY
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert b"unsafe" not in POLICY


def test_no_page_has_a_script_or_a_style_of_its_own() -> None:
    stage = Stage(record(1, NOW_S))
    begun = stage.begin(2)
    for path in ("/", "/logs", "/performance", f"/logs/{begun.id}", f"/logs/{stage.log.records[0].id}"):
        found = bones(stage.text(path))
        assert [names for tag, names in found if tag == "script"] == [("src",), ("src", "defer")]
        assert not any(tag == "style" or "style" in names for tag, names in found)
        assert not any(name.startswith("on") for _, names in found for name in names)


def test_a_download_is_never_shown_by_a_browser() -> None:
    stage = Stage()
    stored = stage.with_bodies(1, answer=b"<script>top.fired=1</script>", content_type=b"text/html")
    answer = stage.get(f"/logs/{stored.id}/response")
    assert answer.body == b"<script>top.fired=1</script>"
    assert answer.headers[b"content-type"] == b"application/octet-stream"
    assert answer.headers[b"content-disposition"].startswith(b"attachment;")
    assert answer.headers[b"content-security-policy"] == b"default-src 'none'; sandbox"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
