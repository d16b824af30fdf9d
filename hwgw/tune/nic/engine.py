"""Every setting of a NIC by name and as text: "coalesce.rx_usecs" is "8", "features.rx-gro" is "on".

SPDX-License-Identifier: MIT

One table says which netlink question reads a group of settings and which sets it. What the driver has not is absent,
not an error; a value that it refuses is an OSError that ends with the kernel's words. Settings that end with _max, and
those of READ_ONLY, are facts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ... import napi
from ...errors import DeviceError, UsageError
from ...genl import Family
from ...netlink import KERNEL, Transport
from . import perqueue, rss, rules

__all__ = ["GROUPS", "READ_ONLY", "Nic"]

READ_ONLY = ("link.speed", "link.up", "fec.active", "driver.name", "driver.version", "driver.firmware", "driver.bus")
_GDRVINFO = 0x3
_FEC_ACTIVE = {49: "off", 50: "rs", 51: "baser", 74: "llrs"}  # ETHTOOL_LINK_MODE_FEC_*_BIT
_FEC_NAMES = {"None": "off", "RS": "rs", "BASER": "baser", "LLRS": "llrs"}
_SPEED_UNKNOWN = 0xFFFFFFFF
_NAPI = {
    "defer_hard_irqs": "defer_hard_irqs",
    "gro_flush_timeout": "gro_flush_timeout_ns",
    "irq_suspend_timeout": "irq_suspend_timeout_ns",
    "threaded": "threaded",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that one question reads. kind: number (u32), switch (u8 as on and off), bits (one set of named bits)."""

    operation: str
    attributes: Mapping[str, str]  # our name -> the kernel's
    switches: tuple[str, ...] = ()
    bits: str = ""


def _plain(*names: str, suffix: str = "") -> dict[str, str]:
    return {name: name.replace("_", "-") + suffix for name in names}


_RINGS = ("rx", "tx", "rx_mini", "rx_jumbo", "rx_buf_len", "tcp_data_split", "cqe_size", "tx_push", "rx_push",
          "tx_push_buf_len", "hds_thresh")  # fmt: skip
_COALESCE = (
    "rx_usecs", "rx_max_frames", "rx_usecs_irq", "rx_max_frames_irq", "tx_usecs", "tx_max_frames", "tx_usecs_irq",
    "tx_max_frames_irq", "stats_block_usecs", "use_adaptive_rx", "use_adaptive_tx", "pkt_rate_low", "rx_usecs_low",
    "rx_max_frames_low", "tx_usecs_low", "tx_max_frames_low", "pkt_rate_high", "rx_usecs_high", "rx_max_frames_high",
    "tx_usecs_high", "tx_max_frames_high", "rate_sample_interval", "use_cqe_mode_tx", "use_cqe_mode_rx",
    "tx_aggr_max_bytes", "tx_aggr_max_frames", "tx_aggr_time_usecs",
)  # fmt: skip
GROUPS: dict[str, Group] = {
    "channels": Group(
        "channels",
        {**_plain("rx", "tx", "other", "combined", suffix="-count"),
         **_plain("rx_max", "tx_max", "other_max", "combined_max")},
    ),
    "rings": Group("rings", _plain(*_RINGS, "rx_max", "tx_max", "tx_push_buf_len_max", "hds_thresh_max")),
    "coalesce": Group("coalesce", _plain(*_COALESCE)),
    "features": Group("features", {}, bits="wanted"),
    "priv_flags": Group("privflags", {}, bits="flags"),
    "pause": Group("pause", _plain("autoneg", "rx", "tx"), switches=("autoneg", "rx", "tx")),
    "eee": Group("eee", _plain("enabled", "tx_lpi_enabled", "tx_lpi_timer"), switches=("enabled", "tx_lpi_enabled")),
}  # fmt: skip
_U8 = (
    "tx_push",
    "rx_push",
    "tcp_data_split",
    "use_adaptive_rx",
    "use_adaptive_tx",
    "use_cqe_mode_tx",
    "use_cqe_mode_rx",
)


