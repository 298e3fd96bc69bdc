"""Where a run works: its namespaces, and the accounts it works with there.

On a cluster of our own an administrator's connection makes both: the run then has the least rights it can do with. On
somebody's cluster the namespaces and accounts are theirs to give; what is not given is the user's own, and is looked at
before anything is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from conformance.access.accounts import account_kubeconfig
from conformance.access.logins import Connections, Login, Logins
from conformance.access.manifests import REGISTRAR, RUNNER, access_manifests
from conformance.access.review import lacking, may, require
from conformance.access.rights import Account, Single, rights_of, singles
from conformance.cluster.provider import Progress, ProviderError
from conformance.cluster.rundir import RUN_LABEL, RunDirectory
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.manifest import CRD, DAEMON_SET, DEPLOYMENT, POD, Kind, Ref
from conformance.kube.registry import Registry
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.model import Binding

_EFFECTIVE_SECONDS = 30.0
_APPLY = (
    "have an administrator apply the manifests and write `bindingManifests: installed` into the site file, or run as "
    "somebody who has these rights"
)
_HOW = "have an administrator apply what `binding-conformance access` prints, or run as somebody who has these rights"


_CREATE_NAMESPACES = Single("create", "", "namespaces", "", "", "give the run a namespace of its own")


@dataclass(frozen=True)
class Workplace:
    """``namespaces`` has one for each process that runs checks."""

    logins: Logins
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a run needs a place for: ``purposes`` name its processes, one namespace each; ``install`` and ``register``
    say whether it does that itself.
    """

    binding: Binding
    registry: Registry
    purposes: tuple[str, ...]
    node_access: bool
    install: bool
    register: bool = True


def on_our_cluster(admin: Cluster, login: Login, directory: RunDirectory, wanted: Wanted) -> Workplace:
    """Namespaces and two accounts of least privilege, made by an administrator and recorded in its ledger."""
    namespaces = _make_namespaces(admin, directory, wanted.purposes)
    home = namespaces[0]
    made = access_manifests(wanted.registry, namespaces, home=home, node_access=wanted.node_access)
    for manifest in made:
        labelled = {**manifest, "metadata": {**manifest["metadata"], "labels": {RUN_LABEL: directory.id}}}
        admin.create(labelled)
    files = {
        name: account_kubeconfig(
            admin, Path(login.kubeconfig), login.context, home, name, directory.path / f"{name}.kubeconfig"
        )
        for name in (REGISTRAR, RUNNER)
    }
    logins = Logins(login, Login(str(files[REGISTRAR])), Login(str(files[RUNNER])))
    _await_rights(logins, directory, wanted, namespaces)
    return Workplace(logins, namespaces)


def on_their_cluster(
    connections: Connections, given: tuple[str, ...], directory: RunDirectory, wanted: Wanted, progress: Progress
) -> Workplace:
    """The namespaces the user gave, or new ones; every right is looked at first.

    Raises RightsLacking, naming each right that is missing, and ProviderError for too few namespaces.
    """
    progress("looking at what this account may do")
    needed = len(wanted.purposes)
    if given and len(given) < needed:
        raise ProviderError(
            f"{needed} processes need a namespace each, the site gives {len(given)}: "
            "add to spec.namespaces, or run with fewer workers"
        )
    names = given[:needed] or tuple(map(directory.name_of, wanted.purposes))
    if not given and not may(connections.installer, _CREATE_NAMESPACES):
        raise ProviderError(
            "this account may not create namespaces: name those it may use in spec.namespaces of a site file"
        )
    if wanted.install:
        rights = install_rights(connections.installer, wanted.binding)
        require(connections.installer, "installing", rights, _APPLY)
    for account, cluster in _parts(connections, wanted):
        require(cluster, account, singles(rights_of(account, wanted.registry), wanted.registry, names), _HOW)
    if not given:
        _make_namespaces(connections.installer, directory, wanted.purposes)
    return Workplace(connections.logins, names)


def install_rights(cluster: Cluster, binding: Binding) -> Iterator[Single]:
    """What applying the binding's manifests takes; kinds that they themselves define are left out."""
    why = f"install the manifests of {binding.name}"
    for kind, namespace in dict.fromkeys((Kind.of(m), Ref.of(m).namespace) for m in binding.manifests):
        if not cluster.serves(kind):
            continue
        group = kind.api_version.rpartition("/")[0]
        watched = ("list", "watch") if kind in (CRD, DAEMON_SET, DEPLOYMENT, POD) else ()
        for verb in ("get", "create", "patch", "delete", *watched):
            yield Single(verb, group, cluster.plural(kind), namespace, "", why)


def _make_namespaces(cluster: Cluster, directory: RunDirectory, purposes: Iterable[str]) -> tuple[str, ...]:
    names = tuple(map(directory.name_of, purposes))
    for name in names:
        cluster.create(namespace_manifest(name, {RUN_LABEL: directory.id}))
    return names


def _parts(connections: Connections, wanted: Wanted) -> list[tuple[Account, Cluster]]:
    """Whose rights are asked for on which connection."""
    runner = connections.runner
    parts: list[tuple[Account, Cluster]] = [("runner", runner)]
    if wanted.register:
        parts.insert(0, ("registrar", connections.registrar))
    if wanted.node_access:
        parts.append(("observer", runner))
    return [*parts, ("everybody", runner)]


def _await_rights(logins: Logins, directory: RunDirectory, wanted: Wanted, namespaces: tuple[str, ...]) -> None:
    """Roles take effect a moment after they are made. Raises PatienceExceeded naming what does not."""
    connections = Connections(logins, directory.ledger)
    try:
        for account, cluster in _parts(connections, wanted):
            rights = tuple(singles(rights_of(account, wanted.registry), wanted.registry, namespaces))
            wait_until(
                f"the {account} account has its rights",
                partial(lacking, cluster, rights),
                Deadline.patience(_EFFECTIVE_SECONDS),
                until=lambda missing: not missing,
                saw=lambda missing: "; ".join(map(str, missing)),
            )
    finally:
        connections.close()
