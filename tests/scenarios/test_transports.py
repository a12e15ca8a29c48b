"""The transport of a link, as a scenario writes it."""

import pytest
from pydantic import ValidationError

from network.coap import Coap
from network.mqtt_sn import MqttSn
from network.quic import Quic
from network.transport import Tcp, rfc
from scenarios.format.schema import Access, Link
from scenarios.wiring.transports import transport_of
from twin.kernel.randomness import Streams


def rules(form=Link, **keys):
    given = {"between": ["a", "b"]} if form is Link else {"medium": "thread"}
    return transport_of(form.model_validate(given | keys), "a-b", Streams(1))


def test_a_link_is_crossed_by_tcp_as_linux_does_it_unless_it_says_otherwise():
    """And the link of a device by datagrams."""
    assert rules() == Tcp()
    assert rules(transport="datagram") is None
    assert rules(Access) is None


def test_tls_dns_and_timers_are_keys_of_the_link():
    """`tls`, `resumed`, `mutual`, `certificates`, `dns`, `rto`."""
    keys = {"tls": 1.3, "resumed": True, "mutual": False, "certificates": "rsa", "dns": "uncached"}
    expected = Tcp(tls="1.3", is_resumed=True, is_mutual=False, key="rsa", is_name_unknown=True)
    assert rules(**keys) == expected
    assert rules(rto="rfc") == rfc()


def test_quic_sends_early_data_where_it_resumes():
    """`resumed` with `transport: quic`."""
    assert rules(transport="quic") == Quic()
    assert rules(transport="quic", resumed=True) == Quic(is_early=True)


@pytest.mark.parametrize("form", [Link, Access])
def test_coap_and_mqtt_sn_are_transports_of_links_and_of_devices(form):
    """CoAP draws its first time-out from a stream of the link's own."""
    assert isinstance(rules(form, transport="coap"), Coap)
    assert rules(form, transport="mqtt_sn") == MqttSn()


def test_resuming_nothing_is_an_error():
    """There is no session without TLS."""
    with pytest.raises(ValidationError, match="'resumed' wants 'tls' over tcp"):
        rules(resumed=True)
