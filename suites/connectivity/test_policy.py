from __future__ import annotations

import pytest

from fixtures.machines import ECHO_PORT
from fixtures.measure import Measure
from fixtures.policies import Isolation

ONE_PORT = [{"protocol": "TCP", "port": ECHO_PORT}]


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-011")
def test_policy_on_ingress(ingress: Isolation, measure: Measure) -> None:
    """NetworkPolicies limit who connects to the VM, from its own node and from another.

    Preconditions:
    * A running VM whose guest has its address and serves two ports.
    * A client pod on its node and one on another, which reach both ports.
    * The other pod serves two ports too, is under the same policies, and they are enforced on it.

    Steps:
    1. Deny the VM all ingress by a policy.
    2. Let pods of its namespace in by a second one.
    3. Let them in to one of the two ports instead.

    Expected:
    * Within the time limit nobody connects, then both pods, then both to that one port alone.
    """
    _limit(ingress, measure)


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-012")
def test_policy_on_egress(egress: Isolation, measure: Measure) -> None:
    """NetworkPolicies limit where the VM connects to, on its own node and on another.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on its node and one on another, which serve two ports each, and the VM reaches them.
    * The other pod reaches the first, is under the same policies, and they are enforced on it.

    Steps:
    1. Deny the VM all egress by a policy.
    2. Let it out to pods of its namespace by a second one.
    3. Let it out to one of their ports instead.

    Expected:
    * Within the time limit it connects to nobody, then to both pods, then to that one port of them alone.
    """
    _limit(egress, measure)


def _limit(isolation: Isolation, measure: Measure) -> None:
    isolation.require_open()
    with isolation.policy("nothing"):
        measure(isolation.wait_closed())
        with isolation.policy("namespace", isolation.rule()):
            measure(isolation.wait_open())
        with isolation.policy("one-port", isolation.rule(ports=ONE_PORT)):
            measure(isolation.wait_main_alone())
