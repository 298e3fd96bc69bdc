"""What the controller process does before the first check and after the last: cluster and binding, and the undoing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from conformance.access.accounts import proxied_kubeconfig
from conformance.access.logins import Connections, Login, Logins
from conformance.cluster.fitness import require_fit, usable_nodes
from conformance.cluster.incluster import default_kubeconfig
from conformance.cluster.install import Installation, undo
from conformance.cluster.kubeconfig import KubeconfigProvider
from conformance.cluster.openness import open_traffic
from conformance.cluster.provider import Progress, Provider
from conformance.cluster.rundir import RunDirectory
from conformance.cluster.upstream import UpstreamRun
from conformance.cluster.usedimages import used_images
from conformance.cluster.workplace import Wanted, Workplace, on_our_cluster, on_their_cluster
from conformance.images.lock import ImagesLock
from conformance.kube.cluster import Cluster
from conformance.kube.errors import Forbidden, KubeError
from conformance.kube.ledger import Record
from conformance.kube.manifest import NAD, Manifest, dig
from conformance.kube.networks import offered_network
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.registry import Registry, find_kubevirt, find_registry
from conformance.kube.timeouts import Timeouts
from conformance.model import Binding, UpstreamSuite
from conformance.plugin.paths import data_root, fixtures_directory
from conformance.plugin.run import Handoff
from conformance.plugin.settings import Settings
from conformance.site import Site, load_site

# how much slower a guest is without KVM; KubeVirt's CR says whether it is (useEmulation)
EMULATION_FACTOR = 2.0


def make_provider(settings: Settings, binding: Binding, site: Site) -> Provider:
    """The provider the user chose, with what the binding is for where there is a choice left."""
    if settings.mode == "kubeconfig":
        lock = ImagesLock(fixtures_directory() / "images.lock")
        images = used_images(lock, binding, site, settings.guest)
        return KubeconfigProvider(_kubeconfig(settings), settings.context, images)
    if settings.mode == "kind":
        from conformance.cluster.kind import KindProvider  # only where a cluster is to be made

        return KindProvider(settings.kind, data_root(), settings.report_dir / "cluster-logs")
    from conformance.cluster.sandbox import SandboxProvider  # only where a sandbox is wanted

    return SandboxProvider(
        settings.sandbox,
        detach=settings.keep_on_failure,
        kubevirt_version=settings.kubevirt_version,
        guests=settings.guests,
        hco=settings.hco,
        shape=settings.shape.meant_for(binding),
    )


def _kubeconfig(settings: Settings) -> Path:
    return settings.kubeconfig or default_kubeconfig()


class Provisioning:
    """The cluster with the binding on it. ``handoff`` is there after :meth:`up`."""

    def __init__(self, settings: Settings, binding: Binding, progress: Progress) -> None:
        self._settings, self._binding, self._progress = settings, binding, progress
        self._site = load_site(settings.site)
        self._provider = make_provider(settings, binding, self._site)
        self._directory: RunDirectory | None = None
        self._connections: Connections | None = None
        self._namespaces: tuple[str, ...] = ()
        self._timeouts = Timeouts().scaled(settings.timeout_factor)
        self.handoff: Handoff | None = None

    def up(self) -> Handoff:
        """Cluster up, binding installed and registered. On an error the caller calls :meth:`down`."""
        kubeconfig = self._provider.up(self._progress)
        directory = self._directory = RunDirectory.create()
        logins = self._logins(kubeconfig, directory)
        directory.describe(self._settings.mode, logins, self._binding.source)
        connections = self._connections = Connections(logins, directory.ledger, directory.discovery_cache)
        cluster = connections.installer
        registry, nodes = find_registry(cluster), usable_nodes(cluster, self._site.node_selector)
        require_fit(cluster, registry, self._binding, nodes, self._site)
        self._timeouts = Timeouts().scaled(self._factor(cluster))
        workplace = self._workplace(connections, directory, registry)
        self.handoff = self._describe(cluster, directory, registry, nodes, workplace)
        directory.keys()
        installation = Installation(
            cluster,
            self._provider,
            self._binding,
            directory.id,
            self._timeouts,
            installed=self._site.installed,
            registered=self._settings.registered,
        )
        installation.install(self._progress)
        working = Connections(workplace.logins, directory.ledger, directory.discovery_cache)
        try:
            installation.register(working.registrar, self._progress)
            open_traffic(working.runner, workplace.namespaces, directory, self._progress)
        finally:
            working.close()
        # the binding's manifests may have brought it
        definition = _definition(cluster, self.handoff.secondary_network)
        self.handoff = replace(self.handoff, secondary_definition=definition)
        return self.handoff

    def _logins(self, kubeconfig: Path, directory: RunDirectory) -> Logins:
        """The user's own connection for everything, but for what the site gives other accounts for."""
        site = self._site

        def login(name: str, file: Path | None) -> Login:
            chosen, context = (kubeconfig, self._settings.context) if file is None else (file, None)
            if site.proxy:
                chosen = proxied_kubeconfig(chosen, site.proxy, directory.path / f"{name}-by-proxy.kubeconfig")
            return Login(str(chosen), context)

        own = login("own", None)
        registrar = login("registrar", site.registrar) if site.registrar else own
        return Logins(own, registrar, login("runner", site.runner) if site.runner else own)

    def _factor(self, cluster: Cluster) -> float:
        emulated = dig(
            find_kubevirt(cluster), "spec", "configuration", "developerConfiguration", "useEmulation", default=False
        )
        return self._settings.timeout_factor * self._site.timeout_factor * (EMULATION_FACTOR if emulated else 1.0)

    def _workplace(self, connections: Connections, directory: RunDirectory, registry: Registry) -> Workplace:
        """Namespaces and accounts: made with least privilege on a cluster of ours, looked at on somebody's."""
        workers = self._settings.workers
        wanted = Wanted(
            binding=self._binding,
            registry=registry,
            purposes=tuple(f"gw{index}" for index in range(workers)) if workers else ("main",),
            node_access=self._node_access,
            install=not self._site.installed,
            register=not self._settings.registered,
        )
        logins = connections.logins
        if self._settings.mode != "kubeconfig":
            return on_our_cluster(connections.installer, logins.installer, directory, wanted)
        given = self._share(self._site.namespaces, len(wanted.purposes))
        workplace = on_their_cluster(connections, given, directory, wanted, self._progress)
        self._namespaces = workplace.namespaces
        directory.describe(self._settings.mode, logins, self._binding.source, workplace.namespaces)
        return workplace

    def _share(self, namespaces: tuple[str, ...], needed: int) -> tuple[str, ...]:
        """Of the namespaces the site gives, those of this shard: shards run side by side."""
        shard = self._settings.shard
        return namespaces if shard is None else namespaces[(shard.index - 1) * needed :]

    @property
    def _node_access(self) -> bool:
        return self._settings.mode != "kubeconfig" or self._settings.node_access or self._site.node_access

    @property
    def _disruption(self) -> bool:
        """Not beside other shards, which are judged on the same nodes at the same time."""
        return self._settings.shard is None and (self._settings.mode != "kubeconfig" or self._site.disruption)

    def _describe(
        self,
        cluster: Cluster,
        directory: RunDirectory,
        registry: Registry,
        nodes: tuple[str, ...],
        workplace: Workplace,
    ) -> Handoff:
        versions = cluster.versions()
        return Handoff(
            directory=str(directory.path),
            runner=workplace.logins.runner,
            registrar=workplace.logins.registrar,
            namespaces=workplace.namespaces,
            site=str(self._settings.site or ""),
            site_name=self._site.name,
            node_access=self._node_access,
            disruption=self._disruption,
            hco=registry.by_hco,
            mode=self._settings.mode,
            binding=str(self._binding.mutant.source if self._binding.mutant else self._binding.source),
            report_dir=str(self._settings.report_dir),
            nodes=nodes,
            kubernetes=versions.kubernetes,
            kubevirt=versions.kubevirt,
            timeout_factor=self._factor(cluster),
            secondary_network=self._secondary_network(cluster),
            guest=self._settings.guest or self._provider.guest,
        )

    def _secondary_network(self, cluster: Cluster) -> str:
        """The network to test secondary interfaces on: what the user, the site, the definition or the cluster says."""
        declared = str(self._binding.facts.secondary_network or "")
        named = self._settings.secondary_network or self._site.secondary_network or declared
        if named:
            return named
        try:
            return offered_network(cluster)
        except Forbidden:  # an account that may not look into other namespaces
            return ""

    def upstream(self) -> UpstreamSuite | None:
        """KubeVirt's own conformance suite with the binding as primary; None before :meth:`up`."""
        if self._connections is None or self._directory is None or self.handoff is None:
            return None
        lock = ImagesLock(fixtures_directory() / "images.lock")
        repository, release = "quay.io/kubevirt/conformance", self.handoff.kubevirt
        known = {image.tag: image.reference for image in lock.images if image.repository == repository}
        return UpstreamRun(
            cluster=self._connections.installer,
            run_id=self._directory.id,
            binding=self._binding.name,
            image=known.get(release, f"{repository}:{release}"),
            keeper_image=lock.image("docker.io/library/python", "3.13-alpine").reference,
            kubevirt=release,
            progress=self._progress,
        ).run()

    def save_logs(self) -> str:
        """What the nodes can tell of a run that went wrong, into the report; a remark when they cannot be had."""
        directory = self._settings.report_dir / "cluster-logs"
        try:
            self._provider.export_logs(directory)
        except EnvironmentFault as error:
            return f"no logs of the nodes: {error}"
        return f"logs of the nodes: {directory}" if directory.is_dir() else ""

    def keep(self) -> str:
        """Leave everything as it is; the text says how to look at it and how to undo it."""
        kubeconfig = self._connections.logins.installer.kubeconfig if self._connections else "(none)"
        end = "down" if self._provider.owned else "sweep"
        return f"kept for inspection: kubeconfig {kubeconfig}; end it with `binding-conformance {end}`"

    def down(self) -> list[str]:
        """Undo everything that was done; may be called at any point, and twice. Returns what could not be undone."""
        problems: list[str] = []
        if self._connections is not None and self._directory is not None:
            self._progress("cleaning up")
            if not self._provider.owned:  # one of our own takes everything with it
                problems = self._undo(self._connections, self._directory)
            self._connections.close()
            self._connections = None
        with suppress(EnvironmentFault):
            self._provider.down()
        if self._directory is not None and not problems:
            self._directory.remove()
            self._directory = None
        return problems

    def _undo(self, connections: Connections, directory: RunDirectory) -> list[str]:
        def by(record: Record) -> Cluster:
            return connections.of(record, self._namespaces)

        try:
            undone = undo(by, directory.ledger("controller"), self._timeouts)
        except KubeError as error:
            return [str(error)]
        return [f"{record}: {why}" for record, why in undone.failed]


def _definition(cluster: Cluster, network: str) -> Manifest | None:
    """The NetworkAttachmentDefinition ``namespace/name``; None without one, or where the account may not read it."""
    namespace, slash, name = network.partition("/")
    with suppress(Forbidden):
        return cluster.find(NAD.ref(name, namespace)) if slash else None
    return None
