"""The Scapy layers: what nests in what, what is filled in, what is not known.

SPDX-License-Identifier: MIT
"""

import struct

import pytest

from hwgw import specs

pytest.importorskip("scapy", reason="scapy is not installed")
from hwgw_sim import layers
from scapy.packet import Raw


def test_every_layout_of_the_four_protocols_has_a_layer():
    made = 0
    for protocol in ("moldudp64", "itch50", "soupbintcp", "ouch50"):
        for layout in specs.load(protocol).layouts:
            packet = layers.layer(protocol, layout.name)()
            tail = 2 if layout.name == "tag_element" else layout.length
            assert len(bytes(packet)) == tail, layout.name
            made += 1
    assert made > 85


def test_text_is_padded_to_the_side_of_the_table_and_never_cut():
    login = layers.layer("soupbintcp", "login_request")
    data = bytes(login(username=b"AB", password=b"x", requested_session=b"S1", requested_sequence_number=b"7"))
    assert data == b"\0\x2fLAB    x                 S1" + b"7".rjust(20)
    with pytest.raises(ValueError, match=r"username.*longer than 6 bytes"):
        bytes(login(username=b"ABCDEFG"))


def test_mold_counts_its_blocks_and_measures_them():
    messages = [
        layers.layer("itch50", "add_order")(stock=b"AAPL", side=b"B", shares=100, price=1234),
        layers.layer("itch50", "order_delete")(order_reference_number=5),
    ]
    packet = layers.MoldUDP64(session=b"S", sequence_number=7, blocks=[layers.MoldUDP64Block() / m for m in messages])
    data = bytes(packet)
    assert data[:20] == b"S         " + struct.pack(">QH", 7, 2)
    assert data[20:22] == b"\0\x24"
    assert data[58:60] == b"\0\x13"
    assert len(data) == 20 + 2 + 36 + 2 + 19
    again = layers.MoldUDP64(data)
    assert [block.payload.layout.name for block in again.blocks] == ["add_order", "order_delete"]
    assert again.blocks[0].payload.shares == 100


@pytest.mark.parametrize("constant", ["heartbeat_count", "end_of_session_count"])
def test_mold_without_messages_has_no_blocks(constant):
    count = specs.load("moldudp64").constant(constant)
    packet = layers.MoldUDP64(b"S         " + struct.pack(">QH", 9, count))
    assert (packet.sequence_number, packet.message_count, packet.blocks) == (9, count, [])


def test_a_mold_block_may_be_empty():
    packet = layers.MoldUDP64(b"S         " + struct.pack(">QHHH", 1, 2, 0, 1) + b"?")
    assert [block.message_length for block in packet.blocks] == [0, 1]
    assert isinstance(packet.blocks[1].payload, Raw)


def test_soup_packets_follow_each_other_in_a_stream():
    executed = layers.layer("ouch50", "order_executed")(user_ref_num=3, quantity=50)
    first = layers.layer("soupbintcp", "sequenced_data")() / executed
    stream = bytes(first) + bytes(layers.layer("soupbintcp", "server_heartbeat")())
    packet = layers.soupbintcp(stream, "server_to_client")
    assert packet.packet_length == 1 + 36
    assert packet.payload.layout.name == "order_executed"
    assert packet.payload.payload.load == b"\0\x01H"


def test_the_same_soup_type_means_another_layout_in_the_other_direction():
    data = b"\0\x01U"
    assert layers.soupbintcp(data, "client_to_server").layout.name == "unsequenced_data"
    assert layers.soupbintcp(data, "server_to_client").layout.name == "unsequenced_data_server"
    assert layers.soupbintcp(b"\0\x01+", "client_to_server").layout.name == "debug"


@pytest.mark.parametrize("name", ["login_request", "login_request_410"])
def test_a_login_is_read_by_its_length(name):
    data = bytes(layers.layer("soupbintcp", name)(username=b"U"))
    assert layers.soupbintcp(data, "client_to_server").layout.name == name


def test_options_are_built_measured_and_read_back():
    options = [
        layers.layer("ouch50", "tag_firm")(value=b"ABCD"),
        layers.layer("ouch50", "tag_peg_offset")(value=-150),
        layers.layer("ouch50", "tag_element")(tag=99, value=b"xyz"),
    ]
    order = layers.layer("ouch50", "enter_order")(user_ref_num=1, symbol=b"AAPL", options=options)
    data = bytes(order)
    assert data[45:] == b"\0\x11" + b"\x05\x02ABCD" + b"\x05\x07\xff\xff\xff\x6a" + b"\x04\x63xyz"
    again = layers.ouch50(data, "client_to_host")
    assert [option.value for option in again.options] == [b"ABCD", -150, b"xyz"]


def test_a_message_with_optional_appendage_may_carry_one():
    cancel = layers.layer("ouch50", "cancel_order")(user_ref_num=4)
    assert len(bytes(cancel)) == 9
    option = layers.layer("ouch50", "tag_user_ref_idx")(value=2)
    data = bytes(cancel / layers.Ouch50Appendage(options=[option]))
    assert data[9:] == b"\0\x03\x02\x1c\x02"
    again = layers.ouch50(data, "client_to_host")
    assert again[layers.Ouch50Appendage].options[0].value == 2


@pytest.mark.parametrize(
    "dissect",
    [
        layers.itch50,
        lambda data: layers.ouch50(data, "host_to_client"),
        lambda data: layers.soupbintcp(data, "server_to_client"),
    ],
)
def test_what_is_not_known_stays_raw(dissect):
    assert isinstance(dissect(b"??????"), Raw)
