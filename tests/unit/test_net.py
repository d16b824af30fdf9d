"""hwgw_net_parse against frames made with scapy and by hand; the expected cause comes from a parser written here.

SPDX-License-Identifier: MIT
"""

import struct

import pytest
from hwgw_sim.receiver import ipv4, make_flows

from hwgw.native import ffi, lib

scapy = pytest.importorskip("scapy.all", reason="scapy is not installed")
Dot1Q, Dot1AD, Ether, IP, IPOption_Router_Alert, TCP, UDP = (
    scapy.Dot1Q, scapy.Dot1AD, scapy.Ether, scapy.IP, scapy.IPOption_Router_Alert, scapy.TCP, scapy.UDP,
)  # fmt: skip

FLOWS = [("239.1.2.3", 26400), ("239.1.2.4", 26400), ("233.54.12.111", 26477)]
PAYLOAD = bytes(range(97))
CAUSES = {getattr(lib, name): name.removeprefix("HWGW_CNT_NET_").lower() for name in dir(lib) if "CNT_NET_DROP" in name}
CAUSES[0] = "ok"

flows_c = make_flows(FLOWS)


def parse(frame, flow_cnt=3):
    """The C parser: cause, and what it found. The frame is copied to the end of its own memory."""
    memory = ffi.new("uint8_t[]", max(len(frame), 1))
    ffi.memmove(memory, frame, len(frame))
    out = ffi.new("struct hwgw_datagram *")
    cause = CAUSES[lib.hwgw_net_parse(flows_c, flow_cnt, memory, len(frame), out)]
    if cause != "ok":
        return cause, None
    offset = out.data - ffi.cast("uint8_t *", memory)
    return cause, (offset, bytes(ffi.buffer(out.data, out.len)), out.flow)


def verify(frame, shift=0):
    """hwgw_net_verify on a good frame, which lies shift bytes behind an aligned address, at the end of its memory."""
    memory = ffi.new("uint8_t[]", shift + len(frame))
    ffi.memmove(memory + shift, frame, len(frame))
    out = ffi.new("struct hwgw_datagram *")
    assert lib.hwgw_net_parse(flows_c, 3, memory + shift, len(frame), out) == 0
    return CAUSES[lib.hwgw_net_verify(memory + shift, out)]


def udp_sum(frame):
    """The ones' complement sum over pseudo header and datagram (RFC 768), 16 bits at a time; 0xFFFF when right."""
    at = 14
    while frame[at - 2 : at] != b"\x08\x00":
        at += 4
    ip, udp = frame[at:], frame[at + (frame[at] & 15) * 4 :]
    length = int.from_bytes(udp[4:6], "big")
    covered = ip[12:20] + b"\x00\x11" + udp[4:6] + udp[:length] + bytes(length % 2)
    total = 0
    for (word,) in struct.iter_unpack("!H", covered):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def expected(frame, flows=FLOWS):
    """The same by the order of checks in the contract, in plain Python."""
    at, kind = 14, None
    if len(frame) < at:
        return "drop_short", None
    kind = frame[12:14]
    for _ in range(2):
        if kind not in (b"\x81\x00", b"\x88\xa8"):
            break
        if len(frame) < at + 4:
            return "drop_short", None
        kind = frame[at + 2 : at + 4]
        at += 4
    if kind != b"\x08\x00":
        return "drop_ethertype", None
    ip = frame[at:]
    if len(ip) < 20:
        return "drop_short", None
    header_len = (ip[0] % 16) * 4
    if ip[0] // 16 != 4 or header_len < 20:
        return "drop_ip_header", None
    if len(ip) < header_len:
        return "drop_short", None
    total = int.from_bytes(ip[2:4], "big")
    if not header_len <= total <= len(ip):
        return "drop_ip_length", None
    words = sum(struct.unpack(f"!{header_len // 2}H", ip[:header_len]))
    if words % 0xFFFF != 0 or words == 0:
        return "drop_ip_checksum", None
    if int.from_bytes(ip[6:8], "big") & 0x3FFF:
        return "drop_fragment", None
    if ip[9] != 17:
        return "drop_protocol", None
    datagram = ip[header_len:total]
    if len(datagram) < 8 or not 8 <= int.from_bytes(datagram[4:6], "big") <= len(datagram):
        return "drop_udp_length", None
    end = int.from_bytes(datagram[4:6], "big")
    key = (".".join(map(str, ip[16:20])), int.from_bytes(datagram[2:4], "big"))
    if key not in flows:
        return "drop_foreign", None
    return "ok", (at + header_len + 8, datagram[8:end], flows.index(key))


