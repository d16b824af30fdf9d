"""What every receive backend shares: names, flows, errors.

SPDX-License-Identifier: MIT
"""

import pytest
from hwgw_sim.receiver import Receiver

from hwgw.errors import ConfigError
from hwgw.native import ffi, lib, text

FLOW = ("239.1.2.3", 26400)


@pytest.mark.parametrize("backend", ["", "dpdkk", "AFXDP", "udp "])
def test_an_unknown_backend_is_refused_with_what_is_allowed(backend):
    with pytest.raises(ConfigError, match=f'"{backend}" is unknown; allowed: afxdp, packet, udp, pcap, dpdk'):
        Receiver(backend, [FLOW])


@pytest.mark.parametrize(
    ("flows", "reason"),
    [
        ([FLOW, ("239.1.2.4", 1), FLOW], r"flows 0 and 2 are both 239\.1\.2\.3:26400"),
        ([("239.1.2.3", 0)], r"flow 0 is 239\.1\.2\.3:0; it needs a group and a port"),
        ([FLOW, ("0.0.0.0", 5)], r"flow 1 is 0\.0\.0\.0:5"),
        ([("239.1.2.3", port) for port in range(1, 66)], "flow_cnt 65; allowed: 0 to 64"),
        ([], "no flow; name at least one group"),
    ],
)
def test_bad_flows_are_refused_by_name(flows, reason):
    for backend in ("udp", "afxdp"):
        if flows == [] and backend == "afxdp" and not lib.hwgw_rx_available(b"afxdp", ffi.new("char[200]"), 200):
            continue
        with pytest.raises(ConfigError, match=reason):
            Receiver(backend, flows, interface="lo")


@pytest.mark.parametrize("backend", ["udp", "pcap"])
def test_backends_without_needs_are_always_available(backend):
    reason = ffi.new("char[200]")
    assert lib.hwgw_rx_available(backend.encode(), reason, 200)
    assert text(reason) == ""


def test_an_unknown_backend_is_not_available():
    reason = ffi.new("char[200]")
    assert not lib.hwgw_rx_available(b"cart", reason, 200)
    assert "unknown backend" in text(reason)
    assert not lib.hwgw_rx_available(b"cart", reason, 8)
    assert text(reason) == "unknown"


def test_close_takes_null():
    lib.hwgw_rx_close(ffi.NULL)
