"""What each receive backend can do on one interface, why not more, and what to run to get it.

SPDX-License-Identifier: MIT

Judges what hwgw.nic has read. Nothing is changed; with attempt=True every backend is opened for a moment, which
attaches an XDP program: some drivers stop receiving while they make room for it.
"""

from __future__ import annotations

from pathlib import Path

from . import doctor, native, nic
from .doctor import FAIL, OK, WARN, Row
from .errors import HwgwError
from .nic import Nic

__all__ = ["examine"]

_NOBODY = 0xCB007101  # 203.0.113.1, for documentation (RFC 5737): nobody sends to it, and it needs no join
_GROUP = 0xEFFFFFFE  # 239.255.255.254, of local scope (RFC 2365), for the backend that binds to it
_FRAME_ROOM = 1770  # MTU that fits packet memory of 2,048 bytes per frame
_PRIVILEGES = {"afxdp": ("net_raw", "net_admin", "bpf"), "packet": ("net_raw",)}


def _known(value: object, unit: str = "") -> str:
    return "not told" if value is None or value == "" else f"{value:,}{unit}" if isinstance(value, int) else str(value)


def _device(card: Nic) -> list[Row]:
    name = card.name
    state = "down" if not card.is_up else "up" if card.has_carrier else "up, no carrier"
    todo = "" if card.is_up else f"ip link set {name} up"
    if card.is_up and not card.has_carrier:
        todo = "cable, transceiver, or the other end is down"
    kind = f", {card.kind}" if card.kind else ""
    rows = [Row("interface", FAIL if todo else OK, f"{name} (index {card.index}{kind}) {state}, {card.address}", todo)]
    parts = [f"driver {_known(card.driver)} {card.driver_version}".rstrip()]
    parts += [f"firmware {card.firmware}"] * bool(card.firmware) + [f"bus {card.bus}"] * bool(card.bus)
    rows.append(Row("driver", OK, ", ".join(parts)))
    virtual = "" if card.bus else " (a virtual device has none)"
    near = f"node {card.numa_node}, cores {_near(card.numa_node)}" if card.numa_node is not None else f"none{virtual}"
    rows.append(Row("numa node", OK, near))
    rows.append(Row("link speed", OK, _known(card.speed_mbps, " Mb/s")))
    room = f", from {card.mtu_min:,} to {card.mtu_max:,}" if card.mtu_max else ""
    fits = card.mtu <= _FRAME_ROOM
    rows.append(
        Row(
            "mtu",
            OK if fits else WARN,
            f"{card.mtu:,}{room}",
            ""
            if fits
            else f"above {_FRAME_ROOM:,} AF_XDP needs larger or several buffers: ip link set {name} mtu 1500",
        )
    )
    return rows


def _near(node: int | None) -> str:
    try:
        return Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()
    except OSError:
        return "not told"


def _queues(card: Nic) -> list[Row]:
    name, rows = card.name, []
    if queues := card.channels:
        parts = [("combined", queues.combined, queues.combined_max), ("rx", queues.rx, queues.rx_max)]
        parts.append(("tx", queues.tx, queues.tx_max))
        told = ", ".join(f"{what} {now} of {most}" for what, now, most in parts if most)
        rows.append(Row("queues", OK, f"{told or 'none told'}; change with: ethtool -L {name}"))
    else:
        rows.append(Row("queues", OK, "one, or the driver does not tell"))
    if card.rx_ring is not None and card.rx_ring_max:
        full = card.rx_ring >= card.rx_ring_max
        todo = "" if full else f"for bursts: ethtool -G {name} rx {card.rx_ring_max}"
        rows.append(Row("rx ring", OK if full else WARN, f"{card.rx_ring:,} of {card.rx_ring_max:,} descriptors", todo))
    else:
        rows.append(Row("rx ring", OK, "not told"))
    rss = (
        f"key {card.rss_key_bytes} bytes, table {card.rss_table_entries} entries" if card.rss_table_entries else "none"
    )
    rows.append(Row("rss", OK, f"{rss}{f'; see ethtool -x {name}' if card.rss_table_entries else ''}"))
    if card.steering_rules is None:
        several = bool(card.channels and card.channels.receive > 1)
        todo = f"flows land where RSS puts them: name every queue, or ethtool -L {name} to one" if several else ""
        rows.append(Row("flow steering", WARN if several else OK, "none in this driver", todo))
    else:
        todo = "" if card.has_ntuple else f"ethtool -K {name} ntuple on"
        value = f"{'on' if card.has_ntuple else 'off'}, {card.steering_rules} rules"
        rows.append(Row("flow steering", OK if card.has_ntuple else WARN, value, todo))
    return rows


