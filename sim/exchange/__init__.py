"""The simulated exchange: matching engine, ITCH 5.0 over MoldUDP64 out, OUCH 5.0 over SoupBinTCP in.

SPDX-License-Identifier: MIT

Exchange runs it in this process, ExchangeProcess as `python -m hwgw_sim.exchange`; docs/simulator.md describes both.
"""

from hwgw_sim.exchange.engine import SCHEMA, Exchange, ExchangeConfig, default_symbols
from hwgw_sim.exchange.process import ExchangeProcess

__all__ = ["SCHEMA", "Exchange", "ExchangeConfig", "ExchangeProcess", "default_symbols"]
