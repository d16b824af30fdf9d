"""hwgw tune: plan, apply, verify and roll back what a host is set to.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib

import click

# verb: the module that has it, and what --help says; adding one is a line
COMMANDS = {
    "discover": ("tune_discover", "What this host is, and where a gateway should run on it."),
    "plan": ("tune_plan", "What a profile would change on this host; nothing is written."),
    "apply": ("tune_apply", "Change this host to what a profile says."),
    "verify": ("tune_verify", "Whether this host is as a profile says: what is in force, not what was asked for."),
    "rollback": ("tune_apply", "Put back what apply changed."),
    "status": ("tune_status", "What was changed on this host, when, and whether it can be put back."),
    "explain": ("tune_explain", "What a knob does, what it risks, how it is checked and undone."),
    "record": ("tune_record", "Keep this host's state in a file that --root takes in place of the machine."),
    "diff": ("tune_record", "What two hosts are set to differently."),
    "report": ("tune_report", "A host in writing: what is set and why, what is missing, how it feels."),
    "lint-cmdline": ("tune_explain", "What is wrong with a kernel command line on this host."),
}


class Commands(click.Group):
    """The verbs, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hwgw.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group("tune", cls=Commands)
def command() -> None:
    """Plan, apply, verify and roll back what a host is set to.

    A profile is one that is shipped (latency, throughput, lab, minimal) or a YAML file. Looking takes no privilege.
    With --root DIR a recorded or made tree stands for the machine.
    """
