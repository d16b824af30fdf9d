"""The tree shows the layers: imports and includes only point down.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwgw import specs

# lowest first; a module may import its own layer and those below
LAYERS = (
    ("hwgw", "hwgw.errors", "hwgw.specs", "hwgw.settings", "hwgw.alerts.settings"),
    ("hwgw.native",),
    ("hwgw.child", "hwgw.closing", "hwgw.private_file", "hwgw.stopping"),
    (
        "hwgw.about",
        "hwgw.alerts",
        "hwgw.arming",
        "hwgw.rules",
        "hwgw.cancelling",
        "hwgw.audit",
        "hwgw.bad_line",
        "hwgw.bundle",
        "hwgw.compliance",
        "hwgw.compliance_pdf",
        "hwgw.notify",
        "hwgw.doctor",
        "hwgw.doctor_nic",
        "hwgw.doctor_placement",
        "hwgw.jitter",
        "hwgw.jitter_picture",
        "hwgw.netlink",
        "hwgw.genl",
        "hwgw.napi",
        "hwgw.deferral",
        "hwgw.nic",
        "hwgw.strict_yaml",
        "hwgw.tune",
        "hwgw.config_schema",
        "hwgw.config",
        "hwgw.config_journal",
        "hwgw.config_limits",
        "hwgw.config_secrets",
        "hwgw.config_venues",
        "hwgw.conformance",
        "hwgw.risk",
        "hwgw.orders",
        "hwgw.feature_choice",
        "hwgw.linear",
        "hwgw.logs",
        "hwgw.strategy_types",
        "hwgw.venue_model",
        "hwgw.feeds",
        "hwgw.framed",
        "hwgw.telemetry",
        "hwgw.journal",
        "hwgw.segment",
        "hwgw.segment_halts",
        "hwgw.segment_rows",
        "hwgw.fanout",
        "hwgw.published",
        "hwgw.batch",
        "hwgw.rx",
        "hwgw.capture",
        "hwgw.send",
        "hwgw.replay",
        "hwgw.strategies",
    ),
    ("hwgw.parameters", "hwgw.twins"),
    (
        "hwgw.gateway",
        "hwgw.control",
        "hwgw.live",
        "hwgw.relay",
        "hwgw.relay_metrics",
        "hwgw.relay_nats",
        "hwgw.relay_zeromq",
        "hwgw.rollback",
    ),
    ("hwgw.backtest",),
    ("hwgw_sim",),
    ("hwgw.bench", "hwgw.card", "hwgw.demo", "hwgw.top", "hwgw.web"),
    ("hwgw.load",),
    ("hwgw.cli",),
)
# C headers, lowest first; a stage's file may include its own stage's header and those that are nobody's
COMMON_HEADERS = {
    *(
        "bytes.h",
        "base.h",
        "flow_filter.h",
        "hist.h",
        "hwgw.h",
        "hwgw_base.h",
        "hwgw_rx.h",
        "hwgw_feed.h",
        "hwgw_batch.h",
        "hwgw_backtest.h",
        "hwgw_build.h",
        "hwgw_pace.h",
        "hwgw_pcapng.h",
        "hwgw_replay.h",
        "hwgw_scan.h",
        "hwgw_card.h",
        "hwgw_fanout.h",
        "hwgw_fault.h",
        "hwgw_bad_line.h",
        "hwgw_jitter.h",
        "hwgw_loan.h",
    ),
    *("soup.h", "protocol.h", "token.h", "fix.h", "hwgw_fix.h", "hwgw_order_model.h"),
    *("hwgw_records.h", "hwgw_registers.h", "hwgw_wire.h", "hwgw_fields.h"),  # generated
}
STAGES_OF = {
    "halt": {"segment"},
    "journal": {"blake2b", "confine", "crc32c", "segment"},
    "segment": {"halt"},
    "life": {"segment"},
    "session": {"journal", "order"},
    "breaker": {"risk"},
    "router": {"order"},
    "risk": {"crc32c"},
    "pipeline": {
        *(
            "book",
            "breaker",
            "card",
            "fanout",
            "halt",
            "journal",
            "order",
            "recover",
            "risk",
            "router",
            "segment",
            "session",
        ),
        *("instruments", "itch", "strategy", "venue"),
    },
    "gateway": {"confine", "pipeline", "placement", "recover", "rx"},
    "placement": {"pipeline", "segment"},
    "rx": {"card", "dpdk", "xdp", "steer"},
    "dpdk": {"rx"},
    "venue": {"book"},
    "backtest": {"book", "instruments", "itch", "pipeline", "risk", "venue"},
    "replay": {"pipeline", "risk"},
    "scan": {"book", "instruments", "itch"},
    "xdp": {"steer"},
}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every Python module of the project and its file."""
    for folder, package in (("hwgw", "hwgw"), ("sim", "hwgw_sim")):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Every module a file imports, wherever the statement stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer(module: str) -> int | None:
    """The layer of a module by its longest known prefix; None for what is not ours."""
    best: tuple[int, int] | None = None
    for idx, prefixes in enumerate(LAYERS):
        for prefix in prefixes:
            exact_only = prefix == "hwgw"
            if module == prefix or (not exact_only and module.startswith(f"{prefix}.")):
                best = max(best or (0, 0), (len(prefix), idx))
    return best[1] if best else None


