import pytest

from twin.cloud.application import PENDING_LIMIT, Application, User
from twin.cloud.database import TOPIC_LIMIT, Database
from twin.kernel.behaviour import Drop, LinkChanged, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message


def react(behaviour, event, context):
    return list(behaviour.react(event, context))


def answer(user, context, request):
    """Let application and database answer a request of the user; return what the user then does."""
    application, database = Application("database"), Database()
    database.react(Received(Message("site/s/level", b"17"), "broker", 0.0), context)
    (query,) = react(application, Received(request.message, "user", 0.0), context)
    (found,) = react(database, Received(query.message, "application", 0.0), context)
    (response,) = react(application, Received(found.message, "database", 0.0), context)
    assert (query.to, found.to, response.to) == ("database", "application", "user")
    return react(user, Received(response.message, "application", 0.0), context), response.message


def test_a_user_asks_at_a_random_moment_and_then_regularly(context):
    """The first request falls into the first interval, the next one an interval later."""
    user = User("application", every_s=10.0)
    (first,) = react(user, Started(), context)
    assert 0.0 <= first.after_s < 10.0
    effects = react(user, Woken("request"), context)
    assert effects[:3] == [Wake(10.0, "request"), Observe("request"), Wake(5.0, "timeout")]
    assert effects[3].to == "application"


def test_jitter_spreads_the_requests(context):
    """With a jitter of 20 % the intervals lie within 8 and 12 s, and are not all the same."""
    user = User("application", every_s=10.0, jitter_ratio=0.2)
    waits = {react(user, Woken("request"), context)[0].after_s for _ in range(50)}
    assert min(waits) >= 8.0
    assert max(waits) <= 12.0
    assert len(waits) == 50


def test_the_answer_comes_back_with_its_latency(context):
    """The value stored in the database reaches the user, who observes the time it took."""
    user = User("application", topic="site/s/level")
    context.now = 3.0
    request = react(user, Woken("request"), context)[-1]
    context.now = 3.25
    effects, response = answer(user, context, request)
    assert effects == [Observe("response", 0.25)]
    assert b'"value":"MTc="' in response.payload


def test_a_request_without_an_answer_fails_once(context):
    """After the timeout the request has failed, and a later answer counts no more."""
    user = User("application", timeout_s=5.0)
    request = react(user, Woken("request"), context)[-1]
    context.now = 5.0
    assert react(user, Woken("timeout"), context) == [Observe("request_failed")]
    assert answer(user, context, request)[0] == []


def test_each_request_has_its_own_timeout(context):
    """One timer serves several open requests: it goes on to the next oldest."""
    user = User("application", timeout_s=5.0)
    first = react(user, Woken("request"), context)[-1]
    context.now = 2.0
    assert Wake(5.0, "timeout") not in react(user, Woken("request"), context)
    answer(user, context, first)
    context.now = 5.0
    assert react(user, Woken("timeout"), context) == [Wake(2.0, "timeout")]
    context.now = 7.0
    assert react(user, Woken("timeout"), context) == [Observe("request_failed")]


def test_open_requests_are_bounded(context):
    """A user with ten thousand open requests fails the next one at once, and asks nobody."""
    user = User("application")
    user.asked_s.update(dict.fromkeys(range(PENDING_LIMIT), 0.0))
    effects = react(user, Woken("request"), context)
    assert effects == [Wake(10.0, "request"), Observe("request"), Observe("request_failed")]


def test_the_database_stores_what_its_host_publishes(context):
    """It subscribes to its filters at the host, at the start and when the link comes back."""
    database = Database("broker", store=["site/s/#"])
    subscribe = Send("broker", Message("site/s/#", qos=1, kind="subscribe"))
    assert react(database, Started(), context) == [subscribe]
    assert react(database, LinkChanged("broker", is_up=True), context) == [subscribe]
    for payload in (b"1", b"2"):
        database.react(Received(Message("site/s/level", payload), "broker", 0.0), context)
    assert database.latest == {"site/s/level": b"2"}
    assert database.stored_count == 2


def test_a_full_database_gives_up_the_oldest_topic(context):
    """The number of topics is bounded, and what goes is accounted."""
    database = Database()
    database.latest.update(dict.fromkeys(map(str, range(TOPIC_LIMIT)), b"old"))
    assert react(database, Received(Message("0", b"new"), "x", 0.0), context) == []
    effects = react(database, Received(Message("another", b"new"), "x", 0.0), context)
    assert effects == [Drop(Message("1", b"old"), "database full")]
    assert len(database.latest) == TOPIC_LIMIT


@pytest.mark.parametrize(
    ("node", "topic"), [(Application("database"), "application/request"), (Database(), "database/query")]
)
def test_what_cannot_be_understood_is_given_up(context, node, topic):
    """A request that is no JSON of the right shape is accounted, and answered by nobody."""
    message = Message(topic, b"{")
    assert react(node, Received(message, "user", 0.0), context) == [Drop(message, "not understood")]
