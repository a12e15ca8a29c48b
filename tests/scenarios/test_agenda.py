"""The timeline on the wire stands still while the run does."""

from hypothesis import given
from hypothesis import strategies as st

from network.wire.timeline import WallTimeline
from scenarios.wiring.agenda import Agenda, Planned


class Clock:
    """A conductor whose time is set."""

    def __init__(self):
        self.now_s = 0.0
        self.arrive = self.lose = None
        self.timeline = WallTimeline(lambda: self.now_s, self)

    def call_at(self, at_s, action):
        self.timeline.schedule(at_s, None, (lambda _: action(),))

    def go_to(self, now_s):
        while self.timeline.next_s <= now_s:
            self.now_s = self.timeline.next_s
            self.timeline.work()
        self.now_s = now_s


class Noted:
    """A fault that writes down when it begins and ends."""

    def __init__(self):
        self.seen = []

    def begin(self, now):
        self.seen.append((round(now, 6), "begins"))

    def end(self, now):
        self.seen.append((round(now, 6), "ends"))


def test_what_is_due_in_a_pause_happens_that_much_later():
    """Begin and end alike; a fault that stands goes on standing."""
    clock, fault, other = Clock(), Noted(), Noted()
    agenda = Agenda([Planned(fault, (2.0, 20.0), 3.0), Planned(other, (12.0,), None)], clock)
    agenda.start(1.0)
    clock.go_to(4.0)
    agenda.pause()
    agenda.pause()
    clock.go_to(50.0)
    assert fault.seen == [(3.0, "begins")]
    agenda.resume()
    agenda.resume()
    clock.go_to(100.0)

    assert fault.seen == [(3.0, "begins"), (52.0, "ends"), (67.0, "begins"), (70.0, "ends")]
    assert other.seen == [(59.0, "begins")]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=5),
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=5),
)
def test_in_the_time_of_the_run_nothing_moves(entries, pauses):
    """However often it is paused, and for how long, each fault begins and ends at the run's own times."""
    clock, fault = Clock(), Noted()
    agenda = Agenda([Planned(fault, (at_s,), lasts_s) for at_s, lasts_s in entries], clock)
    agenda.start(0.0)
    stood, now_s = [], 0
    for runs_s, stands_s in pauses:
        now_s += runs_s
        clock.go_to(now_s)
        agenda.pause()
        stood.append((now_s, stands_s))
        now_s += stands_s
        clock.go_to(now_s)
        agenda.resume()
    clock.go_to(10_000)

    def of_the_run(at_s):
        return at_s - sum(min(stands_s, max(0, at_s - from_s)) for from_s, stands_s in stood)

    expected = sorted(each for at_s, lasts_s in entries for each in (at_s, at_s + lasts_s))
    assert sorted(of_the_run(at_s) for at_s, _ in fault.seen) == expected
