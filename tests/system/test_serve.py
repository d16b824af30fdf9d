"""hwgw serve: what it shows and to whom, what it refuses, and its page in a browser.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import browser
from support.market import PATIENCE_S, Market, until

from hwgw import audit
from hwgw.segment import Segment
from hwgw.web import guard, looks, server
from hwgw.web.guard import Access
from hwgw.web.looks import Looks
from hwgw.web.server import BODY_MAX, CLIENTS_MAX, FILES, STREAMS_MAX, Server

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with Market(tmp_path_factory.mktemp("serve"), rate=2_000, seconds=300) as made:
        made.publish = {"depth": 5}
        made.start()
        with made.attached():
            yield made


@contextlib.contextmanager
def served(
    market: Market, *, token: str = "", control: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[str]]]:
    """A server in this process; its port, and what it logs."""
    log: list[str] = []
    access = Access((), token=token, is_control=control)
    made = Server(("127.0.0.1", 0), access, Looks([market.name], 0.05), tls, log.append)
    port = made.server_address[1]
    access.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield port, log
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def ask(port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    data = json.dumps(body).encode() if body is not None else None
    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent |= {"Origin": f"http://127.0.0.1:{port}"} if method == "POST" else {}
    connection.request(method, path, data, sent | {name.replace("_", "-"): value for name, value in headers.items()})
    with contextlib.closing(connection):
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def raw(port: int, data: bytes) -> bytes:
    """What comes back for bytes as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as line:
        with contextlib.suppress(OSError):
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):
            while chunk := line.recv(65_536):
                answer += chunk
        return answer


def test_every_file_comes_with_a_policy_that_lets_nothing_else_in(market):
    with served(market) as (port, _):
        for path, (_name, kind) in FILES.items():
            status, headers, body = ask(port, "GET", path)
            assert (status, headers["content-type"]) == (200, kind)
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["connection"] == "close"
            outside = [url for url in re.findall(rb"https?://[^\s\"'`)]+", body) if b"www.w3.org" not in url]
            assert outside == [], path
            assert b" style=" not in body
        status, headers, body = ask(port, "HEAD", "/")
        assert (status, body) == (200, b"")
        assert int(headers["content-length"]) > 1000


def test_a_look_is_what_the_segment_says(market):
    with served(market) as (port, _):
        assert json.loads(ask(port, "GET", "/api/gateways")[2]) == {"gateways": [market.name], "control": False}
        look = json.loads(ask(port, "GET", f"/api/view?gateway={market.name}")[2])
        for query in ("gateway=nobody", "", f"gateway={market.name}&gateway=b", "gateway=../x"):
            assert ask(port, "GET", f"/api/view?{query}")[0] == 404
        assert ask(port, "GET", f"/api/view?gateway={market.name}" + "&a=1" * 4)[0] == 400
    assert look["schema"] == "hwgw.view/1"
    with Segment.attach(market.name) as segment:
        now = segment.counters()
    assert 0 < look["counters"]["rx.frames"] <= now["rx.frames"]
    assert sum(look["steps"]["rx"]) <= look["latency_ns"]["rx"]["cnt"] + 10_000
    assert set(look["books"]) == set(look["depth"]) == set(market.exchange.ready["names"])


