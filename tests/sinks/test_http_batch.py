"""The sink ``http_batch``, with a stand-in for the client of HTTP."""

import json
import stat

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from netrunner.errors import ConfigurationError
from netrunner.settings import Secret
from netrunner.sinks.delivery import Undelivered
from netrunner.sinks.http_batch import HttpBatch, HttpBatchSettings
from netrunner.sinks.http_batch import plugin as http_batch
from netrunner.sinks.posting import ABOUT_THE_DOOR, MANNERS_S
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.testing.section import FakeSection
from tests.support.posts import Http, Response

URL = "https://logs.test/records"


@pytest.fixture
def http():
    return Http()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make(http, clock, tmp_path):
    """Return a maker of sinks whose batches need not wait for their time."""

    def make(**changes):
        settings = {"url": URL, "flush_s": 0.0, "dead_letters": str(tmp_path / "dead"), **changes}
        sink = HttpBatch(HttpBatchSettings(**settings), FakeEnvironment("http_batch", clock=clock, http=http))
        sink.start()
        return sink

    return make


@pytest.fixture
def some(record):
    """Return a maker of records with ids from ``first`` to before ``end``."""
    return lambda first, end: [record(id=str(number)) for number in range(first, end)]


def dead(tmp_path):
    return [json.loads(line) for line in (tmp_path / "dead").read_text().splitlines()]


def test_records_are_posted_as_an_array_of_the_documents_that_jsonl_writes(make, http, some, run):
    assert run(make().write(some(0, 2))) is None
    ((url, options, data),) = http.posts
    first, second = json.loads(data)
    assert (url, first["id"], second["endpoint"]) == (URL, "0", "/v1/chat/completions")
    assert options["headers"]["content-type"] == "application/json"
    assert options["allow_redirects"] is False


def test_fields_from_the_configuration_go_with_each_batch(make, http, some, run):
    run(make(headers={"authorization": Secret("Bearer canary")}).write(some(0, 1)))
    assert http.posts[0][1]["headers"]["authorization"] == "Bearer canary"


def test_a_batch_holds_so_many_records_at_the_most(make, http, some, run):
    run(make(max_records=3).write(some(0, 7)))
    assert http.batches == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_documents_are_made_for_one_batch_at_a_time(make, http, some, run):
    sink = make(max_records=3)
    made = []

    def documents(records):
        made.append(len(records))
        return HttpBatch.documents(records)

    sink.documents = documents
    http.decide = lambda ids: 503
    with pytest.raises(Undelivered):
        run(sink.write(some(0, 7)))
    assert made == [3]
    http.decide = lambda ids: 200
    run(sink.write(some(0, 7)))
    assert made[1:] == [3, 3, 1]


def test_a_batch_holds_so_many_bytes_at_the_most(make, http, some, run):
    run(make(max_bytes=2000).write(some(0, 7)))
    assert [id for batch in http.batches for id in batch] == [str(number) for number in range(7)]
    assert len(http.batches) > 1
    assert all(len(data) <= 2000 for _, _, data in http.posts)


def test_a_record_larger_than_a_batch_may_be_goes_alone(make, http, some, record, run):
    run(make(max_bytes=1024).write([record(id="0", path="/" + "x" * 2000), record(id="1", path="/")]))
    assert http.batches == [["0"], ["1"]]


def test_batches_are_compressed_when_that_is_asked_for(make, http, some, run):
    run(make(gzip=True).write(some(0, 2)))
    assert http.posts[0][1]["headers"]["content-encoding"] == "gzip"
    assert http.batches == [["0", "1"]]


