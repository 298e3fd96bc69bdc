"""From what the API showed to named facts: `{"vmi v phases": "Pending > Scheduling > ...", ...}`.

A fact is small enough that a difference names one thing, and is read from an `Observation` alone, so recordings and the
sandbox go through the same lines. Where KubeVirt repeats itself as often as the machine is slow (events, condition
changes), the fact is that something was said, not how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from tests.fidelity import podfacts
from tests.fidelity.answers import answer_facts, domain_facts
from tests.fidelity.normalise import Normaliser, unique
from tests.fidelity.recording import LEFT_OUT, ApiEvent, Json, Object, Observation, dig, items, mapping, objects, text

Facts: TypeAlias = "dict[str, Json]"
SEEN = "seen"
_SHORT = {
    "VirtualMachineInstance": "vmi",
    "VirtualMachine": "vm",
    "VirtualMachineInstanceMigration": "vmim",
    "Pod": "pod",
}
_ENDED = ("Failed", "Succeeded")
_CHANCE = 7
"""Two migrations bring seven changes of Ready; more are a loop."""


def extract(seen: Observation) -> Facts:
    """All facts of one scenario."""
    names = Normaliser(seen.events)
    facts: Facts = {}
    for title, states in lives(seen.events, names).items():
        kind = title.partition(" ")[0]
        if kind == "pod":
            facts |= {f"{title} {fact}": names.value(value) for fact, value in podfacts.pod_facts(states)}
            continue
        reader = {"vmi": _vmi_facts, "vm": _vm_facts, "vmim": _vmim_facts}[kind]
        facts |= {f"{title} {names.text(fact)}": names.value(value) for fact, value in reader(states, names)}
    told = [event for event in seen.events if not _left_out(seen.scenario, event)]
    facts |= dict.fromkeys(_event_facts(told, names), SEEN)
    facts |= {fact: names.value(value) for fact, value in answer_facts(seen.answers)}
    for moment, domain in seen.domains.items():
        facts |= {f"{moment} {fact}": names.value(value) for fact, value in domain_facts(domain)}
    facts |= {f"wait {what}": "came" if met else "did not come" for what, met in seen.waits}
    return facts


def lives(events: tuple[ApiEvent, ...], names: Normaliser) -> dict[str, list[Object]]:
    """The states of every object by its stable name; one created again under its name is another (`vmi v #2`)."""
    by_uid: dict[tuple[str, str, str], list[Object]] = {}
    for event in events:
        if event.kind in _SHORT and event.type != "DELETED":
            by_uid.setdefault((event.kind, event.name, text(dig(event.object, "metadata", "uid"))), []).append(
                event.object
            )
    result: dict[str, list[Object]] = {}
    for (kind, name, _), states in by_uid.items():
        title = f"{_SHORT[kind]} {names.name(name)}"
        number = 1 + sum(known == title or known.startswith(f"{title} #") for known in result)
        result[title if number == 1 else f"{title} #{number}"] = states
    return result


def _vmi_facts(states: list[Object], names: Normaliser) -> Iterator[tuple[str, Json]]:
    yield "phases", _sequence(states, "status", "phase")
    nodes = unique(dig(state, "status", "nodeName") for state in states)
    yield "nodes", " > ".join(names.node(text(node)) for node in nodes if node)
    yield from _condition_facts(states)
    yield from _interface_facts(states, names)
    for key in ("migrationMethod", "migrationTransport"):
        yield f"status.{key}", dig(states[-1], "status", key)
    yield from _migration_state_facts(states)


def _vm_facts(states: list[Object], _names: Normaliser) -> Iterator[tuple[str, Json]]:
    yield "printableStatus", _sequence(states, "status", "printableStatus")
    yield "ready", unique(dig(state, "status", "ready") for state in states)
    yield from _condition_facts(states)


def _vmim_facts(states: list[Object], _names: Normaliser) -> Iterator[tuple[str, Json]]:
    yield "phases", _sequence(states, "status", "phase")
    yield from _condition_facts(states)
    yield from _migration_state_facts(states)


def _sequence(states: list[Object], *path: str) -> str:
    values = unique(dig(state, *path) for state in states)
    return " > ".join(text(value) for value in values if value)


def _condition_facts(states: list[Object]) -> Iterator[tuple[str, Json]]:
    """That a condition was said (with status, reason, message), and each type's sequence of statuses."""
    statuses: dict[str, list[Json]] = {}
    for state in states:
        now = {text(c.get("type")): c for c in objects(dig(state, "status", "conditions"))}
        for kind, condition in now.items():
            reason, message = text(condition.get("reason")), text(condition.get("message"))
            words = " ".join(part for part in (text(condition.get("status")), reason, message) if part)
            yield f"condition {kind}: {words}", SEEN
            statuses.setdefault(kind, []).append(condition.get("status"))
        for kind in statuses.keys() - now.keys():
            statuses[kind].append("(removed)")
    for kind, said in statuses.items():
        yield f"condition {kind} sequence", _told(said)


