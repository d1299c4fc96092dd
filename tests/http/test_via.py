"""The mark of what was sent from here."""

from __future__ import annotations

import random

import pytest

from netrunner.errors import InternalError
from netrunner.http.via import Marking, Via
from netrunner.testing.fakes import FakeReceiver
from netrunner.values import Headers
from tests.http.upstreams import request
from tests.support.stage import Upstream


def test_what_carries_our_mark_is_refused_wherever_it_stands() -> None:
    via = Via(random.Random(1).getrandbits)
    name, value = via.field
    for headers in ([via.field], [(name, b"1.1 one"), via.field], [(name, b"1.0 one, " + value + b", 1.1 two (x)")]):
        with pytest.raises(InternalError) as refused:
            via.check(headers)
        assert (refused.value.status, refused.value.code) == (508, "loop_detected")


def test_what_carries_another_mark_or_none_is_served() -> None:
    via, other = Via(random.Random(1).getrandbits), Via(random.Random(2).getrandbits)
    served: list[Headers] = [[], [other.field], [(b"via", b"1.1 nginx")], [(b"x-via", via.field[1])]]
    for headers in served:
        via.check(headers)


def test_a_marked_request_keeps_the_marks_it_had_and_the_list_of_its_maker_is_left_alone() -> None:
    upstream, via = Upstream(), Via(random.Random(1).getrandbits)
    given = request()
    made = given.headers = [(b"via", b"1.1 before")]
    call = Marking(upstream, via).send(given, FakeReceiver())
    assert upstream.calls == [call]
    assert upstream.calls[0].header(b"via") == [b"1.1 before", via.field[1]]
    assert made == [(b"via", b"1.1 before")]
