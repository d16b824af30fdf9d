"""What a relay has done, for Prometheus: hwgw relay --metrics ADDRESS:PORT. A gateway does not know its readers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .telemetry.families import Families

if TYPE_CHECKING:
    from .relay import Report

__all__ = ["FIELDS", "RelayCollector"]

# field of the report: whether it only rises, and what it is
FIELDS = {
    "messages": (True, "Records that were given out"),
    "packets": (True, "Packets that were given out"),
    "missed": (True, "Records that the fan-out ring had overwritten before the relay came to them"),
    "dropped": (True, "Records that the way out had not taken when they left those that are kept"),
    "behind": (False, "Records that the way out has still to take"),
    "send_errors": (True, "Packets that were lost when they were sent"),
    "requests": (True, "Requests that were answered"),
    "requests_bad": (True, "Requests of another session or length"),
    "resent": (True, "Records that were sent again"),
    "readers": (False, "Readers that are connected, where the way out knows"),
}


class RelayCollector(Collector):
    """The report of one relay, as it is when it is asked."""

    def __init__(self, report: Report, gateway: str, to: str) -> None:
        self._report, self._labels = report, {"gateway": gateway, "to": to}

    def collect(self) -> Iterator[Metric]:
        """Every field that is known."""
        families = Families()
        for name, (rises, text) in FIELDS.items():
            value = getattr(self._report, name)
            if value is not None:
                (families.counter if rises else families.gauge)(f"hwgw_relay_{name}", text, self._labels, value)
        return iter(families)
