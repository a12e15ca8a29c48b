"""The guide for contributors runs as it stands."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-device.md"


def test_the_example_of_the_guide_runs():
    """Its code blocks define a device, its test passes, and the catalogue accepts it."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
    names = {"__name__": "add_a_device"}

    exec(compile(code, GUIDE.name, "exec"), names)  # noqa: S102  (our own page)
    names["test_a_leak_is_reported_at_once"]()

    assert names["LEAK_SENSOR"].wired == {"gateway"}
