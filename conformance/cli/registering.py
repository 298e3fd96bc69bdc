"""``binding-conformance register`` and ``unregister``: the registration on its own, for runs that share it."""

from __future__ import annotations

from pathlib import Path

from conformance.cluster.incluster import default_kubeconfig
from conformance.cluster.provider import Progress
from conformance.kube.cluster import Cluster
from conformance.kube.registration import Registration, RegistrationTaken
from conformance.model import Binding, load_binding, resolve
from conformance.plugin.paths import fixtures_directory


def register_binding(name: str, kubeconfig: Path | None, progress: Progress) -> None:
    """Register the binding, unless it is there as defined. Raises RegistrationTaken when it is there otherwise."""
    binding = _load(name)
    if binding.registration is None:
        progress(f"{binding.name} is one of KubeVirt's own bindings and is registered nowhere")
        return
    wanted = binding.registration.to_dict()
    cluster = Cluster.connect(kubeconfig or default_kubeconfig())
    try:
        registration = Registration(cluster, binding.name)
        current = registration.current()
        if current is not None and current != wanted and registration.manager not in registration.owners():
            raise RegistrationTaken(registration.registry, binding.name, current, registration.owners())
        if current != wanted:
            registration.apply(wanted)
    finally:
        cluster.close()
    progress(f"{binding.name} is registered")


def unregister_binding(name: str, kubeconfig: Path | None, progress: Progress) -> None:
    """Take the registration back, where it is ours; somebody else's stays."""
    binding = _load(name)
    cluster = Cluster.connect(kubeconfig or default_kubeconfig())
    try:
        Registration(cluster, binding.name).remove()
    finally:
        cluster.close()
    progress(f"{binding.name} is not registered by us any more")


def _load(name: str) -> Binding:
    return load_binding(resolve(name, fixtures_directory()))
