"""`hwgw doctor --nic IF` against what ip(8) and ethtool(8) say of the same interface.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, missing
from support import forked

from hwgw import doctor_nic, netlink, nic

ROWS = {
    "interface", "driver", "numa node", "link speed", "mtu", "queues", "rx ring", "rss", "flow steering", "xdp",
    "xdp program", "zero copy", "timestamps", "busy poll", "deferral", "huge pages", "privileges", "memlock",
    "backend afxdp", "backend packet", "backend udp", "backend dpdk", "backend card",
}  # fmt: skip

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing()), reason=f"no network namespaces: {missing()}"),
]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    if not shutil.which("ethtool"):
        pytest.skip("needs ethtool, to compare with")
    with Wire(queues=4) as wire:
        yield wire


def asked(wire: Wire, device: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and rows of the command in the namespace rx."""
    with wire.inside("rx"):
        command = [sys.executable, "-m", "hwgw.cli", "doctor", "--nic", device, "--json", *options]
        done = forked.run(command)
    result = json.loads(done.stdout)
    assert (result["schema"], result["nic"]) == ("hwgw.doctor/1", device)
    rows = {row["name"]: row for row in result["rows"]}
    assert set(rows) == ROWS
    assert sum(result["summary"].values()) == len(rows)
    assert all(row["value"] for row in rows.values())
    return done.returncode, rows


def test_a_veth_is_told_as_ip_and_ethtool_tell_it(wire: Wire) -> None:
    device = wire.device["rx"]
    wire.run("rx", "ethtool", "-L", device, "rx", "3", "tx", "2")
    shown = json.loads(wire.run("rx", "ip", "-j", "-d", "link", "show", "dev", device))[0]
    driver = dict(re.findall(r"^([\w-]+): (.*)$", wire.run("rx", "ethtool", "-i", device), re.MULTILINE))
    with wire.inside("rx"):
        card = nic.read(device)
    assert card.channels is not None
    assert (card.channels.rx, card.channels.tx, card.channels.rx_max, card.channels.tx_max) == (3, 2, 4, 4)
    assert (card.name, card.index, card.mtu) == (shown["ifname"], shown["ifindex"], shown["mtu"])
    assert (card.mtu_min, card.mtu_max) == (shown["min_mtu"], shown["max_mtu"])
    assert (card.address, card.kind) == (shown["address"], shown["linkinfo"]["info_kind"])
    assert (card.driver, card.driver_version, card.firmware) == (
        driver["driver"], driver["version"], driver["firmware-version"]
    )  # fmt: skip
    stamps = wire.run("rx", "ethtool", "-T", device)
    assert card.timestamps is not None
    assert card.timestamps.software == ("software-receive" in stamps)
    assert card.timestamps.hardware == ("hardware-receive" in stamps)
    assert card.timestamps.clock is None
    assert "PTP Hardware Clock: none" in stamps
    code, rows = asked(wire, device)
    assert code == 0
    assert rows["queues"]["value"].startswith("rx 3 of 4, tx 2 of 4")
    assert rows["xdp"]["todo"].startswith("its peer sends on more queues than it receives on")
    assert rows["interface"]["value"].startswith(f"{device} (index {shown['ifindex']}, veth) up")
    wire.run("rx", "ethtool", "-L", device, "rx", "4", "tx", "4")
    _, rows = asked(wire, device)
    assert rows["xdp"]["value"].startswith("in the driver: basic, redirect")


@pytest.mark.afxdp
def test_what_holds_the_interface_is_named_and_what_was_tried_is_gone(wire: Wire) -> None:
    device = wire.device["rx"]
    with wire.inside("rx"):
        holder = Receiver("afxdp", [("239.1.2.3", 26400)], interface=device, mode="native")
    with holder:
        _, rows = asked(wire, device)
        program = json.loads(wire.run("rx", "ip", "-j", "link", "show", "dev", device))[0]["xdp"]["prog"]["id"]
        told = re.fullmatch(r"(\w+) \(id (\d+), bpf_link (\d+)\), native", rows["xdp program"]["value"])
        assert told, rows["xdp program"]
        assert int(told[2]) == program
        assert rows["xdp program"]["todo"].endswith("stop the process that owns it")
        assert rows["backend afxdp"]["status"] == "warn"
    code, rows = asked(wire, device, "--try")
    assert code == 0
    assert rows["xdp program"]["value"] == "none attached"
    assert rows["backend afxdp"]["value"].startswith(f"afxdp: {device} queue")
    assert rows["backend packet"]["value"].startswith("packet: ")
    assert rows["backend udp"]["value"].startswith("udp: ")
    link = json.loads(wire.run("rx", "ip", "-j", "-d", "link", "show", "dev", device))[0]
    assert ("xdp" in link, link["promiscuity"]) == (False, 0)


