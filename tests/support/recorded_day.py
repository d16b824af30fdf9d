"""A live day of a gateway on record: it traded, was halted, disarmed and given other limits, and stopped in order.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

from hwgw_sim.exchange.fix import FixAcceptor

from hwgw.demo.stage import PASSWORD, USER
from hwgw.journal import files_of
from hwgw.segment import Segment

from .market import PATIENCE_S, Market, until


def more(segment: Segment, name: str, cnt: int, seconds: float = PATIENCE_S) -> None:
    """Until a counter has grown by so many."""
    want = segment.counters()[name] + cnt
    until(lambda: segment.counters()[name] >= want, f"{cnt} more {name}", seconds)


def recorded(folder: Path, *, rate: int, cnt: int, burst: int = 0, protocol: str = "ouch50", **journal: bool) -> Path:
    """The one file of its journal; the configuration is folder/gateway.yaml.

    rate: of the feed; cnt: so many orders are refused for each reason; burst: of the strategies' message rate from the
    new limits on, 0: as it was; protocol: of order entry; journal: more keys of that section.
    """
    user = protocol if protocol == "ouch42" else "ouch50"  # a FIX gateway speaks OUCH 5.0 to the exchange
    with Market(folder, rate=rate, symbols=4, protocol=user) as market, ExitStack() as stack:
        market.journal = {"folder": str(folder / "journal"), **journal}
        market.session = {"protocol": protocol}
        if protocol.startswith("fix"):
            acceptor = FixAcceptor(market.exchange.address, protocol.removeprefix("fix"), user=(USER, PASSWORD))
            stack.enter_context(acceptor)
            market.session.update(port=acceptor.port, sender="HWGW", target="VENUE")
        process = market.start()
        with market.attached("session.executed") as segment:
            more(segment, "risk.passed", 4 * cnt)
            segment.halt("a test says so")
            more(segment, "risk.refused_halted", cnt)
            segment.resume()
            segment.disarm(0)
            more(segment, "risk.refused_strategy", cnt)
            segment.arm(0)
            symbol = segment.symbols[0]
            segment.halt_instrument(symbol, "likewise")
            more(segment, "risk.refused_instrument_halt", cnt // 2)
            segment.resume_instrument(symbol)
            table = segment.limits()
            assert table is not None
            table["instrument"]["long_max"] = 150  # the demo's strategies buy 100 at a time
            if burst:
                table["strategy"]["rate_burst"] = burst
            segment.publish_limits(table)
            more(segment, "risk.refused_position", cnt)
            more(segment, "session.executed", cnt)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, process.communicate()
        (file,) = files_of(folder / "journal", market.name)
    return file
