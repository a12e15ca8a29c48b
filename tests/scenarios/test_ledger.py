"""The account of a history: everything that is planted is found, and nothing else."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.ledger import (
    AT_MOST_ONCE,
    AWAY,
    SESSION_LOST,
    UNDER_WAY,
    UNEXPLAINED,
    check,
    read,
    summary,
)
from twin.errors import InputError
from twin.live.history import Happening, History, marked, unmarked
from twin.message import Message
from windtunnel.cli import run_command_line as main

READERS = ("r1", "r2")
END_S = 1_000.0


def sent(publisher, number, at_s, qos=1):
    identity = f"{publisher}:1:{number}"
    invoke = Happening(at_s, "invoke", publisher, identity, f"t/{publisher}", qos)
    return [invoke, Happening(at_s + 0.1, "ok", publisher, identity)] if qos else [invoke]


def receipt(reader, publisher, number, at_s, qos=1, *, is_repeated=False):
    identity = f"{publisher}:1:{number}"
    return Happening(at_s, "receive", reader, identity, f"t/{publisher}", qos, is_repeated=is_repeated)


def subscribed(qos=1, at_s=0.0):
    return [Happening(at_s, "subscribed", reader, topic="t/#", qos=qos) for reader in READERS]


def ended(events):
    return [*sorted(events, key=lambda each: each.at_s), Happening(END_S, "end")]


places = st.tuples(st.sampled_from(("p1", "p2")), st.integers(1, 20), st.sampled_from(READERS))


@settings(max_examples=200)
@given(
    lost=st.sets(places, max_size=15),
    twice=st.sets(places, max_size=15),
    swapped=st.sets(st.tuples(st.sampled_from(("p1", "p2")), st.integers(1, 10), st.sampled_from(READERS))),
    qos=st.integers(0, 2),
)
def test_what_is_planted_is_found(lost, twice, swapped, qos):
    """Losses, duplicates and neighbours that change places are counted one by one, at every QoS."""
    events = subscribed(qos)
    for publisher in ("p1", "p2"):
        for number in range(1, 21):
            events += sent(publisher, number, float(number), qos)
            for reader in READERS:
                place = (publisher, number, reader)
                if place in lost:
                    continue
                pair = (publisher, (number + 1) // 2, reader)
                delay = 2.3 - 2 * (number % 2 == 0) if pair in swapped else 0.3
                events.append(receipt(reader, publisher, number, number + delay, qos))
                if place in twice:
                    events.append(receipt(reader, publisher, number, number + delay + 0.001, qos))
    account = check(ended(events))
    missing = len(lost)
    twice = twice - lost
    whole = [
        (p, pair, r) for p, pair, r in swapped if {(p, 2 * pair - 1, r), (p, 2 * pair, r)}.isdisjoint(lost)
    ]

    assert account.messages == 40
    assert account.total.expected == 80
    assert account.total.delivered == 80 - missing
    assert account.total.lost == missing
    assert account.total.duplicated == len(twice)
    assert account.total.reordered == len(whole)
    assert account.total.missing == ({AT_MOST_ONCE if qos == 0 else UNEXPLAINED: missing} if missing else {})
    broken = (missing if qos else 0) + (len(twice) if qos != 1 else 0)
    assert account.violation_count == broken


@given(st.permutations(range(6)))
def test_the_order_of_arrival_decides(order):
    """What arrives after a later one is out of order: as often as a record-breaking sequence falls back."""
    events = subscribed()
    for number in range(6):
        events += sent("p1", number + 1, number * 0.1)
    events += [receipt("r1", "p1", number + 1, 10 + place) for place, number in enumerate(order)]
    events += [receipt("r2", "p1", number + 1, 10 + number) for number in range(6)]
    fallen = sum(any(earlier > number for earlier in order[:place]) for place, number in enumerate(order))

    assert check(ended(events)).total.reordered == fallen


def test_a_broker_that_forgets_a_session_explains_the_loss():
    """Before the receiver is back and until it is subscribed again; what comes later must come."""
    events = subscribed()
    events += [Happening(20.0, "disconnected", "r1"), Happening(25.0, "anew", "r1")]
    events += [Happening(26.0, "subscribed", "r1", topic="t/#", qos=1)]
    for number, at_s in enumerate((10.0, 19.0, 22.0, 25.5, 27.0), 1):
        events += sent("p1", number, at_s)
        events.append(receipt("r2", "p1", number, at_s + 0.2))
    events.append(receipt("r1", "p1", 1, 10.2))
    account = check(ended(events))

    assert account.total.missing == {SESSION_LOST: 3, UNEXPLAINED: 1}
    assert account.violations == ["p1:1:5 was acknowledged at QoS 1 and never came to r1"]


def test_nothing_is_lost_before_the_run_had_time_to_deliver_it():
    """At the end it may be under way, or wait for who is away."""
    events = [*subscribed(), *sent("p1", 1, END_S - 1.0), Happening(5.0, "disconnected", "r2")]
    account = check(ended(events))

    assert account.total.missing == {UNDER_WAY: 1, AWAY: 1}
    assert (account.total.lost, account.violation_count) == (0, 0)


def test_what_the_publisher_gave_up_has_its_reason():
    """A full queue is no broken promise."""
    invoke, _ = sent("p1", 1, 1.0)
    events = [*subscribed(), invoke, Happening(1.0, "fail", "p1", "p1:1:1", why="queue full")]
    account = check(ended(events))

    assert account.total.missing == {"queue full": 2}
    assert (account.given_up, account.violation_count) == (1, 0)


def test_messages_belong_to_the_window_of_their_fault():
    """Those sent while it was at work or just after it, and what came only over a new connection."""
    events = [*subscribed(), Happening(10.0, "fault", to_s=20.0, why="partition")]
    events += [Happening(21.0, "connected", "r1")]
    for number, at_s in enumerate((5.0, 15.0, 22.0, 40.0), 1):
        events += sent("p1", number, at_s)
        events += [receipt(reader, "p1", number, at_s + 7.0) for reader in READERS]
    account = check(ended(events))

    assert account.by_window["partition"].expected == 4
    assert account.by_window["outside faults"].expected == 4
    assert account.by_window["partition"].recovered == 1
    assert account.total.late == 8


@given(st.binary(max_size=60), st.text("abc-_:0123456789", min_size=1, max_size=30))
def test_a_mark_is_taken_out_to_the_byte(body, identity):
    """Whatever follows the brace; a payload that is no object is not touched."""
    payload = b"{" + body
    if not payload.startswith(b'{"_wt":"') and not payload.startswith(b"{,"):
        assert unmarked(marked(payload, identity)) == (payload, identity)
    assert marked(b"[1]", identity) == b"[1]"


@pytest.mark.parametrize("is_marking", [True, False])
def test_a_history_says_who_got_what(tmp_path, is_marking):
    """Marked or by content: what goes out comes back as it was, and the account of the file is right."""
    path, now = tmp_path / "history.jsonl", [0.0]
    history = History(path, lambda: now[0], is_marking=is_marking)
    history.note("r1", "subscribe", Message("t/#", qos=1, kind="subscribe", packet_id=4))
    history.note("r1", "subscribed", Message("", kind="suback", packet_id=4))
    for number, payload in enumerate((b'{"a":1}', b"{}", b"x", b"x"), 1):
        now[0] = float(number)
        out = history.published("p1", Message("t/1", payload, 1))
        history.note("p1", "acknowledged", out)
        assert history.received("r1", out) == Message("t/1", payload, 1)
        assert (out.payload != payload) is (is_marking and payload != b"x")
    history.close()
    account = check(read(path))

    assert (account.messages, account.acknowledged, account.total.delivered) == (4, 4, 4)
    assert (account.total.lost, account.total.duplicated, account.violation_count) == (0, 0, 0)
    assert "4 of 4 deliveries came" in summary(account)


def test_a_history_that_is_cut_off_in_the_middle_of_a_line_is_read_up_to_there(tmp_path):
    """The run was killed while it wrote; a wrong line elsewhere is one sentence."""
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"t":1.0,"e":"started","by":"a"}\n{"t":2.0,"e":"sta')
    assert len(read(path)) == 1

    path.write_bytes(b'{"t":1.0}\n')
    with pytest.raises(InputError, match=r"history\.jsonl:1: no line of a history"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="it is empty"):
        read(path)


def test_a_full_disk_ends_the_history_with_a_sentence(tmp_path):
    """What was written stays, and the run goes on."""
    history = History(tmp_path / "history.jsonl")
    history._file.close()
    history._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  (closed by the history)
    out = history.published("p1", Message("t/1", b"{}", 1))
    history.close()

    assert out.payload.startswith(b'{"_wt":"p1:0:1"')
    assert "No space left on device" in history.problem


def test_the_command_says_what_became_of_the_messages(tmp_path, capsys):
    """Exit code 1 for a broken promise."""
    path = tmp_path / "history.jsonl"
    history = History(path)
    history.note("r1", "subscribe", Message("t/#", qos=2, kind="subscribe", packet_id=4))
    history.note("r1", "subscribed", Message("", kind="suback", packet_id=4))
    out = history.published("p1", Message("t/1", b"{}", 2))
    history.received("r1", out)
    history.received("r1", out)
    history.close()

    assert main(["ledger", "check", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "1 promises broken" in shown
    assert "QoS 2 promises exactly once" in shown
    assert Counter(shown.split())["QoS"] >= 2
