"""Registering a binding, touching nothing but its own key, and taking it back.

In the KubeVirt CR or, where HCO owns that, in the HyperConverged. Server-side apply with a field manager per binding
(``kubevirt-binding-conformance.<name>``): whatever else the object holds is not ours and cannot be changed by us.
Taking it back is applying nothing with the same manager. RBAC: ``get`` and ``patch`` on that object, and ``list`` on
``kubevirts``, which every authenticated user has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from conformance.kube.cluster import FIELD_MANAGER, Cluster
from conformance.kube.errors import KubeError
from conformance.kube.ledger import Record
from conformance.kube.manifest import Manifest, Ref, dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.registry import Registry, find_registry, path_of
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until

UNDO = "deregister"
_PROPAGATION_SECONDS = 60.0


class RegistrationTaken(KubeError, EnvironmentFault):
    """The name is registered already, and not by this run; ``value`` is what stands there, ``owners`` who wrote it."""

    def __init__(self, registry: Registry, name: str, value: object, owners: tuple[str, ...]) -> None:
        ours = [owner for owner in owners if owner.startswith(FIELD_MANAGER)]
        advice = (
            "it is left from a run that was killed, or another run is under way: wait for that one, or end it and run "
            "`binding-conformance sweep`; runs at the same time share what `binding-conformance register` has "
            "registered, with --registered"
            if ours
            else "remove it, or give the definition another metadata.name"
        )
        path = ".".join((*registry.path, name))
        writer = ", ".join(owners) or "somebody"
        super().__init__(f"{registry.ref}: {path} is set already, to {value!r} by {writer}; {advice}")
        self.name, self.value, self.owners = name, value, owners


class Registration:
    """The registration of one binding name. Use :meth:`applied`, or :meth:`apply` and :meth:`remove`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self.name = cluster, name
        self.registry = find_registry(cluster)
        self.manager = f"{FIELD_MANAGER}.{name}"

    def current(self) -> Mapping[str, Any] | None:
        """The value that KubeVirt finds under this name now, whoever wrote it."""
        return self._value(self.registry.kubevirt)

    def owners(self) -> tuple[str, ...]:
        """The field managers that own our key."""
        entries = dig(self._cluster.get(self.registry.ref), "metadata", "managedFields", default=[])
        path = ("fieldsV1", *(f"f:{step}" for step in (*self.registry.path, self.name)))
        return tuple(str(entry.get("manager", "")) for entry in entries if dig(entry, *path) is not None)

    def apply(self, value: Mapping[str, Any]) -> None:
        """Register ``value``; on a second call, replace what we registered before.

        Raises RegistrationTaken when the name belongs to somebody else. Under HCO, returns once the KubeVirt CR has the
        name; what value it has there is for a check to judge.
        """
        owners = self.owners()
        written = self._value(self.registry.ref)
        if written is not None and (self.manager not in owners or not self._is_recorded()):
            raise RegistrationTaken(self.registry, self.name, written, owners)
        body = self._body(dict(value))
        if self._cluster.ledger is None or self._is_recorded():
            self._cluster.apply(body, manager=self.manager)
        else:
            with self._cluster.ledger.making(self.registry.ref, UNDO, binding=self.name):
                self._cluster.apply(body, manager=self.manager)
        self._await_propagation(dict(value) if written is not None else None)

    def _await_propagation(self, value: Mapping[str, Any] | None) -> None:
        """Follow the KubeVirt CR until HCO has written the name there (and ``value``, where one is given)."""
        if not self.registry.by_hco:
            return

        wait_until(
            f"HCO registers {self.name} in {self.registry.kubevirt}",
            self.current,
            Deadline.patience(_PROPAGATION_SECONDS),
            until=lambda found: found is not None and value in (None, found),
        )

    def _value(self, ref: Ref) -> Mapping[str, Any] | None:
        found = dig(self._cluster.get(ref), *path_of(ref.kind), self.name)
        return dict(found) if found is not None else None

    def remove(self) -> None:
        """Take our key back; does nothing when it is not there."""
        deregister(self._cluster, self.registry.ref, self.name)
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
        content: Manifest = {self.name: value}
        for step in reversed(self.registry.path):
            content = {step: content}
        return _applied_by_us(self.registry.ref, content)


def deregister(cluster: Cluster, registry: Ref, name: str) -> None:
    """Apply nothing with the manager of ``name``: what it owns goes, everything else stays."""
    manager = f"{FIELD_MANAGER}.{name}"
    entries = dig(cluster.get(registry.any_uid()), "metadata", "managedFields", default=[])
    if any(entry.get("manager") == manager for entry in entries):
        cluster.apply(_applied_by_us(registry, {}), manager=manager)


def undo_registration(cluster: Cluster, record: Record) -> None:
    """The ledger's undo called ``deregister``."""
    deregister(cluster, record.ref, str(record.arguments["binding"]))


def _applied_by_us(registry: Ref, content: Manifest) -> Manifest:
    metadata = {"name": registry.name, "namespace": registry.namespace}
    return {"apiVersion": registry.kind.api_version, "kind": registry.kind.kind, "metadata": metadata, **content}