def _xdp(card: Nic) -> list[Row]:
    rows = []
    if card.xdp_features is None:
        rows.append(Row("xdp", WARN, "the driver's features are not told", card.unread[0] if card.unread else ""))
    elif "basic" in card.xdp_features:
        rows.append(Row("xdp", OK, f"in the driver: {', '.join(card.xdp_features)}"))
    else:
        why = "its peer sends on more queues than it receives on (ethtool -L); " if card.kind == "veth" else ""
        rows.append(Row("xdp", WARN, "not in the driver", f"{why}generic mode works, at about half the speed"))
    if card.programs:
        told = ", ".join(
            f"{program.name or 'name not told'} (id {program.id}"
            f"{f', bpf_link {program.link}' if program.link else ', attached by netlink'})"
            for program in card.programs
        )
        by_link = all(program.link for program in card.programs)
        off = "stop the process that owns it" if by_link else f"ip link set dev {card.name} xdp off"
        rows.append(Row("xdp program", WARN, f"{told}, {card.xdp_mode}", f"if it is not hwgw's own: {off}"))
    else:
        rows.append(Row("xdp program", OK, "none attached"))
    rows.append(_zero_copy(card))
    return rows


def _zero_copy(card: Nic) -> Row:
    features = card.xdp_features
    if features is None:
        return Row("zero copy", WARN, "not told", "hwgw tries it at open and says what it got")
    if "zero copy" in features:
        return Row("zero copy", OK, f"yes, {card.zero_copy_segments or 1} buffers per frame; proven at open, else copy")
    why = "needs XDP in the driver" if "basic" not in features else f"driver {card.driver} has none"
    return Row(
        "zero copy",
        OK if card.kind or card.is_loopback else WARN,
        f"no: {why}",
        "" if card.kind or card.is_loopback else "copy mode works",
    )


def _times(card: Nic) -> list[Row]:
    rows = []
    stamps = card.timestamps
    if stamps is None:
        rows.append(Row("timestamps", WARN, "not told", "hwgw takes the time at the descriptor"))
    elif stamps.hardware:
        clock = f", clock /dev/ptp{stamps.clock}" if stamps.clock is not None else ""
        through = ", through XDP metadata" if "timestamp" in card.metadata else ""
        what = "of every frame" if stamps.hardware_all else "of PTP frames only"
        rows.append(
            Row("timestamps", OK, f"hardware {what}{through}{clock}; switch on: hwstamp_ctl -i {card.name} -r 1")
        )
    else:
        rows.append(Row("timestamps", OK, f"{'software' if stamps.software else 'none'}; no hardware time stamps here"))
    held = sorted({(row.defer_hard_irqs, row.gro_flush_timeout_ns, row.irq_suspend_timeout_ns) for row in card.napi})
    told = "; ".join(", ".join("?" if value is None else f"{value:,}" for value in each) for each in held)
    if card.napi_ids is None:
        rows.append(Row("busy poll", WARN, "NAPI ids are not told", "hwgw looks after the first frames"))
    elif card.napi_ids:
        some = ", ".join(str(number) for number in card.napi_ids[:4]) + (" ..." if len(card.napi_ids) > 4 else "")
        rows.append(Row("busy poll", OK, f"possible: NAPI ids {some}"))
    else:
        rows.append(Row("busy poll", OK, "does nothing here: no queue has a NAPI id"))
    if not card.napi:
        why = "not told (Linux 6.8)" if card.napi_ids is None else "no NAPI context now"
        rows.append(Row("deferral", OK, f"{why}; receive.napi in gateway.yaml sets it while a gateway runs"))
    else:
        is_held = all(row.defer_hard_irqs and row.gro_flush_timeout_ns for row in card.napi)
        value = f"{len(card.napi)} contexts: defer_hard_irqs, gro_flush_timeout ns, irq_suspend_timeout ns = {told}"
        rows.append(Row("deferral", OK, value, "" if is_held else "receive.napi in gateway.yaml, for busy polling"))
    return rows


