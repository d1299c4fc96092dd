"""The filter ``cache``, on the way of a request."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import pytest

from netrunner.claims import Claim
from netrunner.errors import StoreError
from netrunner.filters.cache import CacheSettings, plugin
from netrunner.filters.kept import ENTRY_BYTES
from netrunner.filters.rate_limit import RateLimitSettings
from netrunner.filters.rate_limit import plugin as rate_limit
from netrunner.limits.memory import MemoryCounters
from netrunner.routing.table import Candidate
from netrunner.settings import Limits
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Alias, Record
from tests.support.client import Client, answers
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, error_of, request

CHAT = {"model": "m", "messages": [{"role": "user", "content": "why?"}]}
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"so"},"finish_reason":"stop"}]}'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
PUBLIC = (b"cache-control", b"public")


class Kept(Stage):
    """A stage with the filter, after those of ``before``."""

    def __init__(self, before: tuple[Any, ...] = (), stage: Any = (), **settings: Any) -> None:
        self.time = FakeClock()
        self.cache: Any = plugin.build(
            CacheSettings(**{"when": "always", **settings}), FakeEnvironment("cache", clock=self.time)
        )
        super().__init__(*before, self.cache, **dict(stage))

    def say(self, body: Any = None, *fields: tuple[bytes, bytes], path: str = "/v1/chat/completions") -> Client:
        return self.client().say(request(path, CHAT if body is None else body, headers=list(fields)))

    def told(self, body: Any = None, *fields: tuple[bytes, bytes], answer: bytes = ANSWER, **kw: Any) -> Any:
        """Ask and, if somebody is asked, answer; return the answer."""
        before = len(self.upstream.calls)
        client = self.say(body, *fields, **kw)
        if len(self.upstream.calls) > before:
            self.call.head(200, JSON).body(answer, True)
        return heard(client)

    def remembers(self, *fields: tuple[bytes, bytes], body: Any = None) -> bool:
        """Return whether a question is answered without anybody being asked."""
        before = len(self.upstream.calls)
        self.say(body, *fields)
        return len(self.upstream.calls) == before


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that waits for nothing."""
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    return returned.value.value


def heard(client: Client) -> Any:
    (answer,) = answers(client.heard(), b"POST")
    return answer


def test_the_same_question_is_answered_with_the_same_answer_and_nobody_is_asked() -> None:
    stage = Kept()
    first = stage.told()
    stage.time.advance(7.5)
    second = stage.told()
    assert (first.status, second.status, len(stage.upstream.calls)) == (200, 200, 1)
    assert first.body == second.body == ANSWER
    assert second.headers[b"content-type"] == b"application/json"
    assert first.headers[b"cache-status"] == b"netrunner; fwd=miss"
    assert second.headers[b"cache-status"] == b"netrunner; hit; ttl=3592"
    assert second.headers[b"age"] == b"7"
    assert first.headers[b"x-request-id"] != second.headers[b"x-request-id"]


def test_the_record_tells_whose_answer_was_given_again() -> None:
    stage = Kept()
    stage.told()
    stage.told()
    first, second = stage.records
    assert (first.cached, first.provider) == (None, "up")
    assert (second.cached, second.outcome, second.status) == (first.id, "done", 200)
    assert (second.attempts, second.provider, second.usage, second.bytes_out) == ([], None, None, len(ANSWER))


def test_a_stream_is_given_again_as_a_stream() -> None:
    stage = Kept()
    question = {**CHAT, "stream": True}
    first = stage.say(question)
    stage.call.head(200, SSE)
    for piece in (EVENT, FINISH, DONE):
        stage.call.body(piece)
    stage.call.body(b"", True)
    second = stage.say(question)
    assert len(stage.upstream.calls) == 1
    told = [heard(client) for client in (first, second)]
    assert [one.body for one in told] == [EVENT + FINISH + DONE] * 2
    assert [one.headers[b"content-type"] for one in told] == [b"text/event-stream"] * 2
    assert stage.records[1].streaming


@pytest.mark.parametrize(
    "other",
    [
        {**CHAT, "stream": True},
        {**CHAT, "temperature": 0},
        {**CHAT, "model": "alias"},
        {**CHAT, "messages": [{"role": "user", "content": "why? "}]},
    ],
)
def test_another_question_is_asked(other: dict[str, Any]) -> None:
    stage = Kept()
    stage.told()
    assert not stage.remembers(body=other)


def test_a_field_that_goes_to_the_provider_belongs_to_the_question() -> None:
    stage = Kept()
    stage.told(CHAT, (b"openai-beta", b"assistants=v2"))
    assert not stage.remembers()
    assert stage.remembers((b"openai-beta", b"assistants=v2"), (b"user-agent", b"another"))


