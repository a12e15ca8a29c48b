"""Attempts of a device to reach what is not its own, and what it must be able to reach.

Shared by the tests of the simulated broker and of the managed real one: load it as
`tests/registry/conftest.py` does. The same seed gives the same attempts.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Own:
    """A device: its name, type and site."""

    thing: str
    type: str
    site: str

    @property
    def shadow(self):
        return f"$aws/things/{self.thing}/shadow"

    @property
    def jobs(self):
        return f"$aws/things/{self.thing}/jobs"

    @property
    def field(self):
        return f"site/{self.site}/{self.type}/{self.thing}"


class Attempt(NamedTuple):
    """One attempt; what is `malformed` a client library may refuse to send."""

    verb: str
    topic: str
    is_malformed: bool = False


SHADOW_ASKED = ("get", "update", "delete", "name/mode/get", "name/mode/update", "name/mode/delete")
SHADOW_SAID = ("get/accepted", "update/accepted", "update/rejected", "update/delta", "update/documents",
               "name/mode/update/delta")  # fmt: skip
FIELD_SAID = ("telemetry", "event/alarm", "report", "cmd/open/ack", "session")
FIELD_HEARD = ("cmd/open", "cmd/close")
JOBS_ASKED = ("get", "start-next", "job-1/get", "job-1/update")
JOBS_SAID = ("notify", "notify-next", "get/accepted", "job-1/update/rejected")
LOOK_ALIKES = {
    "a": "\u0430",
    "e": "\u0435",
    "o": "\u043e",
    "i": "\u0456",
    "s": "\u0455",
    "t": "\uff54",
    "-": "\u2010",
}


def own_attempts(own):
    """What the device must be able to do."""
    publish = (
        *(f"{own.shadow}/{each}" for each in SHADOW_ASKED),
        *(f"{own.jobs}/{each}" for each in JOBS_ASKED),
        *(f"{own.field}/{each}" for each in FIELD_SAID),
        f"things/{own.thing}/cmd/open/ack",
    )
    subscribe = (
        *(f"{own.shadow}/{each}" for each in SHADOW_SAID),
        *(f"{own.jobs}/{each}" for each in JOBS_SAID),
        *(f"{own.field}/{each}" for each in FIELD_HEARD),
        f"{own.shadow}/#",
        f"{own.shadow}/+/accepted",
        f"{own.shadow}/name/+/update/delta",
        f"{own.jobs}/#",
        f"{own.field}/cmd/#",
        f"{own.field}/cmd/+",
        f"things/{own.thing}/cmd/+",
        f"$share/mine/{own.field}/cmd/+",
    )
    return [
        *(Attempt("publish", each) for each in publish),
        *(Attempt("subscribe", each) for each in subscribe),
    ]


def attempts(seed, own, others, count=1000):
    """So many attempts outside the device's topics, half of them publications, of every kind below."""
    draw = random.Random(seed)
    makers = (
        _of_another,
        _with_a_wildcard,
        _shared,
        _look_alike,
        _other_case,
        _near,
        _of_the_service,
        _malformed,
    )
    made = []
    while len(made) < count:
        made.append(makers[len(made) % len(makers)](draw, own, draw.choice(others)))
    return made


def _topic(draw, own):
    said = (
        *(f"{own.shadow}/{each}" for each in (*SHADOW_ASKED, *SHADOW_SAID)),
        *(f"{own.jobs}/{each}" for each in (*JOBS_ASKED, *JOBS_SAID)),
        *(f"{own.field}/{each}" for each in (*FIELD_SAID, *FIELD_HEARD)),
        f"things/{own.thing}/cmd/open",
        f"alarms/{own.thing}/fire",
    )
    return draw.choice(said)


def _verb(draw):
    return draw.choice(("publish", "subscribe"))


def _of_another(draw, _own, other):
    return Attempt(_verb(draw), _topic(draw, other))


def _with_a_wildcard(draw, own, other):
    """Filters that take in more than the device: whole, or with one of its levels left open."""
    whole = ("#", "+/#", "+/+/#", "$aws/#", "$aws/+/#", "$aws/things/#", "$aws/things/+/#", "$SYS/#",
             "site/#", "site/+/+/+/telemetry", "site/+/+/+/cmd/+", "alarms/#",
             "$aws/things/+/shadow/update/delta",
             f"site/{own.site}/#", f"site/{own.site}/{own.type}/#", f"site/{own.site}/{own.type}/+/cmd/+",
             f"site/+/{own.type}/{own.thing}/cmd/+", f"+/{own.site}/{own.type}/{own.thing}/cmd/+",
             f"$aws/+/{own.thing}/shadow/#", "things/+/cmd/+", "+", "/#", "/+/#",
             "$aws/certificates/#", "$aws/provisioning-templates/+/provision/json/+")  # fmt: skip
    if draw.random() < 0.5:
        return Attempt("subscribe", draw.choice(whole))
    levels = _topic(draw, other).split("/")
    opened = draw.randrange(4 if levels[0] == "site" else 3)
    if levels[0] == "$aws" and opened == 0:
        opened = 1
    levels[opened] = "+"
    return Attempt("subscribe", "/".join([*levels[: opened + 1], "#"] if draw.random() < 0.3 else levels))


