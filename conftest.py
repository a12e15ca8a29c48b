"""The scenarios that ship are tests too: every variant must get the verdicts that its file expects."""

import pytest

LONGEST_VARIANT_S = 900
"""Eighteen replications of the flagship, on a machine that does other things too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A shipped scenario may take longer than any other test."""
    for item in items:
        if item.path.parent.name == "library":
            item.add_marker(pytest.mark.timeout(LONGEST_VARIANT_S))
