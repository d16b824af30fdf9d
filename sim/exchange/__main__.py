"""The command line of the simulated exchange: `python -m hwgw_sim.exchange`.

SPDX-License-Identifier: MIT

Prints one JSON line when it listens, one for each SIGUSR1 (what every user has), and one JSON object at the end; dies
with its parent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from hwgw_sim.exchange.engine import (
    DEFAULT_GROUP,
    DEFAULT_PORT,
    DEFAULT_USER,
    SYMBOLS_MAX,
    Exchange,
    ExchangeConfig,
    default_symbols,
    die_with_parent,
)

from hwgw.bad_line import Faults
from hwgw.bad_line import parse as parse_faults
from hwgw.errors import ConfigError, HwgwError, UsageError


def _symbols(text: str) -> tuple[str, ...]:
    if text.isdecimal():
        if not 1 <= int(text) <= SYMBOLS_MAX:
            raise argparse.ArgumentTypeError(f"1 to {SYMBOLS_MAX} symbols are allowed, not {text}")
        return default_symbols(int(text))
    names = tuple(text.split(","))
    if len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text}: a symbol is named twice")
    return names


def _endpoint(text: str) -> tuple[str, int] | None:
    if text == "none":
        return None
    address, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: ADDRESS:PORT is wanted, or none")
    return address, int(port)


def _user(text: str) -> tuple[str, ...]:
    user = text.split(":")
    if len(user) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{text}: NAME:PASSWORD or NAME:PASSWORD:PROTOCOL is wanted")
    return tuple(user)


def _steps(text: str) -> tuple[tuple[int, int], ...]:
    steps = []
    for part in text.split(","):
        messages, slash, us = part.partition("/")
        if not slash or not messages.isdecimal() or not us.isdecimal() or not 0 < int(us) < 10**12:
            raise argparse.ArgumentTypeError(f"{part}: MESSAGES/MICROSECONDS is wanted")
        steps.append((int(messages), int(us)))
    return tuple(steps)


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 0 on is wanted")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text}: seconds from 0 on are wanted")
    return value


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = argparse.ArgumentParser(prog="python -m hwgw_sim.exchange", description=(__doc__ or "").splitlines()[0])
    flow = made.add_argument_group("what is published")
    flow.add_argument(
        "--symbols",
        type=_symbols,
        default=default_symbols(8),
        metavar="N|A,B,...",
        help="number or names of symbols of the order flow (8)",
    )
    flow.add_argument("--seed", type=int, default=1, help="seed of the order flow (1)")
    flow.add_argument(
        "--depth",
        type=_natural,
        default=100,
        metavar="N",
        help="live orders per symbol it aims at; 0 = no background (100)",
    )
    flow.add_argument(
        "--rate", type=_natural, default=0, metavar="MSGS_PER_S", help="messages per second; 0 = maximal (0)"
    )
    flow.add_argument(
        "--steps", type=_steps, default=(), metavar="MESSAGES/US,...",
        help="instead of a rate: so many messages evenly over so many microseconds, one step after the other, then end",
    )  # fmt: skip
    flow.add_argument("--feed", type=Path, metavar="FILE.itch50", help="publish this BinaryFILE capture instead")
    flow.add_argument(
        "--pace",
        nargs="+",
        metavar="recorded|scale X|max|rate",
        help="pace of a capture (recorded, or rate when --rate is given)",
    )
    flow.add_argument(
        "--clock",
        choices=("wall", "virtual"),
        default="wall",
        help="timestamps of the order flow; virtual: same seed, same bytes (wall)",
    )
    flow.add_argument(
        "--batch-us",
        type=_natural,
        default=50,
        metavar="US",
        help="wake at most so often; 0 = spin on the schedule (50)",
    )
    end = made.add_argument_group("beginning and end")
    end.add_argument("--seconds", type=_seconds, default=0.0, help="end after so long (0 = until a signal or the end)")
    end.add_argument(
        "--messages", type=_natural, default=0, metavar="N", help="end after N published messages (0 = none)"
    )
    end.add_argument(
        "--linger",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="stay so long after the last message of a capture (0)",
    )
    end.add_argument(
        "--wait-clients", type=_natural, default=0, metavar="N", help="begin when N clients are logged in (0)"
    )
    end.add_argument("--start-delay-ms", type=_natural, default=0, metavar="MS", help="and not before (0)")
    feed = made.add_argument_group("feed")
    feed.add_argument("--group", default=DEFAULT_GROUP, help=f"group or address, or none ({DEFAULT_GROUP})")
    feed.add_argument("--port", type=_natural, default=DEFAULT_PORT, help=f"UDP port ({DEFAULT_PORT})")
    feed.add_argument("--interface", default="", metavar="NAME", help="send from this interface")
    feed.add_argument("--send", choices=("udp", "packet", "afxdp"), default="udp",
                      help="UDP sockets, or frames past the kernel's stack, at half the cost (udp)")  # fmt: skip
    feed.add_argument("--local-address", default=None, metavar="ADDR", help="or from the interface of this address")
    feed.add_argument("--ttl", type=_natural, default=1, help="of multicast (1)")
    feed.add_argument("--loopback", action="store_true", help="this machine hears the feed; from 127.0.0.1 by default")
    feed.add_argument("--session", default=None, help="session name, up to ten characters (from the time)")
    feed.add_argument("--packet-size", type=_natural, default=0, metavar="BYTES", help="largest UDP payload (1400)")
    feed.add_argument(
        "--heartbeat-ms", type=_natural, default=0, metavar="MS", help="idle time before a heartbeat (1000)"
    )
    feed.add_argument("--end-packets", type=_natural, default=5, metavar="N", help="end of session packets (5)")
    feed.add_argument("--end-interval-ms", type=_natural, default=20, metavar="MS", help="time between them (20)")
    feed.add_argument("--group-b", metavar="GROUP", help="line B: the same packets again (none)")
    feed.add_argument("--port-b", type=_natural, default=DEFAULT_PORT, help=f"its UDP port ({DEFAULT_PORT})")
    feed.add_argument(
        "--faults", action="append", metavar="FAULTS",
        help="of line A, and given again of line B: loss=1%%,duplicate=0.1%%,damage=0.01%%,reorder=16,outage=2-4 ...",
    )  # fmt: skip
    feed.add_argument("--requests", type=_endpoint, metavar="ADDR:PORT", help="MoldUDP64 re-request server (none)")
    feed.add_argument("--snapshots", type=_endpoint, metavar="ADDR:PORT", help="GLIMPSE server for the users (none)")
    feed.add_argument("--request-loss", type=float, default=0.0, metavar="SHARE",
                      help="of re-requests, and of answers, are lost (0)")  # fmt: skip
    feed.add_argument("--request-bytes", type=_natural, default=0, metavar="BYTES",
                      help="of messages, kept for re-requests, a power of two (67108864)")  # fmt: skip
    feed.add_argument("--record", type=Path, metavar="FILE", help="write what is published as BinaryFILE too")
    entry = made.add_argument_group("order entry")
    entry.add_argument(
        "--listen",
        type=_endpoint,
        default=("127.0.0.1", 0),
        metavar="ADDR:PORT",
        help="OUCH over SoupBinTCP; port 0 = any free one; or none (127.0.0.1:0)",
    )
    entry.add_argument(
        "--user",
        type=_user,
        action="append",
        metavar="NAME:PASSWORD[:PROTOCOL]",
        help=f"may log in and speaks ouch50 or ouch42; repeatable ({':'.join(DEFAULT_USER)})",
    )
    entry.add_argument("--client-orders", type=_natural, default=0, metavar="N", help="live orders of clients (65536)")
    entry.add_argument(
        "--replay-bytes",
        type=_natural,
        default=0,
        metavar="BYTES",
        help="kept for replay per user, a power of two (16777216)",
    )
    entry.add_argument(
        "--client-timeout-ms", type=_natural, default=0, metavar="MS", help="silence that ends a client (15000)"
    )
    entry.add_argument("--cancel-at-close", action="store_true", help="cancel the users' orders at the end of the day")
    entry.add_argument("--cancel-on-disconnect", action="store_true", help="cancel a user's orders when he is gone")
    made.add_argument("--stats", default="-", metavar="FILE|-", help="where the end report goes (-)")
    return made


def _pace(args: argparse.Namespace) -> tuple[str, float]:
    words = args.pace or []
    if not args.feed:
        if words not in ([], ["rate"], ["max"]):
            raise UsageError("--pace: the order flow knows --rate only; recorded and scale need --feed")
        return ("rate" if args.rate or args.steps else "max"), 1.0
    if not words:
        return ("rate" if args.rate or args.steps else "recorded"), 1.0
    if words[0] == "scale" and len(words) == 2:
        try:
            scale = float(words[1])
        except ValueError:
            scale = 0.0
        if not 0 < scale < math.inf:
            raise UsageError(f"--pace scale {words[1]}: a number above 0 is wanted")
        return "scale", scale
    if words in (["recorded"], ["max"], ["rate"]):
        return words[0], 1.0
    raise UsageError(f"--pace {' '.join(words)}: recorded, scale X, max or rate is wanted")


def config_of(args: argparse.Namespace) -> ExchangeConfig:
    """The settings that the options ask for."""
    if args.rate and args.steps:
        raise UsageError("--rate and --steps: one of them is wanted")
    pace, scale = _pace(args)
    for name, value, most in (
        ("--port", args.port, 65535),
        ("--ttl", args.ttl, 255),
        ("--port-b", args.port_b, 65535),
        ("--batch-us", args.batch_us, 10**6),
    ):
        if value > most:
            raise ConfigError(f"{name} {value}: at most {most} is allowed")
    if args.requests and args.snapshots and args.requests[0] != args.snapshots[0]:
        raise UsageError("--requests and --snapshots: one address is wanted")
    if not 0 <= args.request_loss <= 1:
        raise UsageError(f"--request-loss {args.request_loss}: 0 to 1 is wanted")
    lines = [parse_faults(text, args.seed + index) for index, text in enumerate(args.faults or [])]
    faults = (lines[0], lines[1] if len(lines) > 1 else Faults()) if lines else None
    return ExchangeConfig(
        group_b=args.group_b, port_b=args.port_b, faults=faults, requests=args.requests, snapshots=args.snapshots,
        request_loss=args.request_loss, request_bytes=args.request_bytes,
        symbols=args.symbols, seed=args.seed, depth=args.depth, pace=pace, rate=args.rate, steps=args.steps,
        pace_scale=scale,
        batch_us=args.batch_us, seconds=args.seconds, messages_max=args.messages, feed=args.feed, linger=args.linger,
        wait_clients=args.wait_clients, start_delay_ms=args.start_delay_ms, virtual_clock=args.clock == "virtual",
        group=None if args.group == "none" else args.group, port=args.port, ttl=args.ttl, interface=args.interface,
        send=args.send,
        local_address=args.local_address or ("127.0.0.1" if args.loopback and not args.interface else ""),
        loopback=args.loopback, packet_size=args.packet_size, heartbeat_ms=args.heartbeat_ms,
        end_packets=args.end_packets, end_interval_ms=args.end_interval_ms, record=args.record, listen=args.listen,
        users=tuple(args.user or [DEFAULT_USER]), client_orders=args.client_orders, replay_bytes=args.replay_bytes,
        client_timeout_ms=args.client_timeout_ms, cancel_on_disconnect=args.cancel_on_disconnect,
        cancel_at_close=args.cancel_at_close,
        **({"session": args.session} if args.session else {}),
    )  # fmt: skip


def _serve(exchange: Exchange) -> None:
    """Run in a second thread, so that signals reach Python in this one."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            exchange.run()
        except BaseException as error:
            failure.append(error)

    def stop(*_: Any) -> None:
        exchange.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    asked: list[int] = []  # answered below, because a handler may interrupt what it would do itself
    signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
    thread = threading.Thread(target=run, name="exchange")
    thread.start()
    while thread.is_alive():
        thread.join(0.02)
        if asked:
            del asked[0]
            print(json.dumps(exchange.look()), flush=True)
    if failure:
        raise failure[0]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parent = os.getppid()
    args = parser().parse_args(argv)
    try:
        if not die_with_parent(parent):
            return 0  # it is gone already
        with Exchange(config_of(args)) as exchange:
            print(json.dumps(exchange.ready()), flush=True)
            _serve(exchange)
            report = json.dumps(exchange.report())
        if args.stats == "-":
            print(report, flush=True)
        else:
            Path(args.stats).write_text(report + "\n", encoding="utf-8")
    except HwgwError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return ConfigError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
