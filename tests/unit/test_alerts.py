"""Alerts: what begins, lasts and ends is told once, by every channel; what is wrong with the configuration is named.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.market import PATIENCE_S, until
from support.rig import open_limits

from hwgw import config
from hwgw.alerts.channels import ERRORS, QUEUE_MAX, Sender, deliver, subject
from hwgw.alerts.conditions import KINDS, Marks
from hwgw.alerts.schema import CHANNEL_KEYS, RULE_KEYS
from hwgw.alerts.settings import Alerts, Channel, Rule
from hwgw.alerts.watch import Watcher, notice_of
from hwgw.errors import ConfigError
from hwgw.native import ffi, lib
from hwgw.segment import Segment
from hwgw.specs import counters, dtype

SECOND = 10**9
NOTICE = notice_of("gw", Rule("r", "halted", ("c",)), "k", "firing", "a text", 1)


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment.create(f"alerts-{os.getpid()}", ["AAPL", "MSFT"], journal_sz_bytes=65_536) as made:
        made.publish_limits(open_limits(2))
        yield made
        for symbol in made.instrument_halts:
            made.resume_instrument(symbol)
        made.resume()


class Told:
    """A watcher whose channel is a list."""

    def __init__(self, segment: Segment | None, *rules: Rule, **times: int) -> None:
        self.notices: list[dict] = []
        rules_ = tuple(dataclasses.replace(rule, channels=("list",)) for rule in rules)
        self.watcher = Watcher("gw", Alerts((), rules_, **times))
        self.watcher.channels["list"] = self  # type: ignore[assignment]
        self.watcher.attach(segment)

    def send(self, notice: dict) -> None:
        self.notices.append(dict(notice))

    def states(self) -> list[tuple[str, str, str]]:
        """What was told since the last call."""
        found = [(each["state"], each["rule"], each["key"]) for each in self.notices]
        self.notices.clear()
        return found


def test_an_alert_is_told_once_and_its_end_once(segment):
    told = Told(segment, Rule("stop", "halted", ()), settle_ns=0)
    told.watcher.look()
    assert told.states() == []
    segment.halt("the button", "operator")
    assert told.watcher.poll()
    assert [each["text"] for each in told.notices] == [f"halted, operator: the button (uid {os.getuid()})"]
    assert told.states() == [("firing", "stop", "operator")]
    for _ in range(3):
        told.watcher.look()
        assert not told.watcher.poll()
    assert told.states() == []
    segment.halt("money", "loss")
    assert told.watcher.poll()
    assert told.states() == [("firing", "stop", "loss")]
    segment.resume("operator")
    assert told.watcher.poll()
    assert told.states() == [("recovered", "stop", "operator")]
    segment.resume()
    told.watcher.poll()
    assert told.states() == [("recovered", "stop", "loss")]


CAUSES = {
    "a halt": lambda segment: segment.halt("x"),
    "another reason": lambda segment: segment.halt("money", "loss"),
    "an instrument": lambda segment: segment.halt_instrument("MSFT", "x"),
    "its resume": lambda segment: segment.resume_instrument("MSFT"),
    "a resume": lambda segment: segment.resume(),
}


def test_every_halt_and_resume_wakes_those_who_listen_in_other_processes(segment):
    """They read the segment and cannot write it; the first call is to return at once, as one halt has been before."""
    segment.halt("before", "breaker")
    code = (
        "import sys; from hwgw.segment import Segment; segment = Segment.attach(sys.argv[1]); seq = 0\n"
        "for _ in range(int(sys.argv[2]) + 1): seq = segment.halt_listen(seq, 3600); print(seq, flush=True)"
    )
    command = [sys.executable, "-c", code, segment.name, str(len(CAUSES))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        guard = threading.Timer(3 * PATIENCE_S, listener.kill)
        guard.start()
        try:
            assert listener.stdout.readline() == "1\n"
            for seq, (what, act) in enumerate(CAUSES.items(), 2):
                time.sleep(0.01)  # most often it sleeps by now; it is told all the same if not
                assert act(segment), what
                assert listener.stdout.readline() == f"{seq}\n", what
        finally:
            guard.cancel()
    assert listener.returncode == 0


def test_who_listens_for_long_enough_hears_that_there_was_nothing(segment):
    assert segment.halt_listen(0, 0.01) == 0


def test_a_halt_is_told_without_waiting_for_the_next_poll(segment, tmp_path):
    """The next poll and the next look are an hour away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "local"))
        local.settimeout(PATIENCE_S)
        channel = Channel("local", "unix", path=str(tmp_path / "local"))
        times = {"poll_ns": 3600 * SECOND, "interval_ns": 3600 * SECOND, "settle_ns": 0}
        watcher, stop = (
            Watcher("gw", Alerts((channel,), (Rule("stop", "halted", ("local",)),), **times)),
            threading.Event(),
        )
        watcher.attach(segment)
        thread = threading.Thread(target=watcher.run, args=(stop,))
        thread.start()
        try:
            for act, state in ((lambda: segment.halt("x"), "firing"), (segment.resume, "recovered")) * 3:
                time.sleep(0.01)
                act()
                assert json.loads(local.recv(65_536))["state"] == state
        finally:
            stop.set()
            segment.halt("wakes it")
            thread.join(PATIENCE_S)
            watcher.close()
        assert not thread.is_alive()


