"""Several sessions in a configuration: what becomes of it, and what is wrong with it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import pytest

from hwgw.settings import Route, Router

from .test_config import BASE, load, problems

ONE = BASE[BASE.index("session:") : BASE.index("control:")]
CHANNEL = BASE[BASE.index("      - name:") : BASE.index("instruments:")]
KEYS = "\n".join("  " + line for line in ONE.splitlines()[1:])


def two(north: str = "", south: str = "", feed: str = "SOUTH", router: str = "") -> str:
    """The base with two venues: more keys of each, the venue of the second channel, a section router."""
    first = CHANNEL.replace("      - name:", "      - venue: NORTH\n        name:", 1)
    second = first.replace("NORTH", feed).replace("name: ", "name: second-", 1).replace("port: 26", "port: 27")
    sessions = f"sessions:\n  NORTH:\n{KEYS}\n{north}  SOUTH:\n{KEYS}\n{south}{router}"
    return BASE.replace(CHANNEL, first + second).replace(ONE, sessions)


def test_one_session_is_as_it_was() -> None:
    (session,) = load(BASE).sessions
    assert (session.venue, session.when_lost, session.route) == ("", "halt", Route())
    assert [channel.venue for channel in load(BASE).pipelines[0].channels] == [0]


def test_each_channel_tells_of_its_venue_and_each_session_says_what_the_router_may() -> None:
    south = "    when_lost: halt\n    route: {take_fee: 0.0030, make_fee: -0.0020, order_max: 500, open_max: 3}\n"
    said = "router: {children_max: 2, latency_cost: 0.01, fill_cost: 0.005, retries_max: 2}\n"
    settings = load(two(south=south, router=said))
    assert [(session.venue, session.when_lost) for session in settings.sessions] == [
        ("NORTH", "others"), ("SOUTH", "halt"),
    ]  # fmt: skip
    assert settings.sessions[1].route == Route(True, 30, -20, 500, 3)
    assert settings.router == Router(2, 100, 50, 2)
    assert [channel.venue for channel in settings.pipelines[0].channels] == [0, 1]
    assert load(two(south="    route: {enabled: false}\n")).sessions[1].route.enabled is False


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (two(feed="WEST"), "no such venue; one of NORTH, SOUTH is needed"),
        (two(feed="NORTH"), "sessions.SOUTH: no channel names this venue"),
        (two().replace("      - venue: SOUTH\n        name", "      - name", 1),
         "missing; one of NORTH, SOUTH is needed"),
        (two() + ONE, "session: both session and sessions; one is allowed"),
        (BASE + "router: {children_max: 2}\n", "router: there is one venue"),
        (BASE.replace(ONE, ONE + "  when_lost: others\n"), "session.when_lost: there is one venue"),
        (two(south="    route: {order_max: -1}\n"), "sessions.SOUTH.route.order_max"),
        (two(router="router: {children_max: 9}\n"), "router.children_max"),
        (two().replace("  SOUTH:", "  south of here:"), "the name of a venue"),
        (two().replace("backend: udp, local_address: 10.1.2.3", "backend: card, interface: eth0"),
         "card: it has one venue; sessions has several"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    assert any(problem in each for each in problems(text)), problems(text)
