"""`windtunnel types`: the device types, checks of your own, and exports for others."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError
from windtunnel.cli import INVALID, MET

if TYPE_CHECKING:
    from scenarios.format.issues import Issue
    from scenarios.format.source import Source
    from twin.state.types.checking import Problem

EPILOG: Final = """\
examples:
  windtunnel types list
  windtunnel types show boom_gate
  windtunnel types check my_lock.tm.yaml         all errors at once, with their places
  windtunnel types export boom_gate --as wot-td --thing gate-1 --site car_park
  windtunnel types export thermostat --as dtdl   what DTDL cannot say is listed on standard error

a name is that of a shipped type or of a file NAME.tm.yaml; a file may extend shipped types and its neighbours
"""
FORMS: Final = ("wot-td", "dtdl", "thing-model")
ENDING: Final = ".tm.yaml"
DEFAULT_BROKER: Final = "mqtts://localhost:8883"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `types`."""
    types = commands.add_parser(
        "types",
        help="list, check and export device types",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = types.add_subparsers(dest="types_action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the shipped types")
    listed.add_argument("--json", action="store_true")
    show = actions.add_parser("show", help="what things of a type say, take and do")
    show.add_argument("name", help="a shipped type, or a file")
    show.add_argument("--json", action="store_true", help="the whole type, with what it extends")
    check = actions.add_parser("check", help="check type files; all errors at once, with their places")
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--format", choices=("text", "json"), default="text")
    check.add_argument("--strict", action="store_true", help="warnings are errors")
    export = actions.add_parser("export", help="a type in the format of another world")
    export.add_argument("name", help="a shipped type, or a file")
    export.add_argument("--as", dest="form", choices=FORMS, required=True)
    export.add_argument("--thing", default="thing-1", metavar="NAME", help="whom a wot-td describes")
    export.add_argument("--site", default="site", metavar="NAME", help="where it is")
    export.add_argument("--broker", default=DEFAULT_BROKER, metavar="URL")


def types(options: argparse.Namespace) -> int:
    """Do what was asked of the types."""
    actions = {"list": _list, "show": _show, "check": _check, "export": _export}
    return actions[options.types_action](options)


def _list(options: argparse.Namespace) -> int:
    from twin.state.types import shipped_types

    rows = [
        {
            "name": name,
            "title": model.title,
            "properties": list(model.properties),
            "actions": _names(model, "actions"),
            "events": _names(model, "events"),
        }
        for name, model in shipped_types().items()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return MET
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        acts, events = (f"{name}()" for name in row["actions"]), (f"!{name}" for name in row["events"])
        said = [*row["properties"], *acts, *events]
        print(f"{row['name']:{width}}  {', '.join(said)}")
    print("\nname: property, action(), !event", file=sys.stderr)
    return MET


def _names(model: Any, section: str) -> list[str]:
    return list(model.document.get(section) or {})


def _show(options: argparse.Namespace) -> int:
    from twin.state.types.exports import to_thing_model
    from twin.units import format_quantity

    model = model_of(options.name)
    if options.json:
        print(json.dumps(to_thing_model(model), indent=2))
        return MET
    print(f"{model.name}: {model.title}\n{model.document.get('description', '')}".rstrip())
    for each in model.properties.values():
        kind = each.schema.get("type", "value")
        about = [str(kind) if "enum" not in each.schema else " | ".join(map(str, each.schema["enum"]))]
        about += [f"in {each.schema['unit']}"] if "unit" in each.schema else []
        if each.max_age_s < float("inf"):
            about.append(f"stale after {format_quantity('time', each.max_age_s)}")
        if each.has_fail_safe:
            about.append(f"then taken as {json.dumps(each.fail_safe)}")
        if each.is_desirable:
            about.append(f"written by {', '.join(sorted(each.writable_by - {'device'}))}")
            if each.desired_expiry_s < float("inf"):
                about.append(f"a wish ends after {format_quantity('time', each.desired_expiry_s)}")
            if each.is_cleared_on_report:
                about.append("a wish ends when it is reported")
        if each.personal_data != "keep":
            about.append(f"personal: {each.personal_data}")
        print(f"  {each.name}: {'; '.join(about)}")
    for section, form in (("actions", "{}()"), ("events", "!{}")):
        for name, entry in (model.document.get(section) or {}).items():
            described = entry.get("description", "")
            print(f"  {form.format(name)}{': ' + described if described else ''}")
    return MET


def _check(options: argparse.Namespace) -> int:
    from scenarios.format.issues import ScenarioError, render

    rows: list[dict[str, Any]] = []
    is_bad = False
    for name in options.files:
        try:
            source = _read(Path(name))
            problems = _problems(Path(name), source)
        except ScenarioError as error:
            is_bad = True
            rows += [_row(name, issue, is_warning=False) for issue in error.issues]
            _tell(str(error), options)
            continue
        bad = [each for each in problems if options.strict or not each.is_warning]
        is_bad = is_bad or bool(bad)
        found = [(_issue(source, each), each.is_warning) for each in problems]
        rows += [_row(name, issue, is_warning=is_warning) for issue, is_warning in found]
        if found:
            text = render([issue for issue, _ in found], name=name, text=source.text)
            _tell(text.replace("error[warning]", "warning"), options)
        if not bad and options.format == "text":
            print(f"{name}: valid{f', {len(found)} warnings' if found else ''}")
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    return INVALID if is_bad else MET


def _tell(text: str, options: argparse.Namespace) -> None:
    if options.format == "text":
        print(text, file=sys.stderr)


def _row(name: str, issue: Issue, *, is_warning: bool) -> dict[str, Any]:
    level = "warning" if is_warning else "error"
    place = {"file": name, "line": issue.line, "column": issue.column}
    return {**place, "level": level, "message": issue.message, "help": issue.help}


def _issue(source: Source, problem: Problem) -> Issue:
    from scenarios.format.issues import issue_at

    place = source.key_at(problem.place) if problem.is_key else source.value_at(problem.place)
    code = "warning" if problem.is_warning else "type"
    return issue_at(place, code, problem.message, advice=problem.advice)


def _export(options: argparse.Namespace) -> int:
    from twin.state.registry.things import Thing, check_thing
    from twin.state.types.exports import to_dtdl, to_thing_model, to_wot_td

    model = model_of(options.name)
    if options.form == "wot-td":
        thing = Thing(name=options.thing, type=model.name, site=options.site)
        check_thing(thing)
        made = to_wot_td(model, thing, options.broker)
    elif options.form == "dtdl":
        made, left_out = to_dtdl(model)
        for each in left_out:
            print(f"left out: {each}", file=sys.stderr)
    else:
        made = to_thing_model(model)
    print(json.dumps(made, indent=2))
    return MET


# files ---------------------------------------------------------------------------------------------------


def _read(path: Path) -> Source:
    from scenarios.format.source import read

    return read(path)


def _problems(path: Path, source: Source) -> list[Problem]:
    from twin.state.types.checking import check, type_name

    name = type_name(path.name)
    return check(source.data, name, _others(path))


def _others(path: Path) -> dict[str, Any]:
    """What a file may extend: the shipped types and the files beside it."""
    from twin.state.types.checking import type_name
    from twin.state.types.shipped import shipped_documents

    beside = sorted(path.parent.glob(f"*{ENDING}")) if path.parent.is_dir() else []
    others = dict(shipped_documents())
    for each in beside:
        if each.name != path.name:
            try:
                others[type_name(each.name)] = _read(each).data
            except InputError:
                continue  # its own check says what is wrong with it
    return others


def model_of(name: str) -> Any:
    """The type of a name or file. Raises InputError."""
    from twin.state.registry.things import unknown
    from twin.state.types import shipped_types
    from twin.state.types.checking import read_type, type_name

    path = Path(name)
    if path.is_file():
        return read_type(_read(path).data, type_name(path.name), _others(path))
    known = shipped_types()
    if name not in known:
        raise InputError(f"{unknown('type', name, known)}; a type of your own is named by its file")
    return known[name]