def test_what_flickers_is_told_once(segment):
    told = Told(segment, Rule("stop", "halted", ()), settle_ns=3600 * SECOND)
    for _ in range(5):
        segment.halt("x")
        told.watcher.look()
        segment.resume()
        told.watcher.look()
    assert told.states() == [("firing", "stop", "operator")]


def test_what_does_not_last_is_not_told_and_what_lasts_is_repeated(segment):
    told = Told(segment, Rule("stop", "halted", (), for_ns=3600 * SECOND), settle_ns=0)
    segment.halt("x")
    told.watcher.look()
    segment.resume()
    told.watcher.look()
    assert told.states() == []
    told = Told(segment, Rule("stop", "halted", ()), settle_ns=0, repeat_ns=1)
    segment.halt("x")
    told.watcher.look()
    time.sleep(0.001)
    told.watcher.look()
    assert told.states() == [("firing", "stop", "operator"), ("repeated", "stop", "operator")]


def rows(pointer: object, table: str, layout: str) -> np.ndarray:
    kind = dtype(table, layout)
    return np.frombuffer(ffi.buffer(pointer, kind.itemsize), kind)


def test_every_kind_of_rule_begins_and_ends(segment):
    control = segment.control
    channel = rows(lib.hwgw_segment_channel(segment.pointer, 0, 0), "segment", "channel")
    channel["line_cnt"], channel["state"] = 1, 1
    segment.threads["session_state"], segment.threads["receive_state"] = 3, 1
    breaker = rows(lib.hwgw_segment_breaker(segment.pointer, 0), "breaker", "breaker_row")
    breaker["name"], breaker["kind"], breaker["scope"], breaker["action"] = b"rejects", 1, 1, 1
    block = lib.hwgw_segment_counters(segment.pointer, 0)
    values = np.frombuffer(ffi.buffer(block, 8 * len(counters())), np.uint64)
    number = next(each.index for each in counters() if each.full_name == "rx.drop_nic")
    ring = lib.hwgw_segment_journal(segment.pointer, 0)

    def halt_one() -> None:
        segment.halt_instrument("MSFT", "x")

    def halt_venue() -> None:
        segment.threads[0]["session_cnt"] = 2
        segment.threads[0]["session"]["venue"][:2] = [b"NORTH", b"SOUTH"]
        segment.halt_venue("SOUTH", "x")

    def set_(array: np.ndarray, field: str, value: int):
        return lambda: array.__setitem__(field, value)

    acts = {
        "halted": (lambda: segment.halt("x"), lambda: segment.resume(), "operator"),
        "instrument_halted": (halt_one, lambda: segment.resume_instrument("MSFT"), "MSFT"),
        "venue_halted": (halt_venue, lambda: segment.resume_venue("SOUTH"), "SOUTH"),
        "breaker": (set_(breaker, "trips", 1), lambda: time.sleep(0.25), "rejects"),
        "feed": (set_(channel, "state", 2), set_(channel, "state", 1), "0/0"),
        "session": (set_(segment.threads, "session_state", 7), set_(segment.threads, "session_state", 3), "0"),
        "receive": (set_(segment.threads, "receive_state", 2), set_(segment.threads, "receive_state", 1), "0"),
        "heartbeat": (lambda: control.__setitem__("beat_ns", 1), segment.beat, "control"),
        "limit": (
            lambda: segment.exposures[-1].__setitem__("filled_notional", 2**62),
            lambda: segment.exposures[-1].__setitem__("filled_notional", 0),
            "gateway.credit_max",
        ),
        "journal": (lambda: setattr(ring, "error", 28), lambda: setattr(ring, "error", 0), "0"),
        "counter": (lambda: values.__setitem__(number, 7), lambda: time.sleep(0.25), "rx.drop_nic"),
    }
    assert set(acts) == set(KINDS) - {"gone"} == set(RULE_KEYS) - {"gone"}
    assert KINDS["heartbeat"](segment, Rule("beat", "heartbeat", ()), Marks(), 0) == {}  # it has not begun
    segment.beat()
    for when, (begin, end, key) in acts.items():
        rule = Rule(when, when, (), window_ns=SECOND // 5, counter="rx.drop_nic", bound_ns=60 * SECOND)
        told = Told(segment, rule, settle_ns=0)
        told.watcher.look()
        assert told.states() == [], when
        begin()
        told.watcher.look()
        assert told.states() == [("firing", when, key)], when
        end()
        told.watcher.look()
        assert told.states() == [("recovered", when, key)], when


def test_a_gateway_that_is_gone_and_comes_back(segment):
    told = Told(None, Rule("end", "gone", ()), Rule("stop", "halted", ()), settle_ns=0)
    told.watcher.look()
    assert told.states() == [("firing", "end", "gateway")]
    assert not told.watcher.poll()


def test_a_rise_is_counted_within_its_window_and_from_a_new_start():
    marks = Marks()
    assert marks.rise("k", 1000, 0, 10) == 0  # what was before is not news
    assert marks.rise("k", 1004, 5, 10) == 4
    assert marks.rise("k", 1004, 14, 10) == 4
    assert marks.rise("k", 1004, 15, 10) == 0
    assert marks.rise("k", 3, 16, 10) == 3  # started anew


class Mail(socketserver.StreamRequestHandler):
    """The server's side of RFC 5321, as much as one mail needs."""

    got: list[str] = []  # noqa: RUF012 (of the test)

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go\r\n")
                text = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    text += part
                self.got.append(text.decode())
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


class Hook(http.server.BaseHTTPRequestHandler):
    got: list[tuple[str, dict]] = []  # noqa: RUF012 (of the test)
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.got.append((self.headers.get("Authorization", ""), json.loads(body or b"{}")))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 (the name of the base class)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[tuple[dict[str, Channel], socket.socket, socket.socket]]:
    """A receiver of every kind, and the channels to them."""
    Mail.got, Hook.got, Hook.status = [], [], 200
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    log, local = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    log.bind(str(tmp_path / "log"))
    local.bind(str(tmp_path / "local"))
    for each in (log, local):
        each.settimeout(PATIENCE_S)
    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as mail,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as hook,
    ):
        for server in (mail, hook):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        write = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
        url = f"http://127.0.0.1:{hook.server_address[1]}/x"
        channels = [
            Channel("webhook", "webhook", url=url, token_file=str(token)),
            Channel(
                "smtp", "smtp", server="127.0.0.1", port=mail.server_address[1], sender="a@b.c", recipients=("d@e.f",)
            ),
            Channel("syslog", "syslog", path=str(tmp_path / "log")),
            Channel("exec", "exec", command=(sys.executable, "-c", write, str(tmp_path / "said"))),
            Channel("unix", "unix", path=str(tmp_path / "local")),
        ]
        try:
            yield {each.name: each for each in channels}, log, local
        finally:
            mail.shutdown()
            hook.shutdown()
            log.close()
            local.close()


