"""How fast rules are: conditions, whole rules on messages, compiling; and a long fuzz of the front end.

    python tests/benchmarks/rules.py                     conditions and messages, beside a plain lambda
    python tests/benchmarks/rules.py --fuzz 1000000      so many hostile texts, and the worst time of one

An interpreter of expressions that happens to be installed (simpleeval, cel-python) is measured too.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rules"))

from rule_texts import text_of

from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.rules.component import Rules
from twin.state.rules.problems import RulesError
from twin.state.rules.program import compile_rules

FIELDS = {"ts": 1_700_000_000_000, "temp": 71.5, "smoke": 0.4, "level": "L2", "battery": 97}
CONDITION = "temp > 60 AND smoke > 0.1"
ROUNDS = 7


def rule(condition: str, rest: str = "", name: str = "r") -> str:
    """A rule around a condition, which asks for something that costs little."""
    return f"RULE {name} SELECT * FROM 'sensor/+/telemetry' WHERE {condition} {rest} THEN ALARM MINOR 'x'\n"


def rate(work: Callable[[], object], count: int) -> float:
    """Calls a second of processor time, the median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for _ in range(count):
            work()
        found.append(count / (time.process_time() - began_s))
    return statistics.median(found)


def conditions() -> None:
    """One condition on a message of five fields, as the rules have it and as others do."""
    (made,) = compile_rules(rule(CONDITION))
    where, get = made.where, FIELDS.get
    fields = FIELDS
    candidates: dict[str, Callable[[], object]] = {
        "rule": lambda: where(get, None, ()),
        "lambda": lambda f=lambda d: d["temp"] > 60 and d["smoke"] > 0.1: f(fields),
        **others(),
    }
    empty = rate(lambda: None, 300_000)
    print(f"{CONDITION}, five fields")
    for name, work in candidates.items():
        work()
        gross = rate(work, 200_000 if name in {"rule", "lambda"} else 2_000)
        net = 1.0 / (1.0 / gross - 1.0 / empty)
        print(f"  {name:<22} {net / 1e6:8.3f} M/s   (with the measuring call {gross / 1e6:.3f} M/s)")


def others() -> dict[str, Callable[[], object]]:
    """Interpreters that are installed."""
    found: dict[str, Callable[[], object]] = {}
    try:
        simple = importlib.import_module("simpleeval").SimpleEval(names=FIELDS)
        parsed = simple.parse("temp > 60 and smoke > 0.1")
        found["simpleeval (parsed)"] = lambda: simple.eval("", previously_parsed=parsed)
    except ImportError:
        pass
    try:
        celpy = importlib.import_module("celpy")
        environment = celpy.Environment()
        program = environment.program(environment.compile("temp > 60.0 && smoke > 0.1"))
        context = celpy.json_to_cel({key: FIELDS[key] for key in ("temp", "smoke")})
        found["cel-python"] = lambda: program.evaluate(context)
    except ImportError:
        pass
    return found


def messages() -> None:
    """Whole messages through the component: JSON, matching, conditions, state."""
    payload = b'{"ts":1700000000000,"temp":51.5,"smoke":0.4,"level":"L2","battery":97}'
    message = Message("site/s/sensor/a/telemetry", payload)
    print("messages of 70 bytes through the component, none of the rules fires")
    for count in (1, 20):
        text = "".join(rule(f"temp > {60 + n} AND smoke > 0.1", name=f"r{n}") for n in range(count))
        work, _ = told(text, message)
        found = rate(work, 5_000)
        print(f"  {count:>3} rules: {found:>9,.0f} messages/s, {found * count / 1e6:.2f} M evaluations/s")
    print("one rule with state, at each message")
    for name, rest in {
        "FOR 1h": "FOR 1h",
        "WINDOW TUMBLING 1h": "WINDOW TUMBLING 1h HAVING count(*) < 0",
        "WINDOW SLIDING of 100": "WINDOW SLIDING 100s HAVING avg(temp) < 0",
    }.items():
        work, _ = told(rule("temp > 0", rest), message)
        print(f"  {name:<22} {rate(work, 2_000):>9,.0f} messages/s")


def told(text: str, message: Message) -> tuple[Callable[[], object], Rules]:
    """A call that tells the rules a message, a second later each time."""
    component, records = Rules(compile_rules(text)), Records()
    clock = iter(range(10**9))

    def tell() -> None:
        component.handle(message, Transaction(records, float(next(clock))))

    return tell, component


def compiling() -> None:
    """From text to functions."""
    text = rule(CONDITION, "FOR 2s COOLDOWN 30s")
    compile_rules(text)
    print(f"compiling a rule: {1e3 / rate(lambda: compile_rules(text), 100):.2f} ms")


def fuzz(count: int, seed: int) -> int:
    """Hostile texts: every one is a rule or a RulesError, whatever else comes out is a defect."""
    random = np.random.Generator(np.random.Philox(seed))
    worst_s, worst, good_count = 0.0, "", 0
    began_s = time.perf_counter()
    for _ in range(count):
        text = text_of(random)
        started_s = time.process_time()
        try:
            compile_rules(text)
            good_count += 1
        except RulesError as error:
            str(error)
        took_s = time.process_time() - started_s
        if took_s > worst_s:
            worst_s, worst = took_s, text
    wall_s = time.perf_counter() - began_s
    print(
        f"{count:,} texts (seed {seed}) in {wall_s:.0f} s: {good_count:,} were rules, no other exception;"
        f" the worst took {worst_s * 1e3:.1f} ms: {worst[:120]!r}"
    )
    return 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fuzz", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.fuzz:
        return fuzz(options.fuzz, options.seed)
    conditions()
    messages()
    compiling()
    return 0


if __name__ == "__main__":
    sys.exit(main())
