"""Fixtures of the system tests.

SPDX-License-Identifier: MIT
"""

from collections.abc import Iterator

import pytest
from hwgw_sim.lab import Lab
from hwgw_sim.wire import Wire
from support import card_host


@pytest.fixture
def pair():
    with Wire() as made:
        yield made


@pytest.fixture
def sender(pair):
    with pair.packet_socket("tx") as raw:
        yield raw


@pytest.fixture(scope="module")
def library() -> str:
    """The simulated card."""
    return card_host.library()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """For a card that sends; a file whose lab is another has its own."""
    with card_host.lab() as made:
        yield made
