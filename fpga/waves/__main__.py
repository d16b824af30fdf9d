"""Draws every diagram anew.

SPDX-License-Identifier: MIT
"""

from fpga.waves import draw, sources

for source in sources():
    source.with_suffix(".svg").write_text(draw(source.read_text(encoding="utf-8")), encoding="utf-8")