def test_events_follow_each_other_and_slow_watchers_miss_some(market):
    with served(market) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", f"/events?gateway={market.name}")
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        times = []
        while len(times) < 5:
            line = answer.readline()
            if line.startswith(b"data: "):
                times.append(json.loads(line[6:])["time_ns"])
        assert times == sorted(set(times))
        connection.close()


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n"),
        (421, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        (421, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        (403, b"GET / HTTP/1.1\r\nHost: HOST\r\nOrigin: http://evil.example\r\n\r\n"),
        (403, b"GET / HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: cross-site\r\n\r\n"),
        (403, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\n{}"),
        (403, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: null\r\nContent-Length: 2\r\n\r\n{}"),
        (
            400,
            b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (411, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\n\r\n"),
        (411, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: -1\r\n\r\n"),
        (413, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 99999999999\r\n\r\n"),
        (415, b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 2\r\n\r\n{}"),
        (
            413,
            b"POST /api/halt HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\n"
            b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        ),
        (400, b"GET http://[/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        (400, b"POST http://[/ HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 2\r\n\r\n{}"),
        (400, b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello"),
        (404, b"GET /../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        (404, b"GET /%2e%2e/guard.py HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        (501, b"DELETE / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        (400, b"nonsense\r\n\r\n"),
        (505, b"GET / HTTP/9.9\r\nHost: HOST\r\n\r\n"),
        (414, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
    ],
)
def test_what_is_malformed_or_from_elsewhere_is_refused(market, status, request_):
    with served(market, token=TOKEN, control=True) as (port, log):
        answer = raw(port, request_.replace(b"HOST", f"127.0.0.1:{port}".encode()))
        assert re.match(rb"HTTP/\d\.\d (\d+) ", answer), answer[:200]
        assert int(answer.split()[1]) == status, answer[:300]
        assert b"Traceback" not in answer
        assert log
        assert ask(port, "GET", "/")[0] == 200  # and it goes on
    with Segment.attach(market.name) as segment:
        assert segment.halts == ()


def test_random_bytes_never_hurt(market):
    seed = int(os.environ.get("HWGW_SEED", random.randrange(2**32)))
    print(f"HWGW_SEED={seed}")
    dice = random.Random(seed)
    whole = b"POST /api/halt HTTP/1.1\r\nHost: x\r\nOrigin: x\r\nContent-Type: application/json\r\n\r\n{}"
    with served(market, token=TOKEN, control=True) as (port, log):
        for _ in range(60):
            data = bytearray(whole if dice.random() < 0.7 else dice.randbytes(dice.randrange(1, 400)))
            for _ in range(dice.randrange(1, 8)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            answer = raw(port, bytes(data) + b"\r\n\r\n")
            assert not re.match(rb"HTTP/1.1 (200|5(?!01|05))", answer), (seed, bytes(data), answer[:100])
        assert ask(port, "GET", "/")[0] == 200
        assert not [line for line in log if "Error" in line], log


def test_without_the_token_nothing_is_seen_and_wrong_ones_wear_out(market, monkeypatch):
    with served(market, token=TOKEN) as (port, _):
        assert ask(port, "GET", "/")[0] == 200  # the page itself, which asks for the token
        for path in ("/api/gateways", f"/api/view?gateway={market.name}", f"/events?gateway={market.name}"):
            assert ask(port, "GET", path)[0] == 401
            assert ask(port, "GET", path, Cookie="hwgw=x")[0] == 401
            assert ask(port, "GET", path, Authorization=f"Basic {TOKEN}")[0] == 401
        assert ask(port, "GET", "/api/gateways", Authorization=f"Bearer {TOKEN}")[0] == 200
        status, headers, _ = ask(port, "POST", "/api/login", {"token": TOKEN})
        assert status == 200
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        session = cookie.partition(";")[0]
        assert TOKEN not in session
        assert ask(port, "GET", "/api/gateways", Cookie=session)[0] == 200
        statuses = [ask(port, "POST", "/api/login", {"token": "wrong"})[0] for _ in range(guard.WRONG_MAX + 2)]
        assert statuses == [401] * guard.WRONG_MAX + [429] * 2
        assert ask(port, "POST", "/api/login", {"token": TOKEN})[0] == 429  # nobody, for a minute
        assert ask(port, "GET", "/api/gateways", Cookie=session)[0] == 200  # who was in stays in
        monkeypatch.setattr(guard, "WRONG_SECONDS", 0.0)
        assert ask(port, "POST", "/api/login", {"token": TOKEN})[0] == 200


def test_it_shows_only_unless_it_was_started_with_control(market):
    with served(market, token=TOKEN) as (port, _):
        body = {"gateway": market.name, "confirm": market.name}
        assert ask(port, "POST", "/api/halt", body)[0] == 401
        status, _, said = ask(port, "POST", "/api/halt", body, Authorization=f"Bearer {TOKEN}")
        assert (status, b"--control" in said) == (403, True)
    with Segment.attach(market.name) as segment:
        assert segment.halts == ()


def test_a_halt_needs_token_and_name_and_is_on_record(market, tmp_path, monkeypatch):
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path))
    with served(market, token=TOKEN, control=True) as (port, log):
        right = {"gateway": market.name, "confirm": market.name, "reason": "for the\ntest"}
        who = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(port, "POST", "/api/halt", right)[0] == 401
        assert ask(port, "POST", "/api/halt", right | {"confirm": "yes"}, **who)[0] == 400
        assert ask(port, "POST", "/api/halt", right | {"gateway": "nobody"}, **who)[0] == 404
        assert ask(port, "POST", "/api/halt", [1], **who)[0] == 400
        assert ask(port, "POST", "/api/halt", right, **who, Origin="http://evil.example")[0] == 403
        with Segment.attach(market.name, writable=True) as segment:
            assert segment.halts == ()
            try:
                status, _, said = ask(port, "POST", "/api/halt", right, **who)
                assert (status, json.loads(said)["newly"]) == (200, True)
                assert [row["text"] for row in segment.halts] == ["for the test (dashboard, 127.0.0.1)"]
            finally:
                segment.resume()
        assert [row["action"] for row in audit.verify(market.name)] == ["halt"]
        assert any("halted" in line for line in log)


def test_too_many_watchers_and_connections_are_told_and_others_go_on(market):
    with served(market) as (port, log):
        lines = []
        head = f"GET /events?gateway={market.name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        try:
            for _ in range(STREAMS_MAX):
                line = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
                lines.append(line)
                line.sendall(head)
                assert line.recv(15).startswith(b"HTTP/1.1 200")
            assert raw(port, head).startswith(b"HTTP/1.1 503")
            assert ask(port, "GET", "/api/gateways")[0] == 200
            for _ in range(CLIENTS_MAX - STREAMS_MAX):
                lines.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S))
            until(lambda: raw(port, b"").startswith(b"HTTP/1.1 503"), "no connection is taken any more")
        finally:
            for line in lines:
                line.close()
        until(lambda: _answers(port), "it answers again")
        assert any("connections are open" in line for line in log)


def _answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_body_larger_than_said_is_not_read(market):
    with served(market, token=TOKEN, control=True) as (port, _):
        status, _, _ = ask(port, "POST", "/api/login", {"token": "x" * BODY_MAX})
        assert status == 413


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--listen", "0.0.0.0:0"], 2, "--token-file, --tls-cert and --tls-key are needed"),
        (["--listen", "nonsense"], 2, "ADDRESS:PORT is allowed"),
        (["--tls-cert", "x"], 2, "belong together"),
        (["--token-file", "/nonexistent"], 3, "/nonexistent: No such file"),
        (["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], 3, "No such file"),
    ],
)
def test_mistakes_are_one_line(hwgw, args, code, said):
    done = hwgw("serve", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_token_that_others_may_read_is_none(hwgw, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    assert "others may read it (mode 644)" in hwgw("serve", "--token-file", file).stderr
    file.chmod(0o600)
    file.write_text("short")
    assert "at least 20" in hwgw("serve", "--token-file", file).stderr


@contextlib.contextmanager
def command(market: Market, folder: Path, *args: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """hwgw serve as a process, and the URL that it says."""
    line = [sys.executable, "-m", "hwgw.cli", "serve", market.name, "--listen", "127.0.0.1:0", *args]
    environment = {**os.environ, "HWGW_STATE_DIR": str(folder)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)


def certificate(folder: Path) -> dict[str, Path]:
    """Of 127.0.0.1, signed by itself, and its key."""
    names = {"key": folder / "key.pem", "cert": folder / "cert.pem"}
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    place = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", names["key"], "-out", names["cert"]]
    subprocess.run([*words.split(), *place], check=True, capture_output=True)
    return names


def test_a_handshake_that_is_dripped_does_not_keep_its_place(market, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    names = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(names["cert"], names["key"])
    with served(market, tls=tls) as (port, _), socket.create_connection(("127.0.0.1", port)) as line:
        line.setblocking(False)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(501)  # its record is 512 bytes long
        end = time.monotonic() + PATIENCE_S
        for byte in hello:
            assert time.monotonic() < end, "it waits as long as one byte comes after the other"
            try:
                line.send(bytes([byte]))
                if line.recv(1) == b"":
                    break
            except BlockingIOError:
                time.sleep(0.05)
            except ConnectionError:
                break


def test_over_tls_the_cookie_is_secure_and_plain_text_gets_nothing(market, tmp_path):
    names = certificate(tmp_path)
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN + "\n")
    options = (
        "--tls-cert",
        str(names["cert"]),
        "--tls-key",
        str(names["key"]),
        "--token-file",
        str(token),
        "--control",
    )
    with command(market, tmp_path, *options) as (url, process):
        assert url.startswith("https://127.0.0.1:")
        assert TOKEN not in url
        port = int(url.rstrip("/").rpartition(":")[2])
        context = ssl.create_default_context(cafile=str(names["cert"]))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=context)
        headers = {"Content-Type": "application/json", "Origin": f"https://127.0.0.1:{port}"}
        connection.request("POST", "/api/login", json.dumps({"token": TOKEN}), headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert "Secure" in (answer.getheader("Set-Cookie") or "")
        assert answer.getheader("Strict-Transport-Security")
        connection.close()
        assert b"200" not in raw(port, f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert process.poll() is None
    assert process.returncode == 0


@pytest.fixture(scope="module")
def window() -> Iterator[browser.Browser]:
    if why := browser.missing():
        pytest.skip(why)
    with browser.Browser() as made:
        yield made


def test_the_page_draws_a_running_gateway_and_halts_when_told_twice(market, tmp_path, window):
    with command(market, tmp_path, "--control") as (url, _):
        assert "#token=" in url
        window.go(url)
        until(lambda: window.run("return document.body.dataset.drawn > ''"), "the page is drawn", 3 * PATIENCE_S)
        assert "#token" not in window.run("return location.href")
        assert window.text("#chips").startswith("running")
        parts = ("#tiles .tile", "#latency rect", "#feed .node", "#feed .node.now", "#ledger .row", "#limits .row")
        shown = {part: window.run(f"return document.querySelectorAll('{part}').length") for part in parts}
        with Segment.attach(market.name) as segment:
            steps = len(segment.latency_ns())
        assert shown["#tiles .tile"] == 8
        assert shown["#latency rect"] == steps * 25
        assert shown["#feed .node"] == 8
        assert shown["#feed .node.now"] == 1
        assert shown["#ledger .row"] == 11
        assert shown["#limits .row"] > 5
        window.press(" ")  # hold: the picture and the numbers beside it are of one look
        notes = window.run("return [...document.querySelectorAll('#depth text.ink')].map((each) => each.textContent)")
        levels = [int(note.split(" in ")[1].split()[0]) for note in notes if " in " in note]
        assert window.run("return document.querySelectorAll('#depth rect').length") == sum(levels) > 0
        assert max(levels) <= 5
        window.press(" ")
        drawn = window.run("return document.body.dataset.drawn")
        until(lambda: window.run("return document.body.dataset.drawn") != drawn, "it is drawn again")
        contrast = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        colors = set()
        for scheme in ("light", "dark"):
            window.media(scheme)
            colors.add(tuple(window.run(contrast)))
        assert len(colors) == 2
        # by keyboard alone: h, a reason, the wrong name, the right one
        window.run("document.getElementById('main').focus()")
        window.press("h")
        until(lambda: window.run("return document.getElementById('halt-dialog').open"), "the question is there")
        window.press(*"drill", "tab", *"no")
        assert window.run("return document.getElementById('halt-go').disabled")
        window.press("\ue003", "\ue003", *market.name)
        assert not window.run("return document.getElementById('halt-go').disabled")
        with Segment.attach(market.name, writable=True) as segment:
            assert segment.halts == ()
            try:
                window.press("enter")
                until(lambda: bool(segment.halts), "the gateway is halted")
                assert segment.halts[0]["text"] == "drill (dashboard, 127.0.0.1)"
                until(lambda: "HALTED" in window.text("#banner"), "the page says so")
            finally:
                segment.resume()
        until(lambda: "HALTED" not in window.text("#banner"), "the page sees the resume")
        assert window.errors() == []


def test_the_page_asks_for_the_token(market, tmp_path, window):
    with command(market, tmp_path, "--control") as (url, _):
        bare, _, token = url.partition("#token=")
        window.go(bare)
        until(lambda: window.run("return document.getElementById('login-dialog').open"), "it asks", 3 * PATIENCE_S)
        window.press(*token, "enter")
        until(lambda: window.run("return document.body.dataset.drawn > ''"), "the page is drawn", 3 * PATIENCE_S)


def test_a_look_that_fails_ends_its_watchers_and_who_comes_again_sees(market, monkeypatch):
    """A defect is no picture that stands still."""
    sound = looks.look
    fails = []

    def look(name: str) -> dict:
        if fails:
            raise fails.pop()
        return sound(name)

    monkeypatch.setattr(looks, "look", look)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with served(market) as (port, _):
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            connection.request("GET", f"/events?gateway={market.name}")
            answer = connection.getresponse()
            assert answer.readline().startswith(b"data: {")
            fails.append(RuntimeError("a defect"))
            while answer.readline():
                pass  # the stream ends
            connection.close()


def test_a_reader_that_hangs_is_not_told_as_the_same_picture_again(market, monkeypatch):
    sound, goes_on = looks.look, threading.Event()
    cnt = 0

    def look(name: str) -> dict:
        nonlocal cnt
        cnt += 1
        if cnt == 2:
            goes_on.wait(PATIENCE_S)
        return sound(name)

    monkeypatch.setattr(looks, "look", look)
    with served(market) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", f"/events?gateway={market.name}")
        answer = connection.getresponse()
        lines = [answer.readline() for _ in range(4)]
        goes_on.set()
        assert lines[0].startswith(b"data: {")
        assert lines[1:] == [b"\n", b":\n", b"\n"]
        assert answer.readline().startswith((b"data: {", b":"))
        connection.close()


@pytest.mark.parametrize("whose", ["look-", "process_request_thread"])
def test_what_found_no_thread_keeps_no_place(market, monkeypatch, whose):
    """Threads may be used up for a moment."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if whose in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with served(market) as (port, _):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            head = f"GET /events?gateway={market.name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
            assert {raw(port, head) for _ in range(CLIENTS_MAX + 1)} == {b""}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", f"/events?gateway={market.name}")
        assert connection.getresponse().readline().startswith(b"data: {")
        connection.close()


def test_nothing_is_read_when_nobody_watches(market):
    looks = Looks([market.name], 0.02)
    source = looks.watch(market.name)
    until(lambda: source.number > 2, "looks come")
    looks.leave(source)
    until(lambda: not looks._sources, "the reader ended")
    number = source.number
    time.sleep(0.2)
    assert source.number == number
