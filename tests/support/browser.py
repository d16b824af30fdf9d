"""Chromium without a window, driven through the W3C WebDriver interface of chromedriver, both of Debian.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .market import PATIENCE_S, until

KEYS = {"enter": "\ue007", "escape": "\ue00c", "tab": "\ue004", "space": " "}
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str:
    """What is not there of a browser, or nothing."""
    names = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(names)} not installed (make browser)" if names else ""


class Browser:
    """One window; use as a context. Errors of the page end up in errors()."""

    def __init__(self, *, size: tuple[int, int] = (1440, 1000), trust_all: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hwgw-browser-", ignore_cleanup_errors=True)
        log = Path(self._folder.name) / "driver.log"
        with log.open("w") as out:
            self._driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=out, stderr=subprocess.STDOUT)
        said = "started successfully on port "
        until(lambda: said in log.read_text(), "chromedriver has a port", 3 * PATIENCE_S)
        port = log.read_text().partition(said)[2].partition(".")[0]
        self._base = f"http://127.0.0.1:{port}"
        arguments = [*_OPTIONS, f"--user-data-dir={self._folder.name}/profile", f"--window-size={size[0]},{size[1]}"]
        always = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}, "acceptInsecureCerts": trust_all,
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        self._base += f"/session/{made['sessionId']}"

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=6 * PATIENCE_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=PATIENCE_S)
            self._folder.cleanup()

    def go(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def press(self, *keys: str) -> None:
        """Keys where the focus is, as a keyboard gives them."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def media(self, scheme: str) -> None:
        """What the system is said to have: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._ask("POST", "/goog/cdp/execute", command)

    def errors(self) -> list[str]:
        """What the page wrote to the console as errors, violations of its policy among them."""
        rows = self._ask("POST", "/se/log", {"type": "browser"})
        return [row["message"] for row in rows if row["level"] == "SEVERE"]

    def shot(self, to: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        params = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
            params["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self._ask("POST", "/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": params})["data"]
        to.write_bytes(base64.b64decode(data))
