"""MODEL.yaml: how fast feed, orders and answers travel, what trading costs, and whether our trades leave a mark.

SPDX-License-Identifier: MIT

The model of the venue of a backtest and of strategies on paper. Every latency becomes a list of equally likely
nanoseconds: one value is a constant, 4,096 are a distribution, up to 65,536 a measured histogram. The data plane and
the reference draw from the same list with the same random numbers.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgw.errors import ConfigError
from hwgw.native import ffi
from hwgw.settings import FEE_PLACES, SECOND_NS, Latency, Model
from hwgw.strict_yaml import (
    Key,
    Node,
    Problem,
    ProblemsError,
    Section,
    boolean,
    decimal,
    duration,
    integer,
    pattern,
    read,
)  # fmt: skip

__all__ = ["Latency", "Model", "load", "loads", "native_model"]

LATENCY_MAX_NS = 60 * SECOND_NS
QUANTILES = 4096
HISTOGRAM_QUANTILES = 65_536
FEE_MAX = 100 * 10**FEE_PLACES

DELAY = duration(0, LATENCY_MAX_NS)
LATENCY = Section(
    {
        "constant": Key(DELAY, None),
        "low": Key(DELAY, None),
        "high": Key(DELAY, None),
        "median": Key(DELAY, None),
        "sigma": Key(decimal(0, 3 * 10**4), None),
        "max": Key(DELAY, None),
        "histogram": Key(pattern(r"[^\0]{1,1000}", "a file name"), None),
    }
)
FEE = decimal(-FEE_MAX, FEE_MAX, FEE_PLACES)
MODEL = Section(
    {
        "feed_latency": Key(LATENCY),
        "order_latency": Key(LATENCY),
        "answer_latency": Key(LATENCY, None),
        "fees": Key(Section({"maker": Key(FEE, 0), "taker": Key(FEE, 0)}), None),
        "impact": Key(boolean(), True),
        "seed": Key(integer(0, 2**63 - 1), 1),
        "sample": Key(duration(1_000_000, 3600 * SECOND_NS), SECOND_NS),
    }
)
KINDS = {
    "constant": {"constant"},
    "low and high": {"low", "high"},
    "median and sigma": {"median", "sigma", "max"},
    "histogram": {"histogram"},
}


def load(path: Path) -> Model:
    """Read MODEL.yaml; ProblemsError names everything that is wrong with it."""
    return loads(path.read_bytes(), str(path))


def loads(raw: bytes, file: str = "model.yaml") -> Model:
    """The same of bytes; file is what errors call it, and histograms lie beside it."""
    node = read(raw, file, MODEL)
    problems: list[Problem] = []
    order = _latency(node, "order_latency", file, problems)
    feed = _latency(node, "feed_latency", file, problems)
    answer = _latency(node, "answer_latency", file, problems) if "answer_latency" in node else order
    fees = node["fees"]
    maker, taker = (fees["maker"], fees["taker"]) if fees else (0, 0)
    if maker + taker < 0:
        line, key = node.where("fees")
        text = f"maker {maker / 10**6:g} and taker {taker / 10**6:g}: the venue pays for every trade; their sum may be"
        problems.append(Problem(line, key, f"{text} 0 or more"))
    if problems:
        raise ProblemsError(file, problems)
    return Model(feed, order, answer, maker, taker, node["impact"], node["seed"], node["sample"])


def native_model(model: Model) -> tuple[Any, list[Any]]:
    """struct hwgw_model *, and what must stay alive with it."""
    told = ffi.new("struct hwgw_model *")
    keep: list[Any] = [told]
    for cfg, latency in ((told.feed, model.feed), (told.order, model.order), (told.answer, model.answer)):
        values = np.ascontiguousarray(latency.ns, np.uint64)
        keep.append(values)
        cfg.ns, cfg.cnt = ffi.cast("uint64_t *", values.ctypes.data), len(values)
    told.fee_maker, told.fee_taker = model.fee_maker, model.fee_taker
    told.has_impact, told.own_books = model.has_impact, model.own_books
    told.seed, told.sample_ns = model.seed, model.sample_ns
    return told, keep


def _latency(node: Node, name: str, file: str, problems: list[Problem]) -> Latency:
    given: Node = node[name]
    keys = {key for key in LATENCY.keys if key in given}
    kind = next((kind for kind, allowed in KINDS.items() if keys and keys <= allowed), None)
    try:
        if kind is None or (kind == "low and high" and len(keys) < 2) or keys == {"max"}:
            raise ConfigError(f"{', '.join(sorted(keys)) or 'nothing'}: one of {', '.join(KINDS)} is allowed")
        if kind == "constant":
            return Latency.constant(given["constant"])
        if kind == "low and high":
            return _uniform(given["low"], given["high"])
        if kind == "histogram":
            return _histogram(Path(file).parent / given["histogram"])
        if not {"median", "sigma"} <= keys:
            raise ConfigError("median and sigma belong together; both are required")
        return _lognormal(given["median"], Decimal(given["sigma"]) / 10**4, given["max"])
    except ConfigError as error:
        problems.append(Problem(*node.where(name), str(error)))
        return Latency.constant(0)


def _places(count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) / count


def _uniform(low: int, high: int) -> Latency:
    if low >= high:
        raise ConfigError(f"low {low} ns is not below high {high} ns")
    found = low + (_places(QUANTILES) * (high - low)).astype(np.uint64)
    return Latency(found.astype(np.uint64), f"uniform {low} to {high} ns")


def _lognormal(median: int, sigma: Decimal, bound: int | None) -> Latency:
    """Rounded places and decimal exponentials: every machine has the same values, whatever its mathematical library."""
    if not median or not sigma:
        raise ConfigError(f"median {median} ns, sigma {sigma:g}: both must be above 0; write constant for a constant")
    if bound is not None and bound < median:
        raise ConfigError(f"max {bound} ns is below the median {median} ns")
    normal = NormalDist()
    limit = min(bound or LATENCY_MAX_NS, LATENCY_MAX_NS)
    deviations = [Decimal(f"{normal.inv_cdf(at):.9f}") for at in _places(QUANTILES).tolist()]
    values = [min(round(median * (sigma * deviation).exp()), limit) for deviation in deviations]
    return Latency(np.array(values, np.uint64), f"lognormal, median {median} ns, sigma {sigma:g}, at most {limit} ns")


def _histogram(path: Path) -> Latency:
    """Lines `latency_ns,count` behind a line with these words."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"histogram {path}: {getattr(error, 'strerror', None) or 'not text'}") from None
    if not lines or lines[0] != "latency_ns,count":
        raise ConfigError(f"histogram {path}: it does not begin with the line latency_ns,count")
    rows: list[tuple[int, int]] = []
    for number, line in enumerate(lines[1:], 2):
        ns, comma, count = line.partition(",")
        if not (comma and ns.isascii() and ns.isdecimal() and count.isascii() and count.isdecimal()):
            raise ConfigError(f"histogram {path}: line {number}: {line!r}: two whole numbers are allowed")
        if int(ns) > LATENCY_MAX_NS or int(count) >= 1 << 40:
            raise ConfigError(f"histogram {path}: line {number}: {line!r}: at most {LATENCY_MAX_NS} ns and 2^40 counts")
        rows.append((int(ns), int(count)))
    rows.sort()
    total = sum(count for _, count in rows)
    if not total:
        raise ConfigError(f"histogram {path}: it counts nothing")
    size = min(total, HISTOGRAM_QUANTILES)
    edges = np.cumsum([count for _, count in rows])
    picked = np.searchsorted(edges, _places(size) * total, side="right")
    values = np.array([ns for ns, _ in rows], np.uint64)[np.minimum(picked, len(rows) - 1)]
    return Latency(values, f"histogram {path.name} of {total:,}")
