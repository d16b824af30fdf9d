"""Lets one system call fail, as on a kernel that has it not.

SPDX-License-Identifier: MIT

A seccomp filter (x86-64) answers the call; every process that is started from there inherits it.
"""

from __future__ import annotations

import ctypes
import struct

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def refuse(number: int, code: int) -> None:
    """From here on this process and its children get errno code for the system call."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (LOAD, 0, 0, 0),  # the number of the call
            (EQUAL, 0, 1, number),
            (RETURN, 0, 0, ERRNO | code),
            (RETURN, 0, 0, ALLOW),
        )
    )
    code_memory = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(code_memory)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")