def test_another_dialect_is_another_question() -> None:
    stage = Kept()
    stage.told({**CHAT, "max_tokens": 5})
    before = len(stage.upstream.calls)
    stage.say({**CHAT, "max_tokens": 5}, path="/v1/messages")
    assert len(stage.upstream.calls) == before + 1


def test_an_alias_that_means_something_else_now_is_asked_anew() -> None:
    aliases = {"own": Alias("own", "one", "http://a.example/v1", 0.0)}
    stage = Kept(stage={"names": {"aliases": aliases}})
    stage.told({**CHAT, "model": "own"})
    assert stage.remembers(body={**CHAT, "model": "own"})
    aliases["own"] = Alias("own", "one", "http://b.example/v1", 0.0)
    stage.pipeline.dismiss("alias:own")
    from netrunner.pipeline.aliases import AliasProviders

    AliasProviders(stage.pipeline, stage.upstream, True).follow(aliases)
    assert not stage.remembers(body={**CHAT, "model": "own"})


def test_callers_do_not_share_answers() -> None:
    stage = Kept(stage={"key": "passthrough"})
    mine, theirs = (b"authorization", b"Bearer mine"), (b"authorization", b"Bearer theirs")
    stage.told(CHAT, mine)
    assert stage.remembers(mine)
    assert not stage.remembers(theirs)
    assert not stage.remembers()


def test_callers_without_a_credential_are_told_apart_by_their_address() -> None:
    stage = Kept()
    stage.told(CHAT, (b"x-forwarded-for", b"192.0.2.1"))
    assert len(stage.upstream.calls) == 0  # Those are not local, so nobody is let in.
    public = Kept(stage={"public": True})
    public.told(CHAT, (b"x-forwarded-for", b"192.0.2.1"))
    assert public.remembers((b"x-forwarded-for", b"192.0.2.1"))
    assert not public.remembers((b"x-forwarded-for", b"192.0.2.2"))


def test_all_share_answers_where_the_configuration_says_so() -> None:
    stage = Kept(scope="all", stage={"key": "passthrough"})
    stage.told(CHAT, (b"authorization", b"Bearer mine"))
    assert stage.remembers((b"authorization", b"Bearer theirs"))


def test_an_answer_is_forgotten_in_its_time() -> None:
    stage = Kept(ttl_s=10)
    stage.told()
    stage.time.advance(9.5)
    assert stage.remembers()
    stage.time.advance(0.5)
    assert not stage.remembers()
    assert stage.cache.shelf.bytes == 0


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ((b"cache-control", b"no-store"), False),
        ((b"cache-control", b"no-cache"), False),
        ((b"cache-control", b"private"), True),
        ((b"cache-control", b"max-age=0"), False),
        ((b"cache-control", b"max-age=nonsense"), False),
        ((b"cache-control", b"max-age=60"), True),
        ((b"vary", b"*"), False),
        ((b"vary", b"accept-encoding"), True),
        ((b"content-encoding", b"zstd"), False),
    ],
)
def test_a_provider_says_whether_its_answer_may_be_kept(field: tuple[bytes, bytes], kept: bool) -> None:
    stage = Kept()
    stage.say()
    stage.call.head(200, JSON, field).body(ANSWER, True)
    assert stage.remembers() is kept


def test_what_is_for_one_caller_is_not_kept_for_all() -> None:
    stage = Kept(scope="all")
    stage.say()
    stage.call.head(200, JSON, (b"cache-control", b"private")).body(ANSWER, True)
    assert not stage.remembers()


def test_an_answer_is_no_older_than_its_provider_lets_it_be() -> None:
    stage = Kept()
    stage.say()
    stage.call.head(200, JSON, (b"cache-control", b"max-age=60")).body(ANSWER, True)
    stage.time.advance(61)
    assert not stage.remembers()


def test_a_stream_that_is_not_to_be_held_back_may_be_kept() -> None:
    stage = Kept()
    stage.say({**CHAT, "stream": True})
    stage.call.head(200, SSE, (b"cache-control", b"no-cache")).body(EVENT + FINISH + DONE, True)
    assert stage.remembers(body={**CHAT, "stream": True})


def test_errors_are_not_kept() -> None:
    stage = Kept()
    stage.say()
    stage.call.head(400, JSON).body(b'{"error":{"message":"no"}}', True)
    assert not stage.remembers()
    assert stage.cache.shelf.bytes == 0


