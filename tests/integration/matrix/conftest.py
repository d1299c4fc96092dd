"""Assertions of the scenarios are explained when they fail, as those of tests are."""

import pytest

pytest.register_assert_rewrite("tests.integration.matrix.scenarios")
