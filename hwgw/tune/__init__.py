"""The host a gateway runs on: what it is, what it should be, how it gets there and back.

SPDX-License-Identifier: MIT

host is the only way to the machine (or to a recorded or made tree in its place); knob says what a knob is and how one
of each kind is read and written.
"""
