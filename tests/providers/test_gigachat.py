"""The provider ``gigachat``, with a stand-in for whoever gives access tokens away."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from netrunner.errors import ConfigurationError, NotFound, UpstreamError, UpstreamTimeout
from netrunner.providers.gigachat import GigaChatProvider, GigaChatSettings
from netrunner.settings import Secret
from netrunner.sidecall import MAX_BYTES
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Call, Origin

KEY = "Y2xpZW50OnNlY3JldA=="
CALL = Call(b"POST", "chat/completions", b"", [(b"x-request-id", b"r1")], b"{}", "GigaChat-2", False)


class Answer:
    """One answer: its body comes in pieces, and then it is over, if it ever is."""

    def __init__(self, code: int, *pieces: bytes, over: Any = ResponseDone) -> None:
        self.code = code
        self.pieces = pieces
        self.over = over

    def deliverBody(self, protocol: Any) -> None:
        for piece in self.pieces:
            protocol.dataReceived(piece)
        if self.over is not None:
            protocol.connectionLost(Failure(self.over()))


class Office:
    """Stands in for treq's client; answers with what the test lays ready, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def post(self, url: str, **how: Any) -> Deferred[Any]:
        self.asked.append((url, how))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Deferred):
            return answer
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)


def gives(token: str = "t1", **document: Any) -> Answer:
    return Answer(200, json.dumps({"access_token": token, **document}).encode())


def made(*answers: Any, clock: FakeClock | None = None, **settings: Any) -> tuple[GigaChatProvider, Office]:
    office = Office(*(answers or (gives(),)))
    if not settings.keys() & {"api_key", "client_id", "client_secret"}:
        settings["api_key"] = Secret(KEY)
    environment = FakeEnvironment("giga", http=office, clock=clock)
    return GigaChatProvider(GigaChatSettings(**settings), environment), office


def prepared(provider: GigaChatProvider) -> Any:
    """Prepare a call; return None or the error."""
    got: list[Any] = []
    Deferred.fromCoroutine(provider.prepare(CALL)).addBoth(got.append)
    assert got, "it still waits"
    return got[0].value if isinstance(got[0], Failure) else got[0]


def authorization(provider: GigaChatProvider, call: Call = CALL) -> bytes | None:
    return dict(provider.build(call).headers).get(b"authorization")


def test_a_call_goes_out_with_a_token_that_was_got_for_the_key():
    provider, office = made()
    assert prepared(provider) is None
    request = provider.build(CALL)
    assert (request.origin, request.target) == (Origin("https", "api.giga.chat", 443), b"/v1/chat/completions")
    assert dict(request.headers)[b"authorization"] == b"Bearer t1"
    assert not any(KEY.encode() in value for _, value in request.headers)
    ((url, how),) = office.asked
    assert url == "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    assert how["data"] == {"scope": "GIGACHAT_API_PERS"}
    assert how["headers"]["Authorization"] == f"Basic {KEY}"
    assert uuid.UUID(how["headers"]["RqUID"]).version == 4
    assert how["allow_redirects"] is False


def test_the_key_may_come_in_two_halves():
    provider, office = made(client_id="клиент", client_secret=Secret("s:1"), scope="GIGACHAT_API_CORP")
    assert prepared(provider) is None
    basic = office.asked[0][1]["headers"]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == "клиент:s:1"
    assert office.asked[0][1]["data"] == {"scope": "GIGACHAT_API_CORP"}


@pytest.mark.parametrize(
    "settings",
    [
        {"client_id": "a"},
        {"client_secret": Secret("b")},
        {"api_key": Secret("k"), "client_secret": Secret("b")},
        {"api_key": Secret("k"), "client_id": "a", "client_secret": Secret("b")},
        {"api_key": "passthrough", "client_id": "a", "client_secret": Secret("b")},
        {"api_key": "project"},
        {"api_key": Secret("a\r\nb")},
    ],
)
def test_a_key_that_is_given_by_half_or_twice_or_badly_is_a_configuration_error(settings):
    with pytest.raises(ConfigurationError, match=r"providers\.giga"):
        made(**settings)


def test_a_token_is_got_once_and_again_a_minute_before_its_end():
    clock = FakeClock()
    first = gives("t1", expires_at=int((clock.wall() + 1800) * 1000))
    provider, office = made(first, gives("t2"), clock=clock)
    for at_s, token, asked in ((0, b"Bearer t1", 1), (1739, b"Bearer t1", 1), (2, b"Bearer t2", 2)):
        clock.advance(at_s)
        assert prepared(provider) is None
        assert (authorization(provider), len(office.asked)) == (token, asked)


@pytest.mark.parametrize(
    ("document", "lasts_s"),
    [
        ({"access_token": "t1", "expires_at": 1_750_000_600_000}, 600),
        ({"tok": "t1", "exp": 1_750_000_600}, 600),
        ({"access_token": "t1"}, 1800),
        ({"access_token": "t1", "expires_at": True}, 1800),
        ({"access_token": "t1", "expires_at": "soon"}, 1800),
        ({"access_token": "t1", "expires_at": -1}, 1800),
    ],
)
def test_the_end_of_a_token_is_read_in_whatever_shape_it_comes(document, lasts_s):
    clock = FakeClock()
    provider, office = made(Answer(200, json.dumps(document).encode()), clock=clock)
    assert prepared(provider) is None
    clock.advance(lasts_s - 61)
    prepared(provider)
    assert len(office.asked) == 1
    clock.advance(2)
    prepared(provider)
    assert len(office.asked) == 2


