"""The tables: what each states, what the reader refuses, what the generators make of them.

SPDX-License-Identifier: MIT
"""

import copy
import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import tables

from hwgw import specs
from hwgw.specs import docs, emit, reader

FOLDER = tables.ROOT / "hwgw" / "specs"
TABLES = specs.WIRE + specs.NATIVE
KEYS = ("layouts", "messages", "packets")


def document(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def items(doc: dict) -> list[dict]:
    return [item for key in KEYS for item in doc.get(key, [])]


# ---- what the tables state, read here without the project's reader ----


@pytest.mark.parametrize("name", TABLES)
def test_fields_of_every_layout_are_contiguous_and_sum_to_its_length(name):
    checked = 0
    for item in items(document(name)):
        position = 0
        for field in item["fields"]:
            assert field["offset"] == position, (item["name"], field["name"])
            position += field["length"]
            checked += 1
        assert position == item["length"], item["name"]
    for number, feature in enumerate(document(name).get("features", [])):
        field = specs.load(name).layout("features").fields[number]
        assert (field.name, field.offset, field.length, field.type) == (feature["name"], 8 * number, 8, "int")
        checked += 1
    assert checked >= {"glimpse": 2, "sent": 5}.get(name, 7)
    assert checked == sum(len(x.fields) for x in specs.load(name).layouts if x.kind != "tag")


@pytest.mark.parametrize("name", TABLES)
def test_every_enum_and_source_is_defined_and_used(name):
    doc = document(name)
    used = {field["enum"] for item in items(doc) for field in item["fields"] if "enum" in field}
    assert used - set(doc.get("enums", {})) == set()
    assert set(doc.get("enums", {})) - used <= {"hist", "option"}  # names of histograms; a part of a field
    ids = {source["id"] for source in doc["sources"]}
    said = [*items(doc), *doc.get("option_tags", []), *doc.get("features", [])]
    cited = [source for item in said for source in item["confirmed_by"]]
    assert cited
    assert set(cited) <= ids


@pytest.mark.parametrize("name", specs.WIRE)
def test_codes_are_unique_per_direction_and_equal_the_constant(name):
    seen = set()
    for item in items(document(name)):
        if "code" not in item:
            continue
        key = (item.get("direction"), item["code"], item.get("versions"))
        assert key not in seen
        seen.add(key)
        (code,) = [f for f in item["fields"] if f["name"] in ("message_type", "packet_type")]
        assert code["const"] == item["code"]
    want = {"ethernet": 0, "moldudp64": 0, "itch50": 23, "soupbintcp": 12, "glimpse": 1, "ouch50": 25, "ouch42": 20}
    assert len(seen) == want[name]


@pytest.mark.parametrize("name", specs.WIRE)
def test_facts_are_those_of_the_shared_tables(name, shared):
    """Fields, offsets, lengths and types of every layout, codes of every enum; no layout is missing."""
    theirs = yaml.safe_load((shared / "specs" / f"{name}.yaml").read_text())
    ours = {(x["name"], x.get("direction")): x for x in items(document(name))}
    compared = 0
    for item in items(theirs):
        if (name, item["name"]) == ("ouch50", "trade_correction"):
            continue  # removed from the protocol
        mine = ours.pop((item["name"], item.get("direction")))
        assert (mine["length"], mine.get("code")) == (item["length"], item.get("code"))
        text = {"token": "ascii"}
        facts = [
            [(f["name"], f["offset"], f["length"], text.get(f["type"], f["type"])) for f in x["fields"]]
            for x in (mine, item)
        ]
        assert facts[0] == facts[1], item["name"]
        compared += len(item["fields"])
    for field, tag in ((f, t) for t in document(name).get("option_tags", []) for f in theirs["option_tags"]):
        if field["tag"] == tag["tag"]:
            assert [field[k] for k in ("name", "value_length", "type")] == [
                tag[k] for k in ("name", "value_length", "type")
            ]
            compared += 1
    assert {key[0] for key in ours} == {
        "itch50": {"message_header"},
        "ouch50": {"tag_element"},  # those two stand outside the lists of layouts there
        "ethernet": {"tcp_header"},  # the card's alone
    }.get(name, set())
    for enum, codes in document(name).get("enums", {}).items():
        source = theirs["enums"].get(enum, theirs["enums"].get("display_out"))
        if "same_as" in source:
            source = theirs["enums"][source["same_as"]] | source["plus"]
        source = set(map(str, source.get("values", source))) - {"below 0x0600"}
        source = {str(int(code, 16)) if code.startswith("0x") else code for code in source}
        assert {str(code) for code in codes} == source
        compared += len(codes)
    assert (
        compared
        >= {
            "ethernet": 60,
            "moldudp64": 10,
            "itch50": 350,
            "soupbintcp": 38,
            "glimpse": 2,
            "ouch50": 300,
            "ouch42": 240,
        }[name]
    )


@pytest.mark.parametrize("name", TABLES)
def test_slugs_are_short(name):
    for enum in specs.load(name).enums.values():
        for code in enum.values:
            assert 0 < len(code.slug) <= 40, (enum.name, code)


def test_names_others_rely_on():
    assert specs.load("ouch50").enum("time_in_force").code("ioc") == "3"
    assert specs.load("ouch50").enum("display").code("hidden") == "N"
    assert specs.load("itch50").enum("side").code("sell") == "S"
    assert specs.load("moldudp64").constant("end_of_session_count") == 0xFFFF
    assert specs.load("ouch50").constant("px_market") == 0x7FFFFFFF
    assert specs.load("itch50").message("A").name == "add_order"
    assert specs.load("ouch50").message("U", "client_to_host").name == "replace_order"
    assert specs.load("ouch50").message("U", "host_to_client").name == "order_replaced"
    with pytest.raises(KeyError, match="enum side has no bye; it has buy, sell"):
        specs.load("itch50").enum("side").code("bye")
    with pytest.raises(KeyError, match="has no layout add"):
        specs.load("itch50").layout("add")


# ---- what the reader refuses ----


def layout(doc: dict, name: str) -> dict:
    return next(item for item in items(doc) if item["name"] == name)


def field(doc: dict, name: str, field_name: str) -> dict:
    return next(f for f in layout(doc, name)["fields"] if f["name"] == field_name)


def hole(doc):
    layout(doc, "add_order")["fields"].remove(field(doc, "add_order", "shares"))


def overlap(doc):
    field(doc, "add_order", "shares")["offset"] -= 1


def wrong_sum(doc):
    layout(doc, "add_order")["length"] += 1


def wrong_length(doc):
    field(doc, "add_order", "price")["length"] = 8


def odd_integer(doc):
    field(doc, "add_order", "stock_locate")["length"] = 3


def duplicate_code(doc):
    layout(doc, "order_delete")["code"] = "X"
    field(doc, "order_delete", "message_type")["const"] = "X"


def duplicate_layout(doc):
    doc["messages"].append(copy.deepcopy(layout(doc, "order_delete")))


def duplicate_field(doc):
    field(doc, "add_order", "price")["name"] = "stock"


def wrong_code_constant(doc):
    field(doc, "add_order", "message_type")["const"] = "B"


def long_constant(doc):
    field(doc, "add_order", "message_type")["const"] = "AB"


def unknown_key(doc):
    field(doc, "add_order", "price")["lenght"] = 4


def unknown_table_key(doc):
    doc["mesages"] = []


def unknown_type(doc):
    field(doc, "add_order", "price")["type"] = "price5"


def unknown_enum(doc):
    field(doc, "add_order", "side")["enum"] = "sides"


def enum_of_text_on_a_number(doc):
    field(doc, "add_order", "shares")["enum"] = "side"


def long_enum_code(doc):
    doc["enums"]["side"]["BB"] = "both"


def boolean_enum_key(doc):
    doc["enums"]["side"][True] = "both"


def equal_slugs(doc):
    doc["enums"]["side"]["b"] = "buy (again)"


def meaning_without_slug(doc):
    doc["enums"]["side"]["b"] = "(again)"


def unknown_source(doc):
    layout(doc, "add_order")["confirmed_by"].append("XX")


def no_name(doc):
    del field(doc, "add_order", "price")["name"]


def message_without_code(doc):
    del layout(doc, "add_order")["code"]


def constant_as_text(doc):
    doc["constants"]["px_max"] = "2000000000"


def negative_offset(doc):
    field(doc, "add_order", "message_type")["offset"] = -1


def other_file(doc):
    doc["protocol"] = "itch51"


REFUSED = [
    (hole, "itch50.yaml: add_order: hole: field stock is at 24, not 20"),
    (overlap, "itch50.yaml: add_order: overlap: field shares is at 19, not 20"),
    (wrong_sum, "itch50.yaml: add_order: fields end at 36, length says 37"),
    (wrong_length, "itch50.yaml: add_order: price: length is 8, type price4 needs 4"),
    (odd_integer, "itch50.yaml: add_order: stock_locate: an integer of 3 bytes is not supported"),
    (duplicate_code, "itch50.yaml: code message 'X' stands twice"),
    (duplicate_layout, "itch50.yaml: layout order_delete stands twice"),
    (duplicate_field, "itch50.yaml: add_order: field stock stands twice"),
    (wrong_code_constant, "itch50.yaml: add_order: message_type: const 'B' is not the code 'A'"),
    (long_constant, "itch50.yaml: add_order: message_type: const 'AB' is not 1 characters"),
    (unknown_key, "itch50.yaml: add_order: price: unknown key 'lenght'"),
    (unknown_table_key, "itch50.yaml: unknown key 'mesages'"),
    (unknown_type, "itch50.yaml: add_order: price: unknown type 'price5'"),
    (unknown_enum, "itch50.yaml: add_order: side: unknown enum 'sides'"),
    (enum_of_text_on_a_number, "itch50.yaml: add_order: shares: enum side does not fit type uint"),
    (long_enum_code, "code 'BB' of enum side is longer than the field"),
    (boolean_enum_key, "itch50.yaml: enum side: key True is not a quoted code"),
    (equal_slugs, "itch50.yaml: enum side: meaning buy stands twice"),
    (meaning_without_slug, "itch50.yaml: enum side: meaning of 'b' is '(again)', not text"),
    (unknown_source, "itch50.yaml: add_order: unknown source XX"),
    (no_name, "itch50.yaml: add_order: field: no name"),
    (message_without_code, "itch50.yaml: add_order: no code"),
    (constant_as_text, "itch50.yaml: constant px_max is '2000000000', not an integer from 0"),
    (negative_offset, "itch50.yaml: add_order: message_type: offset is -1"),
    (other_file, "itch50.yaml: protocol is 'itch51', not the name of the file"),
]


@pytest.mark.parametrize(("mutate", "message"), REFUSED, ids=[mutate.__name__ for mutate, _ in REFUSED])
def test_a_table_that_contradicts_itself_is_refused_by_name(mutate, message):
    doc = document("itch50")
    assert reader.table(copy.deepcopy(doc), "itch50.yaml", {}).layout("add_order").length == 36
    mutate(doc)
    with pytest.raises(specs.SpecError) as caught:
        reader.table(doc, "itch50.yaml", {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_undefined_tag_a_duplicate_tag_and_a_wrong_bit_sum_are_refused():
    doc = document("ouch50")
    layout(doc, "enter_order")["allowed_tags"].append(77)
    with pytest.raises(specs.SpecError, match=re.escape("ouch50.yaml: enter_order: allowed tag 77 is not defined")):
        reader.table(doc, "ouch50.yaml", {})
    doc = document("ouch50")
    doc["option_tags"][1]["tag"] = 1
    with pytest.raises(specs.SpecError, match=re.escape("ouch50.yaml: code tag 1 stands twice")):
        reader.table(doc, "ouch50.yaml", {})
    doc = document("ethernet")
    field(doc, "vlan_tag", "tci")["bits"][0]["bits"] = 4
    with pytest.raises(
        specs.SpecError, match=re.escape("ethernet.yaml: vlan_tag: tci: bits sum to 17, the field has 16")
    ):
        reader.table(doc, "ethernet.yaml", {})


def test_a_record_whose_array_does_not_fit_is_refused():
    records = {x.name: x for name in ("order", "event", "hook", "breaker", "segment") for x in specs.load(name).layouts}
    doc = document("risk")
    assert reader.table(copy.deepcopy(doc), "risk.yaml", records) == specs.load("risk")
    field(doc, "limits", "account")["count"] = 8
    with pytest.raises(specs.SpecError, match="limits: account: length is 1024, type limits_account needs 512"):
        reader.table(doc, "risk.yaml", records)
    doc = document("hook")
    field(doc, "hook", "order")["type"] = "odrer"
    with pytest.raises(specs.SpecError, match=re.escape("hook.yaml: hook: order: unknown type 'odrer'")):
        reader.table(doc, "hook.yaml", records)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol: x\nprotocol: y\n", "x.yaml: line 2: key 'protocol' stands twice"),
        ("enums:\n  e: {1: a, 1: b}\n", "x.yaml: line 2: key 1 stands twice"),
        ("- 1\n", "x.yaml: not a mapping"),
        ("a: [1\n", "x.yaml: not YAML: "),
    ],
)
def test_yaml_that_says_two_things_is_refused(text, message):
    with pytest.raises(specs.SpecError, match=re.escape(message)):
        reader.parse(text, "x.yaml")


def test_a_table_cannot_be_changed_after_it_was_read():
    table = specs.load("itch50")
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.layout("add_order").length = 37
    with pytest.raises(TypeError):
        table.enums["side"] = None
    assert specs.load("itch50") is table


def test_an_unknown_table_is_refused_with_those_there_are():
    with pytest.raises(specs.SpecError, match="no table 'itch51'; there are ethernet, moldudp64"):
        specs.load("itch51")


def test_numpy_is_not_imported_before_it_is_needed():
    code = "import sys; from hwgw import specs; specs.load('ouch50'); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tables.ROOT)
    assert done.stdout == "False\n"


# ---- counters and ledgers ----


def test_a_ledger_counts_every_counter_once_and_no_drop_stands_in_two():
    drops = [name for ledger in specs.ledgers() for name in ledger.drops]
    assert len(drops) == len(set(drops)) > 40
    names = {counter.full_name for counter in specs.counters()}
    for ledger in specs.ledgers():
        parts = [ledger.total, *ledger.used, *ledger.drops]
        assert len(parts) == len(set(parts))
        assert set(parts) <= names
    ends = ("net", "mold", "itch", "book", "risk", "order")
    every = {c.full_name for c in specs.counters() if c.role == "drop" and c.stage in ends}
    assert every == {name for name in drops if name.split(".")[0] in ends}


def test_every_reason_but_pass_has_its_counter_behind_the_risk_stage():
    refused = [counter for counter in specs.counters() if counter.name.startswith("refused_")]
    assert [counter.name for counter in refused] == [f"refused_{r.name}" for r in specs.reasons()[1:]]
    first = refused[0].index
    assert [counter.index for counter in refused] == list(range(first, first + len(refused)))
    assert {counter.stage for counter in refused} == {"risk"}


def test_a_ledger_of_an_unknown_counter_is_refused():
    doc = document("counters")
    doc["ledgers"][0]["drops"].append("net.dropped_*")
    with pytest.raises(specs.SpecError, match=re.escape("ledger frames: no counter net.dropped_*")):
        reader.ledgers(doc, "counters.yaml", specs.counters())
    doc = document("counters")
    doc["ledgers"][0]["used"].append("net.drop_short")
    with pytest.raises(specs.SpecError, match=re.escape("ledger frames: counter net.drop_short stands twice")):
        reader.ledgers(doc, "counters.yaml", specs.counters())


# ---- generated files ----


def test_the_generator_is_quick_repeatable_and_leaves_unchanged_files_alone(tmp_path):
    began = time.perf_counter()
    tables.generate(tmp_path)
    assert time.perf_counter() - began < 5  # 0.2 s on an idle core
    stems = ("records.h", "registers.h", "fix.h", "order_model.h", "wire.h", "fields.h", "fields.c")
    names = {f"hwgw_{stem}" for stem in stems}
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert set(before) == names
    (tmp_path / "hwgw_wire.h").write_text("damaged")
    tables.generate(tmp_path)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert {name: text for name, (text, _) in after.items()} == {name: text for name, (text, _) in before.items()}
    assert {name for name in names if after[name] != before[name]} == {"hwgw_wire.h"}


def test_the_generator_names_the_fault_of_a_table(tmp_path, capsys):
    def broken() -> dict[str, str]:
        doc = document("itch50")
        hole(doc)
        reader.table(doc, "itch50.yaml", {})
        return {}

    assert emit.main("gen.py", [str(tmp_path)], broken) == 1
    assert capsys.readouterr().err == "gen.py: itch50.yaml: add_order: hole: field stock is at 24, not 20\n"
    assert emit.main("gen.py", [], broken) == 2
    assert list(tmp_path.iterdir()) == []


def test_no_name_is_defined_twice_in_the_generated_headers(tmp_path):
    tables.generate(tmp_path)
    text = "".join((tmp_path / name).read_text() for name in ("hwgw_records.h", "hwgw_registers.h", "hwgw_wire.h"))
    names = re.findall(r"^#define (\w+) ", text, re.MULTILINE) + re.findall(r"^  ([A-Z]\w+) = ", text, re.MULTILINE)
    names += re.findall(r"^static inline .*?(\w+)\(", text, re.MULTILINE)
    assert len(names) > 3000
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_pages_show_every_layout_field_code_and_counter():
    pages = docs.pages()
    shown = 0
    for name in TABLES:
        table, text = specs.load(name), pages[f"{name}.md"]
        for item in table.layouts:
            assert f"### {item.name}" in text
            for part in item.fields:
                assert f"| {part.offset} | {part.length} | `{part.name}` |" in text
                shown += 1
        for enum in table.enums.values():
            assert f'<a id="enum-{enum.name}"></a>' in text
            assert all(code.meaning in text for code in enum.values)
        for anchor in re.findall(r"\(#([\w-]+)\)", text):
            assert f'<a id="{anchor}"></a>' in text
    assert shown > 600
    assert all(f"`{counter.full_name}`" in pages["counters.md"] for counter in specs.counters()[1:])
    linked = re.findall(r"\]\((\w+\.md)\)", pages["README.md"])
    assert set(linked) == set(pages) - {"README.md"}


def test_pages_are_written_into_the_folder_that_is_named(tmp_path: Path):
    assert emit.main("docs", [str(tmp_path / "protocols")], docs.pages) == 0
    assert {path.name: path.read_text() for path in (tmp_path / "protocols").iterdir()} == docs.pages()
