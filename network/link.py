"""A link: one direction between two nodes, a sequence of stages.

source --> [stage] --> [stage] --> ... --> to
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from network.catalogue import access_stages, link_figures
from network.coap import Coap
from network.media.ride import IN_MEDIUM, Ride, SharedMedium
from network.mqtt_sn import MqttSn
from network.quic import Quic
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.transport import Tcp
from network.wan import (
    BACKBONE_LOSS_RATIO,
    PUBLIC_LOSS_RATIO,
    Place,
    WanFigure,
    given_round_trip,
    one_way_law,
    round_trip,
)
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams

Transport: TypeAlias = Tcp | Quic | Coap | MqttSn
Stages: TypeAlias = tuple[Stage, ...]
Layer: TypeAlias = Callable[[Stages], Stages]
"""What a fault makes of the stages of a link."""
Condition: TypeAlias = Literal["up", "cut", "degraded"]


class WideArea:
    """The wide area part of a link: its figure, and the stage that a change of route acts on.

    Changes of route may overlap and end in any order: the latest that has not ended is in force.
    """

    __slots__ = ("_detours", "_direct", "changed", "figure", "is_public", "jitter", "metros")

    def __init__(
        self, figure: WanFigure, jitter: Jitter, metros: tuple[str | Place, str | Place], is_public: bool
    ) -> None:
        self.figure = self._direct = figure
        self._detours: tuple[WanFigure, ...] = ()
        self.changed: Callable[[], None] | None = None
        self.jitter = jitter
        self.metros = metros
        self.is_public = is_public

    @property
    def is_detour(self) -> bool:
        """Whether a change of route is in force."""
        return bool(self._detours)

    def change_route(self, rtt_s: float) -> WanFigure:
        """Take another round trip and return its figure, which ends it.

        Raise InputError below the fibre floor.
        """
        detour = given_round_trip(*self.metros, rtt_s)
        self._take((*self._detours, detour))
        return detour

    def restore_route(self, detour: WanFigure) -> None:
        """End the detour that `change_route` returned."""
        self._take(tuple(each for each in self._detours if each is not detour))

    def _take(self, detours: tuple[WanFigure, ...]) -> None:
        self._detours = detours
        self.figure = detours[-1] if detours else self._direct
        self.jitter.law = one_way_law(self.figure.rtt_s, is_public=self.is_public)
        if self.changed is not None:
            self.changed()


class Link:
    """One direction between two nodes; what enters runs through its stages in order.

    `is_up` is what the interfaces at its ends can see; `cut_count` counts the partitions that make it a
    black hole, which they cannot see. After `release` returned None, `cause` says why, and `stopped_at` at
    which stage. Faults stand in layers around the `stages`. `provenance` tells
    what the figures rest on; `wide_area` is there in links made by `Link.wan`, `medium` where devices share
    one (`join`), and `air_s` counts the seconds that it sent there. Whoever listens at `changed` is told
    when faults change it.
    """

    __slots__ = (
        "_bare",
        "_is_clear",
        "_layers",
        "_medium_s",
        "_releases",
        "_stages",
        "air_s",
        "byte_count",
        "cause",
        "changed",
        "cut_count",
        "down_count",
        "hold_count",
        "is_up",
        "medium",
        "message_count",
        "name",
        "personal_byte_count",
        "provenance",
        "source",
        "stopped_at",
        "tcp",
        "to",
        "wide_area",
    )

    def __init__(
        self,
        name: str,
        source: str,
        to: str,
        stages: Iterable[Stage] = (),
        *,
        tcp: Transport | None = None,
        provenance: str = "",
    ) -> None:
        self.name = name
        self.source = source
        self.to = to
        self.tcp = tcp
        self.cause = ""
        self.stopped_at = 0
        self.is_up = True
        self.down_count = 0
        self.cut_count = 0
        self.hold_count = 0
        self.message_count = 0
        self.byte_count = 0
        self.personal_byte_count = 0
        self.provenance = provenance
        self.wide_area: WideArea | None = None
        self.medium: SharedMedium | None = None
        self.changed: Callable[[Link], None] | None = None
        self.air_s = 0.0
        self._medium_s = 0.0
        self._is_clear = True
        self._layers: tuple[Layer, ...] = ()
        self.stages = tuple(stages)

    @classmethod
    def access(
        cls,
        name: str,
        source: str,
        to: str,
        technology: str,
        streams: Streams,
        *,
        is_down: bool = False,
        hops: int = 1,
        tcp: Transport | None = None,
    ) -> Link:
        """A link of a technology of the catalogue; `is_down` for the direction towards the device."""
        figures = link_figures(technology)
        stages = access_stages(name, technology, streams, is_down=is_down, hops=hops)
        return cls(name, source, to, stages, tcp=tcp, provenance=f"{figures.kind}: {figures.basis}")

    @classmethod
    def wan(
        cls,
        from_metro: str | Place,
        to_metro: str | Place,
        streams: Streams,
        *,
        source: str,
        to: str,
        name: str | None = None,
        access: str | None = None,
        is_down: bool = False,
        round_trip_s: float | None = None,
        is_public: bool | None = None,
        tcp: Transport | None = None,
    ) -> Link:
        """A wide area link, behind an access line at its source or, with `is_down`, before one at its end.

        `is_public` says whether the public Internet is crossed: more jitter and loss if so, less loss if
        not; None stands for a provider's backbone reached over the public Internet: the jitter of the one,
        the loss of the other. Raise InputError for a round trip below the fibre floor.
        """
        name = name or f"{source}-{to}"
        figure = (
            round_trip(from_metro, to_metro)
            if round_trip_s is None
            else given_round_trip(from_metro, to_metro, round_trip_s)
        )
        loss_ratio = BACKBONE_LOSS_RATIO if is_public is False else PUBLIC_LOSS_RATIO
        backbone = Jitter(
            one_way_law(figure.rtt_s, is_public=bool(is_public)), streams.stream(name, "wan jitter")
        )
        middle = (Loss(loss_ratio, streams.stream(name, "wan loss")), backbone)
        edge = access_stages(name, access, streams, is_down=is_down) if access else ()
        link = cls(name, source, to, middle + edge if is_down else edge + middle, tcp=tcp)
        link.wide_area = WideArea(figure, backbone, (from_metro, to_metro), bool(is_public))
        link.provenance = f"{figure.kind}: {figure.source}"
        return link

    def __repr__(self) -> str:
        return f"Link({self.name!r}, {self.source!r} -> {self.to!r})"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order, with those of faults; their own may be replaced during a run."""
        return self._stages

    @stages.setter
    def stages(self, stages: tuple[Stage, ...]) -> None:
        self._bare = stages
        self._fold()

    def impair(self, layer: Layer) -> None:
        """Put a fault's layer around the stages."""
        self._layers = (*self._layers, layer)
        self._fold()

    def relieve(self, layer: Layer) -> None:
        """Take a fault's layer away, wherever others stand around it."""
        self._layers = tuple(each for each in self._layers if each is not layer)
        self._fold()

    def _fold(self) -> None:
        stages = self._bare
        for layer in self._layers:
            stages = layer(stages)
        self._stages = stages
        self._releases = tuple(stage.release for stage in stages)
        if self.changed is not None:
            self.changed(self)

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which a message that enters now reaches the other end, or None if it never does."""
        if not self._is_clear:
            self.cause = self._obstacle()
            return None
        self.message_count += 1
        self.byte_count += size_bytes
        for release in self._releases:
            left_s = release(now, size_bytes)
            if left_s is None:
                self._stop(self._releases.index(release))
                return None
            now = left_s
        return now

    def release_after(self, stage: int, now: float, size_bytes: int) -> float | None:
        """Release what the stage of this number let go at `now`, through those behind it."""
        for number, each in enumerate(self._stages[stage + 1 :], stage + 1):
            left_s = each.release(now, size_bytes)
            if left_s is None:
                self._stop(number)
                return None
            now = left_s
        return now

    def _stop(self, stage: int) -> None:
        self.stopped_at = stage
        self.cause = getattr(self._stages[stage], "cause", "loss")

    def join(self, medium: SharedMedium, mean_s: float) -> None:
        """Let messages pass a shared medium, which takes `mean_s` when it is idle, before the stages."""
        self.medium = medium
        self._medium_s = mean_s
        self._clear()

    def enter_medium(self, ride: Ride) -> None:
        """Hand a message over to the medium; it goes on with `release_after(-1, ...)`."""
        if self.medium is not None:
            self.message_count += 1
            self.byte_count += ride.size_bytes
            self.medium.take(ride)

    @property
    def medium_s(self) -> float:
        """Mean time in the shared medium when it is idle."""
        return self._medium_s

    @property
    def expected_delay_s(self) -> float:
        """Mean delay of a small message through empty queues."""
        return self._medium_s + float(sum(getattr(stage, "mean_s", 0.0) for stage in self._stages))

    def set_up(self, *, is_up: bool) -> None:
        """Take the link down or bring it back; who routes over it must be told (see Topology)."""
        self.set_down(0 if is_up else 1)

    def set_down(self, count: int) -> None:
        """Say how many things keep the link down."""
        self.down_count = count
        self.is_up = not count
        self._clear()

    def cut(self) -> None:
        """Make it a black hole; cuts add up."""
        self.cut_count += 1
        self._clear()

    def mend(self) -> None:
        """Undo one cut."""
        self.cut_count -= 1
        self._clear()

    def hold(self) -> None:
        """Keep what comes until as many releases as holds; holds add up."""
        self.hold_count += 1
        self._clear()

    def unhold(self) -> None:
        """Undo one hold."""
        self.hold_count -= 1
        self._clear()

    def _clear(self) -> None:
        is_open = self.is_up and not self.cut_count and not self.hold_count
        self._is_clear = is_open and self.medium is None
        if self.changed is not None:
            self.changed(self)

    @property
    def condition(self) -> Condition:
        """What faults have made of it; a cut is one whether or not the ends can see it."""
        if not self.is_up or self.cut_count or self.hold_count:
            return "cut"
        is_detour = self.wide_area is not None and self.wide_area.is_detour
        return "degraded" if self._layers or is_detour else "up"

    def _obstacle(self) -> str:
        if self.hold_count:
            return "held"
        if not self.is_up:
            return "link down"
        return "partition" if self.cut_count else IN_MEDIUM
