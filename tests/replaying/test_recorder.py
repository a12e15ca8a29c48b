"""The recorder changes nothing, and its frames say what the model says."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.replaying.trajectory import ABSENT, decode, decode_frames


@pytest.mark.parametrize("name", ["edge", "cloud_us_cut"])
def test_recording_changes_no_result(car_park, recorded, name):
    """Every judgement, metric and message is the same to the bit."""
    variant = car_park.variant(name)
    plain = recorded(variant, is_recorded=False, is_traced=False).run().outcome()
    watched = recorded(variant).run()
    for _ in watched.recorder.frames(watched.assembly.kernel.now):
        pass
    watched.recorder.document()

    found = watched.outcome()
    assert found.judgements == plain.judgements
    assert repr(found.metrics) == repr(plain.metrics)
    assert (found.tally, found.budget, found.series) == (plain.tally, plain.budget, plain.series)


def test_everybody_is_out_at_the_end(edge):
    """150 cars and 360 people leave the flagship."""
    header, frames = decode(edge.recorder.trajectory())

    assert header.agents == {"cars": 150, "people": 360}
    assert len(frames.state) == header.frames
    assert (frames.state[0] == 1).all()
    assert (frames.state[-1] == ABSENT).all()


def test_frames_asked_for_bit_by_bit_are_those_of_the_whole(car_park, recorded):
    """A run that is watched shows what its replay will show."""
    run = recorded(car_park.variant("edge"))
    run.assembly.building.start()
    parts = []
    for at_s in np.arange(7.3, 200.0, 7.3):
        run.assembly.kernel.run(at_s)
        parts.append(run.recorder.frames(at_s))
    header, whole = decode(run.recorder.trajectory())
    watched = decode_frames(b"".join(parts), header)

    for name in ("x", "y", "level", "state"):
        row = getattr(watched, name)
        assert (row == getattr(whole, name)[: len(row)]).all(), name
