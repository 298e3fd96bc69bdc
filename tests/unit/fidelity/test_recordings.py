"""Every recording can be read and equals itself; one that is disturbed is told by the fact that was disturbed."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.fidelity.compare import compare
from tests.fidelity.facts import extract
from tests.fidelity.recording import ApiEvent, Json, Observation, dig, items, load, mapping, objects, scenario_names

SCENARIOS = scenario_names()


def test_every_scenario_is_there() -> None:
    assert len(SCENARIOS) == 49


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_recording_equals_itself(scenario: str) -> None:
    seen = load(scenario).seen
    found = compare(scenario, extract(seen), extract(replace(seen, events=tuple(seen.events))))
    assert found.differences == ()
    assert found.share == 1.0
    assert found.total > 20


def test_two_recordings_of_one_scenario_agree_on_what_is_not_random() -> None:
    """managedTap was recorded idle and under load: other pods, addresses and uids, the same story."""
    idle, loaded = extract(load("managedtap-refresh").seen), extract(load("managedtap-refresh-loaded").seen)
    found = compare("managedtap-refresh", idle, loaded)
    assert found.share > 0.97
    assert {d.fact.split(":")[0].split()[0] for d in found.differences} <= {"event", "wait", "vmi"}


def disturbed(seen: Observation, kind: str, change: object) -> Observation:
    """`seen` with `change` (old, new) made in the text of every string of every `kind` of object."""
    old, new = change if isinstance(change, tuple) else ("", "")

    def in_value(value: Json) -> Json:
        if isinstance(value, str):
            return value.replace(old, new)
        if isinstance(value, list):
            return [in_value(item) for item in value]
        if isinstance(value, dict):
            return {key: in_value(item) for key, item in value.items()}
        return value

    events = [
        replace(event, object=mapping(in_value(event.object))) if event.kind == kind else event for event in seen.events
    ]
    return replace(seen, events=tuple(events))


@pytest.mark.parametrize(
    ("kind", "change", "fact"),
    [
        ("VirtualMachineInstance", ("Scheduling", "Frobbing"), "vmi v phases"),
        ("VirtualMachineInstance", ("GuestNotRunning", "Frob"), "vmi v condition Ready: False Frob Guest VM is"),
        ("VirtualMachineInstance", ("multus-status", "frob"), "vmi v interfaces when Scheduled: sec1"),
        ("VirtualMachineInstanceMigration", ("TargetReady", "Frob"), "vmim m1 phases"),
        ("Pod", ("network-info", "frob"), "pod virt-launcher-v-1 volume frob-annotation"),
        ("Pod", ("505216Ki", "1Ki"), "pod virt-launcher-v-1 compute resources"),
        ("Pod", ("default/sec-bridge", "default/frob"), "pod virt-launcher-v-1 network-status podd388a6c6411"),
        ("Pod", ("hook-sidecar-0", "hook-sidecar-7"), "pod virt-launcher-v-1 hook-sidecar-0 env"),
        ("Event", ("VirtualMachineInstance started.", "frob"), "event vmi v: Normal Started (virt-handler): frob"),
        ("Event", ("multus", "frob"), "event pod virt-launcher-v-1: Normal AddedInterface (frob)"),
    ],
)
def test_a_disturbed_recording_is_told(kind: str, change: tuple[str, str], fact: str) -> None:
    seen = load("devinfo").seen
    found = compare("devinfo", extract(seen), extract(disturbed(seen, kind, change)))
    assert any(difference.fact.startswith(fact) for difference in found.differences), found.differences


def test_a_lost_event_is_told_by_name() -> None:
    seen = load("passt").seen
    kept = tuple(event for event in seen.events if dig(event.object, "reason") != "ShuttingDown")
    (difference,) = compare("passt", extract(seen), extract(replace(seen, events=kept))).differences
    assert difference.fact == "event vmi v: Normal ShuttingDown (virt-handler): Signaled Graceful Shutdown"
    assert (difference.recorded, difference.observed) == ("seen", None)


def test_a_changed_answer_is_told() -> None:
    seen = load("not-migratable").seen
    answers = tuple(replace(answer, code=500) if answer.code == 429 else answer for answer in seen.answers)
    (difference,) = compare("x", extract(seen), extract(replace(seen, answers=answers))).differences
    assert (difference.fact, difference.recorded, difference.observed) == (
        "answer to 3 evict launcher pod: code",
        "429",
        "500",
    )


def test_a_changed_domain_is_told() -> None:
    seen = load("passt").seen
    domain = copy.deepcopy(dict(seen.domains["domain_interfaces"]))
    domain["interface"] = [str(element).replace("vhostuser", "user") for element in items(domain["interface"])]
    changed = replace(seen, domains={"domain_interfaces": domain})
    (difference,) = compare("passt", extract(seen), extract(changed)).differences
    assert difference.fact == "domain_interfaces <interface> ua-default"


def test_an_address_keeps_its_owner() -> None:
    """A VMI that reports another pod's address differs, whatever the addresses are."""
    seen = load("passt-migrate").seen
    first = extract(seen)["vmi v interfaces when Running on node-B: default"]
    assert mapping(first)["ipAddress"] == "<ip of virt-launcher-v-2>"

    def stale(event: ApiEvent) -> ApiEvent:
        state = copy.deepcopy(event.object)
        for entry in objects(dig(state, "status", "interfaces")):
            if "ipAddress" in entry:
                entry["ipAddress"] = "10.244.2.8"
        return replace(event, object=state)

    changed = replace(seen, events=tuple(stale(e) if e.kind == "VirtualMachineInstance" else e for e in seen.events))
    found = compare("x", extract(seen), extract(changed))
    assert {d.fact for d in found.differences} == {
        "vmi v interfaces when Running on node-B: default",
        "vmi v interfaces when Running on node-A (2): default",
    }
