"""Every verb that a check asks for, as its text says, is among the rights: seen without a cluster.

What the text does not tell (an object handed in from another module) is refused on the sandbox, where checks run as the
accounts with these rights; that all of them are used is seen by `make providers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from conformance.access.rights import Right, load_rights
from tests.unit.access.apicalls import Asked, Module

ROOT = Path(__file__).parents[3]
SEARCHED = (
    "suites",
    "fixtures",
    "conformance/kube",
    "conformance/traffic",
    "conformance/evidence",
    "conformance/guest",
)
LEFT_OUT = {
    "conformance/kube/portforward.py": "`binding-conformance ssh` alone, as whoever calls it",
    "conformance/kube/networks.py": "with the rights of who installs the binding",
}
OBSERVING = ("fixtures/nodes.py",)
"""What asks for the rights that only --node-access brings."""

TEXT = """
ROOT = "/apis/subresources.kubevirt.io/v1"

def policy():
    return {{"kind": NETWORK_POLICY.kind}}

def check(run):
    {}
"""


def modules() -> Iterator[Module]:
    for part in SEARCHED:
        for path in sorted((ROOT / part).rglob("*.py")):
            module = Module.read(ROOT, path)
            if module.path not in LEFT_OUT and not module.path.startswith("fixtures/plugins/"):
                yield module


def granted(asked: Asked) -> bool:
    accounts = {"runner", "registrar", "everybody"}
    if asked.line.rpartition(":")[0] in OBSERVING:
        accounts.add("observer")
    return any(_gives(right, asked) for right in load_rights() if right.account in accounts)


def _gives(right: Right, asked: Asked) -> bool:
    if asked.verb not in right.verbs or (asked.everywhere and right.place != "cluster"):
        return False
    wanted = asked.resource
    return right.group == wanted.group and any(fnmatchcase(name, wanted.name) for name in right.resources)


def test_what_checks_ask_for_is_granted() -> None:
    asked = [one for module in modules() for one in module.asked()]
    assert len(asked) > 30, "the calls are found"
    missing = [str(one) for one in asked if not granted(one)]
    assert missing == [], "add it to conformance/access/rights.yaml, with the reason, and to deploy/base/access.yaml"


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("run.cluster.patch(SERVICE.ref(name, namespace), {})", "patch services"),
        ("made = run.cluster.create({**typed(NAD)}); run.cluster.patch(Ref.of(made), {})", "patch network-attachment"),
        ("for ref in map(SERVICE.ref, names): cluster.get(ref)", "get services"),
        ("wait_for(run.cluster, SERVICE.ref(name), 'it is there', bool, deadline)", "watch services"),
        ("run.cluster.list(POD)", "list pods cluster-wide"),
        ("cluster.raw('GET', f'/api/v1/namespaces/{namespace}/pods/{name}/attach')", "get pods/attach"),
        (
            "cluster.raw('PUT', f'{ROOT}/namespaces/{namespace}/virtualmachines/{name}/migrate')",
            "update virtualmachines/m",
        ),
        (
            "made.append(run.cluster.create(policy())); wait_for(cluster, made[0], 'it', bool, deadline)",
            "watch networkp",
        ),
    ],
)
def test_what_is_not_granted_is_told(line: str, asks: str) -> None:
    missing = [str(one) for one in Module("suites/test_new.py", TEXT.format(line)).asked() if not granted(one)]
    assert any(f": {asks}" in one for one in missing), missing


@pytest.mark.parametrize(
    "line",
    [
        "run.cluster.get(POD.ref(name, namespace))",
        "wait_gone(run.cluster, VMI.ref(name), deadline)",
        "cluster.raw('PUT', f'{ROOT}/namespaces/{namespace}/virtualmachines/{name}/{action}')",
        "run.cluster.delete(ref)",
        "self.run.cluster.evict(pod)",
        "found.get(key)",
    ],
)
def test_what_is_granted_or_no_request_is_not(line: str) -> None:
    assert [one for one in Module("suites/test_new.py", TEXT.format(line)).asked() if not granted(one)] == []
