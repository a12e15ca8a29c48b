"""A gateway with gates: their names in our fields, and the connection's first packet."""

from twin.live.conventions import Field
from twin.mqtt.packets import Connect, Will, connect_message

OURS = "site/home/boom_gate/gate-1/telemetry"
PLACES = {
    name: Field(site, "boom_gate", name, "")
    for site, name in (("home", "gate-1"), ("away", "gate-2"), ("home", "gate-3"))
}
CONNECT = connect_message(Connect("g", will=Will("site/home/boom_gate/gate-1/session", b'{"online":false}')))
