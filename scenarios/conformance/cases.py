"""A file of shadow conformance cases: a JSON array of objects.

    id, title   what the case is called and what it is about
    given       operations at the times 100, 101, ...
    when        the operation at 200
    then        the documents that it leads to, by topic below the shadow ("update/accepted")
    absent      topics on which nothing may come
    get         the document of a get at 300, or a code such as 404

An operation has `op` (update, get, delete), `payload` (an object, or a string that is sent as it is) and
`shadow` (the name of a named shadow). A member that is null is as good as missing, and further members mean
nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from scenarios.format.issues import suggestion
from twin.errors import InputError

Tree: TypeAlias = dict[str, Any]

VERBS: Final = ("update", "get", "delete")
ANSWERS: Final = (
    *(f"{verb}/{answer}" for verb in VERBS for answer in ("accepted", "rejected")),
    "update/delta",
    "update/documents",
)
GIVEN_S: Final = 100
WHEN_S: Final = 200
GET_S: Final = 300
FILE_LIMIT_BYTES: Final = 32 * 2**20
CASE_LIMIT: Final = 10_000
GIVEN_LIMIT: Final = WHEN_S - GIVEN_S


@dataclass(frozen=True, slots=True)
class Operation:
    """One message to the service; `op` is its topic below the shadow, `shadow` empty for the classic one."""

    op: str
    payload: bytes
    shadow: str = ""

    @property
    def is_request(self) -> bool:
        """Whether it is to be answered; a case may also speak on a topic of answers, which is none."""
        return self.op in VERBS


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `get` None is not checked. `get_shadow` None: the file does not say which shadow is meant."""

    id: str
    title: str
    given: Sequence[Operation]
    when: Operation
    then: Mapping[str, Tree]
    absent: Sequence[str]
    get: Tree | int | None
    get_shadow: str | None
    line: int

    @property
    def shadows(self) -> list[str]:
        """The shadows that the case speaks of, each once."""
        return list(dict.fromkeys(each.shadow for each in (*self.given, self.when)))

    @property
    def got(self) -> list[str]:
        """The shadows that the last get may mean: the one named, else the classic one if the case uses it,
        else either.
        """
        if self.get_shadow is not None:
            return [self.get_shadow]
        return [""] if "" in self.shadows else [*self.shadows, ""]


class _FaultyError(Exception):
    """What is wrong with one case, and the key beside which it stands."""

    def __init__(self, problem: str, key: str = "") -> None:
        super().__init__(problem)
        self.key = key


def read_cases(path: Path) -> list[Case]:
    """The cases of a file; raise InputError with the line and what was expected."""
    if path.stat().st_size > FILE_LIMIT_BYTES:
        raise InputError(f"{path}: larger than {FILE_LIMIT_BYTES // 2**20} MiB, the most a file may have")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    cases: list[Case] = []
    for line, item, source in _items(text, path):
        try:
            cases.append(_case(item, line))
        except _FaultyError as fault:
            at = line + _lines_to(fault.key, source)
            raise InputError(f"{path}:{at}: case {len(cases) + 1}: {fault}") from None
    if not cases:
        raise InputError(f"{path}: holds no case; expected an array of objects with 'id' and 'when'")
    _check_ids(cases, path)
    return cases


def _check_ids(cases: list[Case], path: Path) -> None:
    first: dict[str, Case] = {}
    for case in cases:
        if case.id in first:
            raise InputError(
                f"{path}:{case.line}: the id {case.id!r} stands at line {first[case.id].line} already;"
                " expected one that no other case has"
            )
        first[case.id] = case


def _items(text: str, path: Path) -> Iterator[tuple[int, Any, str]]:
    """Every element of the array with its line and text; one by one, so that an error has a line."""
    decoder = json.JSONDecoder()
    position = _past_space(text, 0)
    if text[position : position + 1] != "[":
        raise InputError(f"{path}:{_line(text, position)}: expected an array of cases, '[' at the beginning")
    position = _past_space(text, position + 1)
    while text[position : position + 1] != "]":
        try:
            item, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            place = error.pos if isinstance(error, json.JSONDecodeError) else position
            words = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            raise InputError(f"{path}:{_line(text, place)}: no JSON: {words}") from None
        yield _line(text, position), item, text[position:end]
        position = _past_space(text, end)
        if text[position : position + 1] == ",":
            position = _past_space(text, position + 1)
        elif text[position : position + 1] != "]":
            raise InputError(f"{path}:{_line(text, position)}: expected ',' or ']' after a case")
    after = _past_space(text, position + 1)
    if after != len(text):
        raise InputError(f"{path}:{_line(text, after)}: expected nothing after the array of cases")


