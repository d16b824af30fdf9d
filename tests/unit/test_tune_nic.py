"""The NIC engine on a made NIC like an mlx5, whose bytes are encoded without hwgw.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from support import hosts
from support.nics import MadeNic, printed

from hwgw import netlink
from hwgw.errors import HwgwError, UsageError
from hwgw.tune.host import Host
from hwgw.tune.knob import Unsupported, same
from hwgw.tune.nic import Nic, actuator, quirks, rss, rules


@pytest.fixture
def made() -> MadeNic:
    return MadeNic()


@pytest.fixture
def nic(made: MadeNic) -> Nic:
    return Nic("eth7", made)


def test_everything_is_read_by_name(nic: Nic) -> None:
    expected = {
        "channels.combined": "8", "channels.combined_max": "16", "channels.other": "1", "rings.rx": "1024",
        "rings.rx_max": "8192",
        "coalesce.rx_usecs": "8", "coalesce.use_adaptive_rx": "1", "coalesce.use_cqe_mode_rx": "1", "pause.rx": "on",
        "pause.autoneg": "off", "features.rx-gro": "on", "features.rx-lro": "off", "features.highdma": "on",
        "priv_flags.rx_cqe_compress": "on", "fec.mode": "auto", "fec.active": "rs", "rss.indir": "0-7",
        "rss.hfunc": "toeplitz",
        "rss.key": bytes(range(40)).hex(":"), "rss.udp4_fields": "sd", "rss.contexts": "none", "ntuple.rules": "none",
        "timestamp.rx_filter": "none", "timestamp.tx_type": "off", "link.speed": "100000", "link.up": "on",
        "napi.defer_hard_irqs": "0", "napi.irq_suspend_timeout": "0", "driver.name": "mlx5_core",
        "driver.firmware": "22.36.1010",
    }  # fmt: skip
    have = nic.all()
    assert {name: have.get(name) for name in expected} == expected
    assert "eee.enabled" not in have, "the driver has no energy efficient Ethernet"
    assert nic.fixed() == {"highdma"}


def test_a_hot_queue_alone_is_set(made: MadeNic, nic: Nic) -> None:
    """Queues that are not named keep what they have, and so do the other settings of the one that is."""
    nic.set("queue_coalesce.rx_usecs", "4:0")
    assert [row[1] for row in made.queues[:8]] == [8, 8, 8, 8, 0, 8, 8, 8]
    assert made.queues[4][2:7] == [128, 0, 0, 8, 128]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("channels.combined", "4"), ("rings.rx", "512"), ("rings.tx_push", "1"), ("coalesce.rx_usecs", "0"),
        ("coalesce.use_adaptive_rx", "0"), ("features.rx-lro", "on"), ("features.rx-gro", "off"), ("pause.rx", "off"),
        ("priv_flags.rx_cqe_compress", "off"), ("fec.mode", "rs"), ("rss.indir", "4-7"), ("rss.hfunc", "xor"),
        ("rss.indir", " ".join(str(at // 16) for at in range(128))), ("rss.key", bytes(range(40, 80)).hex(":")),
        ("rss.udp4_fields", "sdfn"), ("rss.contexts", "4-5; 6-7"), ("timestamp.rx_filter", "all"),
        ("ntuple.rules", "udp4 dst 239.1.2.3:26400 queue 4 @1000; tcp4 src 10.0.0.9:26477 dst 10.0.0.1 queue 5 @1001"),
        ("queue_coalesce.rx_usecs", "0:8 1:8 2:8 3:8 4:0 5:8 6:8 7:8"), ("queue_coalesce.tx_max_frames", "1"),
        ("napi.irq_suspend_timeout", "20000000"), ("napi.defer_hard_irqs", "8193:0 8194:100"),
    ],
)  # fmt: skip
def test_what_is_set_is_read_back_and_undone(made: MadeNic, nic: Nic, setting: str, value: str) -> None:
    """Every setting to a value and back to what was read before; nothing else changes on the way."""
    before = nic.all()
    nic.set(setting, value)
    during = nic.all()
    assert during.pop(setting) == ("1" if setting == "rings.tx_push" else value)
    others = {name: text for name, text in before.items() if name != setting}
    if setting == "channels.combined":
        during["rss.indir"] = others["rss.indir"]  # the driver spreads anew
    assert during == others
    nic.set(setting, before[setting])
    assert nic.all() == before


def test_a_flow_rule_is_the_structure_of_the_header(made: MadeNic, nic: Nic) -> None:
    """struct ethtool_rx_flow_spec: UDP_V4_FLOW 2, addresses and ports big-endian, masks, queue, place."""
    nic.set("ntuple.rules", "udp4 src 10.1.0.0/16 dst 239.1.2.3:26400 vlan 12 queue 3 @9")
    spec = made.rules[9]
    assert struct.unpack_from("<I", spec)[0] == 0x80000002  # FLOW_EXT | UDP_V4_FLOW
    assert struct.unpack_from(">4s4sHH", spec, 4) == (bytes([10, 1, 0, 0]), bytes([239, 1, 2, 3]), 0, 26400)
    assert struct.unpack_from(">H", spec, 4 + 52 + 10)[0] == 12
    assert struct.unpack_from(">4s4sHH", spec, 76) == (b"\xff\xff\0\0", b"\xff\xff\xff\xff", 0, 0xFFFF)
    assert struct.unpack_from(">H", spec, 76 + 52 + 10)[0] == 0xFFFF
    assert struct.unpack_from("<QI", spec, 152) == (3, 9)


def test_rules_that_are_there_already_are_left_alone(made: MadeNic, nic: Nic) -> None:
    """Wanted without places: what is there stays where it is, the new one goes to the highest free place."""
    nic.set("ntuple.rules", "udp4 dst 239.1.2.3:1 queue 1 @1023; udp4 dst 239.1.2.4:1 queue 2 @7")
    before = dict(made.rules)
    nic.set("ntuple.rules", "udp4 dst 239.1.2.4:1 queue 2; udp4 dst 239.1.2.9:1 queue 3; udp4 dst 239.1.2.3:1 queue 1")
    assert set(made.rules) == {1023, 7, 1022}
    assert {place: made.rules[place] for place in before} == before
    assert nic.get("ntuple.rules") == (
        "udp4 dst 239.1.2.4:1 queue 2 @7; udp4 dst 239.1.2.9:1 queue 3 @1022; udp4 dst 239.1.2.3:1 queue 1 @1023"
    )
    assert same("rules", nic.get("ntuple.rules"), "udp4 dst 239.1.2.3:1 queue 1; udp4 dst 239.1.2.4:1 queue 2;"
                " udp4 dst 239.1.2.9:1 queue 3")  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "udp4 dst 239.1.2.3:26400 queue 4", "udp4 dst 239.1.2.0/24 context 2", "tcp4 src *:80 queue 0",
        "ether dst 01:00:5e:01:02:03 drop", "udp4 src 10.0.0.0/255.0.255.0 drop", "udp4 drop",
        "tcp4 context 1 queue 2 @5",
    ],
)  # fmt: skip
def test_a_rule_survives_its_structure(text: str) -> None:
    if "255.0.255.0" in text:
        with pytest.raises(UsageError, match="no IPv4 address or network"):
            rules.parse(text)
        rule = rules.Rule("udp4", src=(0x0A000000, 0xFF00FF00), location=3)
        assert rules.decode(rules.encode(rule), 0) == rule
        return
    (rule,) = rules.parse(text)
    assert rule.text() == text
    back = rules.decode(rules.encode(rule), rule.context)
    assert back is not None
    assert back.text(with_location=rule.location is not None) == text


def test_rss_is_set_by_ioctl_before_linux_6_17() -> None:
    """ETHTOOL_SRSSH where the family does not list rss-set."""
    made = MadeNic(newest=46)
    nic = Nic("eth7", made)
    nic.set("rss.indir", "2-3")
    nic.set("rss.key", bytes(40).hex(":"))
    nic.set("rss.hfunc", "crc32")
    assert made.table == [2 + at % 2 for at in range(128)]
    assert (made.key, made.function) == (bytes(40), 4)
    assert (21, 48) not in made.calls
    newer = MadeNic()
    Nic("eth7", newer).set("rss.indir", "2-3")
    assert newer.table == made.table
    assert (21, 48) in newer.calls


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("channels.combined", "17", "requested channel count exceeds maximum"),
        ("channels.rx", "4", "cannot modify an unsupported parameter"),
        ("channels.combined_max", "4", "a fact, not a setting"),
        ("rings.rx", "many", "'many': a number of 0 to 4294967295 is meant"),
        ("features.highdma", "off", "fixed by the driver"),
        ("features.rx-gro", "maybe", "'maybe': on or off is meant"),
        ("coalesce.speed", "1", "there are rx_usecs, "),
        ("fec.mode", "llrs", "LLRS not supported"),
        ("fec.mode", "best", "mode is one or more of auto, off, rs, baser, llrs"),
        ("rss.indir", "0 1 2", "3 entries, the NIC has 128"),
        ("rss.key", "00:11", "RSS key of 2 bytes: the NIC's has 40"),
        ("rss.hfunc", "md5", "there are toeplitz, xor, crc32"),
        ("rss.udp4_fields", "xyz", "letters of mvtsdfnr are meant"),
        ("ntuple.rules", "udp4 dst 239.1.2.3:70000 queue 1", "no address with or without a port of 1 to 65535"),
        ("ntuple.rules", "udp4 dst 239.1.2.3/8 queue 1", "has host bits set"),
        ("ntuple.rules", "udp4 dst 239.1.2.3", "says not where to"),
        ("ntuple.rules", "sctp4 queue 1", "begins with none of tcp4, udp4, ether"),
        ("ntuple.rules", "udp4 queue 12", "Invalid argument"),
        ("napi.threaded", "9:1", "one of the contexts 8193, 8194"),
        ("queue_coalesce.rx_usecs", "9:0", "'9:0': a number, or one of queues 0 to 7"),
        ("queue_coalesce.speed", "1", "there are rx_usecs, rx_max_frames"),
        ("colour.red", "1", "there are settings of channels, "),
    ],
)  # fmt: skip
def test_a_refusal_says_why(made: MadeNic, nic: Nic, setting: str, value: str, said: str) -> None:
    before = nic.all()
    with pytest.raises((OSError, HwgwError), match=said.replace("(", r"\(")):
        nic.set(setting, value)
    assert nic.all() == before


def test_a_table_is_short_when_it_is_even() -> None:
    assert rss.table_text([4, 5, 6, 7] * 4) == "4-7"
    assert rss.table_text([0, 0, 1, 1]) == "0 0 1 1"
    assert rss.table_words("4-7", 6) == [4, 5, 6, 7, 4, 5]
    assert rss.table_words("0 0 1 1", 4) == [0, 0, 1, 1]
    with pytest.raises(UsageError, match="1 to 2 queues"):
        rss.table_words("0-3", 2)


# ---- the knobs, on a made host ----


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(hosts.make(tmp_path / "host"))


def test_a_knob_of_a_made_host_is_a_file(host: Host) -> None:
    knob = actuator.NicActuator()
    assert knob.read(host, "eth0 coalesce.rx_usecs") == "8"
    knob.write(host, "eth0 coalesce.rx_usecs", "0")
    assert knob.effective(host, "eth0 coalesce.rx_usecs") == "0"
    assert knob.read(host, "eth0 eee.enabled") is None
    assert knob.read(host, "eth0 link.mtu") == "1500"
    assert knob.effective(host, "eth0 fec.mode") == "rs"
    assert knob.place(host, "eth0 rings.rx").endswith("/0000:81:00.0/net/eth0 rings.rx")
    assert actuator.settings(host, "eth0")["driver.name"] == "mlx5_core"


@pytest.mark.parametrize(
    ("target", "value", "kind", "said"),
    [
        ("eth0 channels.combined", "17", OSError, "exceeds maximum .fewer channels are refused while"),
        ("eth0 rings.rx", "9000", OSError, "requested ring size exceeds maximum"),
        ("eth0 features.highdma", "off", Unsupported, "fixed by the driver"),
        ("eth0 eee.enabled", "off", Unsupported, "Operation not supported"),
        ("eth0", "1", UsageError, "an interface and a setting are meant"),
    ],
)  # fmt: skip
def test_a_made_host_refuses_what_a_kernel_refuses(
    host: Host, target: str, value: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        actuator.NicActuator().write(host, target, value)


def test_quirks_name_settings_that_there_are() -> None:
    """Each pattern matches a setting of the engine; each row says where it is from."""
    from hwgw.tune.nic.engine import GROUPS

    groups = {*GROUPS, "queue_coalesce", "rss", "ntuple", "fec", "timestamp", "napi", "link"}
    assert len(quirks.table()) >= 15
    for row in quirks.table():
        assert row.setting.partition(".")[0] in groups
        assert row.source
        assert row.text
    assert [row.step for row in quirks.find("i40e", "coalesce.rx_usecs")] == [2]


def test_a_gateways_feeds_are_steered_to_its_queue_and_the_rest_elsewhere(
    tmp_path: Path, root: Path, host: Host
) -> None:
    """The example gateway on eth0 queue 4: a rule per line, hashed traffic on the other queues; and back."""
    from hwgw import config
    from hwgw.tune import apply, plan, profile
    from hwgw.tune.state import State

    text = (root / "deploy/examples/gateway.yaml").read_text()
    file = tmp_path / "gateway.yaml"
    for old, new in (
        ("interface: lo", "interface: eth0"),
        ("  - cpu: 1 ", "  - cpu: 2 "),
        ("queues: [0]", "queues: [4]"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    chosen = profile.derive(profile.load("latency"), config.load(file), str(file))
    before = hosts.snapshot(host.root)
    state = State(host, tmp_path / "state")
    with state.locked():
        result = apply.apply(plan.make(chosen, host, state), host, state)
        assert (result.how, result.failed) == ("applied", [])
        knob = actuator.NicActuator()
        assert knob.read(host, "eth0 rss.indir") == "0-3,5-7"
        have = knob.read(host, "eth0 ntuple.rules")
        assert have == "udp4 dst 239.20.0.1:26477 queue 4; udp4 dst 239.20.0.2:26477 queue 4"
        assert (knob.read(host, "eth0 coalesce.rx_usecs"), knob.read(host, "eth0 features.rx-gro")) == ("0", "off")
        assert plan.make(chosen, host, state).changes == []
        apply.rollback(host, state, 0)
    assert hosts.snapshot(host.root) == before


# ---- what real kernels answered ----

# the row of ethtool(8) under each setting, and the option that prints it
PRINTED = {
    "-l": {"channels.rx": "RX", "channels.tx": "TX", "channels.combined": "Combined"},
    "-g": {"rings.rx": "RX", "rings.tx": "TX"},
    "-c": {name: name.replace("_max", "").replace("coalesce.", "").replace("_", "-") for name in (
        "coalesce.rx_usecs", "coalesce.tx_usecs", "coalesce.rx_max_frames", "coalesce.tx_max_frames")},
    "-i": {"driver.name": "driver", "driver.version": "version"},
}  # fmt: skip
LEGACY = {"rx-gro": "generic-receive-offload", "rx-lro": "large-receive-offload", "rx-ntuple-filter": "ntuple-filters",
          "tx-generic-segmentation": "generic-segmentation-offload", "rx-hashing": "receive-hashing"}  # fmt: skip


@pytest.mark.parametrize("driver", ["virtio_net", "veth", "tun"])
def test_a_recorded_kernel_is_read_as_ethtool_read_it(root: Path, driver: str) -> None:
    """Answers of Linux 6.18 and what ethtool 6.1 printed at the same moment: queues, rings, coalescing, features."""
    kept = json.loads((root / "tests/support/recorded_nics.json").read_text())[driver]
    have = Nic(kept["name"], netlink.Recorded(kept["rows"])).all()
    compared = 0
    for option, names in PRINTED.items():
        rows = printed(kept["ethtool"][option].rpartition("Current hardware settings")[2])
        for setting, row in names.items():
            if rows.get(row, "n/a") != "n/a" and setting in have:
                assert have[setting] == rows[row], setting
                compared += 1
    features = printed(kept["ethtool"]["-k"])
    for name in [key.partition(".")[2] for key in have if key.startswith("features.")]:
        if said := features.get(LEGACY.get(name, name)):
            assert have[f"features.{name}"] == said, name
            compared += 1
    assert have["driver.name"] == driver
    assert compared >= 50, compared
