"""Registering a binding in the KubeVirt CR, touching nothing but its own key, and taking it back.

Server-side apply with a field manager per binding (``kubevirt-binding-conformance.<name>``): whatever else the CR holds
is not ours and cannot be changed by us. Taking it back is applying nothing with the same manager. RBAC: ``get`` and
``patch`` on ``kubevirts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from conformance.kube.cluster import FIELD_MANAGER, Cluster
from conformance.kube.errors import KindUnknown, KubeError, Unusable
from conformance.kube.ledger import Record
from conformance.kube.manifest import KUBEVIRT, Manifest, Ref, dig
from conformance.kube.outcome import EnvironmentFault

UNDO = "deregister"
_PATH = ("spec", "configuration", "network", "binding")


class RegistrationTaken(KubeError, EnvironmentFault):
    """The name is registered already, and not by this run; ``value`` is what stands there, ``owners`` who wrote it."""

    def __init__(self, kubevirt: Ref, name: str, value: object, owners: tuple[str, ...]) -> None:
        ours = [owner for owner in owners if owner.startswith(FIELD_MANAGER)]
        advice = (
            "it is left from a run that was killed, or another run is under way: wait for that one, or end it and run "
            "`binding-conformance sweep`"
            if ours
            else "remove it, or give the definition another metadata.name"
        )
        path = ".".join((*_PATH, name))
        writer = ", ".join(owners) or "somebody"
        super().__init__(f"{kubevirt}: {path} is set already, to {value!r} by {writer}; {advice}")
        self.name, self.value, self.owners = name, value, owners


def find_kubevirt(cluster: Cluster) -> Manifest:
    """The one KubeVirt CR. Raises Unusable when there is none, or more than one."""
    try:
        found = cluster.list(KUBEVIRT).items
    except KindUnknown as error:
        raise Unusable(f"{error}: this cluster has no KubeVirt") from error
    if len(found) != 1:
        raise Unusable(
            f"the cluster has {len(found)} KubeVirt objects, one is needed: {[str(Ref.of(f)) for f in found]}"
        )
    return found[0]


class Registration:
    """The registration of one binding name. Use :meth:`applied`, or :meth:`apply` and :meth:`remove`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self.name = cluster, name
        self.kubevirt = Ref.of(find_kubevirt(cluster)).any_uid()
        self.manager = f"{FIELD_MANAGER}.{name}"

    def current(self) -> Mapping[str, Any] | None:
        """The value registered under this name now, whoever wrote it."""
        found = dig(self._cluster.get(self.kubevirt), *_PATH, self.name)
        return dict(found) if found is not None else None

    def owners(self) -> tuple[str, ...]:
        """The field managers that own our key."""
        entries = dig(self._cluster.get(self.kubevirt), "metadata", "managedFields", default=[])
        path = ("fieldsV1", *(f"f:{step}" for step in (*_PATH, self.name)))
        return tuple(str(entry.get("manager", "")) for entry in entries if dig(entry, *path) is not None)

    def apply(self, value: Mapping[str, Any]) -> None:
        """Register ``value``; on a second call, replace what we registered before.

        Raises RegistrationTaken when the name belongs to somebody else.
        """
        owners = self.owners()
        current = self.current()
        if current is not None and (self.manager not in owners or not self._is_recorded()):
            raise RegistrationTaken(self.kubevirt, self.name, current, owners)
        body = self._body(dict(value))
        if self._cluster.ledger is None or self._is_recorded():
            self._cluster.apply(body, manager=self.manager)
            return
        ref = Ref(KUBEVIRT, self.kubevirt.name, self.kubevirt.namespace)
        with self._cluster.ledger.making(ref, UNDO, binding=self.name):
            self._cluster.apply(body, manager=self.manager)

    def remove(self) -> None:
        """Take our key back; does nothing when it is not there."""
        deregister(self._cluster, self.kubevirt, self.name)
        ledger = self._cluster.ledger
        for record in ledger.open_records() if ledger else []:
            if record.how == UNDO and record.arguments.get("binding") == self.name and ledger:
                ledger.write({"op": "undone", "id": record.id})

    @contextmanager
    def applied(self, value: Mapping[str, Any]) -> Iterator[None]:
        """Registered for as long as the block lasts; afterwards as it was before the block."""
        before = self.current()
        self.apply(value)
        try:
            yield
        finally:
            if before is None:
                self.remove()
            else:
                self.apply(before)

    def _is_recorded(self) -> bool:
        """Whether this run registered it (without a ledger there is no telling, and the manager must do)."""
        ledger = self._cluster.ledger
        if ledger is None:
            return True
        return any(r.how == UNDO and r.arguments.get("binding") == self.name for r in ledger.open_records())

    def _body(self, value: Manifest) -> Manifest:
        return _applied_by_us(self.kubevirt, {"configuration": {"network": {"binding": {self.name: value}}}})


def deregister(cluster: Cluster, kubevirt: Ref, name: str) -> None:
    """Apply nothing with the manager of ``name``: what it owns goes, everything else stays."""
    manager = f"{FIELD_MANAGER}.{name}"
    entries = dig(cluster.get(kubevirt.any_uid()), "metadata", "managedFields", default=[])
    if any(entry.get("manager") == manager for entry in entries):
        cluster.apply(_applied_by_us(kubevirt, None), manager=manager)


def undo_registration(cluster: Cluster, record: Record) -> None:
    """The ledger's undo called ``deregister``."""
    deregister(cluster, record.ref, str(record.arguments["binding"]))


def _applied_by_us(kubevirt: Ref, spec: Manifest | None) -> Manifest:
    head = {
        "apiVersion": KUBEVIRT.api_version,
        "kind": KUBEVIRT.kind,
        "metadata": {"name": kubevirt.name, "namespace": kubevirt.namespace},
    }
    return head if spec is None else {**head, "spec": spec}