def test_a_refused_token_is_forgotten_and_the_next_attempt_has_another_one():
    provider, office = made(gives("t1"), gives("t2"))
    prepared(provider)
    error = provider.classify(401, [], b'{"status": 401, "message": "Token t1 has expired"}')
    assert (error.code, error.status, error.retryable) == ("upstream_auth", 502, True)
    assert "t1" not in error.message
    with pytest.raises(UpstreamError, match="no access token"):
        provider.build(CALL)
    prepared(provider)
    assert (authorization(provider), len(office.asked)) == (b"Bearer t2", 2)
    assert provider.classify(403, [], b"").retryable is False
    assert authorization(provider) == b"Bearer t2"


def test_a_token_that_is_refused_for_now_is_a_limit():
    provider, _ = made()
    prepared(provider)
    assert provider.classify(429, [(b"retry-after", b"3")], b"").retry_after_s == 3


@pytest.mark.parametrize(
    "settings", [{}, {"api_key": None, "client_id": "me", "client_secret": Secret("half-of-a-key")}]
)
def test_a_key_that_is_quoted_where_tokens_come_from_is_not_in_the_log(settings):
    quoted = {"code": 4, "message": f"{KEY} or half-of-a-key is none"}
    provider, _ = made(Answer(401, json.dumps(quoted).encode()), **settings)
    with capturedLogs() as events:
        assert isinstance(prepared(provider), UpstreamError)
    (told,) = (event["reason"] for event in events if "no access token" in event["log_format"])
    assert ("half-of-a-key" if settings else KEY) not in told
    assert "***" in told


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (Answer(401, b'{"code": 4, "message": "Can\'t decode Authorization header"}'), "upstream_auth", False),
        (Answer(400, b"[]"), "upstream_auth", False),
        (Answer(307, b""), "upstream_auth", False),
        (Answer(429, b"\xff"), "upstream_auth_failed", True),
        (Answer(503, b"{}"), "upstream_auth_failed", True),
        (Answer(200, b"{}"), "upstream_auth_failed", True),
        (Answer(200, b'{"access_token": "a\\nb"}'), "upstream_auth_failed", True),
        (Answer(200, b'{"access_token": 1}'), "upstream_auth_failed", True),
        (Answer(200, b'{"access_token": ""}'), "upstream_auth_failed", True),
        (Answer(200, b"x" * MAX_BYTES, b"x", b"x"), "upstream_connection_failed", True),
        (Answer(200, b"{", over=ValueError), "upstream_connection_failed", True),
        (Refused(), "upstream_connection_failed", True),
    ],
)
def test_without_a_token_a_call_fails_before_it_is_sent(answer, code, retryable):
    provider, _ = made(answer)
    with capturedLogs() as events:
        error = prepared(provider)
    assert isinstance(error, UpstreamError)
    assert (error.code, error.status, error.retryable, error.sent) == (code, 502, retryable, False)
    assert "giga" in error.message
    assert any("no access token" in event["log_format"] for event in events)
    assert KEY not in repr(events)


@pytest.mark.parametrize("answer", [Deferred(), Answer(200, b"{", over=None)])
def test_an_answer_that_does_not_come_in_time_is_given_up(answer):
    clock = FakeClock()
    provider, _ = made(answer, clock=clock)
    got: list[Any] = []
    Deferred.fromCoroutine(provider.prepare(CALL)).addErrback(lambda failure: got.append(failure.value))
    clock.advance(9.9)
    assert got == []
    clock.advance(0.2)
    (error,) = got
    assert isinstance(error, UpstreamTimeout)
    assert error.status == 504
    assert clock.getDelayedCalls() == []


def test_a_callers_own_token_goes_through_and_none_is_got():
    provider, office = made(api_key="passthrough")
    assert prepared(provider) is None
    call = Call(b"POST", "chat/completions", b"", [], b"{}", "m", False, b"Bearer theirs")
    assert (authorization(provider, call), office.asked) == (b"Bearer theirs", [])
    assert provider.classify(401, [], b"").status == 401


def test_without_a_key_nothing_is_got_and_nothing_sent():
    provider, office = made(api_key=None)
    assert prepared(provider) is None
    assert (authorization(provider), office.asked) == (None, [])


def test_requests_tell_their_session_and_client_unless_the_caller_does():
    provider, _ = made(api_key=Secret(KEY), client_id="c1")
    prepared(provider)
    first, second = (dict(provider.build(CALL).headers) for _ in range(2))
    assert first[b"x-session-id"] == second[b"x-session-id"]
    assert uuid.UUID(first[b"x-session-id"].decode()).version == 4
    assert (first[b"x-client-id"], first[b"x-request-id"]) == (b"c1", b"r1")
    own = Call(b"POST", "embeddings", b"", [(b"x-session-id", b"s"), (b"x-client-id", b"c")], b"{}", "m", False)
    sent = provider.build(own).headers
    assert [value for name, value in sent if name in (b"x-session-id", b"x-client-id")] == [b"s", b"c"]


def test_a_stored_key_serves_inference_only():
    provider, _ = made()
    prepared(provider)
    assert provider.serves("embeddings", True)
    assert not provider.serves("files", False)
    with pytest.raises(NotFound):
        provider.build(Call(b"POST", "files", b"", [], b"{}", "", False))


def test_it_calls_one_at_a_time_unless_it_is_told_otherwise():
    assert GigaChatSettings().max_at_once == 1
    assert GigaChatSettings(max_at_once=None).max_at_once is None
