"""Pictures for the documentation, of a gateway that trades with the simulated exchange.

SPDX-License-Identifier: MIT

python -m support.screenshots FOLDER writes top.svg, drawn by hwgw top itself, and, with a browser, the page of
hwgw serve.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from hwgw.top.app import Top

from .browser import Browser, missing
from .market import Market, until

SECONDS = 25.0  # of history on the pictures


def top(name: str, to: Path) -> None:
    """hwgw top in 80 x 24 after some seconds."""

    async def run() -> None:
        app = Top([name])
        async with app.run_test(size=(80, 24)) as pilot:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                await pilot.pause(0.2)
            picture = app.export_screenshot(title="hwgw top")
            # no fonts from elsewhere, and no name of who drew it
            picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
            to.write_text(picture.replace("Fira Code", "DejaVu Sans Mono, monospace"), encoding="utf-8")

    asyncio.run(run())
    print(f"{to}: {to.stat().st_size:,} bytes")


def dashboard(name: str, folder: Path) -> None:
    """The first screen of the page of hwgw serve in few colours."""
    command = [sys.executable, "-m", "hwgw.cli", "serve", name, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            with Browser(size=(1360, 900)) as window:
                window.media("dark")
                window.go(url)
                time.sleep(SECONDS)
                to = folder / "dashboard-dark.png"
                window.shot(to)
            Image.open(to).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(to, optimize=True)
            print(f"{to}: {to.stat().st_size:,} bytes")
        finally:
            process.terminate()


def main(folder: Path) -> None:
    """Start a market, wait until orders flow, draw."""
    with tempfile.TemporaryDirectory() as place, Market(Path(place), rate=5_000, seconds=300, symbols=8) as market:
        market.journal = {"folder": f"{place}/journal", "stall": "60s"}
        market.publish = {"depth": 10}
        market.name = "example"
        market.start()
        with market.attached() as segment:
            until(lambda: segment.counters()["session.executed"] > 10, "orders are executed")
            top(market.name, folder / "top.svg")
            if why := missing():
                print(f"no picture of the dashboard: {why}")
            else:
                dashboard(market.name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
