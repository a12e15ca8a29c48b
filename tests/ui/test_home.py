"""The page that greets."""

import pytest


def test_home_opens(app):
    """Without runs and scenarios of one's own."""
    assert app("home").title[0].value == "Windtunnel"


@pytest.mark.live
def test_home_opens_in_a_browser(site, tab):
    """And nothing it asks for leaves this machine."""
    address, _ = site

    tab.open(address)

    assert tab.page.title() == "Windtunnel"
