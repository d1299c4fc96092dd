"""What is fuzzed: for each reader its samples, its words, and what has to hold for whatever comes in."""

from __future__ import annotations

import itertools
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from netrunner import sse
from netrunner.dialects import multipart, splice
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import BadRequest
from netrunner.http.site import Site
from netrunner.testing.fakes import FakeClock
from netrunner.values import UpstreamRequest
from tests.http import test_server_dialogue as dialogue
from tests.http import test_server_smuggling as smuggling
from tests.http.upstreams import Peer, Upstreams, answer, request
from tests.support.client import Client, Seen, leaf, site_of


class Target(ABC):
    """One reader of foreign bytes."""

    samples: Sequence[bytes]
    words: Sequence[bytes]

    @abstractmethod
    def take(self, pieces: list[bytes]) -> None:
        """Read ``pieces``; raise for whatever must not happen."""


def _words(text: str) -> list[bytes]:
    """Return the words of ``text`` with its escapes as the bytes they mean."""
    return [word.encode().decode("unicode_escape").encode("latin-1") for word in text.split()]


_STRICTER = re.compile(
    r"illegal request line: (.*  |bytearray\(b'\\r)|illegal chunk header: bytearray\(b'0{20}|"
    r"Got data when expecting EOF|no request line received"
)
"""What h11 refuses and we do not, since it has one reading only: more than one space in a request line (RFC 9112, 3,
allows it); a CR before it, which is skipped as an empty line is (2.2), by nginx as well; more than 20 digits of a
chunk's size, zeros before it; a further request on a connection of HTTP/1.0 or one that asked for an upgrade."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_HTTP_WORDS = [
    *_words(r"\r\n \n \r \0 \t \x20 : , ; \x0b \x7f \xff \r\n\r\n \n\n 0 1 -1 0x1 ffffffffffffffff"),
    *_words(r"Transfer-Encoding:chunked\r\n Content-Length:5\r\n Content-Length:0\r\n Host:b\r\n chunked"),
    *_words(r"Connection:close\r\n Connection:Upgrade\r\n Upgrade:h2c\r\n Upgrade:websocket\r\n"),
    *_words(r"Expect:100-continue\r\n HTTP/1.0 HTTP/1.1 HTTP/2.0 HEAD CONNECT 0\r\n\r\n 5\r\nhello\r\n"),
    *_words(r"/../ %2f http://a/ ;x=y"),
    *[b"x" * 100, b"y" * 9000, b"A: b\r\n" * 101, b"1" * 5000],
]


class Server(Target):
    """The server channel: no error of ours, nothing kept behind, nothing read in another way than h11 does."""

    samples = [
        # Good ones as often as bad ones.
        *[dialogue.GET, dialogue.SIZED, dialogue.CHUNKED, dialogue.SIZED + dialogue.CHUNKED + dialogue.GET] * 25,
        *[dialogue.H2C, dialogue.H2C_CHUNKED, dialogue.H2C_BARE, dialogue.WEBSOCKET, dialogue.OLD, dialogue.ALL] * 5,
        *smuggling.PAYLOADS,
        *smuggling.LENIENT,
    ]
    words = _HTTP_WORDS

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.site: Site
        self.clock: FakeClock
        self.site, self.clock = site_of(leaf(self._answer), max_body_bytes=4096)
        self.accepted = 0

    def _answer(self, request: object) -> None:
        self.seen.append(Seen(request.method, request.uri, request.body()))  # type: ignore[attr-defined]  # a Request
        request.respond(200, [], b"")  # type: ignore[attr-defined]  # likewise

    def take(self, pieces: list[bytes]) -> None:
        """Say it to a fresh connection, then leave."""
        self.seen = []
        client = Client(self.site, self.clock)
        client.say(*pieces)
        statuses = [int(status) for status in _STATUS.findall(client.heard())]
        client.settle()
        assert not set(statuses) - {100, 101, 200, 400, 405, 413, 414, 417, 431, 501, 505}, statuses
        assert statuses.count(200) == len(self.seen)
        assert self.site.buffered_bytes == 0
        assert not self.site.channels
        assert not len(self.site.sweep)
        self.accepted += bool(self.seen)
        if self.seen:
            self._compare(b"".join(pieces))

    def _compare(self, data: bytes) -> None:
        """Require that h11 reads every request that was accepted in the same way, unless it is the stricter one."""
        theirs, error = smuggling.seen_by_h11(data)
        # The site answers these itself, and the connection goes on.
        theirs = [one for one in theirs if b"%2f" not in one.uri.partition(b"?")[0].lower()]
        both = min(len(theirs), len(self.seen))
        assert self.seen[:both] == theirs[:both], (self.seen, theirs)
        assert len(self.seen) <= len(theirs) or error is None or _STRICTER.match(error), (error, self.seen)


_OK = b"HTTP/1.1 200 OK\r\n"


class Upstream(Target):
    """Upstreams' answers, through pool and connection: one end for each call, nothing kept behind."""

    samples = [
        _OK + b"Content-Length: 5\r\n\r\nhello",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
        _OK + b"Connection: close\r\n\r\nuntil the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + _OK
        + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
        b"HTTP/1.0 200\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ]
    words = [*_HTTP_WORDS, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 20, b"999", b"RTSP/1.0"]

    def __init__(self) -> None:
        self.upstreams = Upstreams()
        self._asked = itertools.cycle((request(), request(b"HEAD"), request(upgrade=b"websocket")))

    def take(self, pieces: list[bytes]) -> None:
        """Read it as the answer to a GET, a HEAD and an upgrade, in turn."""
        self._answered(next(self._asked), pieces)
        reactor, pool = self.upstreams.reactor, self.upstreams.pool
        assert pool.stats() == {"active": 0, "idle": 0, "waiting": 0}
        assert not len(self.upstreams.sweep)
        reactor.tcpClients.clear()
        reactor.connectors.clear()

    def _answered(self, one: UpstreamRequest, pieces: list[bytes]) -> None:
        """Answer with ``pieces``, then end: told of one end at the most, and of nothing that was not said."""
        call, receiver = self.upstreams.send(one)
        peer = self.upstreams.accept()
        for piece in pieces:
            if not peer.aborted:
                peer.says(piece)
            if len(piece) % 3 == 0:
                call.pause()
                call.resume()
        assert receiver.violations == [], receiver.violations
        assert len(receiver.body) <= sum(map(len, pieces))
        if (head := receiver.head) is not None:
            assert 200 <= head.status <= 599 or (one.upgrade and head.status == 101)
            assert not any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in head.headers)
        if self.upstreams.pool.stats()["idle"]:
            self._used_again(peer)
        if peer.aborted:
            peer.is_gone()
        else:
            peer.closes(clean=len(pieces) % 2 == 0)
            call.end()
            if not peer.aborted:
                peer.is_gone()
        assert receiver.violations == [], receiver.violations
        assert receiver.ended, receiver.dialogue

    def _used_again(self, peer: Peer) -> None:
        """Require that a connection that was kept gives the next request its own answer."""
        _, receiver = self.upstreams.send()
        assert receiver.dialogue == [("sent", True)]
        peer.says(answer(b"its own"))
        assert (receiver.body, receiver.ended) == (b"its own", True)