@pytest.mark.parametrize("status", [100, 301, 307, 400, 404, 429, 500, 503])
def test_nothing_but_a_2xx_is_an_acknowledgement(make, http, some, run, status, tmp_path):
    http.decide = lambda ids: status if len(ids) > 1 else 200
    sink = make()
    if status == 400:
        run(sink.write(some(0, 2)))
        assert http.batches == [["0", "1"], ["0"], ["1"]]
    else:
        with pytest.raises(Undelivered, match=f"status {status}"):
            run(sink.write(some(0, 2)))
        assert http.batches == [["0", "1"]]
    assert not (tmp_path / "dead").exists()


@pytest.mark.parametrize("status", sorted(ABOUT_THE_DOOR))
def test_a_status_about_the_door_puts_no_record_aside(make, http, some, run, status, tmp_path):
    http.decide = lambda ids: status
    with pytest.raises(Undelivered):
        run(make().write(some(0, 1)))
    assert not (tmp_path / "dead").exists()


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
@pytest.mark.parametrize("poison", [{"0"}, {"5"}, {"2", "7"}, {"0", "1", "2", "3", "4", "5", "6", "7"}])
def test_poison_is_found_and_put_aside_and_everything_else_arrives_once(
    make, http, some, run, tmp_path, status, poison, logged_failures
):
    arrived = []

    def decide(ids):
        if poison & set(ids):
            return status
        arrived.extend(ids)
        return 200

    http.decide = decide
    sink = make()
    run(sink.write(some(0, 8)))
    assert arrived == [str(number) for number in range(8) if str(number) not in poison]
    letters = dead(tmp_path)
    assert [letter["record"]["id"] for letter in letters] == sorted(poison)
    assert {(letter["sink"], letter["reason"]) for letter in letters} == {("http_batch", f"status {status}")}
    assert sink.dead_letters.count == len(poison)
    assert stat.S_IMODE((tmp_path / "dead").stat().st_mode) == 0o600


def test_what_was_taken_of_a_batch_is_not_sent_again(make, http, some, run, tmp_path):
    answers = iter([200, 422, 500, 200])
    http.decide = lambda ids: next(answers)
    sink = make(max_records=1)
    with pytest.raises(Undelivered):
        run(sink.write(some(0, 3)))
    run(sink.write(some(0, 4)[:3]))
    assert http.batches == [["0"], ["1"], ["2"], ["2"]]
    assert [letter["record"]["id"] for letter in dead(tmp_path)] == ["1"]


def test_the_same_id_is_sent_again_once_its_batch_was_over(make, http, some, run):
    sink = make()
    run(sink.write(some(0, 1)))
    run(sink.write(some(0, 1)))
    assert http.batches == [["0"], ["0"]]


def test_a_failure_of_the_network_leaves_the_batch_where_it_is(make, http, some, run):
    http.decide = lambda ids: fail(ConnectionRefusedError())
    with pytest.raises(Undelivered, match="did not answer: ConnectionRefusedError"):
        run(make().write(some(0, 1)))


def test_an_answer_that_does_not_come_in_time_is_given_up(make, http, clock, some):
    cancelled: list[object] = []
    http.decide = lambda ids: Deferred(cancelled.append)
    sink = make(timeout_s=3.0)
    failed: list[Failure] = []
    Deferred.fromCoroutine(sink.write(some(0, 1))).addErrback(failed.append)
    clock.advance(2.9)
    assert (cancelled, failed) == ([], [])
    clock.advance(0.2)
    assert len(cancelled) == 1
    assert "did not answer: TimeoutError" in failed[0].getErrorMessage()
    assert clock.getDelayedCalls() == []


def test_an_answer_that_ends_is_not_cut(make, http, clock, some, run):
    response = Response(200, b"x" * 65536)
    http.decide = lambda ids: succeed(response)
    run(make().write(some(0, 1)))
    assert (response.aborted, clock.getDelayedCalls()) == (0, [])


def test_an_answer_that_talks_too_much_is_cut_and_counts(make, http, clock, some, run):
    response = Response(200, b"x" * 65537, ends=False)
    http.decide = lambda ids: succeed(response)
    run(make().write(some(0, 1)))
    assert response.aborted == 1