def test_every_module_has_a_layer(root: Path) -> None:
    """A new part says where it belongs before it is imported anywhere."""
    unknown = [name for name, _ in modules(root) if layer(name) is None]
    assert not unknown, f"name the layer of {unknown} in LAYERS"


def test_python_imports_only_point_down(root: Path) -> None:
    """No module imports from a layer above its own."""
    checked, wrong = 0, []
    for name, path in modules(root):
        for target in imports(name, path):
            above = layer(target)
            if above is None:
                continue
            checked += 1
            own = layer(name)
            assert own is not None
            if above > own:
                wrong.append(f"{name} imports {target}")
    assert not wrong
    assert checked > 20


def test_native_module_has_one_importer(root: Path) -> None:
    """hwgw._native is imported by hwgw/native.py alone, and hwgw_sim._native by the simulator alone."""
    native, sim = set(), set()
    for name, path in modules(root):
        for target in imports(name, path):
            if target.split(".")[:2] == ["hwgw", "_native"]:
                native.add(name)
            if target.split(".")[:2] == ["hwgw_sim", "_native"]:
                sim.add(name)
    assert native == {"hwgw.native"}
    assert all(name.startswith("hwgw_sim.") for name in sim), sim


def test_scapy_stays_in_the_simulator(root: Path) -> None:
    """The package that is deployed does not need Scapy."""
    users = {name for name, path in modules(root) for target in imports(name, path) if target.split(".")[0] == "scapy"}
    assert not {name for name in users if name.startswith("hwgw.") or name == "hwgw"}, users


def test_c_includes_only_point_down(root: Path) -> None:
    """A stage includes the common headers, its own header and those of the stages it is allowed to know."""
    checked, wrong = 0, []
    for path in sorted((root / "cffi_build" / "src").rglob("*.[ch]")):
        stage = path.stem.partition("_")[0]
        known = {stage} | STAGES_OF.get(stage, set())
        for include in re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            checked += 1
            header = Path(include).name
            if header in COMMON_HEADERS or header.startswith("hwgw_xdp_"):
                continue
            if Path(header).stem.partition("_")[0] not in known:
                wrong.append(f"{path.name} includes {include}")
    assert not wrong
    assert checked > 10


@pytest.mark.parametrize("table", specs.NATIVE)
def test_distinctive_constants_are_typed_once(root: Path, table: str) -> None:
    """A constant of a table that cannot stand somewhere by chance stands nowhere else in the sources."""
    document = specs.load(table)
    values = {constant.value for constant in document.constants.values() if constant.value >= 1_000_000}
    values |= {layout.length for layout in document.layouts if layout.length >= 10_000}
    sources = [
        p
        for folder in ("cffi_build", "hwgw", "sim")
        for p in (root / folder).rglob("*")
        if p.suffix in (".c", ".h", ".py")
    ]
    assert len(sources) > 10
    found = []
    for path in sources:
        text = path.read_text(encoding="utf-8").replace("_", "").lower()
        found += [
            f"{path.relative_to(root)}: {value}"
            for value in values
            if re.search(rf"\b({value}|{value:#x})u?l*\b", text)
        ]
    assert not found, f"use the generated constant of {table}.yaml"
