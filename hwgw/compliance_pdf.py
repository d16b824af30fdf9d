"""The report on a day's market access as PDF, drawn by fpdf2: paper for a file, with the page's number on each.

SPDX-License-Identifier: MIT

It says what the other forms say, from the same tables. The font is the host's DejaVu Sans where there is one, else a
PDF's own Helvetica; characters that it does not have are written as their number (\\u0416), so that none is lost.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    from .compliance import Report, Table

__all__ = ["pdf"]

_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_MARGIN_MM, _TEXT_PT, _HEAD_PT, _TITLE_PT = 15, 8, 11, 16
_GREY, _SHADE = (110, 110, 110), (235, 235, 235)
_WIDTHS_MAX = 60  # characters that a column is measured by at most
_WIDTHS_MIN = 7


def _document(title: str, made: datetime.datetime) -> Any:
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise UsageError("a PDF needs fpdf2: pip install 'hwgw[pdf]'") from error

    class Document(FPDF):  # type: ignore[misc, unused-ignore]
        family = "helvetica"

        def footer(self) -> None:
            """The title and the page's number."""
            self.set_y(-_MARGIN_MM)
            self.set_font(self.family, size=7)
            self.set_text_color(*_GREY)
            self.cell(0, 5, title)
            self.set_x(self.l_margin)
            self.cell(0, 5, f"{self.page_no()} of {{nb}}", align="R")
            self.set_text_color(0)

    document = Document(format="A4")
    if (_FONTS / "DejaVuSans.ttf").exists() and (_FONTS / "DejaVuSans-Bold.ttf").exists():
        document.add_font("dejavu", "", _FONTS / "DejaVuSans.ttf")
        document.add_font("dejavu", "B", _FONTS / "DejaVuSans-Bold.ttf")
        document.family = "dejavu"
    document.set_margin(_MARGIN_MM)
    document.set_auto_page_break(True, _MARGIN_MM + 5)
    document.set_title(title)
    document.set_creator("hwgw")
    document.set_creation_date(made)
    document.set_line_width(0.1)
    document.set_draw_color(*_GREY)
    document.add_page()
    return document


def _text(document: Any, text: str) -> str:
    """Text in characters that the font has."""
    if document.family == "dejavu":
        return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return text.encode("latin-1", "backslashreplace").decode("latin-1")


def _widths(heads: list[str], body: list[list[str]]) -> tuple[int, ...]:
    """Columns as wide as what is in them, within bounds: a reason of many words is folded."""
    columns = zip(heads, *body, strict=True)
    return tuple(min(_WIDTHS_MAX, max(_WIDTHS_MIN, *map(len, column)) + 2) for column in columns)


def _draw(document: Any, table: Table) -> None:
    from fpdf.fonts import FontFace

    title, remark, heads, body = table
    if document.will_page_break(30):  # no heading without something below it
        document.add_page()
    document.ln(4)
    document.set_font(document.family, "B", _HEAD_PT)
    document.cell(0, 6, _text(document, title), new_x="LMARGIN", new_y="NEXT")
    document.set_font(document.family, size=_TEXT_PT)
    if remark:
        document.set_text_color(*_GREY)
        document.multi_cell(0, 4, _text(document, f"{remark}."), align="L", new_x="LMARGIN", new_y="NEXT")
        document.set_text_color(0)
    document.ln(1)
    if not body:
        document.cell(0, 5, "None.", new_x="LMARGIN", new_y="NEXT")
        return
    bold = FontFace(emphasis="BOLD", fill_color=_SHADE)
    look = {
        "v_align": "TOP",
        "line_height": 4,
        "padding": 0.6,
        "text_align": "LEFT",
        "borders_layout": "HORIZONTAL_LINES",
    }
    with document.table(col_widths=_widths(heads, body), headings_style=bold, **look) as drawn:
        for cells in (heads, *body):
            row = drawn.row()
            for cell in cells:
                row.cell(_text(document, cell))


def pdf(report: Report, title: str, tables: list[Table]) -> bytes:
    """The report as a PDF."""
    made = datetime.datetime.fromtimestamp(report.made_ns / 1e9, datetime.UTC)
    document = _document(title, made)
    document.set_font(document.family, "B", _TITLE_PT)
    document.multi_cell(0, 8, _text(document, title), align="L", new_x="LMARGIN", new_y="NEXT")
    document.set_font(document.family, size=_TEXT_PT)
    document.set_text_color(*_GREY)
    state = f"not proven: {len(report.problems)}" if report.problems else "everything was proven"
    document.cell(0, 5, f"Made {made:%Y-%m-%d %H:%M:%S} UTC; {state}", new_x="LMARGIN", new_y="NEXT")
    document.set_text_color(0)
    for table in tables:
        _draw(document, table)
    return bytes(document.output())