# ---- the backends ----


def _open_once(backend: str, card: Nic) -> tuple[bool, str]:
    ffi, lib = native.ffi, native.lib
    group = _GROUP if backend == "udp" else _NOBODY
    flows = ffi.new("struct hwgw_flow[1]", [{"group": group, "port": 65535}])
    words = {"backend": ffi.new("char[]", backend.encode()), "interface": ffi.new("char[]", card.name.encode())}
    out = ffi.new("struct hwgw_rx **")
    try:
        native.call(lib.hwgw_rx_open, out, ffi.new("struct hwgw_rx_cfg *", {**words, "flow_cnt": 1, "flows": flows}))
    except HwgwError as error:
        return False, str(error)
    try:
        return True, native.text(lib.hwgw_rx_describe(out[0]))
    finally:
        lib.hwgw_rx_close(out[0])


def _promise(backend: str, card: Nic) -> str:
    """What the backend should do here, by the facts."""
    if backend == "afxdp":
        if card.xdp_features is None:
            return "native or generic mode, as the driver can"
        native_mode = "basic" in card.xdp_features
        mode = "native mode" if native_mode else "generic mode"
        return f"{mode}, {'zero copy' if native_mode and 'zero copy' in card.xdp_features else 'copy'}"
    if backend == "dpdk":
        return f"port net_af_xdp0,iface={card.name} or net_af_packet0,iface={card.name}, or the card's own driver"
    return {"packet": "memory-mapped ring, copy", "udp": "kernel sockets"}.get(backend, "see docs")


def _grant(backend: str, lacks: list[str]) -> str:
    caps = ",".join(f"+{cap}" for cap in (*_PRIVILEGES[backend], "ipc_lock"))
    return (
        f"lacks {', '.join('CAP_' + cap.upper() for cap in lacks)}: run as root, or setpriv --reuid USER --regid GROUP"
        f" --init-groups --inh-caps {caps} --ambient-caps {caps} hwgw run gateway.yaml"
    )


def _backend(backend: native.Backend, card: Nic, have: set[str], attempt: bool) -> Row:
    name = f"backend {backend.name}"
    lacks = [cap for cap in _PRIVILEGES.get(backend.name, ()) if cap not in have and "sys_admin" not in have]
    if lacks:
        return Row(name, WARN, f"not permitted: {_promise(backend.name, card)}", _grant(backend.name, lacks))
    if not backend.available:
        return Row(name, WARN, "not available", backend.reason)
    if not card.is_up:
        return Row(name, WARN, f"{card.name} is down", f"ip link set {card.name} up")
    if backend.name == "dpdk":
        return Row(name, OK, f"{_promise(backend.name, card)}; not tried here, see docs/dpdk.md")
    if attempt:
        opened, told = _open_once(backend.name, card)
        return Row(name, OK if opened else WARN, told if opened else "cannot be opened", "" if opened else told)
    if backend.name == "afxdp" and card.programs:
        return Row(name, WARN, "another XDP program may hold the interface", "see xdp program above; try: --try")
    return Row(name, OK, f"{_promise(backend.name, card)}, by the facts above; open it for a moment with --try")


def examine(name: str, *, attempt: bool = False) -> tuple[Row, ...]:
    """Every row of one interface; UsageError when there is none of that name."""
    card = nic.read(name)
    have = doctor.capabilities()
    backends = [_backend(backend, card, have, attempt) for backend in native.backends() if backend.name != "pcap"]
    own = (*_device(card), *_queues(card), *_xdp(card), *_times(card))
    return (*own, *doctor.huge_pages(), *doctor.privileges(), *backends)
