"""Real messages of ../shared/specs/vectors.json, decoded and built field by field in C, NumPy and Scapy.

SPDX-License-Identifier: MIT
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hwgw import specs

pytest.importorskip("scapy", reason="scapy is not installed")
from hwgw_sim import layers

FIELDS = 199  # decoded values of the 24 vectors
FROM_CLIENT = {"R", "U", "L", "O"}  # SoupBinTCP types of the vectors' client side


@dataclass(frozen=True)
class Part:
    """The bytes of one layout and what the vector says they mean."""

    protocol: str
    layout: specs.Layout
    data: bytes
    decoded: dict[str, int | str]


def parts_of(vector: dict) -> list[Part]:
    """The layouts a vector is made of, outermost first."""
    data, decoded = bytes.fromhex(vector["hex"]), dict(vector["decoded"])
    table = specs.load(vector["protocol"].split("+")[0])
    if table.name == "itch50":
        return [Part(table.name, table.message(decoded["message_type"]), data, decoded)]
    if table.name == "moldudp64":
        return [Part(table.name, table.layout("downstream_packet_header"), data, decoded)]
    from_client = decoded["packet_type"] in FROM_CLIENT
    inner = decoded.pop("ouch", None)
    direction = "client_to_server" if from_client else "server_to_client"
    outer = Part(table.name, table.message(decoded["packet_type"], direction), data, decoded)
    if inner is None:
        return [outer]
    ouch = specs.load("ouch50")
    message = ouch.message(inner["message_type"], "client_to_host" if from_client else "host_to_client")
    return [outer, Part("ouch50", message, data[outer.layout.length :], inner)]


@pytest.fixture(scope="module")
def vectors(shared: Path) -> list[dict]:
    names = {"itch50", "moldudp64", "soupbintcp+ouch50"}
    every = json.loads((shared / "specs" / "vectors.json").read_text())
    found = [vector for vector in every if vector["protocol"] in names]
    assert len(found) == 17 + 1 + 6
    return found


@pytest.fixture(scope="module")
def parts(vectors: list[dict]) -> list[Part]:
    found = [part for vector in vectors for part in parts_of(vector)]
    assert len(found) == 24 + 4
    for part in found:
        assert set(part.decoded) == {field.name for field in part.layout.fields}
    assert sum(len(part.decoded) for part in found) == FIELDS
    return found


def test_c_decodes_every_vector(layouts, parts):
    compared = 0
    for part in parts:
        got = layouts.get(layouts.find(part.protocol, part.layout.name), part.data)
        assert got == part.decoded, part.layout.name
        compared += len(got)
    assert compared == FIELDS


def test_c_builds_the_bytes_of_every_vector(layouts, parts):
    built = 0
    for part in parts:
        data = layouts.set(layouts.find(part.protocol, part.layout.name), part.decoded)
        assert data == part.data[: part.layout.length], part.layout.name
        built += len(data)
    assert built == sum(part.layout.length for part in parts) > 700


def test_numpy_decodes_every_vector(parts):
    compared = 0
    for part in parts:
        dtype = specs.dtype(part.protocol, part.layout.name)
        array = np.frombuffer(part.data * 3, np.uint8).reshape(3, -1)[:, : dtype.itemsize]
        records = np.ascontiguousarray(array).view(dtype)[:, 0]
        for name, want in part.decoded.items():
            column = specs.column(records, name)
            assert column.shape == (3,)
            got = [value.decode() if isinstance(value, bytes) else value for value in column.tolist()]
            assert got == [want] * 3, (part.layout.name, name)
            compared += 1
    assert compared == FIELDS


def scapy_layers(vector: dict) -> list:
    """The packet of a vector and, when it has one, the message inside."""
    data = bytes.fromhex(vector["hex"])
    if vector["protocol"] == "itch50":
        return [layers.itch50(data)]
    if vector["protocol"] == "moldudp64":
        return [layers.MoldUDP64(data)]
    client = vector["decoded"]["packet_type"] in FROM_CLIENT
    packet = layers.soupbintcp(data, "client_to_server" if client else "server_to_client")
    return [packet, packet.payload] if packet.payload else [packet]


def test_scapy_decodes_every_vector(vectors):
    compared = 0
    for vector in vectors:
        found = scapy_layers(vector)
        wanted = parts_of(vector)
        assert [packet.layout.name for packet in found] == [part.layout.name for part in wanted]
        for packet, part in zip(found, wanted, strict=True):
            for name, want in part.decoded.items():
                got = packet.getfieldval(name)
                assert (got.decode() if isinstance(got, bytes) else got) == want, (part.layout.name, name)
                compared += 1
    assert compared == FIELDS


def rebuild(packet):
    """A new packet from the values of packet, without its lengths and counts."""
    if packet.__class__.__name__ == "NoPayload":
        return packet
    values = {
        name: [rebuild(item) for item in value] if isinstance(value, list) else value
        for name, value in packet.fields.items()
        if name not in ("packet_length", "message_length", "message_count", "appendage_length", "length")
    }
    fresh = type(packet)(**values)
    return fresh / rebuild(packet.payload) if packet.payload else fresh


def test_scapy_builds_the_bytes_of_every_vector(vectors):
    """Lengths, counts and codes are left out and must come back."""
    for vector in vectors:
        packet = scapy_layers(vector)[0]
        assert bytes(rebuild(packet)) == bytes.fromhex(vector["hex"]), vector["kind"]


def test_a_mold_packet_shows_its_itch_messages(vectors):
    (vector,) = [v for v in vectors if v["protocol"] == "moldudp64"]
    (block,) = layers.MoldUDP64(bytes.fromhex(vector["hex"])).blocks
    assert block.message_length == 19
    assert block.payload.layout.name == "order_delete"
    assert block.payload.order_reference_number == 23497686


def test_options_of_the_vectors_are_read_by_tag(vectors):
    found = {}
    for vector in vectors:
        message = scapy_layers(vector)[-1]
        for option in getattr(message, "options", []):
            found[vector["kind"], option.layout.name] = option.value
    assert found == {
        ("UO", "tag_firm"): b"LIME",
        ("SA", "tag_firm"): b"MLRO",
        ("SA", "tag_bbo_weight_indicator"): b"0",
    }
