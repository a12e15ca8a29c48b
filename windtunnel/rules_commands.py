"""`windtunnel rules`: check rule files, say in English what they do, hold them against recorded messages."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError
from windtunnel.cli import FAILED, INVALID, MET

if TYPE_CHECKING:
    from twin.state.rules.port import Action
    from twin.state.rules.program import CompiledRule
    from twin.state.rules.replay import Fired, Recorded, Replay

EPILOG: Final = """\
examples:
  windtunnel rules new fire                                fire.rules and fire.jsonl to start from
  windtunnel rules check fire.rules                        all mistakes at once, with their places
  windtunnel rules explain fire.rules                      what each rule does, in English
  windtunnel rules test fire.rules --data day.jsonl        every firing, also those between messages
  windtunnel rules test fire.rules --data day.csv --trace  and why a rule fired, or did not
  windtunnel rules test fire.rules --data day.jsonl --expect 3   exit code 1 unless there are three

a line of data: {"at_s": 12.5, "topic": "smoke_detector/L2-D07/telemetry", "payload": {"temp": 71}}
or `ts` in milliseconds; in a CSV the columns at_s (or ts), topic, and one for each field
"""
LARGEST_DATA_BYTES: Final = 1_000_000_000


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `rules`."""
    rules = commands.add_parser(
        "rules",
        help="check, explain and test the rules of a rule engine",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = rules.add_subparsers(dest="rules_action", required=True, metavar="ACTION")
    new = actions.add_parser("new", help="write example rules, and recorded messages to test them with")
    new.add_argument("name", help="of the new files, for example fire")
    check = actions.add_parser("check", help="check rule files; all mistakes at once, with their places")
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--format", choices=("text", "json"), default="text")
    explain = actions.add_parser("explain", help="say in English what rules do")
    explain.add_argument("file", metavar="FILE")
    explain.add_argument("rule", nargs="?", help="only this rule")
    _add_test(actions)


def _add_test(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    test = actions.add_parser("test", help="tell rules recorded messages, and print what fires when and why")
    test.add_argument("file", metavar="FILE")
    test.add_argument("--data", required=True, metavar="FILE", help=".jsonl or .csv; '-': JSON lines")
    test.add_argument("--at", choices=("edge", "cloud"), default="", help="only the rules of this place")
    test.add_argument(
        "--thing",
        action="append",
        default=[],
        metavar="KIND/NAME",
        help="a thing that patterns may name, besides those that speak in the data (may be repeated)",
    )
    test.add_argument("--until", type=float, metavar="SECONDS", help="let time pass until then at the end")
    test.add_argument("--trace", action="store_true", help="for every message, what each rule made of it")
    test.add_argument("--expect", type=int, metavar="N", help="exit code 1 unless rules fire N times")
    test.add_argument("--json", action="store_true", help="print as JSON")


def rules(options: argparse.Namespace) -> int:
    """Do what was asked of the rules."""
    actions = {"new": _new, "check": _check, "explain": _explain, "test": _test}
    return actions[options.rules_action](options)


def _new(options: argparse.Namespace) -> int:
    from importlib.resources import files

    data = files("twin.state.rules").joinpath("data")
    made = {Path(f"{options.name}{end}"): data.joinpath(f"example{end}") for end in (".rules", ".jsonl")}
    for path in made:
        if path.exists():
            raise InputError(f"{path} is there already; choose another name")
    for path, example in made.items():
        path.write_text(example.read_text("utf-8").replace("NAME", Path(options.name).name), "utf-8")
        print(f"wrote {path}")
    return MET


def _check(options: argparse.Namespace) -> int:
    from twin.state.rules.problems import RulesError

    found: list[dict[str, Any]] = []
    for file in options.files:
        try:
            count = len(_read(file))
        except RulesError as error:
            found += [
                {"file": file, **place._asdict(), "message": each.message, "hint": each.label}
                for each, place in zip(error.problems, error.places)
            ]
            if options.format == "text":
                print(error, file=sys.stderr)
        else:
            if options.format == "text":
                print(f"{file}: {count} rule{'s' * (count != 1)}, nothing to complain of")
    if options.format == "json":
        print(json.dumps(found, indent=2))
    return INVALID if found else MET


def _explain(options: argparse.Namespace) -> int:
    from twin.state.rules.explaining import in_words
    from twin.state.rules.problems import nearest

    found = {each.name: each.rule for each in _read(options.file)}
    if options.rule is not None and options.rule not in found:
        near = nearest(options.rule, found)
        raise InputError(f"{options.file} has no rule {options.rule!r}{f'; {near}' if near else ''}")
    chosen = [found[options.rule]] if options.rule is not None else list(found.values())
    print("\n\n".join(in_words(each) for each in chosen))
    return MET


def _read(file: str) -> tuple[CompiledRule, ...]:
    from twin.state.rules.program import compile_rules

    try:
        text = Path(file).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text") from error
    return compile_rules(text, file)


# test ----------------------------------------------------------------------------------------------------


def _test(options: argparse.Namespace) -> int:
    from twin.state.rules.replay import Replay, kinds_in
    from twin.state.rules.tracing import Tracer

    rules, recording = _read(options.file), _recording(options.data)
    kinds = kinds_in(recording) | _things(options.thing)
    replay = Replay(rules, options.at, kinds)
    tracer = Tracer(replay) if options.trace else None
    shown: list[dict[str, Any]] = []
    fired_count = 0
    for each in _replayed(replay, recording, options.until, tracer):
        fired_count += each["what"] == "fired"
        if options.json:
            shown.append(each)
        else:
            print(_line(each))
    is_met = options.expect is None or fired_count == options.expect
    summary = {"messages": len(recording), "fired": fired_count, "counts": replay.counts}
    if options.json:
        print(json.dumps({**summary, "events": shown}, indent=2))
    else:
        _print_summary(summary)
    if not is_met:
        print(f"expected {options.expect} firings, found {fired_count}", file=sys.stderr)
    return MET if is_met else FAILED


def _recording(file: str) -> list[Recorded]:
    from twin.state.rules.replay import read_csv, read_lines

    if file == "-":
        return read_lines(sys.stdin, "standard input")
    path = Path(file)
    if path.stat().st_size > LARGEST_DATA_BYTES:
        raise InputError(f"{file} has more than {LARGEST_DATA_BYTES:,} bytes")
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return read_csv(lines, file) if path.suffix.lower() == ".csv" else read_lines(lines, file)
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text") from error


def _things(written: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in written:
        kind, slash, name = each.partition("/")
        if not slash or not kind or not name:
            raise InputError(f"a thing is written KIND/NAME, for example boom_gate/gate-1, not {each!r}")
        found[name] = kind
    return found


def _replayed(
    replay: Replay, recording: list[Recorded], until_s: float | None, tracer: Any
) -> Iterator[dict[str, Any]]:
    """Everything that happens, in its order; between messages what time brings."""
    for recorded in recording:
        yield from map(_event, replay.wait(recorded.at_s))
        if tracer is not None:
            yield {"what": "message", "at_s": recorded.at_s, "topic": recorded.topic}
            yield from ({"what": "why", "at_s": recorded.at_s, "text": text} for text in tracer.why(recorded))
        yield from map(_event, replay.tell(recorded))
        if tracer is not None:
            yield from ({"what": "now", "at_s": recorded.at_s, "text": t} for t in tracer.after(recorded))
    if until_s is not None:
        yield from map(_event, replay.wait(until_s))


def _event(fired: Fired) -> dict[str, Any]:
    return {
        "what": "cleared" if fired.is_cleared else "fired",
        "at_s": fired.at_s,
        "rule": fired.rule,
        "thing": fired.thing,
        "partition": fired.partition,
        "by": "time" if fired.by_time else "message",
        "values": fired.document,
        "actions": [_action(each) for each in fired.actions.actions],
        "skipped": fired.actions.skipped_count,
        "unmatched": fired.actions.unmatched,
    }


def _action(action: Action) -> dict[str, Any]:
    """An action as JSON."""
    from dataclasses import asdict

    found = asdict(action)
    if isinstance(found.get("payload"), bytes):
        found["payload"] = found["payload"].decode("utf-8", "replace")
    return {"action": type(action).__name__.lower(), **found}


def _line(event: Mapping[str, Any]) -> str:
    """One line of the table."""
    time = f"{event['at_s']:>12.3f}"
    match event["what"]:
        case "message":
            return f"{time}  {event['topic']}"
        case "why" | "now":
            return f"{'':>12}    {'=> ' * (event['what'] == 'now')}{event['text']}"
    by = " (by time)" if event["by"] == "time" else ""
    head = f"{time}  {event['what'].upper():<7} {event['rule']}  {event['thing']}{by}"
    details = [_action_text(each) for each in event["actions"]]
    details += [f"no thing is called '{each}'" for each in event["unmatched"]]
    details += [f"{event['skipped']} left out: a value is Undefined"] * bool(event["skipped"])
    return "\n".join([head, *(f"{'':>14}- {each}" for each in details)])


def _action_text(action: Mapping[str, Any]) -> str:
    match action["action"]:
        case "desire":
            until = f" for {action['expires_s']:g} s" if action["expires_s"] is not None else ""
            return f"desire {action['thing']} {json.dumps(action['values'])}{until}"
        case "command":
            return f"command {action['thing']} {action['name']} {json.dumps(action['arguments'])}"
        case "alarm":
            over = "cleared" if action["is_cleared"] else action["severity"]
            return f"alarm {action['type']} of {action['thing']}: {over}, '{action['text']}'"
        case "publish":
            return f"publish {action['topic']} {action['payload']}"
    return f"forward to {action['sink']} {json.dumps(action['document'])}"


def _print_summary(summary: Mapping[str, Any]) -> None:
    counts = {
        name: value for name, value in summary["counts"].items() if name not in {"rule_fired", "rule_cleared"}
    }
    others = "".join(f", {name.removeprefix('rule_')} {value:g}" for name, value in sorted(counts.items()))
    print(f"{summary['messages']} messages, {summary['fired']} firings{others}")
