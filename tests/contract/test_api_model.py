"""Any sequence of writes leaves what a simple model says, and a watch tells the same story.

The model is a ConfigMap's `data` with the managers of each key, as the documentation of server-side apply describes
them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.contract.harness import Answer, Api, Body

pytestmark = pytest.mark.since(kubernetes="1.26")

NAMES = st.sampled_from(["a", "b"])
KEYS = st.sampled_from(["x", "y", "z"])
VALUES = st.sampled_from(["1", "2"])
DATA = st.dictionaries(KEYS, VALUES)
WRITER = "writer"
APPLIERS = st.sampled_from(["one", "two"])


@dataclass
class Known:
    """What the model holds of one object. `managers` are those of each key, by name."""

    uid: str
    versions: list[str]
    data: dict[str, str]
    managers: dict[str, set[str]] = field(default_factory=dict)

    def update(self, data: dict[str, str]) -> None:
        """An update: whoever changes a value is its one manager; who leaves it as it is changes nothing."""
        for key, value in data.items():
            if self.data.get(key) != value:
                self.managers[key] = {WRITER}
        self.managers = {key: managers for key, managers in self.managers.items() if key in data}
        self.data = dict(data)

    def conflicts(self, manager: str, data: dict[str, str]) -> bool:
        """Whether an apply would change what others manage."""
        others = {key for key, managers in self.managers.items() if managers - {manager}}
        return any(key in others and self.data[key] != value for key, value in data.items())

    def apply(self, manager: str, data: dict[str, str]) -> None:
        """An apply: its keys are its manager's, with others where they agree; what it alone had, and left out, goes."""
        for key in [key for key, managers in self.managers.items() if manager in managers and key not in data]:
            self.managers[key].discard(manager)
            if not self.managers[key]:
                del self.managers[key], self.data[key]
        for key, value in data.items():
            agreed = self.managers.get(key, set()) if self.data.get(key) == value else set()
            self.managers[key] = {*agreed, manager}
            self.data[key] = value


class Writes(RuleBasedStateMachine):
    """Writes by several managers to a few objects, some of them out of date."""

    def __init__(self, api: Api, namespace: str) -> None:
        super().__init__()
        self.api, self.path = api, f"/api/v1/namespaces/{namespace}/configmaps"
        # Objects of this example only: earlier ones left theirs.
        self.run = uuid.uuid4().hex[:8]
        self.known: dict[str, Known] = {}
        self.begin: str = api.get(self.path).expect(200)["metadata"]["resourceVersion"]

    def body(self, name: str, data: dict[str, str], version: str = "") -> Body:
        metadata = {"name": f"{name}-{self.run}", "labels": {"run": self.run}}
        if version:
            metadata["resourceVersion"] = version
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def object(self, name: str) -> str:
        return f"{self.path}/{name}-{self.run}"

    def written(self, name: str, answer: Answer) -> None:
        """Keep the version of a write that was taken."""
        versions = self.known[name].versions
        version: str = answer.body["metadata"]["resourceVersion"]
        if version != versions[-1]:
            versions.append(version)

    @rule(name=NAMES, data=DATA)
    def create(self, name: str, data: dict[str, str]) -> None:
        answer = self.api.post(self.path, self.body(name, data), [("fieldManager", WRITER)])
        if name in self.known:
            answer.refused(409, "AlreadyExists")
            return
        made = answer.expect(201)["metadata"]
        self.known[name] = Known(made["uid"], [made["resourceVersion"]], {})
        self.known[name].update(data)

    @rule(name=NAMES, data=DATA, stale=st.booleans())
    def replace(self, name: str, data: dict[str, str], stale: bool) -> None:
        known = self.known.get(name)
        version = "1" if known is None else known.versions[0 if stale else -1]
        answer = self.api.put(self.object(name), self.body(name, data, version), [("fieldManager", WRITER)])
        if known is None:
            answer.refused(404, "NotFound")
        elif version != known.versions[-1]:
            answer.refused(409, "Conflict")
        else:
            answer.expect(200)
            known.update(data)
            self.written(name, answer)

    @rule(name=NAMES, changes=st.dictionaries(KEYS, st.none() | VALUES))
    def merge(self, name: str, changes: dict[str, str | None]) -> None:
        answer = self.api.patch(self.object(name), {"data": changes}, query=[("fieldManager", WRITER)])
        known = self.known.get(name)
        if known is None:
            answer.refused(404, "NotFound")
            return
        answer.expect(200)
        merged = {key: value for key, value in {**known.data, **changes}.items() if value is not None}
        if merged == known.data:
            assert answer.body["metadata"]["resourceVersion"] == known.versions[-1], "nothing changed"
        known.update(merged)
        self.written(name, answer)

    @rule(name=NAMES, manager=APPLIERS, data=DATA, force=st.booleans())
    def apply(self, name: str, manager: str, data: dict[str, str], force: bool) -> None:
        known = self.known.get(name)
        answer = self.api.apply(self.object(name), self.body(name, data), manager, force=force)
        if known is None:
            made = answer.expect(201)["metadata"]
            known = self.known[name] = Known(made["uid"], [made["resourceVersion"]], {})
        elif known.conflicts(manager, data) and not force:
            answer.refused(409, "Conflict")
            return
        else:
            answer.expect(200)
        known.apply(manager, data)
        self.written(name, answer)

    @precondition(lambda self: self.known)
    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        answer = self.api.delete(self.object(name))
        if self.known.pop(name, None) is None:
            answer.refused(404, "NotFound")
        else:
            answer.expect(200)

    @invariant()
    def the_list_is_what_was_written(self) -> None:
        items = self.api.get(self.path, [("labelSelector", f"run={self.run}")]).expect(200)["items"]
        assert {item["metadata"]["uid"]: item.get("data", {}) for item in items} == self.wanted()

    def teardown(self) -> None:
        """A watch from before the first write tells every change in order, and ends where the list is."""
        versions: list[int] = []
        seen: dict[str, dict[str, str]] = {}
        query = [("resourceVersion", self.begin), ("labelSelector", f"run={self.run}"), ("timeoutSeconds", "1")]
        for event in self.api.watch(self.path, query, self.is_complete()):
            metadata = event["object"]["metadata"]
            versions.append(int(metadata["resourceVersion"]))
            if event["type"] == "DELETED":
                del seen[metadata["uid"]]
            else:
                assert (event["type"] == "ADDED") == (metadata["uid"] not in seen)
                seen[metadata["uid"]] = event["object"].get("data", {})
        assert versions == sorted(set(versions))
        assert seen == self.wanted()

    def is_complete(self) -> Callable[[list[Body]], bool]:
        """Whether the newest version that is still there has come; without one, the server ends the watch."""
        newest = max((known.versions[-1] for known in self.known.values()), key=int, default="")
        return lambda events: any(event["object"]["metadata"]["resourceVersion"] == newest for event in events)

    def wanted(self) -> dict[str, dict[str, str]]:
        return {known.uid: known.data for known in self.known.values()}


@pytest.mark.parametrize("steps", [30])
def test_writes_follow_the_model(api: Api, namespace: str, steps: int) -> None:
    class Here(Writes):
        """The writes of one example to the API under test."""

        def __init__(self) -> None:
            super().__init__(api, namespace)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=20,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
