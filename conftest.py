"""The scenarios that ship are tests too: every variant must get the verdicts that its file expects."""

import pytest
from hypothesis import settings

LONGEST_VARIANT_S = 900
"""Eighteen replications of the flagship, on a machine that does other things too."""
SLOW = ("alarm_drill", "car_park_fire")
QUICK = ("::edge::", "::unmasked::")
"""Variants of those that are run each time: one that meets everything, one that fails."""

settings.register_profile("new", deadline=None)  # a busy machine is no defect
settings.register_profile("same", deadline=None, derandomize=True)  # a change fails by what it changes alone
settings.load_profile("new")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A shipped scenario may take longer than any other test; the longest are left to CI."""
    for item in items:
        if item.path.parent.name == "library":
            item.add_marker(pytest.mark.timeout(LONGEST_VARIANT_S))
            is_quick = any(variant in item.nodeid for variant in QUICK)
            if item.path.name.startswith(SLOW) and not is_quick:
                item.add_marker(pytest.mark.slow)
