"""What twisted.web offers to a Resource works on our requests: files, producers, sessions, cookies, guards."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.util import DeferredResource, redirectTo
from zope.interface import implementer

from netrunner.http.request import Request
from tests.support.client import Answer, Client, answers, connect, leaf

with warnings.catch_warnings():
    # Twisted makes a page at import that it has itself deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.static import Data, File

CONTENT = bytes(range(256)) * 1000


def page(content: bytes) -> Data:
    found = Data(content, "text/plain")
    found.isLeaf = True
    return found


def get(path: bytes = b"/", *fields: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: a", *fields, b"", b""])


@pytest.fixture
def cooperator(monkeypatch: pytest.MonkeyPatch) -> task.Clock:
    """Let pull producers, which are static.File's, run on a clock of the test."""
    clock = task.Clock()
    shared = task.Cooperator(lambda: lambda: True, lambda call: clock.callLater(0.001, call))
    monkeypatch.setattr("twisted.internet._producer_helpers.cooperate", shared.cooperate)
    return clock


def pump(client: Client, cooperator: task.Clock) -> bytes:
    """Return all that comes while pull producers run."""
    data = b""
    for _ in range(200):
        cooperator.advance(0.001)
        data += client.heard()
    return data


def fetch(client: Client, cooperator: task.Clock, *said: bytes, method: bytes = b"GET") -> Answer:
    client.say(*said)
    return answers(pump(client, cooperator), method)[0]


@pytest.fixture
def files(tmp_path: Path) -> Client:
    (tmp_path / "a.txt").write_bytes(CONTENT)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    return connect(File(str(tmp_path)))


def test_a_file_is_served_whole_in_ranges_and_as_its_head(files: Client, cooperator: task.Clock) -> None:
    whole = fetch(files, cooperator, get(b"/a.txt"))
    assert (whole.status, whole.body) == (200, CONTENT)
    part = fetch(files, cooperator, get(b"/a.txt", b"Range: bytes=10-19"))
    assert (part.status, part.body) == (206, CONTENT[10:20])
    several = fetch(files, cooperator, get(b"/a.txt", b"Range: bytes=0-1,5-6"))
    assert several.status == 206
    assert several.headers[b"content-type"].startswith(b"multipart/byteranges")
    head = fetch(files, cooperator, get(b"/a.txt", method=b"HEAD"), method=b"HEAD")
    assert (head.headers[b"content-length"], head.body) == (b"256000", b"")
    fresh = fetch(files, cooperator, get(b"/a.txt", b"If-Modified-Since: " + whole.headers[b"last-modified"]))
    assert (fresh.status, fresh.body) == (304, b"")
    assert fetch(files, cooperator, get(b"/empty")).body == b""
    assert fetch(files, cooperator, get(b"/folder")).status == 302
    assert not files.is_over()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_missing_file_and_a_missing_page_are_refused_alike(files: Client, cooperator: task.Clock) -> None:
    assert fetch(files, cooperator, get(b"/none")).status == 404
    page = connect(Resource()).say(get(b"/none"))
    assert answers(page.heard())[0].body == b"There is nothing at this path.\n"


def test_a_client_that_leaves_ends_a_files_producer(files: Client, cooperator: task.Clock) -> None:
    files.say(get(b"/a.txt"))
    cooperator.advance(0.001)
    assert len(files.heard()) < len(CONTENT)
    files.settle()
    assert pump(files, cooperator) == b""
    assert cooperator.getDelayedCalls() == []


def test_a_client_that_does_not_read_pauses_a_files_producer(files: Client, cooperator: task.Clock) -> None:
    files.say(get(b"/a.txt"))
    cooperator.advance(0.001)
    files.heard()
    files.channel.pauseProducing()
    cooperator.advance(0.001)
    files.heard()
    assert pump(files, cooperator) == b""
    files.channel.resumeProducing()
    assert pump(files, cooperator) != b""


