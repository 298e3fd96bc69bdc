"""The run as a check sees it: the ``run`` fixture's value, the same in the controller and in every worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.cluster.provider import Mode
from conformance.cluster.rundir import RUN_LABEL, RunDirectory
from conformance.guest.guest import Guest
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.kube.cluster import Cluster, Versions, namespace_manifest
from conformance.kube.manifest import Ref
from conformance.kube.networks import SECONDARY_LABEL
from conformance.kube.outcome import Inconclusive
from conformance.kube.timeouts import Timeouts
from conformance.kube.wait import wait_gone
from conformance.model import Binding


@dataclass(frozen=True)
class Handoff:
    """What the controller tells its workers. Plain values: it travels as JSON."""

    directory: str
    kubeconfig: str
    context: str | None
    mode: Mode
    binding: str
    report_dir: str
    nodes: tuple[str, ...]
    kubernetes: str
    kubevirt: str
    timeout_factor: float
    secondary_network: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Handoff:
        fields = json.loads(text)
        return cls(**{**fields, "nodes": tuple(fields["nodes"])})


class Run:
    """One run on one cluster for one binding.

    ``cluster`` records whatever is created in ``ledger``; ``timeouts`` is the scaled table; ``nodes`` the schedulable
    nodes, sorted; ``versions`` of Kubernetes and KubeVirt; ``keys`` those of the run's guests; ``report_dir`` where
    evidence goes. ``keeping`` turns true when a check did not pass and the user wants to look at what it left:
    fixtures then delete nothing. Closing it closes connections only.
    """

    def __init__(self, handoff: Handoff, binding: Binding, process: str) -> None:
        self.handoff, self.binding = handoff, binding
        self.directory = RunDirectory(Path(handoff.directory))
        self.id = self.directory.id
        self.mode = handoff.mode
        self.keeping = False
        self.nodes = handoff.nodes
        self.versions = Versions(handoff.kubernetes, handoff.kubevirt)
        self.timeouts = Timeouts().scaled(handoff.timeout_factor)
        self.report_dir = Path(handoff.report_dir)
        self.ledger = self.directory.ledger(process)
        self.keys: GuestKeys = self.directory.keys()
        self.cluster = Cluster.connect(
            handoff.kubeconfig, handoff.context, cache_file=self.directory.discovery_cache, ledger=self.ledger
        )

    @property
    def labels(self) -> dict[str, str]:
        """The labels of whatever this run makes."""
        return {RUN_LABEL: self.id}

    @property
    def secondary_network(self) -> str:
        """The network to test secondary interfaces on, ``namespace/name``. Raises Inconclusive where none is known."""
        if not self.handoff.secondary_network:
            raise Inconclusive(
                "no secondary network to test on: name one with --secondary-network or in spec.facts.secondaryNetwork, "
                f"or label a NetworkAttachmentDefinition with {SECONDARY_LABEL}"
            )
        return self.handoff.secondary_network

    def create_namespace(self, purpose: str) -> str:
        """Make a namespace ``kbc-<run>-<purpose>`` for privileged pods; the ledger deletes it at the end of the run."""
        return str(self.cluster.create(namespace_manifest(self._name(purpose), self.labels))["metadata"]["name"])

    @contextmanager
    def namespace(self, purpose: str) -> Iterator[str]:
        """A namespace for as long as the block lasts, followed until it is gone."""
        made = self.cluster.create(namespace_manifest(self._name(purpose), self.labels))
        ref = Ref.of(made)
        try:
            yield ref.name
        finally:
            if not self.keeping:
                self.cluster.delete(ref)
                wait_gone(self.cluster, ref, self.timeouts.deletion.start())
                self.ledger.forget(ref)

    def guest(self, namespace: str, name: str, image: GuestImage) -> Guest:
        """The inside of a VMI of this run, whose user data came from ``self.keys``."""
        return Guest(self.cluster, namespace, name, image=image, keys=self.keys, timeouts=self.timeouts)

    def close(self) -> None:
        self.cluster.close()

    def _name(self, purpose: str) -> str:
        return f"kbc-{self.id}-{purpose}"
