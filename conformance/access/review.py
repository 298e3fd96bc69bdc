"""Asks a cluster, before anything is made, whether an account may do what it will have to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from conformance.access.rights import Single
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import dig
from conformance.kube.outcome import EnvironmentFault

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AT_ONCE = 8


class RightsLacking(EnvironmentFault):
    """An account may not do what a run needs; ``lacking`` are the missing rights."""

    def __init__(self, account: str, lacking: tuple[Single, ...], fix: str) -> None:
        listed = "\n".join(f"  {single}" for single in lacking)
        super().__init__(f"the {account} account may not\n{listed}\n  fix: {fix}")
        self.account, self.lacking = account, lacking


def may(cluster: Cluster, single: Single) -> bool:
    """Whether the user of this connection has one right (SelfSubjectAccessReview)."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": single.attributes()},
    }
    answer = json.loads(cluster.raw("POST", _REVIEWS, accept="application/json", body=body))
    return bool(dig(answer, "status", "allowed", default=False))


def lacking(cluster: Cluster, wanted: Iterable[Single]) -> tuple[Single, ...]:
    """Those of the rights that the user of this connection does not have, in order."""
    asked = tuple(wanted)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda single: may(cluster, single), asked)
        return tuple(single for single, allowed in zip(asked, answers, strict=True) if not allowed)


def require(cluster: Cluster, account: str, wanted: Iterable[Single], fix: str) -> None:
    """Raise RightsLacking, naming every right that the user of this connection lacks."""
    if missing := lacking(cluster, wanted):
        raise RightsLacking(account, missing, fix)
