"""What both halves of virt-handler share: sessions with launchers, and reporting into the VMI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conformance.sandbox.client import VMIS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.guests import GuestImage
from conformance.sandbox.kubernetes.kubelet import Kubelet
from conformance.sandbox.kubernetes.runningpod import RunningPod
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.guestagent import AgentPoller, put_agent, with_guest
from conformance.sandbox.kubevirt.vmistatus import interface_status, put_migratable
from conformance.sandbox.launcher import compute
from conformance.sandbox.launcher.container import Container
from conformance.sandbox.launcher.errors import CommandDeadlineError, LauncherLostError, LauncherNotReadyError
from conformance.sandbox.launcher.guestagent import GuestReport
from conformance.sandbox.launcher.hooks import HookRules
from conformance.sandbox.launcher.launcher import Launcher
from conformance.sandbox.launcher.links import DomainInterface
from conformance.sandbox.launcher.netpod import setup_pod_network
from conformance.sandbox.launcher.podinterfaces import PodInterfaces

SYNC_FAILED_REASON: Final = "Synchronizing with the Domain failed."
_LAUNCHER_SECONDS: Final = 240.0
"""How long a launcher waits for its sidecars (`--qemu-timeout`, without its jitter)."""
COMMAND_SECONDS: Final = 20.0
"""How long virt-handler waits for a command to a launcher (`longTimeout` of its client)."""
_ENDING_SECONDS: Final = 1.0
"""How long a launcher that is told to end still answers, as recorded."""
_RETRY_FIRST_SECONDS: Final = 0.5
_RETRY_LAST_SECONDS: Final = 10.0


@dataclass
class Session:
    """One launcher pod of a VMI on this node, as far as it has been brought."""

    pod: RunningPod
    compute: Container
    launcher: Launcher
    cache: PodInterfaces | None = None
    launching: asyncio.Task[None] | None = None
    command: asyncio.Task[None] | None = None
    """The last command of virt-handler, which may outlast its patience; a launcher has one after the other."""
    lost: bool = False
    """The launcher ended in the middle of a command."""
    prepared: bool = False
    domain_up: bool = False
    unfinished: bool = False
    """The domain has arrived and its migration cannot be finalised."""
    aborting: bool = False
    ending: bool = False
    failures: int = 0
    outgoing: asyncio.Task[None] | None = None
    guest_agent: AgentPoller = field(default_factory=AgentPoller)
    reported: tuple[str, tuple[DomainInterface, ...], GuestReport | None] | None = None
    """The VMI's resource version, the domain's interfaces and the agent's answer at the last report."""

    @property
    def collected(self) -> bool:
        """Whether the launcher has come up with all its sidecars."""
        task = self.launching
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    def next_delay(self) -> float:
        self.failures += 1
        return float(min(_RETRY_FIRST_SECONDS * 2**self.failures, _RETRY_LAST_SECONDS))


@dataclass(frozen=True)
class HandlerContext:
    """What every virt-handler of the cluster shares.

    `launchers` is the address book of launchers by pod UID: a source reaches its target through it as it would
    through the migration proxies of the two nodes.
    """

    client: ApiClient
    vmis: Informer
    pods: Informer
    kubevirts: Informer
    facts: VersionFacts
    guest_of: Callable[[Object], GuestImage]
    shared: Path
    launchers: dict[str, Launcher] = field(default_factory=dict)

    def registered(self) -> spec.Registrations:
        """The registrations, as far as this KubeVirt understands them."""
        return spec.attached(spec.registrations(next(iter(self.kubevirts), None)), self.facts.attachments)

    def hook_rules(self) -> HookRules:
        """How this KubeVirt's launchers look for sidecars."""
        facts = self.facts
        return HookRules(facts.sidecar_sub_path, facts.hook_scan_seconds, facts.hook_timeout_without_socket)


