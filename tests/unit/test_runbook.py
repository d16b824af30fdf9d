"""The runbook names every alert and every reason, and says of each where to look and what to do.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import yaml
from support.shown import wrong

from hwgw import specs
from hwgw.alerts.conditions import KINDS
from hwgw.cli import VERBS
from hwgw.specs import runbook


def test_every_reason_has_its_text_and_every_text_its_reason() -> None:
    names = {reason.name for reason in specs.reasons()[1:]}
    texts = runbook.texts()
    assert set(texts) == names
    assert len(texts) >= 25
    for name, said in texts.items():
        assert set(said) == {"look", "do"}, name
        assert all(len(text) > 10 for text in said.values()), name


def test_every_page_of_the_site_is_there(root: Path) -> None:
    """But for the first, which is the README, and those made from the tables."""
    nav = (root / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [
        page for page in re.findall(r"[A-Za-z0-9_/-]+\.md", nav) if page != "index.md" and "protocols/" not in page
    ]
    assert len(pages) > 20
    assert [page for page in pages if not (root / "docs" / page).is_file()] == []


def test_the_page_has_them_all_and_names_commands_that_there_are(root: Path, tmp_path: Path) -> None:
    rules = root / "deploy/prometheus/hwgw.rules.yml"
    assert runbook.main([str(rules), str(tmp_path / "new/runbook.md")]) == 0
    page = (tmp_path / "new/runbook.md").read_text(encoding="utf-8")
    alerts = [row["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for row in group["rules"]]
    assert len(alerts) > 20
    for alert in alerts:
        (row,) = re.findall(rf"^\| `{alert}` \| (.*) \|$", page, re.MULTILINE)
        when, means, look, do, severity = row.split(" | ")
        assert all(len(text) > 10 for text in (means, look, do)), alert
        assert severity in ("page", "ticket")
        assert when == next((f"`{name}`" for name, of in runbook.RULES.items() if of == alert), "")
    assert set(runbook.RULES) == set(KINDS)
    assert set(runbook.RULES.values()) <= set(alerts)
    assert "$labels" not in page
    for reason in specs.reasons()[1:]:
        assert f"### {reason.name}\n" in page
    named = re.findall(r"hwgw [a-z]+(?: [a-z]+)?(?= (?:NAME|FOLDER|GATEWAY|--))[^,;.:()|]*", page)
    assert len(named) > 30
    assert [(line, problem) for line in named if (problem := wrong(line))] == []


def test_the_first_days_name_commands_that_there_are(root: Path) -> None:
    """Verbs, verbs of two words, and targets of make."""
    page = (root / "docs/start.md").read_text(encoding="utf-8")
    commands = re.findall(r"`hwgw ([a-z]+)(?: ([a-z-]+))?`", page)
    assert len(commands) > 20
    for verb, second in commands:
        assert verb in VERBS
        if second:
            group = importlib.import_module(f"hwgw.cli.{verb}").command
            assert group.get_command(click.Context(group), second), f"hwgw {verb} {second}"
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([a-z-]+)", page + (root / "docs/extending.md").read_text(encoding="utf-8"))
    assert len(targets) > 6
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_every_file_that_the_page_on_extending_names_is_there(root: Path) -> None:
    page = (root / "docs/extending.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([a-z_]+/[A-Za-z0-9_./]+)`", page)
    assert len(paths) > 15
    assert [path for path in paths if not (root / path).exists()] == []
