"""What runs beside a gateway's live strategies: a segment, a gate, limits and a journal of their own, and no session.

SPDX-License-Identifier: MIT

Strategies of mode paper are one twin, NAME-paper, those of mode shadow another, NAME-shadow. For every tool a twin is a
gateway of that name. A day on paper begins flat: nothing is open at a model that ended.
"""

from __future__ import annotations

from pathlib import Path

from .journal.start import rescue
from .journal.writer import Writer
from .risk.control import of_settings
from .segment import Segment
from .settings import MODES, Settings, twin_name

__all__ = ["Twin", "twins"]

FLAT = "a day on paper begins flat"


class Twin:
    """The segment of one mode, and the writer of its journal."""

    def __init__(self, settings: Settings, mode: str, commit: str) -> None:
        self.mode = mode
        self._settings = settings
        self._writer: Writer | None = None
        name, journal = twin_name(settings.name, mode), settings.journal
        venues = tuple(session.venue for session in settings.sessions)
        if journal:
            rescue(Path(journal.folder), name, anew=True)
        self.segment = Segment.create(
            name,
            settings.symbols * max(1, len(settings.sessions)),
            thread_cnt=len(settings.pipelines),
            commit=commit,
            venues=venues if len(venues) > 1 else (),
            journal_sz_bytes=journal.ring_bytes if journal else 0,
        )
        try:
            self.segment.resume()
            away = settings.paper.text if settings.paper else ""
            text = f"beside {settings.name}: {mode}, orders go to a model of the venue, {away}".encode()
            self.segment.head["receive"] = text[: self.segment.head.dtype["receive"].itemsize - 1]
            self.segment.publish_limits(of_settings(settings, mode).table)
            for number, strategy in settings.of_mode(mode).items():
                if strategy.armed:
                    self.segment.arm(number)
        except BaseException:
            self.segment.close()
            raise

    def start(self) -> None:
        """Fork the writer of its journal, if there is one."""
        if self._settings.journal:
            self._writer = Writer(self.segment, self._settings.journal, self.segment.name, FLAT)

    def poll(self) -> None:
        """A journal that nobody writes halts it; the live gateway goes on."""
        if self._writer and self._writer.poll() is not None:
            self.segment.halt(f"the journal's writer ended with status {self._writer.poll()}", "journal")

    def close_journal(self) -> None:
        """When the data process is gone."""
        writer, self._writer = self._writer, None
        if writer and (status := writer.close()) != 0:
            what = "hangs" if status is None else f"ended with status {status}"
            self.segment.halt(f"the journal was not closed: its writer {what}", "journal")

    def close(self) -> None:
        """Give up the segment, whatever it was halted for: nothing of it is open anywhere."""
        self.segment.resume()
        for symbol in self.segment.instrument_halts:
            self.segment.resume_instrument(symbol)
        for venue in self.segment.venue_halts:
            self.segment.resume_venue(venue)
        self.segment.close()


def twins(settings: Settings, commit: str) -> tuple[Twin, ...]:
    """The twins that a configuration asks for."""
    made: list[Twin] = []
    try:
        made += [Twin(settings, mode, commit) for mode in MODES[1:] if settings.of_mode(mode)]
    except BaseException:
        for twin in made:
            twin.close()
        raise
    return tuple(made)
