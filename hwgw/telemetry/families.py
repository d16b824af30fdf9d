"""Metric families that rows are added to as they are found.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

__all__ = ["MONEY", "Families"]

MONEY = 10_000
"""Wire units of one unit of the currency."""


class Families:
    """What one scrape has found, by name; each family stands once, whoever has rows in it."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def add(self, kind: Any, name: str, text: str, labels: dict[str, str], value: float) -> None:
        """One row; the family is made with the first."""
        family = self._found.get(name)
        if family is None:
            family = self._found[name] = kind(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), value)

    def gauge(self, name: str, text: str, labels: dict[str, str], value: float) -> None:
        """What is so now."""
        self.add(GaugeMetricFamily, name, text, labels, value)

    def counter(self, name: str, text: str, labels: dict[str, str], value: float) -> None:
        """What only rises; name is without _total."""
        self.add(CounterMetricFamily, name, text, labels, value)

    def put(self, family: Any) -> None:
        """A family that is complete, or one that another gateway has rows in."""
        if family.name in self._found:
            self._found[family.name].samples += family.samples
        else:
            self._found[family.name] = family

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._found.values())