def good(flow=0, payload=PAYLOAD, tags=(), options=()):
    group, port = FLOWS[flow]
    frame = Ether(src="02:00:00:00:00:01", dst="01:00:5e:01:02:03")
    for tag in tags:
        frame /= tag
    return bytes(frame / IP(src="10.0.0.1", dst=group, options=list(options)) / UDP(sport=9000, dport=port) / payload)


GOOD = {
    "plain": good(),
    "second flow": good(1),
    "third flow": good(2),
    "empty payload": good(payload=b""),
    "one tag": good(tags=[Dot1Q(vlan=5)]),
    "two tags": good(tags=[Dot1AD(vlan=7), Dot1Q(vlan=5)]),
    "options": good(options=[IPOption_Router_Alert()]),
    "longest header": good(options=[IPOption_Router_Alert()] * 10),
    "tags and options": good(tags=[Dot1Q(vlan=1), Dot1Q(vlan=2)], options=[IPOption_Router_Alert()]),
    "padded": good(payload=b"ab") + bytes(16),
}


@pytest.mark.parametrize("name", GOOD)
def test_payload_offset_and_flow_are_those_of_scapy(name):
    frame = GOOD[name]
    layer = Ether(frame)
    cause, found = parse(frame)
    assert cause == "ok"
    udp = layer[UDP]
    payload = bytes(udp.payload)[: udp.len - 8]
    assert found[1] == payload
    assert found[0] == frame.index(bytes(udp)[:8]) + 8
    assert FLOWS[found[2]] == (layer[IP].dst, udp.dport)


@pytest.mark.parametrize("name", GOOD)
def test_every_prefix_has_the_expected_cause(name):
    frame = GOOD[name]
    seen = set()
    for length in range(len(frame) + 1):
        prefix = frame[:length]
        assert parse(prefix) == expected(prefix), f"{name} cut to {length} bytes"
        seen.add(parse(prefix)[0])
    assert seen >= {"drop_short", "ok"}
    assert name == "padded" or "drop_ip_length" in seen


def with_ip(offset, value, fix_checksum=True, frame=None):
    """The plain frame with bytes of the IPv4 header changed."""
    raw = bytearray(frame or GOOD["plain"])
    raw[14 + offset : 14 + offset + len(value)] = value
    if fix_checksum:
        header_len = (raw[14] & 15) * 4
        raw[24:26] = b"\0\0"
        words = sum(struct.unpack(f"!{header_len // 2}H", raw[14 : 14 + header_len]))
        while words >> 16:
            words = (words & 0xFFFF) + (words >> 16)
        raw[24:26] = struct.pack("!H", ~words & 0xFFFF)
    return bytes(raw)


def with_udp(offset, value):
    raw = bytearray(GOOD["plain"])
    raw[34 + offset : 34 + offset + len(value)] = value
    return bytes(raw)


LENGTH = len(GOOD["plain"]) - 14
BAD = {
    "arp": ("drop_ethertype", bytes(Ether() / scapy.ARP())),
    "ipv6": ("drop_ethertype", bytes(Ether() / scapy.IPv6() / UDP(dport=26400) / b"x")),
    "length instead of a type": ("drop_ethertype", GOOD["plain"][:12] + b"\x00\x60" + GOOD["plain"][14:]),
    "three tags": ("drop_ethertype", good(tags=[Dot1Q(vlan=1), Dot1Q(vlan=2), Dot1Q(vlan=3)])),
    "version 6": ("drop_ip_header", with_ip(0, b"\x65")),
    "version 0": ("drop_ip_header", with_ip(0, b"\x05")),
    "header of 16 bytes": ("drop_ip_header", with_ip(0, b"\x44")),
    "header of 0 bytes": ("drop_ip_header", with_ip(0, b"\x40", fix_checksum=False)),
    "total length beyond the frame": ("drop_ip_length", with_ip(2, struct.pack("!H", LENGTH + 1))),
    "total length below the header": ("drop_ip_length", with_ip(2, struct.pack("!H", 19))),
    "total length 0": ("drop_ip_length", with_ip(2, b"\0\0")),
    "bad checksum": ("drop_ip_checksum", with_ip(8, b"\x01", fix_checksum=False)),
    "checksum 0": ("drop_ip_checksum", with_ip(10, b"\0\0", fix_checksum=False)),
    "first fragment": ("drop_fragment", with_ip(6, b"\x20\x00")),
    "later fragment": ("drop_fragment", with_ip(6, b"\x00\x01")),
    "last fragment": ("drop_fragment", with_ip(6, b"\x1f\xff")),
    "tcp": ("drop_protocol", bytes(Ether() / IP(dst="239.1.2.3") / TCP(dport=26400))),
    "igmp": ("drop_protocol", with_ip(9, b"\x02")),
    "udp length beyond the datagram": ("drop_udp_length", with_udp(4, struct.pack("!H", LENGTH - 19))),
    "udp length 7": ("drop_udp_length", with_udp(4, b"\0\7")),
    "udp length 0": ("drop_udp_length", with_udp(4, b"\0\0")),
    "datagram of 7 bytes": ("drop_udp_length", with_ip(2, b"\0\x1b")),
    "other port": ("drop_foreign", with_udp(2, b"\x67\x21")),
    "other group": ("drop_foreign", with_ip(16, b"\xef\x01\x02\x05")),
    "port of another flow": ("drop_foreign", with_udp(2, struct.pack("!H", 26477))),
}


