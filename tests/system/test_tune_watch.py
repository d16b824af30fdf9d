"""verify --watch hears of links and of NIC settings, in a network namespace of its own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

SCRIPT = """
import subprocess, threading, time
from hwgw.tune.nic.engine import Nic
from hwgw.tune.watch import Events

def ip(*args):
    subprocess.run(["ip", *args], check=True)

ip("link", "add", "one", "numtxqueues", "4", "numrxqueues", "4", "type", "veth", "peer", "name", "two")
events = Events()
print(events.wait(0.05))
threading.Timer(0.1, lambda: ip("link", "set", "one", "up")).start()
print(events.wait(10))
for _ in range(20):  # what follows an interface that comes up
    if events.wait(0.3) == "interval":
        break
timer = threading.Timer(0.1, lambda: Nic("one").set("channels.rx", "2"))
timer.start()
print(events.wait(10))
timer.join()
events.close()
"""


def test_watch_hears_of_links_and_channels() -> None:
    """The kernel tells; nobody has to poll for it."""
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    quiet, up, channels = done.stdout.splitlines()
    assert quiet == "interval"
    assert "link" in up
    assert "NIC settings" in channels
