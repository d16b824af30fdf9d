"""A receiver of the benchmark in a process of its own: orders in as lines of JSON, answers out.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

from hwgw.errors import HwgwError

from .rx_ways import Load, Local


def say(**answer: object) -> None:
    """One answer."""
    sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def main() -> None:
    """Enter the namespace, open, and do what the lines say until there are none."""
    order = json.loads(sys.argv[1])
    namespace = os.open(order["path"], os.O_RDONLY | os.O_CLOEXEC)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0x40000000):  # CLONE_NEWNET
        say(error=f"setns: {os.strerror(ctypes.get_errno())}")
        return
    try:
        source = Local.backend(Load(Path(order["folder"]), order["cpu"]), order["backend"], **order["settings"])
    except HwgwError as error:
        say(error=str(error))
        return
    with source:
        say(what=source.what)
        for line in sys.stdin:
            wish = json.loads(line)
            if "begin" in wish:
                source.begin(wish["begin"], wish["paced"])
                say(ready=True)
            else:
                say(got=list(source.end()))


if __name__ == "__main__":
    main()
