"""What is lost on the wire is counted by link, cause and the faults that stand."""

from network.wire.losses import OUTSIDE, Losses


class Nothing:
    """A fault that does nothing."""

    def begin(self, now):
        pass

    def end(self, now):
        pass


def test_a_loss_belongs_to_the_faults_that_stand():
    """Also while they overlap, and when one begins again before it has ended."""
    losses = Losses()
    partition, burst = losses.during("partition", Nothing()), losses.during("burst", Nothing())

    def lose():
        losses.add("uplink", "loss")

    lose()
    partition.begin(1.0)
    lose()
    burst.begin(2.0)
    burst.begin(2.5)
    lose()
    partition.end(3.0)
    burst.end(3.5)
    lose()
    burst.end(4.0)
    lose()
    assert {window: count for (_, window, _), count in losses.counts.items()} == {
        OUTSIDE: 2,
        "partition": 1,
        "partition + burst": 1,
        "burst": 1,
    }
