"""Which cause of loss the statistics of DPDK's drivers name.

SPDX-License-Identifier: MIT

The names are those of DPDK 22.11: rte_eth_xstats_get_names, ixgbe, i40e, ice and mlx5.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

NONE, LONG, DAMAGED = range(3)
NAMES = {
    "rx_good_packets": NONE,
    "rx_missed_errors": NONE,
    "rx_mbuf_allocation_errors": NONE,
    "rx_q0_errors": NONE,
    "rx_size_1024_to_max_packets": NONE,
    "rx_out_of_buffer": NONE,
    "rx_discards_phy": NONE,
    "tx_errors": NONE,
    "tx_oversize_errors": NONE,
    "rx_management_dropped": NONE,
    "rx_l3_l4_xsum_error": NONE,
    "rx_oversize_errors": LONG,
    "rx_jabber_errors": LONG,
    "rx_oversize_pkts_phy": LONG,
    "rx_crc_errors": DAMAGED,
    "rx_illegal_byte_errors": DAMAGED,
    "rx_undersize_errors": DAMAGED,
    "rx_undersized_errors": DAMAGED,
    "rx_fragment_errors": DAMAGED,
    "rx_fragmented_errors": DAMAGED,
    "rx_length_errors": DAMAGED,
    "rx_length_error_packets": DAMAGED,
    "rx_crc_errors_phy": DAMAGED,
    "rx_symbol_err_phy": DAMAGED,
    "rx_in_range_len_errors_phy": DAMAGED,
}


@pytest.fixture(scope="module")
def cause_of(root: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("cause")
    source, built = folder / "cause.c", folder / "cause.so"
    header = root / "cffi_build" / "src" / "dpdk" / "dpdk_cause.h"
    source.write_text(f'#include "{header}"\nint cause_of(const char *name) {{ return (int)dpdk_cause_of(name); }}\n')
    command = ["cc", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared", "-fPIC", "-o", built, source]
    subprocess.run(command, check=True, timeout=60)
    return ctypes.CDLL(str(built)).cause_of


def test_a_statistic_is_of_the_cause_that_its_name_says(cause_of) -> None:
    found = {name: cause_of(name.encode()) for name in NAMES}
    assert found == NAMES
    assert len(set(found.values())) == 3