def _shared(draw, own, other):
    inner = draw.choice((_of_another, _with_a_wildcard))(draw, own, other).topic
    if draw.random() < 0.3:
        return Attempt("publish", f"$share/g/{_topic(draw, other)}")
    return Attempt("subscribe", f"$share/{draw.choice(('g', own.thing, 'gate', '$aws'))}/{inner}")


def _look_alike(draw, own, _other):
    """A name that looks the same, or holds what nobody sees."""
    topic = _topic(draw, own)
    at = topic.index(own.thing)
    name = list(own.thing)
    if draw.random() < 0.5 and any(letter in LOOK_ALIKES for letter in name):
        where = draw.choice([index for index, letter in enumerate(name) if letter in LOOK_ALIKES])
        name[where] = LOOK_ALIKES[name[where]]
    else:
        unseen = ("\u200b", "\u200d", "\u0301", "\u00ad", "\u2060", " ", "\u3000")
        name.insert(draw.randrange(len(name) + 1), draw.choice(unseen))
    return Attempt(_verb(draw), topic[:at] + "".join(name) + topic[at + len(own.thing) :])


def _other_case(draw, own, _other):
    topic = _topic(draw, own)
    first = topic.split("/")[0]
    changed = draw.choice((topic.upper(), topic.title(), topic.replace(own.thing, own.thing.swapcase()),
                           topic.replace(first, first.upper(), 1)))  # fmt: skip
    return Attempt(_verb(draw), changed if changed != topic else topic.upper())


def _near(draw, own, other):
    """Names that begin or end like its own, steps upward, levels too many or too few."""
    topic, name = _topic(draw, own), own.thing
    changed = draw.choice((
        topic.replace(name, name + draw.choice("0123456789-_x")),
        topic.replace(name, name[:-1]),
        topic.replace(name, f"{name}/../{other.thing}"),
        topic.replace(name, f"../{other.thing}"),
        topic.replace(name, f"{name}%2f{other.thing}"),
        topic.replace(name, f"{other.thing}/{name}"),
        topic.replace(name, "${thing}"),
        topic.replace(name, "%u"),
        topic.replace(name, "%c"),
        topic.replace(name, ""),
        "/" + topic,
        topic.replace("/", "//", 1),
        topic + "/",
        f"{topic}/{other.thing}",
        topic.replace("/", "\\"),
        "./" + topic,
    ))  # fmt: skip
    # a level deeper below itself is its own to hear, though nobody speaks there
    is_below = changed.startswith(
        (f"$aws/things/{name}/", f"{own.field}/", f"things/{name}/", f"alarms/{name}/")
    )
    return Attempt("publish" if is_below else _verb(draw), changed)


def _of_the_service(draw, own, _other):
    """What only the service says, about the device itself."""
    said = (
        *(f"{own.shadow}/{each}" for each in SHADOW_SAID),
        *(f"{own.jobs}/{each}" for each in JOBS_SAID),
        *(f"{own.field}/{each}" for each in FIELD_HEARD),
        f"alarms/{own.thing}/fire",
        f"things/{own.thing}/cmd/open",
        "$SYS/broker/version",
        f"$aws/events/presence/connected/{own.thing}",
        "$aws/certificates/create/json/accepted",
        "rule/heartbeat",
        f"site/{own.site}/rule/alarm",
        f"site/{own.site}/{own.type}",
    )
    return Attempt("publish", draw.choice(said))


def _malformed(draw, own, _other):
    """Topic names with wildcards, filters with wildcards inside a level."""
    topic = _topic(draw, own)
    if draw.random() < 0.5:
        levels = topic.split("/")
        levels[draw.randrange(len(levels))] = draw.choice("+#")
        return Attempt("publish", "/".join(levels), is_malformed=True)
    broken = (f"{topic}#", f"{topic}+", f"{topic}/#/x", f"#/{topic}", f"$share//{topic}",
              "$share/g", f"$share/+/{topic}", "")  # fmt: skip
    return Attempt("subscribe", draw.choice(broken), is_malformed=True)
