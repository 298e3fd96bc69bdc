"""The two service accounts and their roles, as an administrator applies them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.access.rights import Account, Place, Right, rights_of
from conformance.kube.manifest import Manifest
from conformance.kube.registry import Registry

REGISTRAR, RUNNER = "binding-conformance-registrar", "binding-conformance-runner"
_GROUP = "rbac.authorization.k8s.io"
_API = f"{_GROUP}/v1"


def access_manifests(
    registry: Registry, namespaces: Iterable[str], *, home: str, node_access: bool
) -> Iterator[Manifest]:
    """ServiceAccounts in the namespace ``home``, and roles that give each what it needs and no more.

    Roles outside of the given namespaces carry the name of ``home``: several of them on one cluster stay apart.
    """
    accounts: tuple[Account, ...] = ("runner", "observer") if node_access else ("runner",)
    running = tuple(right for account in accounts for right in rights_of(account, registry))
    for name in (REGISTRAR, RUNNER):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}}
    registering = [right.to_rule([registry.ref.name]) for right in rights_of("registrar", registry)]
    yield from _role(f"{REGISTRAR}:{home}", registry.ref.namespace, registering, REGISTRAR, home)
    for namespace in namespaces:
        yield from _role(RUNNER, namespace, _rules(running, "namespace"), RUNNER, home)
    yield from _role(f"{RUNNER}:{home}", "", _rules(running, "cluster"), RUNNER, home)


def _rules(rights: Iterable[Right], place: Place) -> list[Manifest]:
    return [right.to_rule() for right in rights if right.place == place]


def _role(name: str, namespace: str, rules: list[Manifest], account: str, home: str) -> Iterator[Manifest]:
    """A role and its binding to an account: cluster-wide where ``namespace`` is empty."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    yield {"apiVersion": _API, "kind": kind, "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": _API,
        "kind": f"{kind}Binding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }
