"""What only a load measures: a requirement that speaks of nothing else is judged by `windtunnel load` alone.

Latencies begin with `publish`, when a message is due, and end with its `acknowledgement` by the broker or its
`delivery` to a subscriber.
"""

from __future__ import annotations

from typing import Final

from scenarios.format.expression import Expression

PUBLISH: Final = "publish"
ENDS: Final = ("acknowledgement", "delivery")
TIMES: Final = ("connect", "lateness")
COUNTS: Final = (
    "attempted", "acknowledged", "delivered", "lost", "duplicated", "unacknowledged", "dropped", "ended",
)  # fmt: skip
WORDS: Final = (PUBLISH, *ENDS, *TIMES, *COUNTS)


def is_of_load(expression: Expression) -> bool:
    """Whether it speaks of what a load measures, and of nothing else."""
    names = [name.text for name in expression.measures]
    return bool(names) and len(expression.metrics) == len(expression.clauses) and set(names) <= set(WORDS)
