"""Drop-in folders are packages; those of one test are not to be met by the next."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _forget_drop_ins():
    yield
    for name in [name for name in sys.modules if name.startswith("netrunner_drop_in_")]:
        del sys.modules[name]
