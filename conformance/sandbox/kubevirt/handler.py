"""virt-handler: runs the VMIs of one node through their launchers.

It reads VMIs, pods and registrations from the API, writes what it saw back into the VMI, and reaches launchers that
run on its own node only. Order of steps, conditions and events as recorded on v1.9.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.controller import Controller, Key
from conformance.sandbox.kubernetes.kubelet import Kubelet
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.agent import HandlerContext, NodeAgent, Session
from conformance.sandbox.kubevirt.moving import Mover
from conformance.sandbox.kubevirt.vmis import pods_of
from conformance.sandbox.kubevirt.vmistatus import put_migratable
from conformance.sandbox.launcher.errors import LauncherError, LauncherLostError, PodNetworkSetupError, SyncError

log = logging.getLogger(__name__)

_FINAL: Final = ("Succeeded", "Failed")
_POLL_SECONDS: Final = 5.0
_COMING_UP_SECONDS: Final = 3.0
_LOST_INTERFACE: Final = (
    'server error. command SyncVMI failed: "could not retrieve the api.Interface object from the dummy domain"'
)


class VirtHandler(NodeAgent):
    """The agent of one node."""

    def __init__(self, context: HandlerContext, kubelet: Kubelet) -> None:
        super().__init__(context, kubelet)
        self._mover = Mover(self)
        self.controller = Controller(f"virt-handler {self.node.name}", self._reconcile)
        self.controller.watch(context.vmis)
        self.controller.watch(context.pods, self._vmi_of)

    def _vmi_of(self, pod: Object) -> list[Key]:
        name = pod["metadata"].get("labels", {}).get("vm.kubevirt.io/name")
        here = pod["spec"].get("nodeName") == self.node.name
        return [Key(pod["metadata"]["namespace"], name)] if name and here else []

    async def _reconcile(self, key: Key) -> float | None:
        vmi = self.context.vmis.get(*key)
        if vmi is None:
            return None
        delays = []
        for pod in pods_of(self.context.pods, vmi):
            if pod["spec"].get("nodeName") == self.node.name:
                delays.append(await self._reconcile_pod(vmi, pod))
        return min((delay for delay in delays if delay is not None), default=None)

    async def _reconcile_pod(self, vmi: Object, pod: Object) -> float | None:
        session = self.session(pod)
        if session is None or session.ending:
            return None
        status = vmi.get("status", {})
        state = status.get("migrationState") or {}
        leaving = vmi["metadata"].get("deletionTimestamp") or pod["metadata"].get("deletionTimestamp")
        if leaving or status.get("phase") in _FINAL:
            if not session.domain_up and not pod["metadata"].get("deletionTimestamp"):
                return None  # nothing runs here: the end of the pod is the launcher's
            if self._mover.is_target(vmi, pod):
                await self._finish_preparing(vmi, session)
            return await self._stop(vmi, session)
        if status.get("nodeName") == self.node.name and not self._mover.is_target(vmi, pod):
            if status.get("phase") == "Scheduled":
                return await self._start(vmi, session)
            return await self._run(vmi, session)
        if self._mover.is_target(vmi, pod):
            return await self._mover.receive(vmi, session)
        if self._mover.was_source(vmi, pod) and state.get("endTimestamp"):
            if session.outgoing is not None and not session.outgoing.done():
                return None  # its end brings the next reconcile
            return await self._leave(vmi, session)
        if self._mover.was_rejected(vmi, pod):
            await self.end_launcher(session)
        return None

    async def _start(self, vmi: Object, session: Session) -> float | None:
        registered = self.context.registered()
        await self.update(vmi, lambda obj: put_migratable(obj, registered, self.context.facts))
        if vmi["spec"].get("evictionStrategy") == "LiveMigrate" and not spec.is_migratable(vmi, registered):
            message = f"EvictionStrategy is set but vmi is not migratable; {self.context.facts.not_migratable}"
            await self.events.warning(vmi, "Migrated", message)
        try:
            cache = await self.connect(vmi, session)
            if cache is None:
                return None
            guest = self.context.guest_of(vmi)
            await self.order(session, lambda: session.launcher.start_domain(vmi, cache, guest))
        except LauncherLostError as error:  # the condition is lost too: the VMI has changed since it was read
            await self.events.warning(vmi, "SyncFailed", error.sync_message)
            return session.next_delay()
        except SyncError as error:
            await self.sync_failed(vmi, error.sync_message)
            return session.next_delay()
        except PodNetworkSetupError as error:
            await self.sync_failed(vmi, f"failed to configure vmi network: setup failed, err: {error}")
            await self.update(vmi, lambda obj: conditions.enter_phase(obj, "Failed"))
            return None
        except LauncherError as error:
            log.warning("%s: launcher gave up: %s", vmi["metadata"]["name"], error)
            await self._crashed(vmi)
            return None
        session.domain_up, session.failures = True, 0
        await self.events.normal(vmi, "Created", "VirtualMachineInstance defined.")
        await self.report(vmi, session, running=True)
        await self.events.normal(vmi, "Started", "VirtualMachineInstance started.")
        return _POLL_SECONDS

    async def _crashed(self, vmi: Object) -> None:
        await self.events.warning(vmi, "Stopped", "The VirtualMachineInstance crashed.")
        await self.update(vmi, lambda obj: conditions.enter_phase(obj, "Failed"))

    async def _run(self, vmi: Object, session: Session) -> float | None:
        """A running VMI: migratability, link states, an outgoing migration, and whether the domain still is."""
        if not session.domain_up:
            return None
        await self._mover.send(vmi, session)
        if session.outgoing is not None:
            return None
        if await session.launcher.state() not in ("running", "paused"):
            await self._ended(vmi, session)
            return None
        await self._sync_links(vmi, session)
        await self._report_changes(vmi, session)
        if await self._lacks_secondary(vmi, session):
            await self.sync_failed(vmi, _LOST_INTERFACE)
            return session.next_delay()
        return _POLL_SECONDS

    async def _report_changes(self, vmi: Object, session: Session) -> None:
        """Report once per change of the VMI, its domain or what its guest agent says, as virt-handler does.

        So a change of the registrations alone, after which LiveMigratable would turn, is not noticed.
        """
        await session.guest_agent.poll(session.launcher)
        version, domain = vmi["metadata"]["resourceVersion"], tuple(await session.launcher.interfaces())
        seen = (version, domain, session.guest_agent.report)
        if session.reported != seen:
            await self.report(vmi, session)
            session.reported = seen

    async def _lacks_secondary(self, vmi: Object, session: Session) -> bool:
        """Whether a secondary network's interface is not in the domain: KubeVirt then tries to plug it, in vain."""
        present = {nic.alias.removeprefix("ua-") for nic in await session.launcher.interfaces()}
        networks = spec.networks(vmi)
        secondary = [i["name"] for i in spec.interfaces(vmi) if not spec.is_primary(networks[i["name"]])]
        return any(name not in present for name in secondary)

    async def _sync_links(self, vmi: Object, session: Session) -> None:
        present = {nic.alias.removeprefix("ua-"): nic for nic in await session.launcher.interfaces()}
        for interface in spec.interfaces(vmi):
            nic, up = present.get(interface["name"]), interface.get("state") != "down"
            registered = self.context.registered().get(spec.binding_name(interface) or "", {})
            core = any(interface.get(method) is not None for method in ("masquerade", "bridge"))
            settable = core or registered.get("domainAttachmentType")
            if nic is not None and settable and (nic.link_state == "up") != up:
                await session.launcher.set_link_state(interface["name"], up)

    async def _ended(self, vmi: Object, session: Session) -> None:
        """The guest has powered itself off. As for an interface without an alias: see `_shut_down`."""
        if not await session.launcher.ended_unnamed():
            await self.update(vmi, lambda obj: conditions.enter_phase(obj, "Succeeded"))
        await self.end_launcher(session)

    async def _finish_preparing(self, vmi: Object, session: Session) -> None:
        """A target's preparation that has begun goes on. A real launcher has come up before it; this one will soon."""
        if session.launching is not None and not session.prepared:
            await asyncio.wait({session.launching}, timeout=_COMING_UP_SECONDS)
            if session.collected:
                await self._mover.receive(vmi, session)

    async def _stop(self, vmi: Object, session: Session) -> float | None:
        """End what runs in this launcher. A pod that the VMI does not live in (a target, say) ends without a word."""
        session.ending = True
        for task in (session.launching, session.command, session.outgoing):
            if task is not None:
                task.cancel()
        if session.domain_up:
            await (self._kill(vmi, session) if session.unfinished else self._shut_down(vmi, session))
        elif self._never_ran(vmi, session):
            await self.events.normal(vmi, "Deleted", "Signaled Deletion")
        await self.end_launcher(session)
        return None

    def _never_ran(self, vmi: Object, session: Session) -> bool:
        """Whether the VMI is deleted before its domain ran, with a launcher there to be told so."""
        scheduled = vmi.get("status", {}).get("phase") == "Scheduled"
        return scheduled and bool(vmi["metadata"].get("deletionTimestamp")) and session.collected and not session.lost

    async def _shut_down(self, vmi: Object, session: Session) -> None:
        """Power the guest off and say how it ended.

        Not if an interface has no alias of its own: the XML of a domain that has ended lacks those of libvirt, and
        virt-handler's `ifacesStatusFromDomainInterfaces` (pkg/network/setup/netstat.go, v1.1 to v1.9) falls over it.
        Such a VMI stays as it was until its pod has gone (recordings ondefine-noalias, ondefine-two,
        secondary-noalias; in ondefine-dup virt-handler looked only after the domain had gone).
        """
        with contextlib.suppress(LauncherError):
            await self.report(vmi, session)
        await self.events.normal(vmi, "ShuttingDown", "Signaled Graceful Shutdown")
        grace = float(vmi["spec"].get("terminationGracePeriodSeconds", 30))
        forced = not await session.launcher.shutdown(grace)
        await self.events.normal(vmi, "Deleted", "VirtualMachineInstance stopping")
        if not await session.launcher.ended_unnamed():
            await self.update(vmi, lambda obj: _finish(obj, forced))
            if forced and vmi["status"].get("phase") == "Running":
                await self.events.warning(vmi, "Stopped", "The VirtualMachineInstance crashed.")
        await self.events.normal(vmi, "Deleted", "Signaled Deletion")

    async def _kill(self, vmi: Object, session: Session) -> None:
        """While a migration cannot be finalised virt-handler gets no further: the pod's end ends the VM."""
        await session.launcher.destroy()
        await self.update(vmi, _lose_addresses)
        await self.update(vmi, lambda obj: _finish(obj, True))

    async def _leave(self, vmi: Object, session: Session) -> float | None:
        """The source of a finished migration: the domain has gone, its launcher ends."""
        session.ending = True
        await self.end_launcher(session)
        await self.events.normal(vmi, "Deleted", "Signaled Deletion")
        return None

    async def set_paused(self, vmi: Object, pod: Object, paused: bool) -> None:
        """Stop or continue the virtual CPUs, and say so in condition Paused."""
        session = self.session(pod)
        if session is None or not session.domain_up:
            raise LauncherError("the domain is not running")
        if paused:
            await session.launcher.pause()
            message = "VMI was paused by user"
            await self.update(vmi, lambda obj: conditions.put(obj, "Paused", True, "PausedByUser", message))
            await self.events.normal(vmi, "Paused", "VirtualMachineInstance paused")
        else:
            await session.launcher.resume()
            await self.update(vmi, lambda obj: conditions.drop(obj, "Paused"))
            await self.events.normal(vmi, "Unpaused", "VirtualMachineInstance unpaused")


def _finish(vmi: Object, forced: bool) -> None:
    """A running domain that had to be destroyed counts as a crash; addresses leave the status with it."""
    if vmi["status"].get("phase") == "Running":
        conditions.enter_phase(vmi, "Failed" if forced else "Succeeded")
    _lose_addresses(vmi)


def _lose_addresses(vmi: Object) -> None:
    for entry in vmi["status"].get("interfaces") or []:
        entry.pop("ipAddress", None)
        entry.pop("ipAddresses", None)
