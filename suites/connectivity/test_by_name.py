from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from conformance.kube.wait import wait_until
from fixtures.clients import ClientPods, pod_on
from fixtures.machines import MACHINE_LABEL, NETWORK, Machine
from fixtures.reach import resolved, resolver_of
from fixtures.restarts import SUBDOMAIN
from fixtures.services import service


@pytest.mark.xdist_group("restarts")
@pytest.mark.requirement("CONN-014")
def test_full_name_leads_to_the_vm(restarted: Machine, client_pods: ClientPods) -> None:
    """The full name of a VM with a subdomain resolves to the address in its status.

    Preconditions:
    * A running VM with a subdomain and an address in its status.
    * A headless Service of the subdomain's name that selects the VM.

    Steps:
    1. Resolve ``<VM>.<subdomain>.<namespace>.svc.<cluster domain>`` in a pod on another node.

    Expected:
    * Within the time limit the name has the address.
    """
    run, spec = restarted.run, restarted.spec
    address = restarted.view().address(NETWORK)
    if not address:
        raise Inconclusive(f"needs an address in the status of {restarted.ref}; OBS-003 judges why there is none")
    pod = pod_on(client_pods, restarted.view().node, same=False)
    search = resolver_of(run.cluster, pod).search
    domain = next((entry for entry in search if entry.startswith("svc.")), "")
    if not domain:
        raise Inconclusive(f"pods of this cluster search {search}, which does not tell the cluster's domain")
    name = f"{spec.name}.{SUBDOMAIN}.{spec.namespace}.{domain}"
    with service(run, SUBDOMAIN, {MACHINE_LABEL: spec.name}, headless=True):
        wait_until(
            f"{name} resolves to {address}",
            lambda: resolved(run.cluster, pod, name),
            run.timeouts.reachable.start(),
            until=lambda found: address in found,
        )