class Source:
    """A push producer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_a_push_producer_is_paused_resumed_and_stopped() -> None:
    requests: list[Request] = []
    client = connect(leaf(requests.append)).say(get())
    source = Source()
    requests[0].registerProducer(source, True)
    client.channel.pauseProducing()
    client.channel.resumeProducing()
    client.settle()
    assert source.told == ["pause", "resume", "stop"]


def test_a_producer_of_one_answer_is_not_told_of_the_next() -> None:
    requests: list[Request] = []
    client = connect(leaf(requests.append)).say(get() + get())
    source = Source()
    requests[0].registerProducer(source, True)
    requests[0].respond(200, [], b"")
    client.channel.pauseProducing()
    assert source.told == []


def test_a_producer_registered_while_paused_or_after_the_end_is_told_at_once() -> None:
    requests: list[Request] = []
    client = connect(leaf(requests.append)).say(get())
    client.channel.pauseProducing()
    first, late = Source(), Source()
    requests[0].registerProducer(first, True)
    assert first.told == ["pause"]
    requests[0].unregisterProducer()
    client.settle()
    requests[0].registerProducer(late, True)
    assert late.told == ["stop"]


def test_write_and_finish_frame_by_length_or_in_chunks() -> None:
    def sized(request: Request) -> Any:
        request.setHeader(b"content-length", b"4")
        request.write(b"bo")
        request.write(b"dy")
        request.finish()
        return NOT_DONE_YET

    def chunked(request: Request) -> Any:
        request.write(b"bo")
        request.write(b"dy")
        request.finish()
        return NOT_DONE_YET

    for take in (sized, chunked):
        client = connect(leaf(take)).say(get() + get())
        assert [answer.body for answer in answers(client.heard())] == [b"body", b"body"]
        old = connect(leaf(take)).say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert old.is_over() is (take is chunked)
        assert old.heard().endswith(b"\r\n\r\nbody")


def test_a_resource_may_ask_for_the_close() -> None:
    def take(request: Request) -> bytes:
        request.setHeader(b"connection", b"close")
        return b"bye"

    client = connect(leaf(take)).say(get())
    data = client.heard()
    assert data.lower().count(b"connection: close") == 1
    assert client.is_over()


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS"])
def test_a_method_the_resource_lacks_is_refused_with_those_it_has(method: bytes) -> None:
    client = connect(page(b"x")).say(get(method=method))
    answer = answers(client.heard(), method)[0]
    assert (answer.status, set(answer.headers[b"allow"].split(b", "))) == (405, {b"GET", b"HEAD"})
    assert not client.is_over()


def test_what_renders_nonsense_is_an_error_500(logged_failures: Any) -> None:
    client = connect(leaf(lambda _: "text")).say(get())
    assert answers(client.heard())[0].status == 500
    assert len(logged_failures.flush(TypeError)) == 1


def test_cookies_and_sessions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = task.Clock()
    seen: list[Any] = []

    def take(request: Request) -> bytes:
        seen.append((request.getSession().uid, request.getCookie(b"mine")))
        request.addCookie(b"mine", b"1")
        return b""

    client = connect(leaf(take))
    factory = client.site.sessionFactory
    monkeypatch.setattr(client.site, "sessionFactory", lambda site, uid: factory(site, uid, clock))
    answer = client.say(get()).heard()
    session = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"set-cookie: twisted"))
    client.say(get(b"/", b"Cookie: mine=1; " + session.split(b" ", 1)[1].split(b";")[0]))
    assert [mine for _, mine in seen] == [None, b"1"]
    assert len({uid for uid, _ in seen}) == 1
    clock.advance(3600)
    assert client.site.sessions == {}


def test_the_request_tells_what_twisted_says_it_tells() -> None:
    told: list[Any] = []

    def take(request: Request) -> bytes:
        told.append(
            (
                request.args,
                request.content.read(),
                request.getHeader(b"X-One"),
                request.requestHeaders.getRawHeaders(b"x-one"),
                request.getRequestHostname(),
                request.getUser(),
                request.getPassword(),
                request.isSecure(),
                request.prepath,
                request.postpath,
                request.clientproto,
                request.uri,
                request.path,
                str(request.URLPath()),
            )
        )
        return b""

    root = Resource()
    root.putChild(b"in", leaf(take))
    client = connect(root)
    client.transport.hostAddr = type("Address", (), {"port": 80, "host": "a", "type": "TCP"})()
    fields = (b"X-One: 1", b"x-one: 2", b"Authorization: Basic dTpw", b"Content-Length: 2")
    client.say(get(b"/in/a%20b/c?q=1&q=2&r=", *fields, method=b"PUT") + b"ok")
    assert told == [
        (
            {b"q": [b"1", b"2"], b"r": [b""]},
            b"ok",
            b"2",
            [b"1", b"2"],
            b"a",
            b"u",
            b"p",
            False,
            [b"in"],
            [b"a b", b"c"],
            b"HTTP/1.1",
            b"/in/a%20b/c?q=1&q=2&r=",
            b"/in/a%20b/c",
            "http://a/in",
        )
    ]


def test_redirects_and_pages_found_later_work() -> None:
    found: Deferred[Any] = Deferred()
    client = connect(DeferredResource(found)).say(get())
    found.callback(leaf(lambda request: redirectTo(b"/x", request)))
    answer = answers(client.heard())[0]
    assert (answer.status, answer.headers[b"location"]) == (302, b"/x")


@implementer(IRealm)
class Realm:
    """Gives everybody the same page."""

    def requestAvatar(self, *_: Any) -> Any:
        return IResource, page(b"secret"), lambda: None


def test_twisteds_guard_asks_for_a_password() -> None:
    checker = InMemoryUsernamePasswordDatabaseDontUse(u=b"p")
    guard = HTTPAuthSessionWrapper(Portal(Realm(), [checker]), [BasicCredentialFactory("here")])
    client = connect(guard)
    refused = answers(client.say(get()).heard())[0]
    assert (refused.status, refused.headers[b"www-authenticate"]) == (401, b'basic realm="here"')
    assert answers(client.say(get(b"/", b"Authorization: Basic dTpw")).heard())[0].body == b"secret"
