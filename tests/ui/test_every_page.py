"""What holds for every page in a real browser: no error, nothing leaves this machine, keys reach all."""

import pytest

from ui.navigation import ENTRIES

pytestmark = pytest.mark.live
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = """() => [...document.querySelectorAll(
    "[data-testid=stMain] button, [data-testid=stMain] a[href], [data-testid=stMain] input")]
  .filter((each) => each.offsetParent && !each.disabled && each.type !== "hidden")
  .filter((each) => !(each.innerText || "").trim() && !each.getAttribute("aria-label") && !each.title
    && !each.getAttribute("aria-labelledby") && !(each.labels && each.labels.length)
    && !each.closest("[aria-label],label,[data-testid=stFileUploader],[data-testid=stDataFrame]"))
  .map((each) => each.outerHTML.slice(0, 200))"""
FOCUSED = """() => {
  let at = document.activeElement;
  while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
  if (!at) return "";
  return (at.tagName + " " + (at.innerText || at.getAttribute("aria-label") || at.name || "")).slice(0, 80);
}"""
MOST_STEPS = 60


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.module)
def test_a_page_is_whole(site, tab, entry):
    """Narrow and light, wide and dark: no error, nothing wider than the window, a name on every control."""
    address, _ = site
    tab.open(f"{address}/{'' if entry.module == 'home' else entry.module}")
    check_look(tab)
    check_keys(tab)

    tab.page.set_viewport_size({"width": 1920, "height": 1000})
    tab.page.emulate_media(color_scheme="dark")
    tab.page.reload()
    tab.settle()

    check_look(tab)


def check_look(tab):
    """Nothing failed, sticks out, or lacks a name for who does not see it."""
    assert tab.page.locator("[data-testid=stException]").count() == 0
    assert tab.page.evaluate(WIDE) <= 0
    assert tab.page.evaluate(UNNAMED) == []


def check_keys(tab):
    """The tab key walks through the page without a trap."""
    seen = []
    for _ in range(MOST_STEPS):
        tab.page.keyboard.press("Tab")
        seen.append(tab.page.evaluate(FOCUSED))
    assert len(set(seen)) >= 10
    assert all(len(set(seen[i - 4 : i + 1])) > 1 for i in range(4, len(seen)))
