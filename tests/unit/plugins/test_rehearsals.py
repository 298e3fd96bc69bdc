"""What a rehearsal of CNI calls shows: calls that fail, links that are another network's, the node's network."""

from __future__ import annotations

import pytest

from fixtures.plugincalls import Answer, Call
from fixtures.rehearsals import Rehearsal, State, Turn

QUIET = {"eth0": ["eth0 as it was"], "podred": ["podred as it was"]}
RED = {**QUIET, "podred": ["podred joined"], "tapred": ["tapred new"]}
BOTH = {**RED, "eth0": ["eth0 joined"], "tap0": ["tap0 new"]}


def state(pod: dict[str, list[str]], *node: str) -> State:
    return State.of({"node": ["link cni0", *node], "pod": dict(pod)})


def rehearsal(monkeypatch: pytest.MonkeyPatch, *states: State, status: int = 0) -> Rehearsal:
    """ADD for red, ADD for the pod network, DEL for red, each between two of the states."""
    monkeypatch.setattr("fixtures.rehearsals._links", lambda: ["eth0", "podred"])
    turns = []
    for place, (interface, command) in enumerate((("podred", "ADD"), ("eth0", "ADD"), ("podred", "DEL"))):
        call = Call("plugin", {"CNI_COMMAND": command, "CNI_NETNS": "n"}, {})
        turns.append(Turn(interface, Answer(call, status, "", ""), states[place], states[place + 1]))
    return Rehearsal(tuple(turns))


def test_a_plugin_that_keeps_to_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    end = {**BOTH, "podred": QUIET["podred"]}
    del end["tapred"]
    seen = rehearsal(monkeypatch, state(QUIET), state(RED), state(BOTH), state(end))
    assert (seen.failures(), seen.trespasses(), seen.node_changes()) == ((), (), ())


@pytest.mark.parametrize(
    ("states", "words"),
    [
        # the first call takes the pod network's link
        ((QUIET, {**QUIET, "eth0": ["eth0 joined"]}, BOTH, BOTH), "ADD for podred: + eth0 joined"),
        # the second changes what the first made
        ((QUIET, RED, {**BOTH, "tapred": ["tapred down"]}, BOTH), "ADD for eth0: + tapred down"),
        # the last takes away what is the second's
        ((QUIET, RED, BOTH, {key: BOTH[key] for key in BOTH if key != "tap0"}), "DEL for podred: - tap0 new"),
    ],
)
def test_a_plugin_that_takes_anothers(
    monkeypatch: pytest.MonkeyPatch, states: tuple[dict[str, list[str]], ...], words: str
) -> None:
    assert words in rehearsal(monkeypatch, *map(state, states)).trespasses()


def test_a_plugin_that_changes_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = state(RED, "sysctl net/ipv4/ip_forward = 1")
    seen = rehearsal(monkeypatch, state(QUIET), changed, state(BOTH, "sysctl net/ipv4/ip_forward = 1"), state(BOTH))
    assert seen.node_changes() == (
        "ADD for podred: + sysctl net/ipv4/ip_forward = 1",
        "DEL for podred: - sysctl net/ipv4/ip_forward = 1",
    )


def test_a_plugin_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rehearsal(monkeypatch, *[state(QUIET)] * 4, status=1)
    assert len(seen.failures()) == 3
