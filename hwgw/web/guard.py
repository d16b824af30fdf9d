"""Who may ask the dashboard what: host names, origins, tokens, sessions.

SPDX-License-Identifier: MIT

A browser is a confused deputy: any page that it shows may send requests here. So the Host header must be one of ours (a
name that somebody else's DNS points here is refused), an Origin must be ours, and what changes something needs a token
even on loopback. Tokens are compared in constant time; after some wrong ones nobody is let in for a while.
"""

from __future__ import annotations

import hmac
import http.cookies
import ipaddress
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hwgw.errors import ConfigError
from hwgw.private_file import others_mode

__all__ = ["COOKIE", "Access", "RefusedError", "is_loopback", "read_token"]

COOKIE = "hwgw"
TOKEN_MIN = 20
SESSION_SECONDS = 12 * 3600.0
SESSIONS_MAX = 64
WRONG_MAX, WRONG_SECONDS = 10, 60.0


class RefusedError(Exception):
    """A request that is not answered as asked: HTTP status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def is_loopback(address: str) -> bool:
    """Whether nobody but this host can reach an address; a name is asked for as what it is usually."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def read_token(file: Path) -> str:
    """The token in a file that nobody else may read: one line of at least 20 characters."""
    try:
        mode, text = others_mode(file), file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: a token is of ASCII characters") from None
    if mode:
        raise ConfigError(f"{file}: others may read it (mode {mode:o}); chmod 600 {file}")
    if len(text) < TOKEN_MIN or not text.isprintable() or " " in text:
        raise ConfigError(f"{file}: one line of at least {TOKEN_MIN} printable characters is a token")
    return text


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


class Access:
    """The rules of one server. token "" lets everybody see who reaches it; is_control allows to halt."""

    def __init__(self, hosts: Iterable[str], *, token: str = "", is_control: bool = False, tls: bool = False) -> None:
        if is_control and not token:
            raise ValueError("control needs a token")
        self.hosts = frozenset(host.lower() for host in hosts)
        self.is_control = is_control
        self.needs_token = bool(token)
        self.tls = tls
        self._token = token
        self._lock = threading.Lock()
        self._sessions: dict[str, float] = {}
        self._wrong: list[float] = []

    def host(self, given: list[str]) -> None:
        """The Host headers of a request."""
        if len(given) != 1:
            raise RefusedError(400, "exactly one Host header is allowed")
        if given[0].strip().lower() not in self.hosts:
            raise RefusedError(421, "this server does not answer to that Host; --host allows a name")

    def origin(self, given: str | None, site: str | None, *, changes: bool) -> None:
        """Origin and Sec-Fetch-Site: a request that changes something names one of our origins."""
        if given is None and changes:
            raise RefusedError(403, "a request that changes something needs an Origin")
        scheme = "https://" if self.tls else "http://"
        if given is not None and given.lower() not in {scheme + host for host in self.hosts}:
            raise RefusedError(403, "from another origin")
        if site not in (None, "same-origin", "none"):
            raise RefusedError(403, "from another site")

    def login(self, given: str) -> str:
        """A new session for who knows the token."""
        now = time.monotonic()
        with self._lock:
            self._wrong = [at for at in self._wrong if now - at < WRONG_SECONDS]
            if len(self._wrong) >= WRONG_MAX:
                raise RefusedError(429, "too many wrong tokens; wait a minute")
            if not self.needs_token or not _is_same(given, self._token):
                self._wrong.append(now)
                raise RefusedError(401, "that is not the token")
            self._sessions = {key: end for key, end in self._sessions.items() if end > now}
            if len(self._sessions) >= SESSIONS_MAX:
                self._sessions.pop(min(self._sessions, key=self._sessions.__getitem__))
            session = secrets.token_urlsafe(32)
            self._sessions[session] = now + SESSION_SECONDS
        return session

    def may_see(self, authorization: str | None, cookies: str | None) -> bool:
        """Whether a request carries the token, or the cookie of a session that still holds."""
        if not self.needs_token:
            return True
        if authorization is not None:
            kind, _, given = authorization.partition(" ")
            if kind.lower() != "bearer":
                return False
            self._forget(self.login(given.strip()))
            return True
        try:
            morsel = http.cookies.SimpleCookie(cookies or "").get(COOKIE)
        except http.cookies.CookieError:
            return False
        with self._lock:
            return morsel is not None and self._sessions.get(morsel.value, 0.0) > time.monotonic()

    def _forget(self, session: str) -> None:
        with self._lock:
            self._sessions.pop(session, None)
