"""`python -m tests.bench`: runs the benchmarks and writes a table and, when asked, JSON.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

from hwgw.about import commit

from .harness import Options, Result, Unavailable, machine

MODULES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))

BLOCKS = {  # figures with a table of their own, by how they begin
    "feed": ("decode_msgs_", "decode_columns_", "decode_in_order_", "framing_", "book_", "tob_rows_"),
    "halt": ("halt_", "limits_ack_"),
    "backtest": ("backtest_",),
    "replay": ("replay_",),
}


def number(value: float | None) -> str:
    """A figure with four significant digits, thousands separated."""
    if value is None:
        return "-"
    if value and abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}"


def table(results: list[Result]) -> str:
    """The results as aligned text."""
    head = ("figure", "median", "unit", "min .. max", "runs", "ratio", "baseline")
    rows = [
        (
            result.name,
            number(result.value),
            result.unit,
            f"{number(result.min)} .. {number(result.max)}",
            str(result.runs),
            "-" if result.ratio is None else f"{result.ratio:.3g}",
            "-" if result.baseline is None else f"{result.baseline}: {number(result.baseline_value)}",
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = {1, 3, 4, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def between(text: str, name: str, content: str, page: Path) -> str:
    """The page's text with what stands between the markers of that name replaced."""
    begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->\n"
    head, _, rest = text.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise SystemExit(f"--document {page}: it has no {begin.strip()} ... {end.strip()}")
    return head + begin + content + end + tail


def figures(results: list[Result]) -> str:
    """The results as a Markdown table."""
    head = "| figure | median | unit | range | runs | ratio | baseline |\n|---|--:|---|--:|--:|--:|---|\n"
    return head + "".join(
        f"| `{result.name}` | {number(result.value)} | {result.unit} | {number(result.min)} to {number(result.max)} |"
        f" {result.runs} | {'-' if result.ratio is None else f'{result.ratio:.3g}'} |"
        f" {'-' if result.baseline is None else f'{result.baseline}: {number(result.baseline_value)}'} |\n"
        for result in results
    )


def document(path: Path, results: list[Result], load: float, left_out: list[tuple[str, str]]) -> None:
    """Put the results between the markers of a Markdown page; nobody types a figure. What was not run stays."""
    conditions = (
        f"Machine: {machine()}; {load:.1f} processes wanted to run in the minute before.\n\nCommit: `{commit()}`.\n\n"
    )
    text = path.read_text(encoding="utf-8")
    receive = [result for result in results if result.name.startswith("rx_")]
    blocks = {name: [result for result in results if result.name.startswith(begins)] for name, begins in BLOCKS.items()}
    apart = [*receive, *(result for rows in blocks.values() for result in rows)]
    blocks["figures"] = [result for result in results if result not in apart]
    for name, rows in blocks.items():
        if rows:
            text = between(text, name, conditions + figures(rows), path)
    if receive:
        from .bench_rx import matrix

        missing = [f"\nNot measured: `{name}`: {reason}.\n" for name, reason in left_out if name.startswith("rx_")]
        text = between(text, "receive", conditions + matrix(receive) + "".join(missing), path)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Run what was asked for; 0 when every module ran or said why it cannot, 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="benchmarks of the data plane")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all when none is named")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--document", type=Path, metavar="PAGE", help="put the results into a Markdown page")
    parser.add_argument("--file", type=Path, metavar="STREAM", help="BinaryFILE stream for the feed figures")
    parser.add_argument("--smoke", action="store_true", help="smallest size: does it run at all")
    parser.add_argument("--seed", type=int, default=1, help="of the generated streams (default 1)")
    args = parser.parse_args()
    unknown = set(args.modules) - set(MODULES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if args.file and not args.file.is_file():
        parser.error(f"--file {args.file}: not a file")

    if args.document and args.smoke:
        parser.error("--document wants figures that mean something, not those of --smoke")

    options = Options(smoke=args.smoke, file=args.file, seed=args.seed)
    load = os.getloadavg()[0]
    print(f"machine {machine()}\nload    {load:.1f} processes in the minute before", flush=True)
    print(f"commit  {commit()}\nseed    {options.seed}", flush=True)
    if options.smoke:
        print("smoke size: the figures mean nothing")
    results: list[Result] = []
    for name in args.modules or MODULES:
        print(f"{name}:", flush=True)
        start = time.monotonic()
        try:
            results += importlib.import_module(f".bench_{name}", __package__).run(options)
        except Unavailable as reason:
            options.leave_out(name, str(reason))
        options.say(f"{time.monotonic() - start:.1f} s")
    print(f"\n{table(results)}")
    print("ratio: median / baseline's median, measured by turns in this run")
    for name, reason in options.left_out:
        print(f"not measured: {name}: {reason}")
    if args.output:
        args.output.write_text(json.dumps([result.as_dict() for result in results], indent=1) + "\n")
        print(f"{len(results)} results in {args.output}")
    if args.document:
        document(args.document, results, load, options.left_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
