"""A sender at full rate, as a process: MoldUDP64 packets of one channel out of an interface until it is killed.

SPDX-License-Identifier: MIT

    python -m support.flood INTERFACE

The packets are numbered on without end and carry one message each that no book takes, so that nothing is a duplicate.
"""

from __future__ import annotations

import struct
import sys

from hwgw.native import call, ffi, lib

from .rig import MOLD_SESSION, frame

BATCH, MESSAGE = 256, struct.pack(">cHH6sc", b"S", 0, 0, bytes(6), b"O")  # system event


def main(interface: str) -> None:
    payload = MOLD_SESSION + struct.pack(">QH", 1, 1) + struct.pack(">H", len(MESSAGE)) + MESSAGE
    template = frame(payload)
    at = template.index(MOLD_SESSION) + len(MOLD_SESSION)
    memory = [bytearray(template) for _ in range(BATCH)]
    frames = ffi.new("struct hwgw_frame[]", BATCH)
    for index, each in enumerate(memory):
        frames[index].data = ffi.from_buffer(each)
        frames[index].len = len(each)
    words = [ffi.new("char[]", word.encode()) for word in ("packet", interface)]
    cfg = ffi.new("struct hwgw_rx_cfg *", {"backend": words[0], "interface": words[1], "tx_only": True})
    cfg.tx_frame_cnt = 1024
    out = ffi.new("struct hwgw_rx **")
    call(lib.hwgw_rx_open, out, cfg)
    seq = 1
    while True:
        for each in memory:
            struct.pack_into(">Q", each, at, seq)
            seq += 1
        sent = 0
        while sent < BATCH:
            sent += lib.hwgw_rx_send(out[0], frames + sent, BATCH - sent)
            lib.hwgw_rx_unsent(out[0])


if __name__ == "__main__":
    main(sys.argv[1])
