"""What is lost when a backend goes down, backend by backend (docs/backends.md has the table)."""

import pytest
from losing import account

from twin.live.sinks.port import CALL_S

pytestmark = [pytest.mark.live, pytest.mark.slow]
LONGER_S = CALL_S + 1.5
SLOWEST_START_S = 30  # Kafka waits for the session of its killed self to end


@pytest.mark.parametrize(
    "name", ["postgres_backend", "redis_backend", "influx_backend", "s3_backend", "kafka_backend"]
)
def test_what_was_acknowledged_survives_a_freeze_and_a_kill(name, request):
    """Nothing acknowledged is lost, with Redis as long as it keeps its log; nothing is refused either."""
    server = request.getfixturevalue(name)
    server.empty()

    found = account(server, rate=300, frozen_s=LONGER_S, dead_s=0.5)

    assert found.retries > 0, found
    assert (found.lost, found.refused) == (0, 0), found
    assert found.acknowledged == found.offered, found
    assert LONGER_S - 0.1 < found.stall_s < LONGER_S + SLOWEST_START_S, found


@pytest.mark.parametrize("name", ["postgres_backend", "influx_backend", "s3_backend"])
def test_a_record_is_kept_once_however_often_it_is_sent(name, request):
    """The outcome of a call cut off is unknown, so the batch comes again: as what is there already."""
    server = request.getfixturevalue(name)
    server.empty()

    assert account(server, frozen_s=LONGER_S).twice == 0


def test_a_batch_that_kafka_was_frozen_over_is_there_at_most_twice(kafka_backend):
    """After our time-out nobody knows whether the batch is there; its keys tell."""
    kafka_backend.empty()

    assert account(kafka_backend, frozen_s=LONGER_S).twice <= 500


def test_redis_without_its_log_forgets_what_it_acknowledged():
    """As Debian ships it Redis saves a copy now and then: a kill takes what came since."""
    from servers import Redis

    with Redis(log="none") as server:
        found = account(server, dead_s=0.5)

    assert found.lost > 0, found
