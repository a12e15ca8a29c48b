"""How results are put into words: quantities with units, verdicts, the headline, the line that repeats."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable

from scenarios.results import RequirementResult, Study, VariantResult, Verdict

SYMBOLS: dict[Verdict, str] = {"PASS": "\u2713", "FAIL": "\u2717", "INCONCLUSIVE": "?"}
LIMITS = (
    "Windtunnel screens IoT designs. It does not replace a fire engineer or the listed fire alarm system: "
    "sounders, detection and evacuation must work without any part of the system studied here."
)
_NARROW_SPACE = "\u202f"
_MINUS = "\N{MINUS SIGN}"
_BYTES_PREFIXES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


def number(value: float, digits: int = 3) -> str:
    """The value with so many significant digits, whole above them, thousands apart."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else (_MINUS if value < 0 else "") + "\u221e"
    size = abs(value)
    decimals = 0 if size == 0 else max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{size:,.{decimals}f}".replace(",", _NARROW_SPACE)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return (_MINUS if value < 0 and text != "0" else "") + text


def quantity(value: float, unit: str) -> str:
    """The value with its unit as people read it: 0.078 s is "78 ms", 12e6 bytes are "12 MB"."""
    if not math.isfinite(value):
        return number(value)
    if unit == "bytes":
        name, scale = next((p for p in _BYTES_PREFIXES if abs(value) >= p[1]), _BYTES_PREFIXES[-1])
        return f"{number(value / scale)}\u00a0{name}"
    if unit == "ratio":
        return f"{number(value * 100)}\u00a0%"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{number(value * 1000)}\u00a0ms"
    return f"{number(value)}\u00a0{unit}" if unit else number(value)


def span(low: float, high: float, unit: str) -> str:
    """Two values with their unit, which is written once where both have the same."""
    first, last = quantity(low, unit), quantity(high, unit)
    number_text, _, unit_text = first.partition("\u00a0")
    return f"{number_text if last.endswith(unit_text) else first} to {last}"


def signed(value: float, unit: str) -> str:
    """A difference or margin with its sign always shown."""
    text = quantity(value, unit)
    return text if value <= 0 else "+" + text


def count(amount: int, noun: str) -> str:
    """An amount with its noun in singular or plural."""
    return f"{number(amount, 15)} {noun}{'' if amount == 1 else 's'}"


def humanise(name: str) -> str:
    """A metric or series name as prose: "people_inside" is "people inside"."""
    return name.replace("_", " ")


def names_of(groups: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, in the order of first appearance."""
    return list(dict.fromkeys(name for group in groups for name in group))


def requirement_names(study: Study) -> list[str]:
    """The requirements of all variants, each once, in the order of first appearance."""
    return names_of([requirement.name for requirement in v.requirements] for v in study.variants)


def requirement_of(variant: VariantResult, name: str) -> RequirementResult | None:
    """The variant's judgement of the requirement; None where the variant has no such requirement."""
    return next((r for r in variant.requirements if r.name == name), None)


def measured(requirement: RequirementResult) -> str:
    """What was measured against which limit, as far as known."""
    parts = [requirement.value_text, f"limit {requirement.limit_text}" if requirement.limit_text else ""]
    return ", ".join(part for part in parts if part)


def judgement(requirement: RequirementResult) -> str:
    """One line that says what was measured, how often it was met and how sure that is."""
    low, high = quantity(requirement.low, "ratio"), quantity(requirement.high, "ratio")
    asked = quantity(requirement.probability, "ratio")
    met = f"met in {requirement.met} of {count(requirement.runs, 'run')} ({low} to {high}, asked {asked})"
    return "; ".join(part for part in (measured(requirement), met) if part)


def headline(study: Study) -> str:
    """The answer of the study in one sentence."""
    variants = study.variants
    good = [v for v in variants if all(r.verdict == "PASS" for r in v.requirements)]
    if len(good) == len(variants):
        return f"{_every(variants)} every requirement."
    if not good:
        return f"None of {count(len(variants), 'variant')} meets every requirement."
    verb = "meets" if len(good) == 1 else "meet"
    return f"{len(good)} of {count(len(variants), 'variant')} {verb} every requirement."


def _every(variants: list[VariantResult]) -> str:
    return "The only variant meets" if len(variants) == 1 else f"All {len(variants)} variants meet"


def expectations(study: Study) -> str:
    """How the verdicts compare with what the author expected; empty when nothing was expected."""
    said = [v.expectation(r) for v in study.variants for r in v.requirements]
    surprises, foreseen = said.count("unexpected"), said.count("expected")
    if surprises:
        return f"{count(surprises, 'verdict')} not as the author expected."
    return "Every failure was expected by the author." if foreseen else ""


def repeat_command(study: Study, variant: str = "", seed: int | None = None) -> str:
    """The line that repeats the study, or the one replication of a variant with that seed."""
    words = ["windtunnel", "run", study.scenario_file]
    if study.profile_file:
        words += ["--profile", study.profile_file]
    if variant:
        words += ["--variant", variant]
    words += ["--seed", str(study.seed if seed is None else seed)]
    if seed is not None:
        words += ["--replications", "1"]
    return shlex.join(words)
