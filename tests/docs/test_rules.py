"""Every block of rules in the documents is a rule file, and says what it does in English."""

from __future__ import annotations

from twin.state.rules.explaining import in_words
from twin.state.rules.program import compile_rules


def test_rules_compile(document, blocks):
    """With no word that the language does not know."""
    for block in blocks("rules"):
        for rule in compile_rules(block.text, f"{document.name}:{block.line}"):
            assert in_words(rule.rule).startswith(rule.name)
