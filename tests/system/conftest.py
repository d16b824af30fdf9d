"""Fixtures of the system tests.

SPDX-License-Identifier: MIT
"""

import pytest
from hwgw_sim.wire import Wire


@pytest.fixture
def pair():
    with Wire() as made:
        yield made


@pytest.fixture
def sender(pair):
    with pair.packet_socket("tx") as raw:
        yield raw
