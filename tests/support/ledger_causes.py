"""The ledger of losses: the causes that come from outside, and the table of every backend under every cause.

SPDX-License-Identifier: MIT

A pressure makes a backend lose frames that are good (nobody polls, frames are held, the interface goes down) and says
beforehand which numbers must come and how far which counters must move. The table of docs/receive.md is written from
the same accounts as the tests judge:

    python -m support.ledger_causes docs/receive.md      (make ledger)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from hwgw_sim.wire import udp_frame

from .frames import GROUP, KINDS, PORT, SIZE, payload
from .ledger import (
    BACKENDS,
    DPDK_SLOTS,
    NOWHERE,
    WHERE,
    Account,
    Backend,
    Line,
    lines,
    measure_kind,
    ring_full,
    ring_slots,
)

Pressure = Callable[[Backend], Account]


def stalled(row: Backend, surplus: int = 300) -> Account:
    """Nobody polls while frames come: what the ring or buffer does not hold is lost, the newest first."""
    if row.backend == "udp":  # its buffer is measured in the kernel's own bytes: how many fit is not predicted
        with Line(row, user=65534) as line:
            assert line.rx is not None
            while not line.rx.stats()["drop_overrun"] and line.account.sent < 100_000:
                for _ in range(1000):
                    line.send_kind("data", line.account.sent, 1400)
            account = line.settle(line.account.sent)
            lost = account.sent - account.delivered
            account.expected = {ring_full(row): lost, "Udp:RcvbufErrors": lost, "Udp:InErrors": lost}
            account.expected_numbers = list(range(account.delivered))
            return account
    with Line(row, **({} if row.family in DPDK_SLOTS else {"frame_cnt": 256})) as line:
        slots = ring_slots(row, 256) or DPDK_SLOTS[row.family]
        for i in range(slots + surplus):
            line.send_kind("data", i)
        account = line.settle(slots + surplus)
        account.expected = {ring_full(row): surplus}
        account.expected_numbers = list(range(slots))
        _add_the_kernels(row, account, surplus)
        return account


def held(row: Backend, surplus: int = 300) -> Account:
    """Every frame is polled and none given back."""
    if row.backend == "dpdk":
        return _held_by_dpdk(row)
    frames = 256
    with Line(row, frame_cnt=frames) as line:
        assert line.rx is not None
        for i in range(frames + surplus):
            line.send_kind("data", i)
            if i % 64 == 63:
                while line.poll(release=False):
                    pass
        while line.poll(release=False):
            pass
        if row.backend == "udp":  # the socket's buffer keeps what has no slot
            assert line.account.delivered == frames
            line.rx.release()
            account = line.settle(frames + surplus)
            account.expected_numbers = list(range(frames + surplus))
            account.note = "nothing is lost: the socket buffer keeps what has no slot"
            return account
        line.rx.release()
        account = line.settle(frames + surplus)
        account.expected = {"rx.drop_fill_empty" if row.backend == "afxdp" else "rx.drop_ring_full": surplus}
        account.expected_numbers = list(range(frames))
        _add_the_kernels(row, account, surplus)
        return account


def _held_by_dpdk(row: Backend) -> Account:
    """It polls no more once as many are held as may be; how many the driver takes then is its own business."""
    with Line(row) as line:
        assert line.rx is not None
        for i in range(9000):
            line.send_kind("data", i)
            if i % 64 == 63:
                while line.poll(release=False):
                    pass
        line.rx.release()
        account = line.settle(9000)
        lost = account.sent - account.delivered
        account.expected = {ring_full(row): lost}
        account.expected_numbers = list(range(account.delivered))
        _add_the_kernels(row, account, lost)
        return account


def _add_the_kernels(row: Backend, account: Account, lost: int) -> None:
    """What the kernel counts beside us: veth in native mode each lost frame, its stack each one that a ring shares."""
    if row.settings.get("mode") == "native" or row.family == "dpdk xdp":
        account.expected["dev:rx_dropped"] = lost
    if row.backend == "packet" or row.family == "dpdk packet":
        account.expected["Udp:IgnoredMulti"] = account.sent


def too_long(row: Backend, cnt: int = 50) -> Account:
    """Frames beyond the buffer between good ones: the MTU was raised behind the back of the check at open."""
    longer = 2200
    if row.backend == "pcap":
        with Line(row, snap_bytes=SIZE + 42) as line:
            _send_long(line, cnt, longer)
            account = line.settle()
            account.expected = {"rx.drop_truncated": cnt}
            account.expected_numbers = list(range(0, 2 * cnt, 2))
            account.note = "cut off by the capture's snap length"
            return account
    kept = {"frame_sz_bytes": 2048} if row.backend == "afxdp" else {}  # not opened anew for a larger MTU
    with Line(row, **kept) as line:
        for end in ("tx", "rx"):
            line.pair.run(end, "ip", "link", "set", line.pair.device[end], "mtu", "3000")
        _send_long(line, cnt, longer)
        account = line.settle(2 * cnt)
        account.expected = {"net.drop_ip_length" if row.family == "dpdk packet" else "rx.drop_truncated": cnt}
        account.expected_numbers = list(range(0, 2 * cnt, 2))
        _add_the_kernels(row, account, cnt)
        return account


def _send_long(line: Line, cnt: int, longer: int) -> None:
    for i in range(cnt):
        line.send_kind("data", 2 * i)
        line.send_kind("data", 2 * i + 1, longer)


def other_queue(row: Backend, cnt: int = 400) -> Account:
    """A flow whose frames come in on two queues, one of them ours; the source port decides."""
    with Line(row, wire_queues=2, queues=[1]) as line:
        for i in range(cnt):
            line.send(udp_frame(GROUP, PORT, payload(i), source_port=1024 + i))
        account = line.settle(cnt)
        lost = cnt - account.delivered
        account.expected = {"rx.drop_other_queue": lost, "Udp:IgnoredMulti": lost}
        account.expected_numbers = account.numbers  # which ones is the kernel's to decide
        if row.settings.get("mode") == "generic":
            account.note = "generic mode on veth knows queue 0 only"
        return account


def interface_down(row: Backend, cnt: int = 100) -> Account:
    """Down in mid-stream and up again: what is sent meanwhile does not reach the wire, and the sender is told."""
    with Line(row) as line:
        device = line.pair.device["rx"]
        for i in range(cnt):
            line.send_kind("data", i)
        line.settle(cnt)
        line.pair.run("rx", "ip", "link", "set", device, "down")
        refused = 0
        for i in range(cnt):
            try:
                line.send_kind("data", cnt + i)
            except OSError:
                refused += 1
        line.pair.run("rx", "ip", "link", "set", device, "up")
        line.pair.wait_for_carrier("tx")
        for i in range(cnt):
            line.send_kind("data", 2 * cnt + i)
        account = line.settle(2 * cnt + (refused if row.backend == "afxdp" else 0))
        assert line.on_the_wire() == 2 * cnt
        account.sent -= cnt - refused  # its kernel has noticed, and takes what it will not send
        account.expected = {"dev:rx_dropped": refused} if refused else {}
        account.expected_numbers = [*range(cnt), *range(2 * cnt, 3 * cnt)]
        if row.backend == "afxdp" and refused:
            account.expected["rx.drop_nic"] = refused
        if row.backend == "packet" or row.family == "dpdk packet":
            account.expected["Udp:IgnoredMulti"] = 2 * cnt
        account.note = (
            "refused by the sender's kernel until it takes them and sends none; veth counts those as dropped here"
        )
        return account


def damaged_file(row: Backend, cnt: int = 50) -> Account:
    """A capture that ends within a record."""
    with Line(row, cut_bytes=24 + cnt * (16 + SIZE + 42) - 10) as line:
        for i in range(cnt):
            line.send_kind("data", i)
        account = line.settle()
        account.expected = {"rx.drop_file": 1}
        account.expected_numbers = list(range(cnt - 1))
        return account


PRESSURES: dict[str, Pressure] = {
    "nobody polls": stalled,
    "frames are held": held,
    "longer than the buffer": too_long,
    "another queue": other_queue,
    "interface down": interface_down,
    "damaged capture": damaged_file,
}


def pairs() -> Iterator[tuple[Backend, str]]:
    """Every backend with every pressure that it knows."""
    families = {
        "another queue": ("afxdp",),
        "damaged capture": ("pcap",),
        "longer than the buffer": ("afxdp", "packet", "udp", "pcap", "dpdk"),
    }
    for row in BACKENDS:
        for cause in PRESSURES:
            if row.backend in families.get(cause, ("afxdp", "packet", "udp", "dpdk")):
                yield row, cause


@cache
def accounts(row: Backend) -> dict[str, Account]:
    """Every cause on a backend."""
    with lines(row) as fresh:
        found = {kind: measure_kind(fresh(), kind) for kind in KINDS if kind != "data"}
    found |= {cause: PRESSURES[cause](row) for each, cause in pairs() if each == row}
    return found


# ---- the table of the documentation ----

BEGIN, END = "<!-- ledger begin -->\n", "<!-- ledger end -->\n"


def outcome(row: Backend, cause: str, account: Account) -> tuple[str, str, str]:
    """Sent, came, and what names the rest: our counters; where we have none, the kernel's."""
    named = [f"`{name.replace('.', '_', 1)}` {value:,}" for name, value in sorted(account.ours.items())]
    if not named and account.delivered < account.sent:
        where = WHERE[row.family].get(cause, tuple(account.kernel))[0]
        named = [
            "kernel, which counts it nowhere" if where == NOWHERE else f"kernel: {where} {account.kernel[where]:,}"
        ]
    if account.note:
        named.append(account.note)
    return f"{account.sent:,}", f"{account.delivered:,}", "; ".join(named) or "all came"


def table() -> str:
    """Markdown: a row per cause and outcome, with the backends that it was the same for."""
    rows = [row for row in BACKENDS if not row.missing]
    lines = ["| cause | backend | sent | came | the rest |\n", "|---|---|--:|--:|---|\n"]
    for cause in [kind for kind in KINDS if kind != "data"] + list(PRESSURES):
        found: dict[tuple[str, str, str], list[str]] = {}
        for row in rows:
            if account := accounts(row).get(cause):
                found.setdefault(outcome(row, cause, account), []).append(row.name)
        for index, (cells, names) in enumerate(found.items()):
            lines.append(f"| {'' if index else cause} | {', '.join(names)} | {' | '.join(cells)} |\n")
    lines += [f"\nNot measured here: {row.name}: {row.missing}.\n" for row in BACKENDS if row.missing]
    return "".join(lines)


def document(page: Path) -> None:
    """Put the table between its markers."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise SystemExit(f"{page}: it has no {BEGIN.strip()} ... {END.strip()}")
    page.write_text(head + BEGIN + table() + END + tail, encoding="utf-8")


if __name__ == "__main__":
    document(Path(sys.argv[1]))
