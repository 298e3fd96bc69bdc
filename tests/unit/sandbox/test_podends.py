"""How pods that are deleted end: the phase, the containers that never ran, the conditions."""

from __future__ import annotations

from conformance.sandbox.client import Object
from conformance.sandbox.images import image_id
from conformance.sandbox.kubernetes.podstatus import PodStates

POD: Object = {
    "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]}
}


def _conditions(status: Object) -> dict[str, tuple[str, str | None]]:
    return {c["type"]: (c["status"], c.get("reason")) for c in status["conditions"]}


def test_a_pod_deleted_before_it_began_has_failed_and_its_containers_wait() -> None:
    states = PodStates.of(POD)
    states.torn_down = True
    status = states.as_status(POD, "10.0.0.1")
    assert status["phase"] == "Failed"
    assert all("waiting" in container["state"] for container in status["containerStatuses"])
    assert _conditions(status)["Ready"] == ("False", "ContainersNotReady")


def test_a_container_that_never_came_up_beside_others_is_unknown() -> None:
    states = PodStates.of(POD)
    states.main["a"].run()
    states.main["a"].end(0)
    states.main["b"].give_up()
    states.torn_down = True
    status = states.as_status(POD, "10.0.0.1")
    ended = {c["name"]: c["state"]["terminated"] for c in status["containerStatuses"]}
    assert (ended["b"]["reason"], ended["b"]["exitCode"]) == ("ContainerStatusUnknown", 137)
    assert (status["phase"], _conditions(status)["Ready"]) == ("Failed", ("False", "PodFailed"))


def test_a_pod_whose_containers_ended_well_has_succeeded() -> None:
    states = PodStates.of(POD)
    for state in states.main.values():
        state.run()
        state.end(0)
    states.torn_down = True
    status = states.as_status(POD, "10.0.0.1")
    assert (status["phase"], _conditions(status)["Ready"]) == ("Succeeded", ("False", "PodCompleted"))


def test_an_image_is_found_again_by_the_digest_that_a_node_reports() -> None:
    by_digest = image_id("registry.local/disk:1")
    assert by_digest.startswith("registry.local/disk@sha256:")
    assert image_id(by_digest) == by_digest