def test_every_channel_brings_the_notice(receivers, tmp_path):
    channels, log, local = receivers
    assert set(channels) == set(CHANNEL_KEYS)
    for channel in channels.values():
        deliver(channel, NOTICE)
    assert Hook.got == [("Bearer secret", NOTICE)]
    (mail,) = Mail.got
    assert f"Subject: {subject(NOTICE)}" in mail
    assert "severity: page" in mail
    assert log.recv(4096).decode() == f"<26>hwgw: {subject(NOTICE)}"  # daemon x 8 + critical
    assert json.loads((tmp_path / "said").read_text()) == NOTICE
    assert json.loads(local.recv(65_536)) == NOTICE


def test_a_receiver_that_fails_is_tried_again_and_then_told_of(receivers, monkeypatch):
    channels, _, _ = receivers
    monkeypatch.setattr("hwgw.alerts.channels.RETRY_SECONDS", 0.01)
    said: list[str] = []
    Hook.status = 503
    sender = Sender(channels["webhook"], lambda level, line: said.append(f"{level} {line}"))
    sender.send(NOTICE)
    until(lambda: sender.failed_cnt == 1, "it gave up")
    assert len(Hook.got) == 3
    assert said[0].startswith("warning channel webhook: HTTPError")
    assert "503" in said[0]
    Hook.status = 200
    sender.send(NOTICE)
    sender.close()
    assert sender.sent_cnt == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_receiver_that_leads_elsewhere_has_not_taken_it_and_the_token_does_not_go_there(receivers, status):
    Hook.status = status
    with pytest.raises(ERRORS, match=str(status)):
        deliver(receivers[0]["webhook"], NOTICE)
    assert Hook.got == [("Bearer secret", NOTICE)]


