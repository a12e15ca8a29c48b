import msgspec
from hypothesis import given
from hypothesis import strategies as st

from twin.message import Message
from twin.state.sessions import Sessions, is_alive
from twin.state.twins import Twins


def said(twins, now_s, online, session, topic="site/park/lamp/lamp-1/session"):
    document = {"online": online, "session": session, "ts": 0}
    return twins.handle(Message(topic, msgspec.json.encode(document)), now_s)


def test_a_birth_and_a_death():
    """A thing that never spoke is not alive."""
    twins = Twins([Sessions()])

    assert not is_alive(twins.records, "lamp-1")
    said(twins, 1.0, online=True, session=1)
    assert is_alive(twins.records, "lamp-1")
    said(twins, 2.0, online=False, session=1)
    assert not is_alive(twins.records, "lamp-1")


def test_a_late_death_of_an_older_session_is_ignored():
    """The will of a connection that was lost comes after the birth of the next one."""
    twins = Twins([Sessions()])
    said(twins, 1.0, online=True, session=1)
    said(twins, 2.0, online=True, session=2)
    late = said(twins, 3.0, online=False, session=1)

    assert late.observations == [("session_late", 1.0)]
    assert is_alive(twins.records, "lamp-1")


def test_a_session_that_died_stays_dead():
    """Its birth may come after its death; a thing without session numbers is believed as it comes."""
    twins = Twins([Sessions()])
    said(twins, 1.0, online=False, session=3)
    said(twins, 2.0, online=True, session=3)
    assert not is_alive(twins.records, "lamp-1")
    said(twins, 3.0, online=False, session=0, topic="things/lamp-2/session")
    said(twins, 4.0, online=True, session=0, topic="things/lamp-2/session")
    assert is_alive(twins.records, "lamp-2")


def test_what_is_no_session_is_counted():
    """A bad payload changes nothing."""
    twins = Twins([Sessions()])
    bad = twins.handle(Message("things/lamp-1/session", b'{"online": 1}'), 1.0)

    assert (bad.observations, bad.changes) == ([("session_unreadable", 1.0)], [])


@given(st.lists(st.integers(1, 20), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_births_in_any_order_leave_the_youngest(numbers, chance):
    """Each session is born and dies, but the youngest, which lives; deliveries overtake each other."""
    twins = Twins([Sessions()])
    script = [(number, True) for number in numbers]
    script += [(number, False) for number in numbers if number != max(numbers)]
    chance.shuffle(script)
    for now_s, (number, online) in enumerate(script):
        said(twins, float(now_s), online, number, topic="things/lamp-1/session")

    assert is_alive(twins.records, "lamp-1")
