"""The NIC engine on real interfaces of a private namespace, against ethtool(8): what one sets the other reads.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hwgw_sim.wire import Wire, missing
from support.nics import printed

from hwgw import netlink
from hwgw.tune.nic import Nic

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing()), reason=f"no network namespaces: {missing()}"),
]
TAP = "nictap0"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A veth pair with 4 queues, and a tap beside it."""
    if not shutil.which("ethtool"):
        pytest.skip("needs ethtool, to compare with")
    with Wire(queues=4) as wire:
        wire.run("rx", "ip", "tuntap", "add", TAP, "mode", "tap")
        yield wire


def test_channels_one_sets_and_the_other_reads(wire: Wire) -> None:
    name = wire.device["rx"]
    with wire.inside("rx"):
        nic = Nic(name)
        before = nic.group("channels")
        assert (before["rx_max"], before["tx_max"]) == ("4", "4")
        nic.set("channels.rx", "2")
    shown = wire.run("rx", "ethtool", "-l", name).rpartition("Current")[2]
    assert printed(shown)["RX"] == "2"
    wire.run("rx", "ethtool", "-L", name, "rx", before["rx"])
    with wire.inside("rx"):
        assert nic.group("channels") == before
        with pytest.raises(OSError, match="Invalid argument: requested channel count exceeds maximum"):
            nic.set("channels.rx", "5")


def test_every_feature_is_what_ethtool_says(wire: Wire) -> None:
    name = wire.device["rx"]
    rows = json.loads(wire.run("rx", "ethtool", "--json", "-k", name))[0]
    with wire.inside("rx"):
        have, fixed = Nic(name).group("features"), Nic(name).fixed()
    same = [key for key in rows if key in have]
    assert len(same) >= 40, "hardly anything was compared"
    for key in same:
        assert have[key] == ("on" if rows[key]["active"] else "off"), key
        assert (key in fixed) == rows[key]["fixed"], key


def test_a_feature_goes_off_and_on(wire: Wire) -> None:
    name = wire.device["rx"]
    with wire.inside("rx"):
        nic = Nic(name)
        before = nic.group("features")
        nic.set("features.rx-gro", "off")
        off = nic.group("features")
        shown = wire.run("rx", "ethtool", "-k", name)
        nic.set("features.rx-gro", before["rx-gro"])
        assert nic.group("features") == before
        with pytest.raises(OSError, match="fixed by the driver"):
            nic.set(f"features.{min(nic.fixed())}", "on")
    assert off["rx-gro"] == "off"
    assert printed(shown)["generic-receive-offload"] == "off"


def test_coalescing_of_a_tap(wire: Wire) -> None:
    with wire.inside("rx"):
        nic = Nic(TAP)
        before = nic.group("coalesce")
        assert set(before) == {"rx_max_frames"}
        nic.set("coalesce.rx_max_frames", "5")
        shown = wire.run("rx", "ethtool", "-c", TAP)
        nic.set("coalesce.rx_max_frames", before["rx_max_frames"])
        assert nic.group("coalesce") == before
        with pytest.raises(OSError, match="cannot modify an unsupported parameter"):
            nic.set("coalesce.rx_usecs", "5")
    assert printed(shown)["rx-frames"] == "5"


def test_driver_and_link(wire: Wire) -> None:
    name = wire.device["rx"]
    driver = dict(re.findall(r"^([\w-]+): (.*)$", wire.run("rx", "ethtool", "-i", name), re.MULTILINE))
    link = wire.run("rx", "ethtool", name)
    with wire.inside("rx"):
        have = Nic(name).all()
    assert (have["driver.name"], have["driver.version"]) == (driver["driver"], driver["version"])
    assert have["link.speed"] == re.sub(r"\D", "", printed(link)["Speed"])
    assert have["link.up"] == {"yes": "on", "no": "off"}[printed(link)["Link detected"]]


def test_polling_settings_live_in_the_context(wire: Wire) -> None:
    """What is set by context is read back; the kernel forgets it with the context."""
    name = wire.device["rx"]
    with wire.inside("rx"):
        nic = Nic(name)
        gro = nic.get("features.rx-gro")
        nic.set("features.rx-gro", "on")  # a veth has contexts only with this
        before = nic.group("napi")
        if "defer_hard_irqs" not in before:
            pytest.skip("the kernel tells nothing of NAPI settings (Linux 6.13 and later)")
        nic.set("napi.defer_hard_irqs", "50")
        nic.set("napi.gro_flush_timeout", "20000")
        during = nic.group("napi")
        for setting in ("defer_hard_irqs", "gro_flush_timeout"):
            nic.set(f"napi.{setting}", before[setting])
        assert nic.group("napi") == before
        if "threaded" in before:
            with pytest.raises(OSError, match="out of range"):
                nic.set("napi.threaded", "9")
        nic.set("features.rx-gro", str(gro))
    assert (during["defer_hard_irqs"], during["gro_flush_timeout"]) == ("50", "20000")


def test_a_recording_of_the_kernel_replays(wire: Wire) -> None:
    name = wire.device["rx"]
    with wire.inside("rx"):
        recorder = netlink.Recorder()
        live = Nic(name, recorder).all()
    replayed = Nic(name, netlink.Recorded(json.loads(json.dumps(recorder.rows)))).all()
    assert replayed == live
    assert len(live) > 50
    with pytest.raises(OSError, match="not in the recording"):
        Nic("other", netlink.Recorded(recorder.rows)).ethtool.do("channels-get", {"header": {"dev-name": "other"}})


def test_a_driver_without_steering_says_so(wire: Wire) -> None:
    name = wire.device["rx"]
    with wire.inside("rx"), pytest.raises(OSError, match="not supported"):
        Nic(name).set("ntuple.rules", "udp4 dst 239.1.2.3:26400 queue 1")
    done = subprocess.run(["ethtool", "-u", name], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode != 0