@pytest.mark.parametrize(
    "said", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + b"x: y\r\n" * 200]
)
def test_whatever_a_receiver_answers_its_channel_goes_on(monkeypatch, said):
    monkeypatch.setattr("hwgw.alerts.channels.RETRY_SECONDS", 0.001)

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        sender = Sender(
            Channel("hook", "webhook", url=f"http://127.0.0.1:{server.server_address[1]}/"), lambda *_: None
        )
        for cnt in (1, 2):
            sender.send(NOTICE)
            until(lambda cnt=cnt: sender.failed_cnt == cnt, "it gave up")
        sender.close()
        server.shutdown()


@pytest.mark.parametrize("raw", [b"secret\nmore\n", b"secret\xff\n", b" \n", b"secret\0"])
def test_a_token_that_is_none_is_told_without_it(receivers, tmp_path, raw):
    (tmp_path / "token").write_bytes(raw)
    with pytest.raises(ERRORS, match="one line of printable ASCII") as error:
        deliver(receivers[0]["webhook"], NOTICE)
    assert "secret" not in str(error.value)
    assert Hook.got == []


def test_a_text_of_several_lines_is_one_line_of_a_mail_and_of_the_log(receivers):
    """As `hwgw halt --reason` may have it, or a venue."""
    channels, log, _ = receivers
    notice = {**NOTICE, "text": "a\nBcc: x@y.z\x1b[2J", "state": "repeated"}
    for name in ("smtp", "syslog"):
        deliver(channels[name], notice)
    (mail,) = Mail.got
    assert r"a\nBcc: x@y.z\x1b[2J" in mail.replace("\r\n ", " ")
    assert not re.search(r"^Bcc:", mail, re.MULTILINE)
    line = log.recv(4096).decode()
    assert line == f"<26>hwgw: {subject(notice)}"  # told again it is as urgent
    assert line.isprintable()


def test_a_receiver_that_hangs_holds_nobody_up_and_what_it_misses_is_counted(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as dead:  # takes connections and never answers
        url = f"http://127.0.0.1:{dead.getsockname()[1]}/"
        sender = Sender(Channel("hook", "webhook", url=url), lambda *_: None)
        begin = time.monotonic()
        for _ in range(QUEUE_MAX + 50):
            sender.send(NOTICE)
        assert time.monotonic() - begin < PATIENCE_S / 4
        assert sender.lost_cnt >= 49
        sender.close(0.01)


ALERTS = """
alerts:
  poll: 1ms
  settle: 0s
  channels:
    local: {kind: unix, path: local}
    dead: {kind: exec, command: [/bin/false]}
  rules:
    halted: {when: halted, channels: [local]}
    gone: {when: gone, channels: [local]}
"""


WITH_TOKEN = "kind: webhook, token_file: t, url:"


@pytest.fixture
def example(root: Path, tmp_path: Path) -> Path:
    """The example with a section alerts, under a name of its own."""
    text = (
        (root / "deploy/examples/gateway.yaml").read_text().replace("name: example ", f"name: alerts-{os.getpid()} ", 1)
    )
    path = tmp_path / "gateway.yaml"
    path.write_text(text.partition("\n# alerts:")[0] + ALERTS)
    return path


def test_the_example_of_the_example_is_read(root: Path, tmp_path: Path):
    """What stands commented out in the example is right, and has every kind of channel."""
    before, _, after = (root / "deploy/examples/gateway.yaml").read_text().partition("\n# alerts:")
    after = after.partition("\n\n")[0]  # other sections follow
    path = tmp_path / "gateway.yaml"
    path.write_text(before + "\nalerts:" + after.replace("\n#", "\n"))
    alerts = config.load(path).alerts
    assert {each.kind for each in alerts.channels} == set(CHANNEL_KEYS)
    assert len(alerts.rules) == 6
    assert (alerts.poll_ns, alerts.rules[4].above) == (1_000_000, 9_000)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: unix, path: local", "kind: unix", "alerts.channels.local.path: missing; unix needs it"),
        ("kind: unix,", "kind: unix, url: 'http://x',", "alerts.channels.local.url: unix has no use for it"),
        ("channels: [local]}\n    gone", "channels: [loca]}\n    gone", "loca: no such channel; there are local, dead"),
        ("when: halted", "when: halt", "halt: "),
        ("when: halted", "when: counter", "alerts.rules.halted.counter: missing; counter needs it"),
        ("when: halted", "when: counter, counter: rx.nonsense", "rx.nonsense"),
        ("poll: 1ms", "poll: 1ns", "1ns: out of range"),
        ("kind: unix, path: local", "kind: webhook, url: 'file:///etc/passwd'", "a URL of http or https"),
        ("kind: unix, path: local", f"{WITH_TOKEN} 'http://hooks.example/x'", "token_file: sent in the clear"),
        ("kind: unix, path: local", f"{WITH_TOKEN} 'http://10.0.0.1/x'", "token_file: sent in the clear"),
        ("kind: unix, path: local", f"{WITH_TOKEN} 'http://[::ffff/x'", "token_file: sent in the clear"),
    ],
)
def test_mistakes_are_named(example, old, new, said):
    text = example.read_text()
    assert old in text
    example.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as error:
        config.load(example)
    assert said in "\n".join(str(each) for each in error.value.problems)


