"""Dialects by the names that providers give them."""

import pytest
from twisted.logger import Logger
from zope.interface.verify import verifyObject

from netrunner.dialects.interfaces import ISpoken
from netrunner.dialects.spoken import SPOKEN
from netrunner.registry import Registry

REGISTRY = Registry.discover((), Logger("test"))


@pytest.mark.parametrize("name", SPOKEN)
def test_a_dialect_is_found_by_its_own_name_and_is_whole(name):
    assert SPOKEN[name].name == name
    assert verifyObject(ISpoken, SPOKEN[name])


@pytest.mark.parametrize("name", REGISTRY.names("provider"))
def test_what_a_built_in_provider_speaks_is_there(name):
    assert REGISTRY.factory("provider", name).build.dialect in SPOKEN


def test_dialects_are_counted_and_looked_for_by_name():
    assert len(SPOKEN) == len(list(SPOKEN))
    assert "openai" in SPOKEN
    assert "nobody's" not in SPOKEN
