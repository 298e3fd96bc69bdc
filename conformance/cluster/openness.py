"""A run's pods talk to each other and to the world where NetworkPolicies keep a namespace closed.

Policies add up: what one of them allows is allowed. So one more, for the run's own pods, is enough, and nobody else's
pod is opened by it. Source: Kubernetes documentation, "Network Policies".
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.cluster.provider import Progress
from conformance.cluster.rundir import RUN_LABEL, RunDirectory
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import NETWORK_POLICY, Manifest


def open_traffic(cluster: Cluster, namespaces: Iterable[str], run: RunDirectory, progress: Progress) -> None:
    """Bring a policy of the run's own into each namespace that has one of somebody's; recorded in the ledger.

    May be called again: what an admission puts into a namespace that is new comes when it comes.
    """
    if not cluster.serves(NETWORK_POLICY):
        return
    for namespace in namespaces:
        found = [str(policy["metadata"]["name"]) for policy in cluster.list(NETWORK_POLICY, namespace).items]
        if found and run.name_of("traffic") not in found:
            progress(f"letting the run's pods talk in {namespace}, which has the NetworkPolicies {', '.join(found)}")
            cluster.create(_allowing(namespace, run))


def _allowing(namespace: str, run: RunDirectory) -> Manifest:
    """All traffic of the run's pods, those of its virtual machines included, in both directions."""
    labels = {RUN_LABEL: run.id}
    return {
        "apiVersion": NETWORK_POLICY.api_version,
        "kind": NETWORK_POLICY.kind,
        "metadata": {"name": run.name_of("traffic"), "namespace": namespace, "labels": labels},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{}],
            "egress": [{}],
        },
    }
