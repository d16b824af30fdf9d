"""hwgw tune record and diff: keep a host's state, and compare hosts.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, verb
from .tune_common import shorten


@verb("record", of="tune")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--root", default="/", show_default=True, help="A recorded or made tree that stands for the machine.")
def record(out: Output, file: Path, root: str) -> int:
    """Keep this host's state in FILE (tar.gz), which --root takes in place of the machine.

    What hwgw looks at: files of the kernel, settings of NICs, boot and sysctl defaults, names of processes without
    their arguments. For support, for tests, and for diff.
    """
    from hwgw.tune.host import Host
    from hwgw.tune.record import record as take

    data, about = take(Host(root))
    file.write_bytes(data)
    out.emit({"file": str(file), "bytes": len(data), **{key: value for key, value in about.items() if key != "schema"}})
    out.say(f"{file}: {about['files']} files, {about['links']} links")
    unread = about["unread"]
    assert isinstance(unread, dict)  # noqa: S101 (for the type checker)
    if unread:
        out.row("note: ", f"{len(unread)} files could not be read (-v names them)")
        for path, why in unread.items():
            out.note(f"{path}: {why}")
    return 0


@verb("diff", of="tune")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
def diff(out: Output, one: str, other: str) -> int:
    """What two hosts are set to differently.

    A and B are archives of `hwgw tune record`, trees, or / for this host. Hosts of different size compare by value: a
    knob that has one value on every CPU of both is equal. Exit code 1 when there are differences.
    """
    from hwgw.tune.compare import compare
    from hwgw.tune.host import Host

    found = list(compare(Host(one), Host(other)))
    out.emit({"a": one, "b": other, "differences": [row.as_dict() for row in found]})
    for kind, title in (("fact", "hardware and kernel"), ("knob", "settings")):
        rows = [row for row in found if row.kind == kind]
        if rows:
            out.say(title)
        for row in rows:
            out.row(f"  {row.name:<26} ", f"{shorten(row.one)} | {shorten(row.other)}")
            for place in row.places if out.level > 0 else ():
                out.row("      ", place)
    out.say(f"{len(found)} differences" if found else "no difference")
    return 1 if found else 0
