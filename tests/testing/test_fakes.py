"""What plugins are tested with keeps its own promises."""

import dataclasses
from typing import Literal

import pytest
from zope.interface.verify import verifyObject

from netrunner.errors import ConfigurationError, UpstreamError
from netrunner.interfaces import IClock, IEnvironment, IResponseReceiver, ISection
from netrunner.settings import ProviderSettings, Secret, setting
from netrunner.testing.fakes import FakeClock, FakeEnvironment, FakeReceiver
from netrunner.testing.section import FakeSection
from netrunner.values import ResponseHead

HEAD = ResponseHead(200, b"OK", [])


@pytest.mark.parametrize(
    ("interface", "fake"),
    [
        (IClock, FakeClock()),
        (IEnvironment, FakeEnvironment()),
        (IResponseReceiver, FakeReceiver()),
        (ISection, FakeSection({})),
    ],
)
def test_fakes_are_what_they_stand_for(interface, fake):
    assert verifyObject(interface, fake)


def test_both_times_pass_together():
    clock = FakeClock(wall_s=100.0)
    clock.advance(5)
    assert (clock.seconds(), clock.wall()) == (5, 105)


def test_a_receiver_keeps_the_response():
    receiver = FakeReceiver()
    heard: list[FakeReceiver] = []
    receiver.wait_for_end().addCallback(heard.append)
    receiver.sent(True)
    receiver.head_received(HEAD)
    receiver.body_received(b"a", False)
    assert heard == []
    receiver.body_received(b"b", True)
    receiver.wait_for_end().addCallback(heard.append)
    assert heard == [receiver, receiver]
    assert (receiver.head, receiver.body, receiver.violations) == (HEAD, b"ab", [])
    assert receiver.dialogue == [("sent", True), ("head", HEAD), ("body", b"a", False), ("body", b"b", True)]


def test_a_receiver_keeps_the_failure():
    receiver = FakeReceiver()
    error = UpstreamError("broke")
    receiver.failed(error)
    assert (receiver.error, receiver.ended, receiver.violations) == (error, True, [])


@pytest.mark.parametrize(
    ("calls", "violation"),
    [
        ([("head_received", HEAD)], "the head came before sent"),
        ([("sent", False), ("sent", False)], "sent was not the first call"),
        ([("sent", False), ("head_received", HEAD), ("head_received", HEAD)], "a second head was received"),
        ([("sent", False), ("body_received", b"x", False)], "a body came before the head"),
        (
            [("sent", False), ("head_received", HEAD), ("body_received", b"", False)],
            "an empty piece of a body that goes on",
        ),
        ([("failed", ValueError())], "failed with a ValueError, which is no UpstreamError"),
        ([("failed", UpstreamError("x")), ("body_received", b"", True)], "body came after the end"),
    ],
)
def test_a_receiver_notes_what_should_not_have_come(calls, violation):
    receiver = FakeReceiver()
    for name, *arguments in calls:
        getattr(receiver, name)(*arguments)
    assert violation in receiver.violations


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ProviderSettings):
    mode: Literal["a", "b"] = setting("a", doc="One of two.")
    words: tuple[str, ...] = setting((), doc="Some.")


def read(**values):
    return FakeSection({"base_url": "http://x/", **values}).read(Settings)


def test_a_section_is_read():
    settings = read(api_key="sk", timeouts={"connect_s": 1}, words=["x"], mode="b", pool={"max_connections": None})
    assert settings.api_key == Secret("sk")
    assert settings.timeouts.connect_s == 1.0
    assert (settings.words, settings.mode, settings.pool.max_connections) == (("x",), "b", None)
    assert read(api_key="passthrough").api_key == "passthrough"
    assert read().api_key is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"nonsense": 1}, "unknown key nonsense"),
        ({"timeouts": {"nonsense": 1}}, "unknown key timeouts.nonsense"),
        ({"timeouts": {"connect_s": 0}}, "timeouts.connect_s: 0.0 is out of range"),
        ({"mode": "c"}, "mode: a str is not what is expected"),
        ({"words": [1]}, "words[0]: a int is not what is expected"),
        ({"repair": 1}, "repair: a int is not what is expected"),
    ],
)
def test_a_section_is_read_strictly(values, problem):
    with pytest.raises(ConfigurationError) as caught:
        read(**values)
    assert str(caught.value) == f"test.yaml:1: {problem}"


def test_all_that_is_wrong_in_a_section_is_told_together():
    with pytest.raises(ConfigurationError) as caught:
        FakeSection({"mode": 1, "x": 2}).read(Settings)
    assert len(caught.value.problems) == 3
