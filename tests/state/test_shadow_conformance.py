import json
import pathlib

import pytest

from twin.message import Message
from twin.state.shadow import Shadows
from twin.state.twins import Twins

CASES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "shadow_cases.json").read_text())


def ask(twins, operation, now_s):
    """Perform one operation of a case; return the documents by topic suffix."""
    body = operation.get("payload", "")
    payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    name = operation.get("shadow", "")
    topic = f"$aws/things/thing/shadow/name/{name}" if name else "$aws/things/thing/shadow"
    messages = twins.handle(Message(f"{topic}/{operation['op']}", payload), now_s).messages
    return {each.topic.removeprefix(f"{topic}/"): json.loads(each.payload) for each in messages}


def covers(actual, expected):
    """Whether a document has what a case names; but for a get, one that names the timestamp names all."""
    return {key: actual.get(key) for key in expected} == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']} {case['title']}")
def test_the_shadow_answers_as_the_service_does(case):
    """What is published, what is not, and what a later get returns are as in the case."""
    twins = Twins([Shadows()])
    for second, operation in enumerate(case["given"]):
        ask(twins, operation, 100 + second)
    answers = ask(twins, case["when"], 200)

    for suffix, expected in case["then"].items():
        assert covers(answers[suffix], expected), suffix
        if "timestamp" in expected and suffix != "get/accepted":
            assert answers[suffix] == expected
    assert not set(answers) & set(case["absent"])
    later = ask(twins, {"op": "get"}, 300)
    if case["get"] == 404:
        assert later["get/rejected"]["code"] == 404
    else:
        assert covers(later["get/accepted"], case["get"])
