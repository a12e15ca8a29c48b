"""The report page: one HTML file that fetches nothing, reads well on paper and without seeing the charts.

The page is well-formed XML too. Every text of a scenario or a run passes `escape`; there is no script in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files

from devices_models.world import floor_plan
from scenarios.report import evidence, findings
from scenarios.report.markup import escape
from scenarios.report.wording import LIMITS, count, quantity, requirement_names
from scenarios.results import Study

HASH_CHARACTERS = 16
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(study: Study) -> str:
    """The whole report as one HTML document."""
    sections = [(key, title, content) for key, title, write in _SECTIONS if (content := write(study))]
    return document(study.scenario_title, _header(study), sections, _footer(study))


def document(title: str, header: str, sections: Sequence[tuple[str, str, str]], footer: str) -> str:
    """A page in our style: sections have a key, a title and their content; header and footer are markup."""
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{name}</h2>{content}</section>' for key, name, content in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>{escape(title)}'
        f'</title><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/><style>\n{_style()}</style></head>'
        f'<body><header>{header}</header><nav aria-label="Sections"><ul>{links}</ul></nav>'
        f"<main>{body}</main>\n<footer>{footer}</footer></body></html>\n"
    )


def _style() -> str:
    return files(__package__ or "").joinpath("report.css").read_text("utf-8") + floor_plan.STYLE


def _header(study: Study) -> str:
    runs = sum(variant.replications for variant in study.variants)
    facts = {
        "Asked": f"{count(len(requirement_names(study)), 'requirement')} of "
        f"{count(len(study.variants), 'variant')}",
        "Simulated": f"{count(runs, 'run')} in {quantity(study.duration_s, 's')}",
        "Created": study.created,
        "Scenario hash": study.scenario_hash[:HASH_CHARACTERS],
        "Seed": str(study.seed),
        "Version": study.product_version,
        "Host": study.host,
    }
    entries = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    return (
        f'<p class="kicker">Windtunnel study</p><h1>{escape(study.scenario_title)}</h1>'
        f'<p class="lede">{escape(study.description)}</p><dl class="meta">{entries}</dl>'
    )


def _footer(study: Study) -> str:
    return (
        f"<p>{escape(LIMITS)}</p><p>Windtunnel {escape(study.product_version)}, {escape(study.created)}</p>"
    )


_SECTIONS: tuple[tuple[str, str, Callable[[Study], str]], ...] = (
    ("answer", "The answer", findings.answer),
    ("budget-of-time", "Where the time goes", findings.budget),
    ("figures", "Key figures", findings.key_figures),
    ("curves", "Over time", evidence.curves),
    ("differences", "Differences between variants", evidence.differences),
    ("latencies", "How long messages take", evidence.latencies),
    ("sensitivities", "What moves the margin", evidence.swings),
    ("chains", "Why it was not met", findings.chains),
    ("ledger", "Where every message is", evidence.ledger),
    ("borders", "Personal data over borders", evidence.borders),
    ("plan", "The place", evidence.plan),
    ("sources", "Where the figures come from", evidence.sources),
    ("repeat", "How to repeat this", evidence.repeat),
    ("limits", "Limits", evidence.limits),
)