@pytest.mark.parametrize("name", BAD)
def test_each_fault_has_its_own_cause(name):
    cause, frame = BAD[name]
    assert expected(frame)[0] == cause
    assert parse(frame) == (cause, None)


def test_every_cause_of_the_table_is_reached():
    reached = {cause for cause, _ in BAD.values()} | {parse(GOOD["plain"][:n])[0] for n in range(20)} - {"ok"}
    reached.add(verify(with_udp(6, b"\x12\x34")))
    assert reached == set(CAUSES.values()) - {"ok"}


def test_do_not_fragment_is_no_fragment():
    assert parse(with_ip(6, b"\x40\x00"))[0] == "ok"


def test_a_udp_length_below_the_datagram_ends_the_payload():
    cause, found = parse(with_udp(4, struct.pack("!H", 8 + 10)))
    assert (cause, found[1]) == ("ok", PAYLOAD[:10])


def test_without_flows_everything_is_foreign():
    assert parse(GOOD["plain"], flow_cnt=0) == ("drop_foreign", None)


def test_random_damage_has_the_expected_cause(rng):
    tally = dict.fromkeys(CAUSES.values(), 0)
    frames = list(GOOD.values())
    for _ in range(20_000):
        raw = bytearray(rng.choice(frames))
        for _ in range(rng.randint(1, 3)):
            raw[rng.randrange(12, min(len(raw), 60))] = rng.choice((0, 1, 0x45, 0x80, 0xFF, rng.randrange(256)))
        if rng.random() < 0.5:  # most damage to the header would end at its checksum
            raw = bytearray(with_ip(0, bytes(raw[14:15]), frame=raw)) if 5 <= raw[14] % 16 <= 6 else raw
        frame = bytes(raw[: rng.randrange(len(raw) + 1)] if rng.random() < 0.2 else raw)
        result = parse(frame)
        assert result == expected(frame), frame.hex()
        tally[result[0]] += 1
    assert all(cnt for cause, cnt in tally.items() if cause != "drop_udp_checksum"), tally


def test_checksum_is_that_of_scapy_for_many_headers(rng):
    for _ in range(500):
        packet = Ether() / IP(
            src=f"10.{rng.randrange(256)}.{rng.randrange(256)}.9", dst="239.1.2.3", id=rng.randrange(65536),
            ttl=rng.randrange(256), tos=rng.randrange(256), options=[IPOption_Router_Alert()] * rng.randrange(3),
        ) / UDP(dport=26400) / b"data"  # fmt: skip
        frame = bytes(packet)
        assert parse(frame)[0] == "ok"
        flipped = bytearray(frame)
        flipped[14 + rng.choice((1, 4, 5, 8, 10, 11, 12, 13))] ^= 1 << rng.randrange(8)
        assert parse(bytes(flipped))[0] == "drop_ip_checksum"
    assert ipv4("239.1.2.3") == 0xEF010203


# ---- the UDP checksum ----


@pytest.mark.parametrize("name", GOOD)
def test_the_udp_checksum_of_scapy_is_right(name):
    frame = GOOD[name]
    at = frame.index(struct.pack("!HH", 9000, 26477 if name == "third flow" else 26400))
    assert frame[at + 6 : at + 8] != b"\0\0"
    assert verify(frame) == "ok"


def flipped(frame, byte, bit):
    bad = bytearray(frame)
    bad[byte] ^= 1 << bit
    return bytes(bad)


