"""The program of `hwgw top`: looks several times a second, shows a page, seeks back, halts when it is told twice.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from hwgw import audit
from hwgw.errors import HwgwError
from hwgw.segment import Segment, gateways
from hwgw.telemetry.history import History
from hwgw.telemetry.view import view

from .pages import PAGES, clock_time, headline, page

__all__ = ["Top"]

HELP = """\
1 to 7       a page: overview feed books orders risk latency card
tab          the next page            n   the next gateway
left right   seek back and forward by one look; shift: by ten seconds
end          back to now              space   hold still
up down      scroll
h            halt this gateway (asks for its name)
?            this help                q   end

What is shown is read from shared memory: the gateway does not notice.
Halt is one store there and works while its Python process hangs.
To resume: hwgw resume NAME --reason R"""


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """One box."""
        yield Static(HELP, id="help", markup=False)


class Confirm(ModalScreen[bool]):
    """Asks for the gateway's name before it is halted."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._wanted = name

    def compose(self) -> ComposeResult:
        """A question and a field."""
        with Vertical(id="confirm"):
            yield Label(f"Halt {self._wanted}: no order leaves until somebody resumes it.", markup=False)
            yield Label("Type its name and press enter, or escape.", markup=False)
            yield Input(placeholder=self._wanted)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        if event.value.strip() == self._wanted:
            self.dismiss(True)
        else:
            self.query_one(Input).value = ""
            self.notify("That is not its name; nothing was halted.", severity="warning")

    def action_cancel(self) -> None:
        """Escape."""
        self.dismiss(False)


class Top(App[None]):
    """One gateway at a time."""

    TITLE = "hwgw top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #head, #pages, #foot { height: 1; width: 100%; }
    #pages { background: $surface; }
    #foot { color: $text-muted; }
    #body { height: 1fr; width: 100%; scrollbar-size-vertical: 1; padding: 0; }
    Help, Confirm { align: center middle; }
    #help, #confirm { width: 76; height: auto; border: round $accent; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"page('{name}')", name, show=False) for number, name in enumerate(PAGES, 1)),
        Binding("tab", "turn(1)", "next page", priority=True, show=False),
        Binding("shift+tab", "turn(-1)", "page before", priority=True, show=False),
        Binding("left", "seek(-1)", "back", show=False),
        Binding("right", "seek(1)", "forward", show=False),
        Binding("shift+left", "seek(-20)", "far back", show=False),
        Binding("shift+right", "seek(20)", "far forward", show=False),
        Binding("end", "now", "now", show=False),
        Binding("space", "hold", "hold", show=False),
        Binding("n", "next", "next gateway", show=False),
        Binding("h", "halt", "halt", show=False),
        Binding("question_mark", "help", "help", show=False),
        Binding("q,ctrl+c", "quit", "quit", show=False),
    ]

    def __init__(self, names: list[str], interval_s: float = 0.5, start_page: str = "overview") -> None:
        super().__init__()
        self.names = names
        self.gateway = names[0]
        self.shown_page = start_page
        self.interval_s = interval_s
        self.seek_ns: int | None = None  # the moment that is shown; None = now
        self.histories: dict[str, History] = {}
        self.look: dict[str, Any] | None = None
        self._error = ""

    def compose(self) -> ComposeResult:
        """Head, names of the pages, the page, the keys."""
        yield Static(id="head")
        yield Static(id="pages")
        with VerticalScroll(id="body"):
            yield Static(id="page")
        yield Static(id="foot")

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one("#body").focus()
        self.take()
        self.set_interval(self.interval_s, self.take)

    @property
    def history(self) -> History:
        """The looks at the gateway that is shown."""
        return self.histories.setdefault(self.gateway, History(step_seconds=self.interval_s / 2))

    def take(self) -> None:
        """Look once, keep it, show it unless somebody looks at an earlier one."""
        try:
            with Segment.attach(self.gateway) as segment:
                self.look = view(segment)
            self.history.add(self.look)
            self._error = ""
        except HwgwError as error:
            self._error = str(error)
        self.show()

    def show(self) -> None:
        """Draw what is to be seen, under whatever asks something just now."""
        if not self.screen_stack:
            return
        base = self.screen_stack[0]
        pages = Text.assemble(
            *(
                (f" {number} {name} ", "reverse" if name == self.shown_page else "")
                for number, name in enumerate(PAGES, 1)
            ),
            no_wrap=True,
        )
        base.query_one("#pages", Static).update(pages)
        look = self.look if self.seek_ns is None else self.history.at(self.seek_ns)
        if look is None:
            base.query_one("#head", Static).update(Text(self._error, "bold red", no_wrap=True))
            return
        ago = (self.history.span_ns()[1] - look["time_ns"]) / 1e9 if self.seek_ns is not None else 0.0
        head = Text(self._error, "bold red", no_wrap=True) if self._error else headline(look, ago)
        base.query_one("#head", Static).update(head)
        base.query_one("#page", Static).update(page(self.shown_page, look, self.history))
        mode = "now" if self.seek_ns is None else "held"
        keys = f" {clock_time(look['time_ns'])} {mode}   ? help  h halt  ← → seek  end now  n next  q quit"
        base.query_one("#foot", Static).update(Text(keys, no_wrap=True))

    def action_page(self, name: str) -> None:
        """Another page."""
        self.shown_page = name
        self.query_one("#body").scroll_home(animate=False)
        self.show()

    def action_turn(self, step: int) -> None:
        """The page beside."""
        names = list(PAGES)
        self.action_page(names[(names.index(self.shown_page) + step) % len(names)])

    def action_seek(self, looks: int) -> None:
        """Back or forward in time; at the end it is now again."""
        oldest, newest = self.history.span_ns()
        at = (self.seek_ns if self.seek_ns is not None else newest) + int(looks * self.interval_s * 1e9)
        self.seek_ns = None if at >= newest else max(at, oldest)
        self.show()

    def action_now(self) -> None:
        """What is so now."""
        self.seek_ns = None
        self.show()

    def action_hold(self) -> None:
        """Hold still, or go on."""
        self.seek_ns = self.history.span_ns()[1] if self.seek_ns is None else None
        self.show()

    def action_next(self) -> None:
        """The next gateway of those named, or of this host."""
        names = self.names if len(self.names) > 1 else gateways() or self.names
        at = names.index(self.gateway) if self.gateway in names else -1
        self.gateway, self.look, self.seek_ns = names[(at + 1) % len(names)], None, None
        self.take()

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Help())

    def action_halt(self) -> None:
        """Ask, then halt."""
        name = self.gateway

        def answered(sure: bool | None) -> None:
            if sure:
                self.halt(name)

        self.push_screen(Confirm(name), answered)

    def halt(self, name: str) -> None:
        """Latch the halt and put it on record, in this order."""
        try:
            with Segment.attach(name, writable=True) as segment:
                newly = segment.halt("halted in hwgw top")
            self.notify(f"{name}: {'halted' if newly else 'was halted already'}", severity="warning", markup=False)
            audit.record(name, "halt", text="halted in hwgw top", newly=newly)
        except HwgwError as error:
            self.notify(f"{name}: {error}", severity="error", timeout=30, markup=False)
        self.take()
