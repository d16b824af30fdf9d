"""Golden net: frames made by Scapy, and agreement with C on frames with every fault.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections import Counter

from hwgw_sim.golden import net
from rtl import traffic
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from hwgw import specs
from hwgw.native import ffi, lib


def in_c(frame: bytes, flow: net.Flow) -> tuple[str, bytes]:
    """The cause and the payload by the C parser."""
    flows = ffi.new("struct hwgw_flow[1]", [{"group": flow[0], "port": flow[1]}])
    found = ffi.new("struct hwgw_datagram *")
    cause = lib.hwgw_net_parse(flows, 1, ffi.from_buffer(frame), len(frame), found)
    return (specs.counters()[cause].full_name, b"") if cause else ("", bytes(ffi.buffer(found.data, found.len)))


def test_a_datagram_of_scapy_is_found_behind_tags():
    flow = (0xE9360C6F, 26477)
    for tags in ([], [Dot1Q(vlan=1)], [Dot1Q(vlan=1), Dot1Q(vlan=2)]):
        packet = Ether()
        for tag in tags:
            packet /= tag
        frame = bytes(packet / IP(dst="233.54.12.111") / UDP(dport=26477) / b"payload")
        assert net.payload(frame, [flow]) == ("", b"payload", 0)
        assert net.payload(frame, [(1, 1)])[0] == "net.drop_foreign"
    assert net.payload(bytes(Ether() / IP(dst="233.54.12.111", frag=3) / (b"x" * 30)), [flow])[0] == "net.drop_fragment"


def test_c_and_the_golden_model_agree_on_whatever_comes(seed: int):
    rng = random.Random(seed)
    causes: Counter[str] = Counter()
    for _ in range(3000):
        line = rng.randrange(2)
        frame = traffic.special(rng, traffic.frame(line, rng.randbytes(rng.randint(0, 90))), line)
        cause, payload, _ = net.payload(frame, [traffic.FLOWS[line]])
        assert (cause, payload) == in_c(frame, traffic.FLOWS[line]), frame.hex()
        causes[cause or "used"] += 1
    every = {counter.full_name for counter in specs.counters() if counter.stage == "net"} - {"net.drop_udp_checksum"}
    assert set(causes) == every | {"used"}
    assert causes["used"] > 250