def test_any_flipped_bit_that_the_checksum_covers_is_found():
    checked = 0
    for name in ("plain", "tags and options", "empty payload"):
        frame = GOOD[name]
        start = frame.index(struct.pack("!HH", 9000, 26400))
        for byte in [
            *range(start, start + 2),
            *range(start + 6, len(frame)),
        ]:  # without port and length: those are flows
            for bit in range(8):
                checked += 1
                assert verify(flipped(frame, byte, bit)) == "drop_udp_checksum"
    for byte in range(12, 16):  # the source address, with a right header checksum
        for bit in range(8):
            checked += 1
            changed = with_ip(byte, bytes([GOOD["plain"][14 + byte] ^ 1 << bit]))
            assert verify(changed) == "drop_udp_checksum"
    assert checked > 1500


def test_verifying_agrees_with_a_plain_sum_for_any_datagram(rng):
    tally = {"ok": 0, "drop_udp_checksum": 0}
    for _ in range(3000):
        tags = [Dot1Q(vlan=1), Dot1Q(vlan=2)][: rng.randrange(3)]
        payload = rng.choice([rng.randbytes, bytes, lambda n: b"\xff" * n])(rng.choice([rng.randrange(64), 1400, 1471]))
        frame = bytearray(fast(payload, len(tags), rng.randrange(3)))
        at = len(frame) - len(payload) - 8
        struct.pack_into("!H", frame, at + 6, rng.randrange(1, 65536))
        if rng.random() < 0.5:  # make it right
            struct.pack_into("!H", frame, at + 6, 0)
            struct.pack_into("!H", frame, at + 6, 0xFFFF - udp_sum(frame) or 0xFFFF)
        frame += rng.randbytes(rng.randrange(20))  # padding is not covered
        want = "ok" if udp_sum(frame) == 0xFFFF else "drop_udp_checksum"
        assert verify(bytes(frame), rng.randrange(16)) == want, frame.hex()
        tally[want] += 1
    assert min(tally.values()) > 1000


def fast(payload, tag_cnt, option_cnt):
    """A frame of the first flow, without scapy, checksum 0."""
    total = 28 + 4 * option_cnt + len(payload)
    addresses = b"\x0a\x01\x02\xff\xef\x01\x02\x03"
    header = bytearray(struct.pack("!BBHHHBBH8s", 0x45 + option_cnt, 0, total, 0, 0, 9, 17, 0, addresses))
    header += b"\x01" * 4 * option_cnt
    words = sum(struct.unpack(f"!{len(header) // 2}H", header))
    words = (words & 0xFFFF) + (words >> 16)
    struct.pack_into("!H", header, 10, ~(words + (words >> 16)) & 0xFFFF)
    tags = b"\x81\x00\x00\x05" * tag_cnt
    return bytes(12) + tags + b"\x08\x00" + header + struct.pack("!HHHH", 9000, 26400, 8 + len(payload), 0) + payload


def test_scapy_and_the_plain_sum_agree(rng):
    for size in [*range(20), 97, 1400, 1471]:
        frame = good(rng.randrange(3), rng.randbytes(size))
        assert udp_sum(frame) == 0xFFFF
        assert verify(frame) == "ok"


def test_no_checksum_is_a_right_one_and_one_of_zero_is_sent_as_ones():
    assert verify(with_udp(6, b"\0\0")) == "ok"
    frame = bytearray(good(payload=b"\0\0" + PAYLOAD))
    frame[42:44] = frame[40:42]  # what the sum lacks: now it is all ones, its complement 0, which is sent as ones
    frame[40:42] = b"\xff\xff"
    assert udp_sum(frame) == 0xFFFF
    assert verify(bytes(frame)) == "ok"
    assert verify(flipped(frame, 60, 0)) == "drop_udp_checksum"


def test_what_lies_behind_the_udp_length_is_not_covered():
    frame = bytearray(good(payload=b"abc"))
    assert verify(bytes(frame) + b"padding") == "ok"
    longer = bytearray(with_udp(4, struct.pack("!H", 8 + 11)))  # an odd length, the rest of the datagram is not its own
    struct.pack_into("!H", longer, 40, 0)
    struct.pack_into("!H", longer, 40, 0xFFFF - udp_sum(longer))
    assert verify(bytes(longer)) == "ok"
    assert verify(flipped(longer, 34 + 18, 3)) == "drop_udp_checksum"
    assert verify(flipped(longer, 34 + 19, 3)) == "ok"
