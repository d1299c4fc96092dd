"""The provider ``echo``: what it says, and how it keeps the contract of an upstream."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from netrunner import sse
from netrunner.errors import BadRequest
from netrunner.interfaces import IProvider, IUpstream, IUpstreamCall
from netrunner.providers.echo import EchoProvider, EchoSettings
from netrunner.testing.fakes import FakeClock, FakeEnvironment, FakeReceiver
from netrunner.values import Call


class Asked:
    """One request to echo, and all that came of it."""

    def __init__(
        self,
        endpoint: str,
        document: Any,
        headers: Any = (),
        settings: EchoSettings | None = None,
        method: bytes = b"POST",
    ) -> None:
        self.clock = FakeClock()
        provider = EchoProvider(settings or EchoSettings(), FakeEnvironment(clock=self.clock))
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.receiver = FakeReceiver()
        request = provider.build(Call(method, endpoint, b"", list(headers), body, "m", False))
        self.call = provider.send(request, self.receiver)

    def run(self, seconds: float = 0.0, turns: int = 1000) -> "Asked":
        """Let time pass in ``turns`` turns of the reactor."""
        self.clock.pump([seconds / turns] * turns if turns else [])
        assert self.receiver.violations == []
        return self

    @property
    def status(self) -> int:
        assert self.receiver.head is not None
        return self.receiver.head.status

    def header(self, name: bytes) -> bytes:
        assert self.receiver.head is not None
        return self.receiver.head.get(name) or b""

    @property
    def document(self) -> Any:
        assert self.receiver.ended
        return json.loads(self.receiver.body)

    @property
    def chunks(self) -> list[Any]:
        """The events of a stream, decoded, ``[DONE]`` left out but asked for."""
        events = [event.data for event in sse.Reader().feed(self.receiver.body)]
        assert events[-1] == b"[DONE]"
        return [json.loads(event) for event in events[:-1]]


def chat(content: Any, headers: Any = (), **fields: Any) -> Asked:
    return Asked(
        "chat/completions", {"model": "m", "messages": [{"role": "user", "content": content}], **fields}, headers
    )


def texts(chunks: list[Any]) -> list[str]:
    return [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]


def test_it_is_what_it_says():
    provider = EchoProvider(EchoSettings(), FakeEnvironment())
    verifyObject(IProvider, provider)
    verifyObject(IUpstream, provider)
    verifyObject(IUpstreamCall, chat("x").call)


def test_it_says_the_last_user_message_back():
    asked = Asked(
        "chat/completions",
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "no"},
                {"role": "user", "content": "Hello you"},
                {"role": "system", "content": "no"},
            ],
        },
    ).run()
    assert (asked.status, asked.document["object"]) == (200, "chat.completion")
    assert asked.document["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hello you", "refusal": None},
        }
    ]
    assert asked.document["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ([{"type": "text", "text": "a "}, {"type": "image_url"}, {"type": "text", "text": "b"}], "a b"),
        ("", "Hello!"),
        (None, "Hello!"),
    ],
)
def test_it_reads_text_parts_and_answers_to_nothing(content, answer):
    assert chat(content).run().document["choices"][0]["message"]["content"] == answer


def test_a_stream_keeps_every_rule_of_emission():
    asked = chat("Hello dear you", stream=True).run()
    assert asked.header(b"content-type").startswith(b"text/event-stream")
    chunks = asked.chunks
    for chunk in chunks:
        assert chunk["id"] == chunks[0]["id"]
        assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", "m")
        assert isinstance(chunk["created"], int)
        assert isinstance(chunk["choices"], list)
        assert "usage" not in chunk
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert texts(chunks[1:]) == ["Hello", " dear", " you", None]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, None, "stop"]
    for line in asked.receiver.body.splitlines():
        assert not line or line.startswith(b"data: ")
    assert asked.receiver.body.endswith(b"\n\n")


def test_usage_is_streamed_only_when_asked_for():
    chunks = chat("Hello you", stream=True, stream_options={"include_usage": True}).run().chunks
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 2)


def test_choices_take_turns():
    chunks = chat("a b", stream=True, n=2).run().chunks
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0, 1] * 4
    assert len(chat("a b", n=3).run().document["choices"]) == 3


def test_completions_say_the_prompt_back():
    asked = Asked("completions", {"model": "m", "prompt": "Hello you"}).run()
    assert asked.document["object"] == "text_completion"
    assert asked.document["choices"][0]["text"] == "Hello you"
    streamed = Asked("completions", {"model": "m", "prompt": ["Hello you"], "stream": True}).run().chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == "Hello you"
    assert Asked("completions", {"model": "m", "prompt": [1, 2]}).run().document["choices"][0]["text"] == "1 2"


# --- orders


def test_events_are_made_as_many_as_ordered():
    assert texts(chat("/echo events=5 a b", stream=True).run().chunks[1:-1]) == ["a", " b", " a", " b", " a"]
    assert texts(chat("/echo events=1 a b", stream=True).run().chunks[1:-1]) == ["a"]
    assert chat("/echo events=0 a b").run().document["choices"][0]["message"]["content"] == ""


def test_a_think_block_comes_first():
    content = chat("/echo think a").run().document["choices"][0]["message"]["content"]
    assert content.startswith("<think>\n")
    assert content.endswith("</think>\n\na")
    assert "".join(filter(None, texts(chat("/echo think a", stream=True).run().chunks))) == content


TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]


def test_a_tool_is_called():
    choice = chat("/echo tools Rome", tools=TOOLS).run().document["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], call["type"], call["function"]["name"]) == (
        "tool_calls",
        "function",
        "get_weather",
    )
    assert json.loads(call["function"]["arguments"]) == {"text": "Rome"}


def test_a_streamed_tool_call_names_itself_once_and_is_numbered():
    chunks = chat("/echo tools Rome", tools=TOOLS, stream=True).run().chunks
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 0, 0]
    assert [call.get("id") is not None for call in calls] == [True, False, False]
    assert [call["function"].get("name") for call in calls] == ["get_weather", None, None]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"text": "Rome"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("tools", [None, [], [5], [{"type": "custom"}], [{"function": {"name": 5}}]])
def test_a_tool_is_called_even_if_none_is_offered(tools):
    (call,) = chat("/echo tools", tools=tools).run().document["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "echo"


def test_a_finish_reason_is_given_as_ordered():
    assert chat("/echo finish=length a").run().document["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503, 599])
def test_an_error_is_answered_as_ordered(status):
    asked = chat(f"/echo error={status} retry_after=6.2 a", stream=True).run()
    assert asked.status == status
    assert asked.header(b"retry-after") == b"7"
    assert asked.document["error"]["code"] == f"echo_{status}"


def test_an_error_has_no_retry_after_unless_ordered():
    assert chat("/echo error=429").run().header(b"retry-after") == b""


def test_a_stream_fails_inside_as_ordered():
    asked = chat("/echo fail=1 a b c", stream=True).run()
    events = [json.loads(event.data) for event in sse.Reader().feed(asked.receiver.body)]
    assert texts(events[1:2]) == ["a"]
    assert events[2]["error"]["code"] == "echo_failed"
    assert (len(events), asked.receiver.ended, asked.receiver.error) == (3, True, None)


def test_a_stream_breaks_as_ordered():
    asked = chat("/echo cut=2 a b c", stream=True).run()
    assert len(sse.Reader().feed(asked.receiver.body)) == 3
    assert asked.receiver.error.code == "upstream_truncated"


def test_a_whole_answer_breaks_in_its_middle():
    asked = chat("/echo cut=0 a b c").run()
    assert asked.receiver.error is not None
    assert asked.receiver.body.startswith(b"{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(asked.receiver.body)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_stalls_as_ordered(stream):
    asked = chat("/echo stall=1 a b c", stream=stream).run(100_000)
    assert not asked.receiver.ended
    assert asked.receiver.body
    assert asked.clock.getDelayedCalls() == []


def test_pieces_come_at_the_ordered_pace():
    asked = chat("/echo delay=2 wait=5 a b c", stream=True)
    asked.clock.advance(0)
    asked.clock.advance(4.9)
    assert asked.receiver.head is None
    asked.clock.advance(0.1)
    assert len(sse.Reader().feed(asked.receiver.body)) == 1
    asked.clock.advance(2)
    asked.clock.advance(2)
    assert len(sse.Reader().feed(asked.receiver.body)) == 3
    asked.run(10)
    assert asked.receiver.ended


def test_a_whole_answer_takes_as_long_as_its_stream():
    asked = chat("/echo delay=2 a b c")
    asked.clock.advance(0)
    asked.clock.advance(5.9)
    assert not asked.receiver.ended
    asked.clock.advance(0.1)
    assert asked.receiver.ended


def test_the_pace_is_a_setting():
    asked = Asked(
        "chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "a b"}]},
        settings=EchoSettings(delay_s=1),
    )
    asked.run(1.5)
    assert not asked.receiver.ended


def test_orders_come_by_header_and_the_message_wins():
    headers = [(b"x-echo", b"events=3 finish=length")]
    chunks = chat("/echo events=2 a", headers, stream=True).run().chunks
    assert (len(chunks), chunks[-1]["choices"][0]["finish_reason"]) == (4, "length")
    assert len(chat("a", headers, stream=True).run().chunks) == 5


@pytest.mark.parametrize(
    "order",
    ["events=x", "events=-1", "events=99999999", "delay=nan", "delay=-1", "delay=1e9", "wait=", "error=200", "cut=²"],
)
def test_an_order_that_makes_no_sense_is_refused(order):
    asked = chat(f"/echo {order} a").run()
    assert (asked.status, asked.document["error"]["type"]) == (400, "invalid_request_error")


def test_words_that_are_no_orders_are_text():
    assert chat("/echo a=b think").run().document["choices"][0]["message"]["content"] == "a=b think"


# --- embeddings, images and models


def test_embeddings_are_vectors_of_length_one_that_depend_on_the_text():
    document = Asked("embeddings", {"model": "m", "input": ["a", "b", "a"]}).run().document
    first, second, third = (one["embedding"] for one in document["data"])
    assert first == third != second
    assert sum(number * number for number in first) == pytest.approx(1)
    assert [one["index"] for one in document["data"]] == [0, 1, 2]
    assert document["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize("given", ["a b", [5, 6], [[5, 6]], ["a b"]])
def test_embeddings_come_as_float32_in_base64_when_asked(given):
    fields = {"model": "m", "input": given, "dimensions": 5}
    plain = Asked("embeddings", fields).run().document
    encoded = Asked("embeddings", {**fields, "encoding_format": "base64"}).run().document
    data = base64.b64decode(encoded["data"][0]["embedding"])
    assert list(struct.unpack("<5f", data)) == plain["data"][0]["embedding"]
    assert plain["usage"]["prompt_tokens"] == 2


def drawing(**fields: Any) -> bytes:
    document = Asked("images/generations", {"model": "m", "prompt": "a lighthouse", **fields}).run().document
    return base64.b64decode(document["data"][0]["b64_json"])


def chunks_of(image: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a PNG whose checksums are right."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(image):
        (length,) = struct.unpack(">I", image[at : at + 4])
        kind, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert image[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(kind + data))
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"iTXt", b"PLTE", b"IDAT", b"IEND"]
    return chunks


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        (None, (256, 256)),
        ("1x1", (1, 1)),
        ("0x0", (1, 1)),
        ("640x48", (640, 48)),
        ("99999x2000", (1024, 1024)),
    ],
)
def test_an_image_is_a_png_of_the_size_that_is_asked_for_within_bounds(size, sides):
    image = drawing(size=size)
    chunks = chunks_of(image)
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == sides
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == sides[1] * (1 + sides[0])
    assert {pixels[line * (1 + sides[0])] for line in range(sides[1])} == {0}
    assert len(image) > 500


def test_an_image_depends_on_the_prompt_and_says_it():
    chunks = chunks_of(drawing(prompt="ein B\u00e4r\0"))
    assert chunks == chunks_of(drawing(prompt="ein B\u00e4r\0"))
    assert chunks[b"iTXt"] == b"Description\0\0\0\0\0" + "ein B\u00e4r ".encode()
    other = chunks_of(drawing(prompt="another"))
    assert chunks[b"PLTE"] != other[b"PLTE"]
    assert chunks[b"IDAT"] != other[b"IDAT"]
    assert len(drawing(prompt="a" * 100_000)) < 10_000


def test_an_image_fails_on_request():
    asked = Asked("images/generations", {"model": "m", "prompt": "/echo error=429 retry_after=7 a lighthouse"}).run()
    assert (asked.status, asked.header(b"retry-after")) == (429, b"7")
    assert drawing(prompt="/echo wait=0 a lighthouse") == drawing(prompt="a lighthouse")


def test_its_models_are_those_of_its_settings():
    settings = EchoSettings(models=("a", "b"))
    listed = Asked("models", b"", settings=settings, method=b"GET").run().document
    assert [entry["id"] for entry in listed["data"]] == ["a", "b"]
    assert Asked("models/b", b"", settings=settings, method=b"GET").run().document["id"] == "b"
    assert Asked("models/c", b"", settings=settings, method=b"GET").run().status == 404


@pytest.mark.parametrize(
    ("endpoint", "document", "status"),
    [
        ("files", {}, 404),
        ("chat/completions", b"{", 400),
        ("chat/completions", b"[]", 400),
        ("chat/completions", {"messages": []}, 400),
        ("chat/completions", {"model": "m"}, 400),
        ("chat/completions", {"model": "m", "messages": []}, 400),
        ("chat/completions", {"model": "m", "messages": [5]}, 400),
        ("chat/completions", {"model": "m", "messages": [{"role": "user"}], "n": True}, 400),
        ("chat/completions", {"model": "m", "messages": [{"role": "user"}], "n": 129}, 400),
        ("completions", {"model": "m"}, 400),
        ("embeddings", {"model": "m"}, 400),
        ("embeddings", {"model": "m", "input": []}, 400),
        ("embeddings", {"model": "m", "input": "a", "dimensions": 0}, 400),
        ("embeddings", {"model": "m", "input": "a", "encoding_format": "hex"}, 400),
        ("images/generations", {"model": "m"}, 400),
        ("images/generations", {"model": "m", "prompt": ""}, 400),
        ("images/generations", {"model": "m", "prompt": "a", "size": "big"}, 400),
        ("images/generations", {"model": "m", "prompt": "a", "size": 7}, 400),
    ],
)
def test_a_wrong_request_is_refused_in_openais_shape(endpoint, document, status):
    asked = Asked(endpoint, document).run()
    assert asked.status == status
    assert set(asked.document["error"]) == {"message", "type", "param", "code"}


def test_only_posts_are_answered():
    assert Asked("chat/completions", b"", method=b"GET").run().status == 405


def test_a_chat_without_user_turn_is_answered():
    asked = Asked("chat/completions", {"model": "m", "messages": [{"role": "system", "content": "x"}]}).run()
    assert asked.document["choices"][0]["message"]["content"] == "Hello!"


@pytest.mark.parametrize("changes", [{"body": object()}, {"upgrade": b"websocket"}])
def test_bodies_on_their_way_and_upgrades_are_refused(changes):
    provider = EchoProvider(EchoSettings(), FakeEnvironment())
    fields = {
        "method": b"POST",
        "endpoint": "x",
        "query": b"",
        "headers": [],
        "body": b"",
        "model": "",
        "stream": False,
    }
    with pytest.raises(BadRequest):
        provider.build(Call(**{**fields, **changes}))


def test_it_has_no_key_to_protect_and_reads_its_own_errors():
    provider = EchoProvider(EchoSettings(), FakeEnvironment())
    assert provider.serves("files", False)
    assert provider.classify(429, [(b"retry-after", b"3")], b"").retry_after_s == 3


# --- the contract of an upstream


def test_nothing_is_told_before_send_has_returned():
    assert chat("a").receiver.dialogue == []


def test_a_paused_call_is_silent_until_resumed():
    asked = chat("/echo delay=1 a b c", stream=True)
    asked.run(1.5)
    told = len(asked.receiver.dialogue)
    assert not asked.receiver.ended
    asked.call.pause()
    asked.call.pause()
    asked.run(10)
    assert len(asked.receiver.dialogue) == told
    asked.call.resume()
    asked.call.resume()
    assert len(asked.receiver.dialogue) == told
    assert len(asked.run(10).chunks) == 5


def test_pausing_and_resuming_within_a_piece_neither_loses_nor_repeats_any():
    asked = chat("a b c", stream=True)
    plain = asked.receiver.body_received

    def body_received(data: bytes, last: bool) -> None:
        plain(data, last)
        asked.call.pause()
        asked.call.resume()

    asked.receiver.body_received = body_received  # type: ignore[method-assign]  # a receiver with a habit
    assert len(asked.run().chunks) == 5
    assert asked.clock.getDelayedCalls() == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 20])
def test_an_aborted_call_says_nothing_more_and_leaves_nothing_behind(turns):
    asked = chat("/echo delay=1 a b c", stream=True).run(turns, turns=2 * turns)
    told = len(asked.receiver.dialogue)
    asked.call.abort()
    asked.call.abort()
    asked.call.resume()
    assert len(asked.run(10).receiver.dialogue) == told
    assert asked.clock.getDelayedCalls() == []


@pytest.mark.parametrize("method", ["sent", "head_received"])
def test_a_receiver_may_abort_while_it_is_told(method):
    asked = chat("a b c", stream=True)
    setattr(asked.receiver, method, lambda told: asked.call.abort())
    asked.run()
    assert asked.receiver.body == b""
    assert asked.clock.getDelayedCalls() == []


def test_a_body_may_be_written_to_a_call_in_vain():
    asked = chat("a")
    asked.call.register_producer(object())
    asked.call.write(b"x")
    asked.call.end()
    assert asked.run().status == 200


def test_a_long_stream_is_made_as_it_is_sent():
    asked = chat("/echo events=1000000 delay=1 a", stream=True).run(5)
    assert 5 <= len(asked.receiver.dialogue) <= 8