def _interface_facts(states: list[Object], names: Normaliser) -> Iterator[tuple[str, Json]]:
    """The last `status.interfaces` of every stage, the order of its entries, and the changes of linkState."""
    stages: dict[str, list[Object]] = {}
    links: dict[str, list[Json]] = {}
    for stage, state in _staged(states, names):
        entries = objects(dig(state, "status", "interfaces"))
        stages[stage] = entries
        for entry in entries:
            if "linkState" in entry:
                links.setdefault(text(entry.get("name")), []).append(entry["linkState"])
    for stage, entries in stages.items():
        if not entries:
            continue
        yield f"interfaces when {stage}: order", [entry.get("name") for entry in entries]
        for entry in entries:
            yield f"interfaces when {stage}: {text(entry.get('name'))}", _one_family(entry)
    for name, said in links.items():
        yield f"interface {name} linkState sequence", _told(said)


def _told(values: list[Json]) -> str:
    """Changes as `a > b > a`; an endless to and fro, whose length is chance, as `a > b, again and again`."""
    changes = [text(value) for value in unique(values)]
    if len(changes) > _CHANCE and len(set(changes)) == 2:
        return " > ".join(changes[:2]) + ", again and again"
    return " > ".join(changes)


def _staged(states: list[Object], names: Normaliser) -> Iterator[tuple[str, Object]]:
    """Each state with its stage: the phase; while Running also the node, numbered when the VM came back to it."""
    visits: list[str] = []
    for state in states:
        phase, node = text(dig(state, "status", "phase")), names.node(text(dig(state, "status", "nodeName")))
        if phase in _ENDED:
            yield "ended", state
            continue
        if phase != "Running":
            yield phase or "new", state
            continue
        if not visits or visits[-1] != node:
            visits.append(node)
        again = visits.count(node)
        yield f"Running on {node}" + (f" ({again})" if again > 1 else ""), state


def _one_family(entry: Object) -> Object:
    """An interface with the addresses of the recorded family only."""
    addresses = [address for address in items(entry.get("ipAddresses")) if ":" not in text(address)]
    return {**entry, **({"ipAddresses": addresses} if "ipAddresses" in entry else {})}


def _migration_state_facts(states: list[Object]) -> Iterator[tuple[str, Json]]:
    """Every key of the last migrationState; of what is random (ports, times) only the shape."""
    last: Object = {}
    for state in states:
        last = mapping(dig(state, "status", "migrationState")) or last
    for key, value in last.items():
        if key == "targetDirectMigrationNodePorts":
            yield f"migrationState.{key}", " ".join(sorted(str(port) for port in mapping(value).values()))
        else:
            yield f"migrationState.{key}", value


def _left_out(scenario: str, event: ApiEvent) -> bool:
    """Whether it is an event of a sort that the recording of the scenario does not hold."""
    about = text(dig(event.object, "on", "kind"))
    return event.kind == "Event" and about == "Pod" and event.object.get("reason") in LEFT_OUT.get(scenario, ())


def _event_facts(events: Iterable[ApiEvent], names: Normaliser) -> Iterator[str]:
    for event in events:
        if event.kind != "Event":
            continue
        about, component = mapping(event.object.get("on")), text(dig(event.object, "source", "component"))
        component = component or text(event.object.get("reportingComponent"))
        place = text(about.get("fieldPath"))
        subject = f"{_SHORT.get(text(about.get('kind')), text(about.get('kind')))} {text(about.get('name'))}"
        subject += f" {place.partition('{')[2].rstrip('}')}" if "{" in place else ""
        message = text(event.object.get("message")).removeprefix("(combined from similar events): ")
        said = f"{text(event.object.get('type'))} {text(event.object.get('reason'))} ({component})"
        yield names.text(f"event {subject}: {said}: {message}")