def test_what_broke_off_is_not_kept() -> None:
    stage = Kept()
    stage.say({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(EVENT)
    stage.call.fail()
    assert not stage.remembers(body={**CHAT, "stream": True})
    assert stage.cache.shelf.bytes == 0


def test_a_stream_that_ends_with_an_error_is_not_kept() -> None:
    stage = Kept()
    stage.say({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(EVENT).body(b'data: {"error":{"message":"broken"}}\n\n', True)
    assert not stage.remembers(body={**CHAT, "stream": True})


def test_an_answer_nobody_heard_to_its_end_is_not_kept() -> None:
    stage = Kept()
    client = stage.say({**CHAT, "stream": True})
    stage.call.head(200, SSE).body(EVENT)
    client.settle()
    assert not stage.remembers(body={**CHAT, "stream": True})
    assert stage.cache.shelf.bytes == 0


@pytest.mark.parametrize(
    ("said", "remembered"),
    [
        (b"no-cache", False),
        (b"no-store", False),
        (b"max-age=0", False),
        (b"max-age=4", False),
        (b"max-age=5", False),
        (b"max-age=6", True),
        (b"min-fresh=3595", True),
        (b"min-fresh=3596", False),
        (b"Public, Max-Age=60", True),
    ],
)
def test_a_caller_says_what_may_be_given_again(said: bytes, remembered: bool) -> None:
    stage = Kept()
    stage.told()
    stage.time.advance(5)
    assert stage.remembers((b"cache-control", said)) is remembered


def test_who_wants_a_new_answer_has_it_kept_for_the_others() -> None:
    stage = Kept()
    stage.told()
    new = stage.told(CHAT, (b"cache-control", b"no-cache"), answer=ANSWER.replace(b'"so"', b'"otherwise"'))
    assert new.headers[b"cache-status"] == b"netrunner; fwd=request"
    assert b"otherwise" in stage.told().body


def test_what_a_caller_wants_stored_nowhere_is_not() -> None:
    stage = Kept()
    answer = stage.told(CHAT, (b"cache-control", b"no-store"))
    assert b"cache-status" not in answer.headers
    assert not stage.remembers()


def test_callers_ask_for_it_unless_the_configuration_says_always() -> None:
    stage = Kept(when="asked")
    stage.told()
    assert not stage.remembers()
    stage.call.head(200, JSON).body(ANSWER, True)
    stage.told(CHAT, PUBLIC)
    assert stage.remembers(PUBLIC)
    assert stage.remembers((b"cache-control", b"max-age=60"))
    assert not stage.remembers()


def test_what_may_only_come_from_memory_is_refused_when_it_is_not_there() -> None:
    stage = Kept()
    answer = stage.told(CHAT, (b"cache-control", b"only-if-cached"))
    assert (answer.status, error_of(answer.body)["code"], stage.upstream.calls) == (504, "not_cached", [])
    stage.told()
    assert stage.told(CHAT, (b"cache-control", b"only-if-cached")).status == 200


def test_what_means_something_that_is_kept_elsewhere_is_asked_each_time() -> None:
    stage = Kept(stage={"endpoints": ("responses",)})
    for body in ({"model": "m", "input": "x", "conversation": "c"}, {"model": "m", "input": "x", "background": True}):
        for _ in range(2):
            before = len(stage.upstream.calls)
            stage.say(body, path="/v1/responses")
            assert len(stage.upstream.calls) == before + 1


def test_only_chats_and_embeddings_are_remembered() -> None:
    stage = Kept()
    for times in (1, 2):
        stage.say({"model": "m", "input": "x"}, path="/v1/moderations")
        stage.call.head(200, JSON).body(b"{}", True)
        assert len(stage.upstream.calls) == times
    stage.say({"model": "m", "input": "x"}, path="/v1/embeddings")
    stage.call.head(200, JSON).body(b'{"data":[]}', True)
    stage.say({"model": "m", "input": "x"}, path="/v1/embeddings")
    assert len(stage.upstream.calls) == 3


def test_the_oldest_goes_when_there_are_too_many() -> None:
    stage = Kept(max_entries=2)
    for n in range(3):
        stage.told({**CHAT, "seed": n})
    assert [stage.remembers(body={**CHAT, "seed": n}) for n in (1, 2)] == [True, True]
    assert not stage.remembers(body={**CHAT, "seed": 0})


def test_the_bytes_of_all_answers_are_bounded() -> None:
    stage = Kept(max_bytes=65536)
    answer = ANSWER.replace(b'"so"', b'"%b"' % (b"x" * 30000))
    for n in range(5):
        stage.told({**CHAT, "seed": n}, answer=answer)
        assert stage.cache.held_bytes <= 65536
    assert stage.cache.held_bytes == 2 * (len(answer) + ENTRY_BYTES)


def test_an_answer_that_is_too_large_goes_through_and_is_not_kept() -> None:
    stage = Kept(max_answer_bytes=len(ANSWER) - 1)
    assert stage.told().body == ANSWER
    assert not stage.remembers()
    assert stage.cache.shelf.bytes == 0


def test_everything_is_forgotten_when_it_is_told_to() -> None:
    stage = Kept()
    stage.told()
    assert now(stage.cache.purge()) == 1
    assert not stage.remembers()


def test_what_a_filter_has_changed_is_the_question() -> None:
    from netrunner.filters.no_think import plugin as no_think

    stage = Kept(before=(no_think.build(no_think.settings(), FakeEnvironment("no_think")),))
    stage.told()
    assert stage.remembers()


def test_an_answer_from_memory_counts_for_the_caller_and_not_for_the_model() -> None:
    counters = MemoryCounters(FakeClock())
    limit = rate_limit.build(
        RateLimitSettings(requests_per_minute=2), FakeEnvironment("limit", clock=FakeClock(), counters=counters)
    )
    stage = Kept(before=(limit,), stage={"claims": {"m": Claim("model", "m", Limits(requests_per_minute=1))}})
    assert [stage.told().status for _ in range(3)] == [200, 200, 429]


def test_who_may_not_call_is_told_nothing_from_memory() -> None:
    stage = Kept(scope="all", stage={"token": "right"})
    stage.told(CHAT, (b"authorization", b"Bearer right"))
    assert stage.remembers((b"authorization", b"Bearer right"))
    assert stage.told(CHAT, (b"authorization", b"Bearer wrong")).status == 401


def test_targets_of_a_pool_share_an_answer() -> None:
    models = {"m": (Candidate("up", "one"), Candidate("other", "two"))}
    stage = Kept(stage={"models": models, "strategies": {"m": "round_robin"}})
    stage.told()
    assert stage.remembers()


def test_the_log_tells_of_it() -> None:
    from netrunner.sinks.entry import documents

    stage = Kept()
    stage.told()
    stage.told()
    told: list[Record] = stage.records
    assert [json.loads(one)["cached"] for one in documents(told)] == [None, told[0].id]


# The same question at the same time.


def test_who_asks_the_same_meanwhile_waits_and_gets_the_same_answer() -> None:
    stage = Kept()
    clients = [stage.say() for _ in range(3)]
    assert len(stage.upstream.calls) == 1
    stage.time.advance(2)
    stage.call.head(200, JSON).body(ANSWER, True)
    first, *others = map(heard, clients)
    assert first.headers[b"cache-status"] == b"netrunner; fwd=miss"
    for other in others:
        assert other.body == ANSWER
        assert other.headers[b"cache-status"] == b"netrunner; fwd=miss; collapsed; ttl=3600"
        assert other.headers[b"age"] == b"0"
    (asked,) = (record for record in stage.records if record.cached is None)
    assert [record.cached for record in stage.records if record is not asked] == [asked.id] * 2
    assert stage.time.getDelayedCalls() == []


def test_nobody_waits_for_the_answer_to_another_callers_question() -> None:
    stage = Kept(stage={"key": "passthrough"})
    for who in (b"Bearer mine", b"Bearer theirs"):
        stage.say(None, (b"authorization", who))
    assert len(stage.upstream.calls) == 2


def test_who_wants_a_new_answer_does_not_wait() -> None:
    stage = Kept()
    stage.say()
    stage.say(None, (b"cache-control", b"no-cache"))
    assert len(stage.upstream.calls) == 2


def test_nobody_waits_where_nobody_is_to() -> None:
    stage = Kept(wait_s=0)
    stage.say()
    stage.say()
    assert len(stage.upstream.calls) == 2


def test_who_has_waited_long_enough_asks() -> None:
    stage = Kept(wait_s=5)
    first, second = stage.say(), stage.say()
    stage.time.advance(4.9)
    assert len(stage.upstream.calls) == 1
    stage.time.advance(0.2)
    assert len(stage.upstream.calls) == 2
    stage.call.head(200, JSON).body(ANSWER.replace(b'"so"', b'"sooner"'), True)
    assert b"sooner" in heard(second).body
    stage.upstream.calls[0].head(200, JSON).body(ANSWER, True)
    assert heard(first).body == ANSWER


@pytest.mark.parametrize("how", ["refused", "private", "broken", "gone", "error"])
def test_who_waits_for_what_turns_out_to_be_nothing_for_others_asks(how: str) -> None:
    stage = Kept(scope="all" if how == "private" else "caller")
    first, second = stage.say(), stage.say()
    call = stage.call
    if how == "refused":
        call.head(400, JSON).body(b'{"error":{"message":"no"}}', True)
    elif how == "private":
        call.head(200, JSON, (b"cache-control", b"private"))
    elif how == "broken":
        call.fail()
    elif how == "gone":
        first.settle()
    else:
        call.head(200, JSON).body(b'{"error":{"message":"broken"}}', True)
    assert len(stage.upstream.calls) == 2
    stage.call.head(200, JSON).body(ANSWER, True)
    assert heard(second).body == ANSWER
    assert stage.time.getDelayedCalls() == []


def test_who_leaves_while_waiting_is_gone_and_nobody_minds() -> None:
    stage = Kept()
    first, second, third = stage.say(), stage.say(), stage.say()
    second.settle()
    stage.call.head(200, JSON).body(ANSWER, True)
    assert heard(first).body == heard(third).body == ANSWER
    assert sorted(record.outcome for record in stage.records) == ["client_gone", "done", "done"]
    assert len(stage.upstream.calls) == 1


def test_when_it_is_stopped_nobody_waits_any_more() -> None:
    stage = Kept()
    stage.say()
    stage.say()
    stage.cache.stop()
    assert len(stage.upstream.calls) == 2


# Where all find it.


class Store:
    """What several processes share, in memory."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, float]] = {}
        self.available = True

    def start(self) -> None:
        """Nothing is connected."""

    stop = start

    async def get(self, key: bytes) -> bytes | None:
        return self.kept[key][0] if self.available and key in self.kept else None

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        if self.available:
            self.kept[key] = (value, ttl_s)

    async def clear(self) -> int:
        if not self.available:
            raise StoreError("Redis is away")
        count = len(self.kept)
        self.kept.clear()
        return count


class Shared(Kept):
    """A process that keeps its answers in ``store``, begun ``at`` the Unix time."""

    def __init__(self, store: Store, at: float = 1_750_000_000.0, **settings: Any) -> None:
        self.time = FakeClock(at)
        chosen = CacheSettings(**{"when": "always", "store": "shared", **settings})
        self.cache = plugin.build(chosen, FakeEnvironment("cache", clock=self.time, shared=store))
        Stage.__init__(self, self.cache)


def test_another_process_finds_the_answer_as_old_as_it_is() -> None:
    store = Store()
    one, other = Shared(store), Shared(store, 1_750_000_060.0)
    one.told()
    found = other.told()
    assert (found.body, found.headers[b"cache-status"]) == (ANSWER, b"netrunner; hit; ttl=3540")
    assert found.headers[b"age"] == b"60"
    assert other.upstream.calls == []
    assert [ttl_s for _, ttl_s in store.kept.values()] == [3600]
    assert (one.cache.held_bytes, len(one.cache.shelf)) == (0, 0)


def test_what_is_too_old_there_or_not_an_answer_is_not_found() -> None:
    store = Store()
    Shared(store).told()
    assert not Shared(store, 1_750_003_600.0).remembers()
    ((key, _),) = store.kept.items()
    for nonsense in (b"", b"\xc1", b"\x80" * 1000, b"{}"):
        store.kept[key] = (nonsense, 1.0)
        assert not Shared(store).remembers()


def test_a_clock_that_is_behind_makes_no_answer_younger_than_new() -> None:
    store = Store()
    Shared(store).told()
    assert Shared(store, 1_749_999_990.0).told().headers[b"age"] == b"0"


def test_callers_are_told_apart_there_too() -> None:
    store = Store()
    Shared(store).told(CHAT, (b"x-api-key", b"mine"))
    assert not Shared(store).remembers((b"x-api-key", b"theirs"))
    assert Shared(store).remembers((b"x-api-key", b"mine"))


def test_while_the_store_is_away_everything_is_asked_and_says_so() -> None:
    store = Store()
    stage = Shared(store)
    store.available = False
    answer = stage.told()
    assert (answer.status, answer.body) == (200, ANSWER)
    assert answer.headers[b"cache-status"] == b"netrunner; fwd=miss; detail=store_unavailable"
    assert not stage.remembers()
    assert not stage.cache.available
    assert store.kept == {}


def test_a_purge_that_does_not_reach_the_store_says_so() -> None:
    store = Store()
    stage = Shared(store)
    stage.told()
    assert now(stage.cache.purge()) == 1
    assert not stage.remembers()
    store.available = False
    with pytest.raises(StoreError):
        now(stage.cache.purge())