def test_an_answer_that_does_not_end_is_cut_in_time_and_counts(make, http, clock, some):
    response = Response(200, b"x", ends=False)
    http.decide = lambda ids: succeed(response)
    written = Written(make(), some(0, 1))
    assert (written.done, response.aborted) == (False, 0)
    clock.advance(MANNERS_S)
    assert (written.done, response.aborted) == (True, 1)


def test_a_disk_that_takes_no_dead_letter_leaves_the_record_where_it_is(make, http, some, run, tmp_path):
    http.decide = lambda ids: 422
    sink = make(dead_letters=str(tmp_path / "no" / "dead"))
    with pytest.raises(FileNotFoundError):
        run(sink.write(some(0, 1)))
    assert sink.dead_letters.count == 0


class Written:
    """A write that may take its time."""

    def __init__(self, sink, records):
        self.done = False
        Deferred.fromCoroutine(sink.write(records)).addCallback(self._done)

    def _done(self, _):
        self.done = True


def test_a_batch_that_is_not_full_waits_for_its_time(make, http, clock, some):
    sink = make(flush_s=2.0)
    assert Written(sink, some(0, 1)).done
    clock.advance(0.5)
    second = Written(sink, some(1, 2))
    clock.advance(1.4)
    assert (second.done, http.batches) == (False, [["0"]])
    clock.advance(0.2)
    assert (second.done, http.batches) == (True, [["0"], ["1"]])
    assert clock.getDelayedCalls() == []


def test_a_full_batch_waits_for_nothing(make, http, some):
    sink = make(flush_s=2.0, max_records=2)
    assert Written(sink, some(0, 1)).done
    assert Written(sink, some(1, 3)).done
    assert http.batches == [["0"], ["1", "2"]]


def test_stopping_sends_what_waits_and_tells_when_it_is_out(make, http, clock, some):
    sink = make(flush_s=60.0)
    answer: Deferred[Response] = Deferred()
    Written(sink, some(0, 1))
    http.decide = lambda ids: answer
    waiting = Written(sink, some(1, 2))
    assert http.batches == [["0"]]
    stopped: list[None] = []
    sink.stop().addCallback(stopped.append)
    assert (http.batches, stopped, waiting.done) == ([["0"], ["1"]], [], False)
    answer.callback(Response(200))
    assert (stopped, waiting.done) == ([None], True)
    assert clock.getDelayedCalls() == []


def test_after_stopping_a_batch_waits_for_nothing(make, http, some):
    sink = make(flush_s=60.0)
    Written(sink, some(0, 1))
    sink.stop()
    assert Written(sink, some(1, 2)).done


@pytest.mark.parametrize(
    "values",
    [
        {"url": "https://logs.test/x"},
        {"url": "http://127.0.0.1:9/x"},
        {"url": "http://[::1]:9/x"},
        {"url": "http://localhost/x"},
        {"url": "http://logs.test/x", "allow_http": True},
    ],
)
def test_a_url_that_nobody_can_listen_to_is_taken(values):
    assert http_batch.parse(FakeSection(values)).url == values["url"]


@pytest.mark.parametrize("url", ["http://logs.test/x", "http://localhost.logs.test/x", "http://10.0.0.1/x"])
def test_plain_http_to_elsewhere_has_to_be_asked_for(url):
    with pytest.raises(ConfigurationError, match=r"test\.yaml:1: url: expected https"):
        http_batch.parse(FakeSection({"url": url}))


def test_no_message_tells_the_url_or_a_field(make, http, some, run):
    sink = make(url="https://canary:canary@logs.test/canary?canary", headers={"x": Secret("canary")})
    http.decide = lambda ids: 500
    with pytest.raises(Undelivered) as raised:
        run(sink.write(some(0, 1)))
    assert "canary" not in str(raised.value)
    assert "canary" not in repr(sink)
