"""The dpdk backend from Python, from the command line and in a gateway, and what it says when it cannot.

SPDX-License-Identifier: MIT

DPDK starts once per process, so every test runs in a child of its own.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hwgw_sim.lab import Lab
from hwgw_sim.receiver import Receiver
from support.alone import alone
from support.dpdk import (
    FLOW,
    data,
    needs,
    needs_dpdk,
    needs_wire,
    numbered,
    open_rx,
    until,
)
from support.forked import Forked
from support.market import Market

import hwgw.rx
from hwgw import config
from hwgw.errors import ConfigError, DeviceError, PrivilegeError
from hwgw.telemetry import snapshot

pytestmark = needs_dpdk


# ---- from Python ----


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_python_sees_the_frames_in_place_and_sends_through_the_same_port(pair, sender):
    frames = [numbered(i) for i in range(300)]
    with pair.inside("rx"), pair.packet_socket("tx") as listener:
        listener.bind((pair.device["tx"], 0x0800))
        listener.settimeout(5)
        port, groups = f"net_af_packet0,iface={pair.device['rx']}", [f"{FLOW[0]}:{FLOW[1]}"]
        with hwgw.rx.open("dpdk", port=port, groups=groups, tx_frame_cnt=256, eal=["--log-level=lib.eal:info"]) as rx:
            assert rx.describe.startswith("dpdk: net_af_packet0")
            for frame in frames:
                sender.send(frame)
            got = []
            while len(got) < 300:
                batch = rx.recv(64, timeout=5)
                assert len(batch)
                assert not any(view.flags.owndata or view.flags.writeable for view in batch.data)
                got += [view.tobytes() for view in batch.data]
                assert [view.tobytes()[:4] for view in batch.payload] == [frame[42:46] for frame in got[-len(batch) :]]
                batch.release()
            assert got == frames
            assert rx.send(frames[:100]) == 100
            seen = []
            while len(seen) < 100:  # beside the IGMP report of the kernel
                seen += [frame for frame in [listener.recv(2000)] if frame in set(frames)]
            assert seen == frames[:100]
            ledger = rx.ledger()
            assert (ledger.offered, ledger.used, sum(ledger.drops.values())) == (300, 300, 0)
            told = rx.driver_counters()  # by the driver's own names
            assert (told["rx_good_packets"], told["rx_q0_packets"]) == (300, 300)
            assert (told["rx_errors"], told["tx_good_packets"]) == (0, 100)


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
def test_capture_by_dpdk_takes_the_name_of_the_interface(pair, sender, tmp_path):
    path = tmp_path / "dpdk.pcapng"
    command = [sys.executable, "-m", "hwgw.cli", "capture", pair.device["rx"], "--backend", "dpdk"]
    command += ["--write", str(path), "--group", f"{FLOW[0]}:{FLOW[1]}", "--count", "50", "--json"]
    with pair.inside("rx"):
        run = Forked(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        frames = [numbered(i) for i in range(50)]
        end = time.monotonic() + 20
        while run.poll() is None and time.monotonic() < end:
            for frame in frames:
                sender.send(frame)
            time.sleep(0.05)
        out, err = run.communicate(timeout=10)
    finally:
        run.kill()
    assert run.returncode == 0, err
    result = json.loads(out)
    assert (result["backend"], result["ledger"]["written"], result["ledger"]["exact"]) == ("dpdk", 50, True)
    with Receiver("pcap", [FLOW], path=str(path)) as rx:
        assert set(data(rx.drain())) <= set(frames)
        assert rx.stats()["frames"] == 50


# ---- what is refused, and in which words ----


@needs("net_null")
@pytest.mark.parametrize(
    ("port", "settings", "error", "reason"),
    [
        ("", {}, ConfigError, 'port ""; it needs a PCI address or a device such as net_af_packet0,iface=eth1'),
        ("net_nosuch0", {}, DeviceError, r'\(net_nosuch0, ""\): .*failed to parse device "vdev:net_nosuch0"'),
        ("net_pcap0,rx_pcap=/no/file", {}, DeviceError, "Couldn't open /no/file: .* No such file or directory"),
        ("net_null0", {"eal_args": ["--bogus"]}, ConfigError, r"init\(.* --bogus\): .*unrecognized option '--bogus'"),
        ("net_null0", {"frame_cnt": 32}, ConfigError, "frame_cnt 32; allowed: 64 to 1048576"),
        ("net_null0", {"frame_sz_bytes": 100}, ConfigError, "frame_sz_bytes 100; allowed: 2048 to 16384"),
        ("net_null0", {"queues": [1]}, ConfigError, "queue 1 of 1 queues; .* name queues 0 to n-1"),
        ("net_ring0", {"queues": list(range(64))}, ConfigError, r"net_ring0 has \d+ receive queues, 64 are configured"),
        ("net_null0", {"flows": ()}, ConfigError, "no flow; name at least one group and port"),
        ("net_null0", {"frame_cnt": 1 << 18, "eal_args": ["--no-huge", "-m64"]}, ConfigError, "lower frame_cnt"),
    ],
)  # fmt: skip
@alone
def test_what_is_wrong_is_named(port, settings, error, reason):
    with pytest.raises(error, match=reason):
        open_rx(port, **settings)


@needs("net_null")
@alone
def test_eal_starts_once_and_other_arguments_are_refused_by_name():
    open_rx("net_null0", eal_args=["--log-level=lib.eal:debug"]).close()
    open_rx("net_null0").close()
    with pytest.raises(
        ConfigError, match=r'EAL runs with "--log-level=lib.eal:debug" and cannot start again with "-v"'
    ):
        open_rx("net_null0", eal_args=["-v"])
    with pytest.raises(ConfigError, match=r"EAL runs without the PCI bus, so 0000:01:00\.0 cannot be opened"):
        open_rx("0000:01:00.0")


@needs("net_null")
@alone
def test_ports_come_and_go_beside_each_other_and_one_name_is_open_once():
    for _ in range(30):  # more than the memory holds at a time
        with open_rx("net_null0,size=64") as first, open_rx("net_null1,size=128") as second:
            assert {len(frame) for frame in data(first.poll() + second.poll())} == {64, 128}
            with pytest.raises(DeviceError, match="net_null0 is open already"):
                open_rx("net_null0")


@needs("net_null")
@alone
def test_a_device_of_the_eal_arguments_is_opened_once_by_its_name():
    with open_rx("net_null7", eal_args=["--vdev=net_null7,size=99"]) as rx:
        assert len(rx.poll(1)[0].data) == 99
    with pytest.raises(
        DeviceError, match="net_null7 has no Ethernet port; a device of the eal arguments can be opened once"
    ):
        open_rx("net_null7")


@needs("net_null")
@pytest.mark.parametrize("memory", [[], ["--no-huge", "-m128"], ["--no-huge", "--no-shconf"]])
@alone
def test_the_process_is_as_before_but_for_the_interrupt_thread(capfd, memory):
    def caught():
        """Signals with a handler; glibc takes those of its own (32, 33) when threads start."""
        return int(Path("/proc/self/status").read_text().split("SigCgt:")[1].split()[0], 16) & (1 << 31) - 1

    before = caught()
    cores = os.sched_getaffinity(0)
    with open_rx("net_null0", cpu=min(cores), eal_args=memory) as rx:
        assert os.sched_getaffinity(0) == cores
        assert caught() == before
        for thread in Path("/proc/self/task").iterdir():
            if len(cores) > 1 and int(thread.name) != os.getpid():
                assert min(cores) not in os.sched_getaffinity(int(thread.name))
        rx.poll()
    for folder in map(Path, ("/var/run/dpdk", "/tmp/dpdk", "/dev/shm", "/dev/hugepages")):
        assert not folder.is_dir() or not [path for path in folder.iterdir() if str(os.getpid()) in path.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.root
@needs("net_af_packet")
@alone
def test_without_privileges_a_device_of_the_kernel_is_a_privilege_error_and_net_null_works():
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
    with pytest.raises(PrivilegeError, match=r"rte_eal_hotplug_add\(net_af_packet0"):
        open_rx("net_af_packet0,iface=lo")
    with open_rx("net_null0") as rx:
        assert len(rx.poll(5)) == 5


@pytest.fixture
def with_huge_pages():
    """96 pages of 2 MB more for one test; as many as before afterwards."""
    path = Path("/proc/sys/vm/nr_hugepages")
    before = path.read_text()
    path.write_text(str(int(before) + 96))
    got = int(path.read_text()) - int(before)
    try:
        if got < 96:
            pytest.skip(f"the kernel could make {got} huge pages of 96")
        yield
    finally:
        path.write_text(before)


def huge_free():
    return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())


@pytest.mark.root
@needs("net_null")
@alone
def test_huge_pages_are_used_where_there_are_enough(with_huge_pages):
    before = huge_free()
    with open_rx("net_null0", huge_pages=True) as rx:
        assert ", huge pages;" in rx.description
        assert len(rx.poll(5)) == 5
        assert huge_free() < before


@pytest.mark.root
@needs("net_null")
@alone
def test_missing_huge_pages_are_noted_with_both_numbers():
    free = huge_free()
    with open_rx("net_null0", huge_pages=True, frame_cnt=1 << 15) as rx:
        if free < 100:
            assert f"no huge pages ({free} of 2 MB free, 1" in rx.description
            assert "needed; see vm.nr_hugepages)" in rx.description
        assert len(rx.poll(5)) == 5


# ---- the gateway ----


@pytest.mark.root
@needs("net_af_packet")
@pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab here: {Lab.missing()}")
def test_a_gateway_receives_by_dpdk_trades_and_is_refused_no_system_call(tmp_path):
    with Lab() as lab, Market(tmp_path, lab) as market:
        market.receive = {"backend": "dpdk", "port": f"net_af_packet0,iface={lab.gateway.interface},framecnt=8192"}
        run = market.start()
        with market.attached() as segment:
            found = snapshot(segment)
            assert found["receive"].startswith("dpdk: net_af_packet0 (net_af_packet) queue 0")
            assert found["confined"]["calls_filtered"]
            until(lambda: segment.counters()["mold.frames"] > 1000)
            run.terminate()
            out, err = run.communicate(timeout=20)
            assert run.returncode == 0, out + err
            assert all(b"channel 0: " in line for line in err.splitlines())  # of its states, and nothing else
            found = snapshot(segment)
        assert found["confined"]["refused_calls"] == 0
        assert found["ledgers"]["frames"]["exact"]
        assert found["counters"]["rx.frames"] > 1000


def test_the_example_of_the_documentation_is_a_valid_configuration(root):
    (example,) = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "dpdk.md").read_text(), re.DOTALL)
    whole = yaml.safe_load((root / "deploy" / "examples" / "gateway.yaml").read_text())
    whole["pipelines"][0]["receive"] = yaml.safe_load(example)["pipelines"][0]["receive"]
    whole.pop("session", None)
    settings = config.loads(yaml.safe_dump(whole, sort_keys=False).encode(), "dpdk.yaml", root / "deploy" / "examples")
    receive = settings.pipelines[0].receive
    assert (receive.backend, receive.port) == ("dpdk", "net_af_packet0,iface=eth1,framecnt=8192")
    assert (receive.frame_cnt, receive.eal) == (4096, ("--log-level=lib.eal:info",))
