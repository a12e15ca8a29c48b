"""What a broker will not take as it is, said so that it does: a run's packets in the words of its broker.

rumqttd ends the connection of whoever subscribes to a topic filter that begins with $, as AWS's shadows do,
and refuses keep-alive 0. On the wire to such a broker another text stands for the $, and the longest
keep-alive for none; the nodes of the run see neither.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from twin.live.endpoint import Endpoint
from twin.message import Message
from twin.mqtt.packets import connect_message, read_connect

SHARED: Final = "$share/"
LONGEST_KEEP_ALIVE_S: Final = 65_535.0


def outward(message: Message, endpoint: Endpoint) -> Message:
    """A packet as it goes to the broker."""
    if message.kind == "connect":
        return _connect(message, endpoint)
    if endpoint.dollar == "$" or message.kind not in {"publish", "subscribe", "unsubscribe"}:
        return message
    topic = _outward_topic(message.topic, endpoint.dollar)
    return message if topic == message.topic else replace(message, topic=topic)


def inward(message: Message, endpoint: Endpoint) -> Message:
    """A packet as it comes from the broker."""
    if endpoint.dollar == "$" or not message.topic.startswith(endpoint.dollar):
        return message
    return replace(message, topic="$" + message.topic.removeprefix(endpoint.dollar))


def _connect(message: Message, endpoint: Endpoint) -> Message:
    connect = read_connect(message)
    changed = connect
    if not endpoint.has_keep_alive_off and not connect.keep_alive_s:
        changed = replace(changed, keep_alive_s=LONGEST_KEEP_ALIVE_S)
    if endpoint.dollar != "$" and connect.will is not None:
        topic = _outward_topic(connect.will.topic, endpoint.dollar)
        changed = replace(changed, will=replace(connect.will, topic=topic))
    return message if changed is connect else connect_message(changed)


def _outward_topic(topic: str, dollar: str) -> str:
    """A topic or a filter; in that of a shared subscription the filter is what follows the group."""
    if topic.startswith(SHARED):
        group, slash, rest = topic.removeprefix(SHARED).partition("/")
        return SHARED + group + slash + _outward_topic(rest, dollar) if slash else topic
    return dollar + topic[1:] if topic.startswith("$") else topic