def _past_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _lines_to(key: str, source: str) -> int:
    """How many lines into a case a key stands first; 0 if it does not."""
    if not key:
        return 0
    quoted = re.escape(json.dumps(key))
    found = re.search(f"{quoted}\\s*:", source) or re.search(quoted, source)
    return source.count("\n", 0, found.start()) if found else 0


# one case --------------------------------------------------------------------------------------------


def _case(item: Any, line: int) -> Case:
    if not isinstance(item, dict):
        raise _FaultyError(f"expected an object, not {_said(item)}")
    if "when" not in item:
        raise _FaultyError("'when' is missing; expected the operation that is judged")
    given = _typed(item, "given", list, [])
    if len(given) > GIVEN_LIMIT:
        raise _FaultyError(f"'given' has {len(given)} operations; expected at most {GIVEN_LIMIT}", "given")
    then = _typed(item, "then", dict, {})
    absent = _typed(item, "absent", list, [])
    _check_topics(then, "then")
    _check_topics(absent, "absent")
    for topic, document in then.items():
        if not isinstance(document, dict):
            raise _FaultyError(f"'then' at '{topic}': expected a document, not {_said(document)}", topic)
    get = item.get("get")
    if get is not None and type(get) is not int and not isinstance(get, dict):
        raise _FaultyError(f"'get': expected a document or a code such as 404, not {_said(get)}", "get")
    return Case(
        id=_text(item, "id"),
        title=str(item.get("title") or ""),
        given=[_operation(each, "given") for each in given],
        when=_operation(item["when"], "when"),
        then=then,
        absent=absent,
        get=get,
        get_shadow=_typed(item, "get_shadow", str, None),
        line=line,
    )


def _text(item: Tree, key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise _FaultyError(f"'{key}': expected a text, not {_said(value)}", key)
    return value


def _typed(item: Tree, key: str, kind: type[Any], default: Any) -> Any:
    value = item.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        wanted = "an array" if kind is list else "an object" if kind is dict else "a text"
        raise _FaultyError(f"'{key}': expected {wanted}, not {_said(value)}", key)
    return value


def _check_topics(topics: Any, key: str) -> None:
    for topic in topics:
        if topic not in ANSWERS:
            hint = suggestion(str(topic), ANSWERS) or f"expected one of {', '.join(ANSWERS)}"
            raise _FaultyError(f"'{key}': no topic of answers: {_said(topic)}; {hint}", str(topic))


def _operation(item: Any, where: str) -> Operation:
    if not isinstance(item, dict):
        raise _FaultyError(f"'{where}': expected an operation, an object with 'op', not {_said(item)}", where)
    op = item.get("op")
    if op not in VERBS and op not in ANSWERS:
        hint = suggestion(str(op), VERBS) or f"expected one of {', '.join(VERBS)}"
        raise _FaultyError(f"'{where}': no operation: {_said(op)}; {hint}", str(op) if op else where)
    shadow = item.get("shadow") or ""
    if not isinstance(shadow, str):
        raise _FaultyError(f"'{where}': 'shadow': expected a name, not {_said(shadow)}", "shadow")
    return Operation(op, _payload(item, where), shadow)


def _payload(item: Tree, where: str) -> bytes:
    if item.get("payload_base64") is not None:
        try:
            return base64.b64decode(item["payload_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise _FaultyError(f"'{where}': 'payload_base64': expected base64", "payload_base64") from None
    payload = item.get("payload")
    if payload is None:
        return b""
    if isinstance(payload, str):
        try:
            return payload.encode()
        except UnicodeEncodeError:
            raise _FaultyError(f"'{where}': 'payload' holds half a character", "payload") from None
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload).encode()


def _said(value: Any) -> str:
    """A value as the file says it, cut to what fits into a message."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
