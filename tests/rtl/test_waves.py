"""The timing diagrams of fpga/README.md are those of their sources.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from fpga import tools, waves


def test_the_pictures_that_are_committed_are_drawn_from_their_sources_and_shown() -> None:
    page = (tools.ROOT / "fpga" / "README.md").read_text(encoding="utf-8")
    assert len(waves.sources()) >= 3
    for source in waves.sources():
        picture = source.with_suffix(".svg")
        made = waves.draw(source.read_text(encoding="utf-8"))
        assert picture.read_text(encoding="utf-8") == made, f"{picture.name}: python -m fpga.waves"
        ElementTree.fromstring(made)
        assert f"(waves/{picture.name})" in page


@pytest.mark.parametrize(
    ("wave", "data", "what"),
    [
        (".1", "[]", "begin with a dot"),
        ("z", "[]", "is none of"),
        ("==", '["1"]', "more boxes"),
        ("x", '["1"]', "more data"),
    ],
)
def test_what_is_not_in_the_notation_is_named(wave: str, data: str, what: str) -> None:
    with pytest.raises(waves.WaveError, match=f"s: .*{what}"):
        waves.draw(f'{{"signal": [{{"name": "s", "wave": "{wave}", "data": {data}}}]}}')
