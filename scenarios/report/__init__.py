"""Reports of a study: a self-contained HTML page, JUnit XML, Markdown, a terminal table and stable JSON."""

from __future__ import annotations

from scenarios.report.page import page as html
from scenarios.report.texts import as_json, junit, markdown, terminal_table

__all__ = ["as_json", "html", "junit", "markdown", "terminal_table"]
