"""The run as a check sees it: the ``run`` fixture's value, the same in the controller and in every worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.access.logins import Connections, Login, Logins
from conformance.cluster.provider import Mode
from conformance.cluster.rundir import RUN_LABEL, RunDirectory
from conformance.guest.guest import Guest
from conformance.guest.image import DEFAULT, GuestImage
from conformance.guest.keys import GuestKeys
from conformance.kube.cluster import Cluster, Versions
from conformance.kube.manifest import Manifest
from conformance.kube.networks import SECONDARY_LABEL
from conformance.kube.outcome import Inconclusive
from conformance.kube.timeouts import Timeouts
from conformance.model import Binding
from conformance.site import load_site


@dataclass(frozen=True)
class Handoff:
    """What the controller tells its workers. Plain values: it travels as JSON.

    ``namespaces`` has one for each process, in the order of the workers; ``site`` is the path of the site file or "",
    ``guest`` the name of a guest profile, ``secondary_definition`` what the cluster holds as ``secondary_network``.
    """

    directory: str
    runner: Login
    registrar: Login
    namespaces: tuple[str, ...]
    site: str
    site_name: str
    node_access: bool
    disruption: bool
    hco: bool
    mode: Mode
    binding: str
    report_dir: str
    nodes: tuple[str, ...]
    kubernetes: str
    kubevirt: str
    timeout_factor: float
    secondary_network: str = ""
    secondary_definition: Manifest | None = None
    guest: str = DEFAULT

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Handoff:
        fields = json.loads(text)
        lists = {name: tuple(fields[name]) for name in ("nodes", "namespaces")}
        logins = {name: Login(**fields[name]) for name in ("runner", "registrar")}
        return cls(**{**fields, **lists, **logins})


class Run:
    """One run on one cluster for one binding.

    ``cluster`` speaks as the runner, which has rights in ``workspace`` only, the namespace of this process, and records
    whatever is created in ``ledger``; ``registrar`` may change the registration and nothing else. ``timeouts`` is the
    scaled table; ``nodes`` are those to use, sorted; ``versions`` of Kubernetes and KubeVirt; ``site`` the local facts
    of the cluster; ``keys`` those of the run's guests; ``report_dir`` where evidence goes. ``keeping`` turns true when
    a check did not pass and the user wants to look at what it left: fixtures then delete nothing. ``alibi`` is asked
    before a check that has client pods accuses the binding: it says in words what keeps those from each other, and says
    nothing where they do. Closing it closes connections only.
    """

    def __init__(self, handoff: Handoff, binding: Binding, process: str) -> None:
        self.handoff, self.binding = handoff, binding
        self.directory = RunDirectory(Path(handoff.directory))
        self.id = self.directory.id
        self.mode = handoff.mode
        self.keeping = False
        self.alibi: Callable[[], str] = str
        self.nodes = handoff.nodes
        self.versions = Versions(handoff.kubernetes, handoff.kubevirt)
        self.timeouts = Timeouts().scaled(handoff.timeout_factor)
        self.report_dir = Path(handoff.report_dir)
        self.ledger = self.directory.ledger(process)
        self.keys: GuestKeys = self.directory.keys()
        self.alone = not process.startswith("gw")
        self.workspace = handoff.namespaces[_index(process) % len(handoff.namespaces)]
        self.site = load_site(Path(handoff.site) if handoff.site else None)
        logins = Logins(handoff.runner, handoff.registrar, handoff.runner)
        self._connections = Connections(logins, lambda _: self.ledger, self.directory.discovery_cache)

    @property
    def cluster(self) -> Cluster:
        """The connection of the runner."""
        return self._connections.runner

    @property
    def registrar(self) -> Cluster:
        """The connection of the registrar, for :class:`~conformance.kube.registration.Registration`."""
        return self._connections.registrar

    @property
    def node_access(self) -> bool:
        """Whether this run may look at the nodes."""
        return self.handoff.node_access

    @property
    def disruption(self) -> bool:
        """Whether this run may disturb the nodes for a moment: they are its own, or their owner allows it."""
        return self.handoff.disruption

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

    @property
    def secondary_definition(self) -> Manifest:
        """The definition of :attr:`secondary_network`. Raises Inconclusive where the account may not read it."""
        if self.handoff.secondary_definition is None:
            what = f"the definition of {self.secondary_network} is not there, or the account of the run may not read it"
            raise Inconclusive(what)
        return self.handoff.secondary_definition

    def guest(self, namespace: str, name: str, image: GuestImage) -> Guest:
        """The inside of a VMI of this run, whose user data came from ``self.keys``."""
        return Guest(self.cluster, namespace, name, image=image, keys=self.keys, timeouts=self.timeouts)

    def close(self) -> None:
        self._connections.close()


def _index(process: str) -> int:
    """The number of an xdist worker (``gw1`` is 1); 0 for a process that runs all checks."""
    digits = process.removeprefix("gw")
    return int(digits) if digits.isdigit() else 0
