"""The dialect ``image`` where nobody is to come: it is read from callers, and no provider speaks it."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.dialects.gaps import Gaps
from netrunner.dialects.image.dialect import Encoder, ImageDialect
from netrunner.errors import InternalError
from netrunner.values import Envelope

DIALECT = ImageDialect()


def test_its_answers_hold_no_events_and_no_provider_speaks_it() -> None:
    assert DIALECT.has_events(b"POST", "image") is None
    request: Any = None
    with pytest.raises(InternalError):
        DIALECT.write(request, "m", False, Gaps())
    with pytest.raises(InternalError):
        DIALECT.decoder("image", False, 1)


def test_an_answer_without_an_image_is_none() -> None:
    with pytest.raises(InternalError):
        Encoder().end()


def test_a_prompt_is_one_turn_by_either_of_its_names() -> None:
    view = DIALECT.view(Envelope(b'{"inputs":"a cat","prompt":7}', b""))
    view.append_system("/no_think")
    assert [(one.role, one.text) for one in view.messages()] == [("user", "a cat")]
    assert not view.changed()
