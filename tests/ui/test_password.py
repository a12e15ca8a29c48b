"""The password before the pages, in a real browser."""

import pytest


@pytest.mark.live
@pytest.mark.slow
def test_a_password_opens_the_pages_in_a_browser(served, chromium, tmp_path):
    """Asked for once; then pages, and the stream that they live on, are open."""
    (tmp_path / "secret").write_text("open sesame\n")
    with served(tmp_path, "--password-file", str(tmp_path / "secret")) as address:
        page = chromium.new_page()
        page.goto(f"{address}/runs")
        assert page.locator("[data-testid=stApp]").count() == 0

        page.get_by_label("Password").fill("open sesame")
        page.get_by_role("button", name="Open").click()

        page.get_by_role("heading", name="Windtunnel").wait_for(timeout=30_000)
        page.goto(f"{address}/runs")
        page.get_by_role("heading", name="Runs").wait_for(timeout=30_000)
        page.close()