class NodeAgent:
    """Launchers of one node by pod, and the API as virt-handler uses it."""

    controller: Controller

    def __init__(self, context: HandlerContext, kubelet: Kubelet) -> None:
        self.context, self._kubelet, self.node = context, kubelet, kubelet.node
        self.events = EventRecorder(context.client, "virt-handler", self.node.name)
        self._sessions: dict[str, Session] = {}

    def session(self, pod: Object) -> Session | None:
        """The session of a launcher pod whose compute container runs here."""
        uid = pod["metadata"]["uid"]
        running = self._kubelet.running(uid)
        container = running.containers.get("compute") if running else None
        if running is None or container is None or running.netns is None:
            self._sessions.pop(uid, None)
            self.context.launchers.pop(uid, None)
            return None
        if uid not in self._sessions:
            launcher = Launcher(
                self.node,
                running.ref,
                running.netns,
                container,
                running.volumes.directory,
                self.context.shared,
                self.context.hook_rules(),
            )
            self._sessions[uid] = Session(running, container, launcher)
            self.context.launchers[uid] = launcher
        return self._sessions[uid]

    async def connect(self, vmi: Object, session: Session) -> PodInterfaces | None:
        """Phase 1 of the network, then a launcher with all its sidecars; each step once.

        None while the launcher is not there yet, whose coming brings the next reconcile: the VMI may be deleted
        meanwhile. Raises PodNetworkSetupError, HookCollectError or LauncherNotReadyError.
        """
        if session.cache is None:
            registered = self.context.registered()
            quiet = self.context.facts.managed_tap_arp_ignore
            session.cache = await setup_pod_network(
                self.node, session.launcher.netns, vmi, registered, managed_tap_arp_ignore=quiet
            )
        if session.launching is None:
            key = Key(vmi["metadata"]["namespace"], vmi["metadata"]["name"])
            session.launching = asyncio.create_task(self._launch(vmi, session))
            session.launching.add_done_callback(lambda _: self.controller.enqueue(key))
        if not session.launching.done():
            return None
        session.launching.result()
        return session.cache

    async def order(self, session: Session, command: Callable[[], Coroutine[None, None, None]]) -> None:
        """Let the launcher do what takes long. It goes on when virt-handler waits no longer; the next order follows it.

        Raises what the command does, CommandDeadlineError, or LauncherLostError when the pod is told to end while no
        domain keeps its launcher.
        """
        at_work = session.command = asyncio.create_task(_in_turn(session.command, command))
        ending = asyncio.ensure_future(session.pod.terminating.wait())
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await asyncio.wait({at_work, ending}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({at_work}, timeout=_ENDING_SECONDS)
                if not at_work.done() and await session.launcher.state() == "nostate":
                    session.lost = True
                    at_work.cancel()
                    raise LauncherLostError
                await asyncio.wait({at_work})
        except TimeoutError as error:
            raise CommandDeadlineError from error
        finally:
            ending.cancel()
        at_work.result()

    async def _launch(self, vmi: Object, session: Session) -> None:
        """Wait for the launcher as long as virt-handler does, which is less long than the launcher for its sidecars."""
        patience = self.context.facts.command_socket_seconds
        try:
            async with asyncio.timeout(patience):
                await _while_it_lives(session.compute, self._reach(vmi, session.launcher, patience))
        except TimeoutError as error:
            raise LauncherNotReadyError(f"no command socket within {patience:g} s") from error

    async def _reach(self, vmi: Object, launcher: Launcher, patience: float) -> None:
        await launcher.wait_ready(patience)
        await launcher.collect_sidecars(self._sidecar_count(vmi), _LAUNCHER_SECONDS)

    def _sidecar_count(self, vmi: Object) -> int:
        registered = self.context.registered()
        names = {name for _, name in spec.plugin_interfaces(vmi)}
        return sum(1 for name in names if (registered.get(name) or {}).get("sidecarImage"))

    async def report(self, vmi: Object, session: Session, *, running: bool = False) -> None:
        """Write interfaces and conditions; the Running phase too on the first report after the start.

        Nothing of a domain that has ended: the last report of it stays.
        """
        domain = await session.launcher.live_interfaces()
        registered, facts, cache = self.context.registered(), self.context.facts, session.cache
        if cache is None or domain is None:
            return
        agent = session.guest_agent.report
        pod = next((p for p in self.context.pods if p["metadata"]["uid"] == session.pod.ref.uid), None)
        reported = spec.reported_interfaces(pod)

        def change(obj: Object) -> None:
            obj["status"]["interfaces"] = with_guest(interface_status(obj, domain, cache, facts, reported), agent)
            put_agent(obj, agent)
            put_migratable(obj, registered, facts)
            if running:
                conditions.drop(obj, "Synchronized")
                conditions.enter_phase(obj, "Running")

        await self.update(vmi, change)

    async def sync_failed(self, vmi: Object, message: str) -> None:
        """Event and condition of a sync that failed."""
        await self.events.warning(vmi, "SyncFailed", message)
        await self.update(vmi, lambda obj: conditions.put(obj, "Synchronized", False, SYNC_FAILED_REASON, message))

    async def update(self, vmi: Object, change: Callable[[Object], None]) -> None:
        """Change the VMI in the API; one that is gone or was made anew is left alone."""
        meta = vmi["metadata"]

        def guarded(obj: Object) -> None:
            if obj["metadata"]["uid"] == meta["uid"]:
                change(obj)

        try:
            self.context.vmis.remember(await self.context.client.mutate(VMIS, meta["namespace"], meta["name"], guarded))
        except ApiError as error:
            if not error.not_found:
                raise

    async def end_launcher(self, session: Session) -> None:
        """Tell the sidecars, then let the compute container end as a launcher does: with status 0 once it was up."""
        session.ending = True
        await session.launcher.shutdown_sidecars()
        await session.compute.kill(compute.QUIT_SIGNAL if session.collected else compute.ABANDON_SIGNAL)


async def _in_turn(earlier: asyncio.Task[None] | None, command: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command once the earlier one has ended, however it did. To cancel it is to cancel that too."""
    if earlier is not None:
        await asyncio.gather(earlier, return_exceptions=True)
    await command()


async def _while_it_lives(container: Container, work: Coroutine[None, None, None]) -> None:
    """Do the work, unless the container ends first: nobody waits for a launcher that is gone.

    Raises LauncherNotReadyError then. The next launcher of the VMI on this node is waiting for its turn.
    """
    task, ended = asyncio.ensure_future(work), asyncio.ensure_future(container.wait())
    try:
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise LauncherNotReadyError("the launcher ended before it was ready")
        await task
    finally:
        task.cancel()
        ended.cancel()