def _switch(text: str, setting: str) -> bool:
    known = {"on": True, "1": True, "off": False, "0": False}
    if text not in known:
        raise UsageError(f"{setting}: {text!r}: on or off is meant")
    return known[text]


def _shown(is_on: object) -> str:
    return "on" if is_on else "off"


def is_missing(error: OSError) -> bool:
    """Whether a driver or kernel says that it does not have this at all."""
    return error.errno in (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODATA) or "not in the recording" in str(error)


class Nic:
    """One interface."""

    def __init__(self, name: str, via: Transport = KERNEL) -> None:
        self.name, self._via = name, via
        self._family: Family | None = None

    @property
    def ethtool(self) -> Family:
        """The family, asked for once."""
        if self._family is None:
            self._family = Family("ethtool", self._via)
        return self._family

    def _header(self) -> dict[str, Any]:
        return {"header": {"dev-name": self.name}}

    def group(self, what: str) -> dict[str, str]:
        """Every setting of a group; {} when this driver or kernel does not have the group."""
        try:
            return self._read(what)
        except DeviceError:
            return {}
        except OSError as error:
            if is_missing(error):
                return {}
            raise

    def all(self) -> dict[str, str]:
        """Every setting there is."""
        found = {}
        for what in (*GROUPS, *_READERS):
            found.update({f"{what}.{name}": value for name, value in self.group(what).items()})
        return found

    def get(self, setting: str) -> str | None:
        """One setting; None when there is no such."""
        what, _, name = setting.partition(".")
        if what not in GROUPS and what not in _READERS:
            raise UsageError(f"{setting}: there are settings of {', '.join((*GROUPS, *_READERS))}")
        return self.group(what).get(name)

    def set(self, setting: str, text: str) -> None:
        """Change one setting; OSError ends with what the kernel said, UsageError with what is allowed."""
        what, _, name = setting.partition(".")
        if setting in READ_ONLY or name.endswith("_max"):
            raise UsageError(f"{self.name} {setting}: a fact, not a setting")
        text = text.strip()
        if what in GROUPS:
            self._set_group(what, name, text)
        elif what in _WRITERS:
            _WRITERS[what](self, name, text)
        else:
            raise UsageError(f"{self.name} {setting}: there are settings of {', '.join((*GROUPS, *_WRITERS))}")

    # ---- groups of the table ----

    def _read(self, what: str) -> dict[str, str]:
        if what in _READERS:
            return _READERS[what](self)
        group = GROUPS[what]
        answer = self.ethtool.do(f"{group.operation}-get", self._header())
        if what == "features":
            hardware = answer.get("hw", {})
            active = answer.get("active", {})
            fixed = {name for name, is_on in answer.get("nochange", {}).items() if is_on}
            wanted = {name: _shown(active.get(name)) for name in hardware if name and name not in fixed}
            return wanted | {name: _shown(active.get(name)) for name in (*active, *fixed) if name not in wanted}
        if group.bits:
            return {name: _shown(is_on) for name, is_on in answer.get(group.bits, {}).items()}
        return {
            name: _shown(answer[key]) if name in group.switches else str(answer[key])
            for name, key in group.attributes.items()
            if key in answer
        }

    def fixed(self) -> frozenset[str]:
        """Features that this driver does not let one change."""
        answer = self.ethtool.do("features-get", self._header())
        hardware = {name for name, is_on in answer.get("hw", {}).items() if is_on}
        known = {name for row in ("hw", "active", "nochange") for name in answer.get(row, {})} - {""}
        never = {name for name, is_on in answer.get("nochange", {}).items() if is_on}
        return frozenset((known - hardware) | never)

    def _set_group(self, what: str, name: str, text: str) -> None:
        group = GROUPS[what]
        if group.bits:
            if what == "features" and name in self.fixed():
                raise OSError(errno.EOPNOTSUPP, f"{os.strerror(errno.EOPNOTSUPP)}: fixed by the driver")
            change: dict[str, Any] = {group.bits: {name: _switch(text, f"{self.name} {what}.{name}")}}
        elif name not in group.attributes:
            raise UsageError(f"{self.name} {what}.{name}: there are {', '.join(group.attributes)}")
        elif name in group.switches or name in _U8:
            value = int(_switch(text, f"{self.name} {what}.{name}")) if name != "tcp_data_split" else int(text)
            change = {group.attributes[name]: value}
        else:
            if not text.isdigit() or int(text) >= 1 << 32:
                raise UsageError(f"{self.name} {what}.{name}: {text!r}: a number of 0 to 4294967295 is meant")
            change = {group.attributes[name]: int(text)}
        self.ethtool.do(f"{group.operation}-set", {**self._header(), **change})
        if what == "features" and self.get(f"features.{name}") != _shown(_switch(text, name)):
            raise OSError(errno.EOPNOTSUPP, f"{os.strerror(errno.EOPNOTSUPP)}: the driver kept it as it was")

    # ---- groups of their own ----

    def _driver(self) -> dict[str, str]:
        raw = self._via.ethtool(self.name, _GDRVINFO.to_bytes(4, "little").ljust(196, b"\0"))
        texts = [raw[at : at + 32].split(b"\0")[0].decode("utf-8", "replace").strip() for at in (4, 36, 68, 100)]
        return dict(zip(("name", "version", "firmware", "bus"), texts, strict=True))

    def _link(self) -> dict[str, str]:
        answer = self.ethtool.do("linkmodes-get", self._header())
        found = {}
        if "autoneg" in answer:
            found["autoneg"] = _shown(answer["autoneg"])
        if answer.get("speed", _SPEED_UNKNOWN) != _SPEED_UNKNOWN:
            found["speed"] = str(answer["speed"])
        state = self.ethtool.do("linkstate-get", self._header())
        return found | {"up": _shown(state.get("link"))}

    def _set_link(self, name: str, text: str) -> None:
        if name != "autoneg":
            raise UsageError(f"{self.name} link.{name}: autoneg can be set")
        self.ethtool.do("linkmodes-set", {**self._header(), "autoneg": int(_switch(text, f"{self.name} link.autoneg"))})

    def _fec(self) -> dict[str, str]:
        answer = self.ethtool.do("fec-get", self._header())
        modes = [_FEC_NAMES.get(name, name) for name, is_on in answer.get("modes", {}).items() if is_on]
        found = {"mode": " ".join((["auto"] if answer.get("auto") else []) + sorted(modes)) or "off"}
        if answer.get("active"):
            found["active"] = _FEC_ACTIVE.get(answer["active"], str(answer["active"]))
        return found

    def _set_fec(self, name: str, text: str) -> None:
        words = text.split()
        if name != "mode" or not words or set(words) - {"auto", *_FEC_NAMES.values()}:
            raise UsageError(f"{self.name} fec.{name}: {text!r}: mode is one or more of auto, off, rs, baser, llrs")
        modes = {key: value in words for key, value in _FEC_NAMES.items()}
        self.ethtool.do("fec-set", {**self._header(), "modes": modes, "auto": int("auto" in words)})

    def _rss(self) -> dict[str, str]:
        found = rss.values(self.name, self._via)
        for name, read in (("udp4_fields", self._fields), ("contexts", self._contexts)):
            try:
                found[name] = read()
            except OSError as error:
                if not is_missing(error) and error.errno != errno.EINVAL:
                    raise
        return found

    def _fields(self) -> str:
        return rss.fields(self.name, self._via)

    def _contexts(self) -> str:
        rows = rss.contexts(self.name, self._via)
        return "; ".join(rss.table_text(rows[number]) for number in sorted(rows)) or "none"

    def _set_rss(self, name: str, text: str) -> None:
        if name in ("indir", "key", "hfunc"):
            rss.set_rss(self.name, name, text, self._via)
        elif name == "udp4_fields":
            rss.set_fields(self.name, text, self._via)
        elif name == "contexts":
            rss.set_contexts(self.name, text, self._via)
        else:
            raise UsageError(f"{self.name} rss.{name}: there are indir, key, hfunc, udp4_fields, contexts")

    def _rules(self) -> dict[str, str]:
        return {"rules": "; ".join(rule.text() for rule in rules.read(self.name, self._via)) or "none"}

    def _set_rules(self, name: str, text: str) -> None:
        if name != "rules":
            raise UsageError(f"{self.name} ntuple.{name}: there is rules")
        rules.write(self.name, rules.parse(text), self._via)

    def _receive_queues(self) -> int:
        have = self.group("channels")
        return int(have.get("combined", "0")) + int(have.get("rx", "0"))

    def _per_queue(self) -> dict[str, str]:
        return perqueue.read(self.name, self._receive_queues(), self._via)

    def _set_per_queue(self, name: str, text: str) -> None:
        perqueue.write(self.name, self._receive_queues(), name, text, self._via)

    def _timestamp(self) -> dict[str, str]:
        answer = self.ethtool.do("tsconfig-get", self._header())
        found = {}
        for name, key in (("rx_filter", "rx-filters"), ("tx_type", "tx-types")):
            chosen = [word for word, is_on in answer.get(key, {}).items() if is_on]
            found[name] = chosen[0] if chosen else "none"
        return found

    def _set_timestamp(self, name: str, text: str) -> None:
        keys = {"rx_filter": "rx-filters", "tx_type": "tx-types"}
        if name not in keys:
            raise UsageError(f"{self.name} timestamp.{name}: there are {', '.join(keys)}")
        self.ethtool.do("tsconfig-set", {**self._header(), keys[name]: {text: True}})

    # ---- NAPI: one value when all contexts have it, else "id:value" each ----

    def _index(self) -> int:
        answer = self.ethtool.do("channels-get" if self.group("channels") else "linkstate-get", self._header())
        return int(answer["header"]["dev-index"])

    def _napi(self) -> dict[str, str]:
        found = {}
        rows = napi.contexts(self._index(), self._via)
        for name, key in _NAPI.items():
            values = {row.id: getattr(row, key) for row in rows if getattr(row, key) is not None}
            one = {str(value) for value in values.values()}
            if values:
                each = " ".join(f"{number}:{value}" for number, value in values.items())
                found[name] = each if len(one) > 1 else one.pop()
        return found

    def _set_napi(self, name: str, text: str) -> None:
        if name not in _NAPI:
            raise UsageError(f"{self.name} napi.{name}: there are {', '.join(_NAPI)}")
        rows = {row.id for row in napi.contexts(self._index(), self._via)}
        wanted: dict[int, int] = {}
        for word in text.split():
            number, _, value = word.rpartition(":")
            if not value.isdigit() or (number and (not number.isdigit() or int(number) not in rows)):
                raise UsageError(
                    f"{self.name} napi.{name}: {word!r}: a number, or one of the contexts"
                    f" {', '.join(map(str, sorted(rows)))} with a colon and a number, is meant"
                )
            wanted.update(dict.fromkeys([int(number)] if number else rows, int(value)))
        for context, setting in wanted.items():
            napi.set_context(context, **{_NAPI[name]: setting}, via=self._via)


_READERS: dict[str, Callable[[Nic], dict[str, str]]] = {
    "driver": Nic._driver,
    "link": Nic._link,
    "fec": Nic._fec,
    "rss": Nic._rss,
    "ntuple": Nic._rules,
    "queue_coalesce": Nic._per_queue,
    "timestamp": Nic._timestamp,
    "napi": Nic._napi,
}
_WRITERS: dict[str, Callable[[Nic, str, str], None]] = {
    "link": Nic._set_link,
    "fec": Nic._set_fec,
    "rss": Nic._set_rss,
    "ntuple": Nic._set_rules,
    "queue_coalesce": Nic._set_per_queue,
    "timestamp": Nic._set_timestamp,
    "napi": Nic._set_napi,
}