@pytest.mark.parametrize(
    "place", ["https://hooks.example", "http://127.0.0.1:80", "http://localhost", "http://[::1]:80"]
)
def test_a_token_goes_over_tls_or_to_this_host(example, place):
    example.write_text(example.read_text().replace("kind: unix, path: local", f"{WITH_TOKEN} '{place}/x'"))
    assert config.load(example).alerts.by_name["local"].url == f"{place}/x"


def test_a_token_that_others_can_read_is_none(example):
    example.write_text(
        example.read_text().replace("kind: unix, path: local", f"{WITH_TOKEN} 'https://hooks.example/x'")
    )
    token = example.with_name("t")
    token.write_text("secret")
    token.chmod(0o640)
    with pytest.raises(ConfigError, match=r"token_file: .*/t: others can read it \(mode 0640\)"):
        config.load(example)
    token.chmod(0o600)
    assert config.load(example).alerts.by_name["local"].token_file == str(token)


def test_a_test_says_of_each_channel_whether_it_was_taken(hwgw, example, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "local"))
        local.settimeout(PATIENCE_S)
        done = hwgw("alert", "test", example, "--json")
        assert json.loads(local.recv(65_536))["state"] == "test"
    rows_ = {row["channel"]: row for row in json.loads(done.stdout)["channels"]}
    assert done.returncode == 1
    assert rows_["local"]["ok"] is True
    assert "non-zero exit status" in rows_["dead"]["why"]
    done = hwgw("alert", "test", example, "--channel", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such channel; there are local, dead" in done.stderr


def test_the_watcher_tells_a_local_subscriber_and_survives_its_gateway(example, tmp_path):
    name = f"alerts-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "local"))
        local.settimeout(3 * PATIENCE_S)
        command = [sys.executable, "-m", "hwgw.cli", "alert", "watch", str(example)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watch:
            try:
                got = lambda: (lambda row: (row["state"], row["rule"]))(json.loads(local.recv(65_536)))  # noqa: E731
                assert got() == ("firing", "gone")
                with Segment.create(name, ["AAPL"]) as segment:
                    assert got() == ("recovered", "gone")
                    segment.halt("drill")
                    assert got() == ("firing", "halted")
                    segment.resume()
                    assert got() == ("recovered", "halted")
                assert got() == ("firing", "gone")
            finally:
                watch.send_signal(signal.SIGINT)
                _, stderr = watch.communicate(timeout=PATIENCE_S)
        assert watch.returncode == 0
        assert "Traceback" not in stderr


def test_of_a_gateway_that_has_ended_nothing_is_said_but_that(example, tmp_path):
    """Nobody beats any more in what it left."""
    name = f"alerts-{os.getpid()}"
    example.write_text(example.read_text() + "    beat: {when: heartbeat, channels: [local], bound: 1s}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "local"))
        local.settimeout(3 * PATIENCE_S)
        command = [sys.executable, "-m", "hwgw.cli", "alert", "watch", str(example)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watch:
            try:
                got = lambda: (lambda row: (row["state"], row["rule"]))(json.loads(local.recv(65_536)))  # noqa: E731
                assert got() == ("firing", "gone")
                for _ in range(2):
                    with Segment.create(name, ["AAPL"]) as segment:
                        segment.beat()
                        assert got() == ("recovered", "gone")
                        segment.beat()
                    assert got() == ("firing", "gone")
                    time.sleep(2)
            finally:
                watch.send_signal(signal.SIGINT)
                watch.communicate(timeout=PATIENCE_S)
        assert watch.returncode == 0