def test_an_interface_that_is_down_fails_and_one_without_carrier_too(wire: Wire) -> None:
    wire.run("rx", "ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
    code, rows = asked(wire, "tap0", "--try")
    assert code == 1
    assert (rows["interface"]["status"], rows["interface"]["todo"]) == ("fail", "ip link set tap0 up")
    assert {rows[f"backend {name}"]["todo"] for name in ("afxdp", "packet", "udp")} == {"ip link set tap0 up"}
    wire.run("rx", "ip", "link", "set", "tap0", "up")
    code, rows = asked(wire, "tap0")
    assert code == 1
    assert "up, no carrier" in rows["interface"]["value"]


def test_lo_has_no_xdp_in_its_driver(wire: Wire) -> None:
    wire.run("rx", "ip", "link", "set", "lo", "up")
    code, rows = asked(wire, "lo")
    assert code == 0
    assert rows["xdp"]["status"] == "warn"
    assert rows["backend afxdp"]["value"].startswith("generic mode, copy")
    assert rows["mtu"]["status"] == "warn"


def test_an_unknown_interface_is_a_mistake_of_the_caller(hwgw) -> None:
    done = hwgw("doctor", "--nic", "nosuch0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no interface 'nosuch0' here; there are" in done.stderr
    assert "not the name of an interface" in hwgw("doctor", "--nic", "a/b").stderr
    assert "--try goes with --nic" in hwgw("doctor", "--try").stderr


def test_every_line_fits_80_columns(wire: Wire, hwgw) -> None:
    with wire.inside("rx"):
        done = hwgw("doctor", "--nic", wire.device["rx"], "--try")
    lines = done.stdout.splitlines()
    assert len(lines) > len(ROWS)
    assert max(map(len, lines)) < 80


def test_a_user_without_capabilities_is_told_which_and_how(wire: Wire) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable]
    if subprocess.run([*nobody, "-c", "import hwgw"], capture_output=True, check=False).returncode:
        pytest.skip("needs a source tree and an interpreter that another user can read")
    with wire.inside("rx"):
        command = [*nobody, "-m", "hwgw.cli", "doctor", "--nic", wire.device["rx"], "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["backend afxdp"]["todo"].startswith(
        "lacks CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF: run as root, or setpriv"
    )
    assert rows["backend packet"]["todo"].startswith("lacks CAP_NET_RAW: run as root, or setpriv")
    assert rows["backend udp"]["status"] == "ok"


def test_a_kernel_without_the_netdev_family_is_told(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "generic_family", lambda name: None)
    with wire.inside("rx"):
        rows = {row.name: row for row in doctor_nic.examine(wire.device["rx"])}
    assert (rows["xdp"].status, rows["xdp"].value) == ("warn", "the driver's features are not told")
    assert "Linux 6.3" in rows["xdp"].todo
    assert rows["zero copy"].value == "not told"


# ---- what no device here has ----


def card(**changes: object) -> nic.Nic:
    facts: dict[str, object] = {
        "name": "eth9", "index": 9, "is_up": True, "has_carrier": True, "is_loopback": False,
        "mtu": 1500, "mtu_min": 68, "mtu_max": 9978, "address": "02:00:00:00:00:09",
        "driver": "ice", "bus": "pci/0000:3b:00.0", "numa_node": 0, "speed_mbps": 25_000,
        "channels": nic.Channels(0, 0, 0, 0, 8, 16), "rx_ring": 512, "rx_ring_max": 8160,
        "xdp_features": ("basic", "redirect", "transmit", "zero copy", "multi-buffer"), "zero_copy_segments": 8,
        "metadata": ("timestamp", "hash"), "napi_ids": (8193, 8194), "timestamps": nic.Timestamps(True, True, True, 0),
        "rss_key_bytes": 52, "rss_table_entries": 512, "has_ntuple": False, "steering_rules": 0,
    }  # fmt: skip
    return nic.Nic(**{**facts, **changes})


def judged(monkeypatch: pytest.MonkeyPatch, **changes: object) -> dict[str, doctor_nic.Row]:
    monkeypatch.setattr(nic, "read", lambda name: card(**changes))
    return {row.name: row for row in doctor_nic.examine("eth9")}


def test_hardware_that_can_more_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = judged(monkeypatch)
    assert rows["rx ring"].todo == "for bursts: ethtool -G eth9 rx 8160"
    assert rows["flow steering"].todo == "ethtool -K eth9 ntuple on"
    assert rows["zero copy"].value.startswith("yes, 8 buffers per frame")
    assert rows["timestamps"].value.startswith("hardware of every frame, through XDP metadata, clock /dev/ptp0")
    assert "hwstamp_ctl -i eth9 -r 1" in rows["timestamps"].value
    assert rows["busy poll"].value == "possible: NAPI ids 8193, 8194"
    assert rows["link speed"].value == "25,000 Mb/s"
    assert rows["queues"].value.startswith("combined 8 of 16")
    assert "ice" in rows["driver"].value


def test_hardware_that_cannot_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = judged(monkeypatch, xdp_features=(), steering_rules=None, timestamps=None, napi_ids=None, mtu=9000)
    assert rows["zero copy"].value == "no: needs XDP in the driver"
    assert (rows["flow steering"].status, rows["flow steering"].value) == ("warn", "none in this driver")
    assert "ethtool -L eth9" in rows["flow steering"].todo
    assert rows["mtu"].todo.endswith("ip link set eth9 mtu 1500")
    for name in ("zero copy", "timestamps", "busy poll", "xdp", "mtu"):
        assert rows[name].status == "warn"
        assert rows[name].todo
