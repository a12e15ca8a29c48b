#!/usr/bin/env python3
"""Write the tables of docs/brokers.md from the checks and from docs/brokers.toml."""

import tomllib
from pathlib import Path

from twin.live.conformance.bench import CHECKS, Check
from twin.live.conformance.checking import BRIEF
from twin.live.conformance.verdicts import BOTH

PAGE = Path(__file__).parent / "brokers.md"
DATA = Path(__file__).parent / "brokers.toml"
MARK = "<!-- the rest is made by docs/make_brokers.py -->\n"
DOES, DOES_NOT, NOT_OFFERED, VARIES = "✓", "**✗**", "-", "(✗)"


def page(written: str) -> str:
    """The page with its tables anew."""
    known = tomllib.loads(DATA.read_text(encoding="utf-8"))
    parts = [_brokers(known)]
    for version in BOTH:
        names = [name for name, broker in known.items() if version in broker.get("speaks", BOTH)]
        parts.append(_table(version, {name: known[name] for name in names}))
    return written.split(MARK, maxsplit=1)[0] + MARK + "\n" + "\n".join(parts)


def _brokers(known: dict) -> str:
    rows = [
        f"| {broker['title']} | {_counts(broker, '3.1.1')} | {_counts(broker, '5')} | `{broker['install']}` |"
        for broker in known.values()
    ]
    head = "| broker | MQTT 3.1.1 | MQTT 5 | install |\n|---|---|---|---|\n"
    return "## How much each does\n\n" + head + "\n".join(rows) + "\n"


def _counts(broker: dict, version: str) -> str:
    if version not in broker.get("speaks", BOTH):
        return "not spoken"
    marks = [_mark(broker, version, check.name) for check in CHECKS if version in check.versions]
    return f"{marks.count(DOES)} of {len(marks) - marks.count(NOT_OFFERED)}"


def _mark(broker: dict, version: str, name: str) -> str:
    said = broker.get(version, {})
    if name in said.get("varies", []):
        return VARIES
    if name in said.get("failed", []):
        return DOES_NOT
    return NOT_OFFERED if name in said.get("not_supported", []) else DOES


def _table(version: str, brokers: dict) -> str:
    titles = " | ".join(broker["title"] for broker in brokers.values())
    lines = [f"## MQTT {version}\n", f"| check | clause | what the standard says | {titles} |"]
    lines.append("|---|---|---|" + "---|" * len(brokers))
    lines += [_row(version, check, brokers) for check in CHECKS if version in check.versions]
    return "\n".join(lines) + "\n"


def _row(version: str, check: Check, brokers: dict) -> str:
    marks = " | ".join(_mark(broker, version, check.name) for broker in brokers.values())
    brief = "*" if check.name in BRIEF and version == "3.1.1" else ""
    return f"| `{check.name}`{brief} | {check.clause} | {check.says} | {marks} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