class Events(Target):
    """The SSE reader: however it is split, the same events."""

    samples = [
        b'data: {"a": 1}\n\ndata: [DONE]\n\n',
        b'event: message_start\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: comment\r\n\r\nid: 1\r\nretry: 5\r\ndata\r\n\r\n',
        b"\xef\xbb\xbfdata: x\r\rdata:y\r\r",
        b"data: \xe2\x82\xac\n\ndata:  two spaces\n\n",
    ]
    words = [*_words(r"\n \r \r\n \n\n : \x20 data data: event: \0 \xff \xef\xbb\xbf"), b"x" * 3000]

    def take(self, pieces: list[bytes]) -> None:
        """Read it in pieces and at once."""
        in_pieces, at_once = self._read(pieces), self._read([b"".join(pieces)])
        if in_pieces is not None and at_once is not None:
            assert in_pieces == at_once

    def _read(self, pieces: list[bytes]) -> list[sse.Event] | None:
        reader, events = sse.Reader(max_event_bytes=8192), list[sse.Event]()
        try:
            for piece in pieces:
                events += reader.feed(piece)
        except sse.OversizedEvent:
            return None
        return events


_JSON_WORDS = [
    *_words(r"""{ } [ ] " \\ : , \\u006d \\ud800 \\u0000 \xff \xed\xa0\x80 \0 \n null true 1e999 -"""),
    *_words(r""" "model" "MODEL" "stream" "model":"x", "\\u006dodel":"y", "m\\u006fdel":"z", {"model":"x"} """),
    *[b"[" * 2000, b'{"a":' * 2000, b"1" * 5000],
]


