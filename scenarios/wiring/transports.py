"""What a link of a scenario is crossed by: the rules of its transport."""

from __future__ import annotations

from network.coap import Coap
from network.link import Transport
from network.mqtt_sn import MqttSn
from network.quic import Quic
from network.transport import Tcp, rfc
from scenarios.format import schema
from twin.kernel.randomness import Streams


def transport_of(form: schema.Link | schema.Access, name: str, streams: Streams) -> Transport | None:
    """The transport of one direction of a link, which is called `name`; None for datagrams."""
    if form.transport == "coap":
        return Coap(streams.stream(name, "coap time-out"))
    if form.transport == "mqtt_sn":
        return MqttSn()
    if form.transport == "datagram":
        return None
    if form.transport == "quic":
        return Quic(
            is_early=form.is_resumed, is_mutual=form.is_mutual, is_name_unknown=form.dns == "uncached"
        )
    return Tcp(
        tls=None if form.tls == "none" else form.tls,
        timer=form.rto,
        least_rto_s=(rfc() if form.rto == "rfc" else Tcp()).least_rto_s,
        is_mutual=form.is_mutual,
        is_resumed=form.is_resumed,
        key=form.certificates,
        is_name_unknown=form.dns == "uncached",
    )
