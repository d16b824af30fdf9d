"""The ways out of an alert: a local socket at once; webhook, mail, syslog and programs each from a thread of their own.

SPDX-License-Identifier: MIT

A slow or dead receiver holds up nobody else: each channel has a queue of 256 notices, and what finds it full is counted
and told with the next notice that goes out. What fails is tried again twice.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from hwgw.logs import plain

from .settings import Channel

__all__ = ["ERRORS", "Local", "Say", "Sender", "deliver", "open_channel", "subject"]

Notice = Mapping[str, Any]
Say = Callable[[str, str], None]
"""Takes a level (info, warning) and a line."""
QUEUE_MAX, TRIES, TIMEOUT_SECONDS, RETRY_SECONDS = 256, 3, 10.0, 1.0
_PRIORITY = {"page": 2, "ticket": 4, "note": 6}  # critical, warning, informational of RFC 5424 section 6.2.1
_FACILITY = 3  # system daemons
_encode = json.JSONEncoder(separators=(",", ":")).encode  # dumps() makes an encoder each time


def subject(notice: Notice) -> str:
    """One line, whatever stands in the text."""
    return plain(f"hwgw {notice['gateway']}: {notice['state'].upper()} {notice['rule']}: {notice['text']}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an error: followed, it would lose the notice and take the token along."""

    def redirect_request(self, *_: Any) -> None:
        """Never."""


_open = urllib.request.build_opener(_NoRedirect).open


def _token(file: str) -> str:
    """What stands in the file of a token; the error of a wrong one does not repeat it."""
    try:
        text = Path(file).read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise ValueError(f"{file}: a token is one line of printable ASCII characters")
    return text


def _webhook(channel: Channel, notice: Notice) -> None:
    headers = {"Content-Type": "application/json"}
    if channel.token_file:
        headers["Authorization"] = f"Bearer {_token(channel.token_file)}"
    request = urllib.request.Request(channel.url, json.dumps(notice).encode(), headers)  # noqa: S310 (http or https by the schema)
    with _open(request, timeout=TIMEOUT_SECONDS):
        pass


def _smtp(channel: Channel, notice: Notice) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject(notice), channel.sender, ", ".join(channel.recipients)
    mail.set_content("\n".join(f"{key}: {plain(str(value))}" for key, value in notice.items()))
    with smtplib.SMTP(channel.server, channel.port, timeout=TIMEOUT_SECONDS) as server:
        if channel.tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        server.send_message(mail)


def _syslog(channel: Channel, notice: Notice) -> None:
    priority = _FACILITY * 8 + (_PRIORITY[notice["severity"]] if notice["state"] in ("firing", "repeated") else 6)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(TIMEOUT_SECONDS)
        line.sendto(f"<{priority}>hwgw: {subject(notice)}".encode(), channel.path or "/dev/log")


def _exec(channel: Channel, notice: Notice) -> None:
    subprocess.run(channel.command, input=json.dumps(notice).encode(), timeout=TIMEOUT_SECONDS, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


def _unix(channel: Channel, notice: Notice) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(TIMEOUT_SECONDS)
        line.sendto(_encode(notice).encode(), channel.path)


_ACTS: dict[str, Callable[[Channel, Notice], None]] = {
    "webhook": _webhook, "smtp": _smtp, "syslog": _syslog, "exec": _exec, "unix": _unix,
}  # fmt: skip


ERRORS = (OSError, http.client.HTTPException, smtplib.SMTPException, subprocess.SubprocessError, ValueError)
"""What a channel that does not work raises."""


def deliver(channel: Channel, notice: Notice) -> None:
    """Send one notice and return when the receiver has taken it; one of ERRORS when it has not."""
    _ACTS[channel.kind](channel, notice)


class Sender:
    """A channel of its own thread. log gets what could not be sent."""

    def __init__(self, channel: Channel, log: Say) -> None:
        self.channel, self._log = channel, log
        self.lost_cnt = self.sent_cnt = self.failed_cnt = 0
        self._queue: queue.Queue[Notice | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._run, name=f"alert-{channel.name}", daemon=True)
        self._thread.start()

    def send(self, notice: Notice) -> None:
        """Take a notice; never waits."""
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            self.lost_cnt += 1

    def _run(self) -> None:
        while (notice := self._queue.get()) is not None:
            self._try(notice)

    def _try(self, notice: Notice) -> None:
        lost, self.lost_cnt = self.lost_cnt, 0
        told = {**notice, "lost_before": lost} if lost else notice
        for left in reversed(range(TRIES)):
            try:
                deliver(self.channel, told)
                self.sent_cnt += 1
                return
            except ERRORS as error:
                if not left:
                    why = f"{type(error).__name__}: {error}"
                    self._log("warning", f"channel {self.channel.name}: {why}; given up: {subject(notice)}")
                    self.failed_cnt += 1
                else:
                    time.sleep(RETRY_SECONDS)

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for so long at most."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(seconds)


class Local:
    """A datagram per notice to a socket of this host, from where the alert was found."""

    def __init__(self, channel: Channel, log: Say) -> None:
        self.channel, self._log = channel, log
        self.lost_cnt = self.sent_cnt = self.failed_cnt = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, notice: Notice) -> None:
        """Never waits: a subscriber that does not listen or take loses it, and that is counted."""
        try:
            self._socket.sendto(_encode(notice).encode(), self.channel.path)
            self.sent_cnt += 1
        except OSError as error:
            self.failed_cnt += 1
            self._log("warning", f"channel {self.channel.name}: {error.strerror}; not told: {subject(notice)}")

    def close(self, seconds: float = 0.0) -> None:
        """Nothing waits."""
        self._socket.close()


def open_channel(channel: Channel, log: Say) -> Sender | Local:
    """The sender of a channel."""
    return Local(channel, log) if channel.kind == "unix" else Sender(channel, log)