class Json(Target):
    """The gate and the splice of JSON bodies: one model or a refusal, and only its bytes replaced."""

    samples = [
        b'{"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "model \\"model\\": x"}]}',
        b'{"messages":[{"model":"inner","stream":1}],"model":"a/b:c","stream_options":{"include_usage":true}}',
        '{"input": ["ünï", "€"], "model": "\\u006dx"}'.encode(),
        b' { "a" : { "model" : "b" } , "model" : "c" } ',
        b'{"prompt": "x"}',
    ]
    words = _JSON_WORDS

    def take(self, pieces: list[bytes]) -> None:
        """Read it; what is accepted must read the same to another parser, before and after."""
        body = b"".join(pieces)
        try:
            routed = splice.read(body)
        except BadRequest:
            return
        pairs = self._top(body)
        models = [value for key, value in pairs if key == "model"]
        assert models == ([] if routed.model is None else [routed.model])
        assert len([key for key, _ in pairs if key == "stream"]) <= 1
        if routed.model is not None:
            renamed = splice.replaced(body, routed.start, routed.end, 'other "one"')
            expected = [(key, 'other "one"' if key == "model" else value) for key, value in pairs]
            assert repr(self._top(renamed)) == repr(expected)

    def _top(self, body: bytes) -> list[tuple[str, object]]:
        pairs: list[list[tuple[str, object]]] = []

        def keep(found: list[tuple[str, object]]) -> object:
            pairs.append(found)
            return dict(found)

        # As a string, since integers beyond 4,300 digits are valid JSON that int() refuses.
        json.loads(body, object_pairs_hook=keep, parse_int=str)
        return pairs[-1]


class Form(Target):
    """Multipart bodies: one model or a refusal, and only its bytes replaced."""

    samples = [
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\nRIFF\r\n--b--\r\n",
        b"preamble\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\nx\r\n--b--",
    ]
    words = _words(r"""--b --b-- \r\n \n \r\n--b\r\n " ; name="model" name=model \0 \xff -- \\ """)

    def take(self, pieces: list[bytes]) -> None:
        """Read it; what is accepted must name the new model once it is replaced, and nothing else be changed."""
        body = b"".join(pieces)
        dialect = OpenAIDialect()
        try:
            envelope = dialect.envelope("", b"multipart/form-data; boundary=b", body, b"")
        except BadRequest:
            return
        if envelope.model is not None:
            renamed = dialect.rename(envelope, "other")
            assert multipart.read(b"multipart/form-data; boundary=b", renamed).model == "other"
            assert len(renamed) - len(body) == len("other") - len(envelope.model.encode())


TARGETS: dict[str, type[Target]] = {
    "server": Server,
    "upstream": Upstream,
    "sse": Events,
    "json": Json,
    "form": Form,
}
