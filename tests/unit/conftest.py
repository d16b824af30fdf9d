"""What several tests of the order session begin with.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.soup_venue import Client, Venue, log_in


@pytest.fixture
def venue() -> Iterator[Venue]:
    made = Venue()
    yield made
    made.close()


@pytest.fixture
def client(venue: Venue) -> Iterator[Client]:
    made = Client(venue.port)
    yield made
    made.close()


@pytest.fixture
def up(client: Client, venue: Venue) -> Client:
    log_in(client, venue)
    return client
