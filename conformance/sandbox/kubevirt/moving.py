"""virt-handler's part in a live migration: the target that prepares and receives, the source that sends."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from conformance.sandbox.client import PODS, ApiError, Object
from conformance.sandbox.controller import Key
from conformance.sandbox.events import timestamp
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.agent import COMMAND_SECONDS, NodeAgent, Session
from conformance.sandbox.launcher.errors import (
    CommandDeadlineError,
    LauncherError,
    MigrationError,
    PodNetworkSetupError,
    SyncError,
)
from conformance.sandbox.launcher.launcher import Launcher
from conformance.sandbox.launcher.podinterfaces import PodInterfaces

log = logging.getLogger(__name__)

_ARRIVAL_POLL_SECONDS: Final = 0.1
_ABORT_POLL_SECONDS: Final = 0.05
_DIRECT_PORTS: Final = {"49152": 49152, "49153": 49153, "0": 0}
_ABORTED: Final = "Live migration has been aborted"


def _state(vmi: Object) -> Object:
    state: Object = vmi.get("status", {}).get("migrationState") or {}
    return state


def _under_way(vmi: Object) -> bool:
    state = _state(vmi)
    return bool(state) and not state.get("completed") and not state.get("failed")


class Mover:
    """Migrations into and out of one node."""

    def __init__(self, handler: NodeAgent) -> None:
        self._handler = handler

    def is_target(self, vmi: Object, pod: Object) -> bool:
        """Whether a migration under way moves the VMI into this pod (until it is completed)."""
        return _under_way(vmi) and _state(vmi).get("targetPod") == pod["metadata"]["name"]

    def was_source(self, vmi: Object, pod: Object) -> bool:
        return bool(_state(vmi).get("sourcePod") == pod["metadata"]["name"])

    def was_rejected(self, vmi: Object, pod: Object) -> bool:
        """Whether this pod was the target of the last migration, which failed."""
        return bool(_state(vmi).get("failed") and _state(vmi).get("targetPod") == pod["metadata"]["name"])

    async def receive(self, vmi: Object, session: Session) -> float | None:
        """The target: prepare once, then wait for the domain to arrive, then finish the migration."""
        if not session.prepared:
            return await self._prepare(vmi, session)
        if not _state(vmi).get("startTimestamp"):
            return None
        if not session.domain_up:
            if await session.launcher.state() != "running":
                return _ARRIVAL_POLL_SECONDS
            session.domain_up = True
        await self._take_over(vmi, session)
        return None

    async def _prepare(self, vmi: Object, session: Session) -> float | None:
        handler = self._handler
        try:
            cache = await handler.connect(vmi, session)
            if cache is None:
                return None
            await self._sync_target(vmi, session, cache)
        except PodNetworkSetupError as error:
            message = f"failed to configure vmi network for migration target: {error}"
            await handler.events.warning(vmi, "SyncFailed", message)
            return session.next_delay()
        except SyncError as error:
            message = f"syncing migration target failed: {error.message_of('SyncMigrationTarget')}"
            await handler.events.warning(vmi, "SyncFailed", message)
            return session.next_delay()
        except LauncherError as error:
            await handler.events.warning(vmi, "SyncFailed", str(error))
            return session.next_delay()
        session.prepared = True
        node = handler.node
        await handler.events.normal(vmi, "PreparingTarget", "VirtualMachineInstance Migration Target Prepared.")
        ports = ",".join(_DIRECT_PORTS)
        message = f"Migration Target is listening at {node.address}, on ports: {ports}"
        await handler.events.normal(vmi, "PreparingTarget", message)
        if vmi["metadata"].get("deletionTimestamp"):
            return None  # the VMI has changed since this began, so that its status cannot be written

        def change(obj: Object) -> None:
            obj["status"]["migrationState"] |= {
                "targetNodeAddress": node.address,
                "targetDirectMigrationNodePorts": dict(_DIRECT_PORTS),
            }

        await handler.update(vmi, change)
        return None

    async def _sync_target(self, vmi: Object, session: Session, cache: PodInterfaces) -> None:
        guest = self._handler.context.guest_of(vmi)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await session.launcher.prepare_target(vmi, cache, guest)
        except TimeoutError as error:
            raise CommandDeadlineError from error

    async def _take_over(self, vmi: Object, session: Session) -> None:
        """The domain runs here now: the VMI moves, its links are refreshed, the migration is completed.

        The addresses of this pod reach the VMI last, as recorded.
        """
        handler, node = self._handler, self._handler.node
        if _state(vmi).get("endTimestamp") is None:
            detected = {"targetNodeDomainDetected": True, "targetNodeDomainReadyTimestamp": timestamp()}
            await handler.update(vmi, lambda obj: obj["status"]["migrationState"].update(detected))
            await self._mark_ready(session)
        await handler.events.normal(vmi, "Migrated", f"The VirtualMachineInstance migrated to node {node.name}.")

        def arrived(obj: Object) -> None:
            obj["status"]["migrationState"].setdefault("endTimestamp", timestamp())
            obj["status"]["nodeName"] = node.name
            obj["status"].pop("evacuationNodeName", None)
            obj["metadata"].setdefault("labels", {})["kubevirt.io/nodeName"] = node.name

        await handler.update(vmi, arrived)
        refreshed = spec.refreshed_interfaces(vmi, handler.context.registered())
        session.unfinished = bool(refreshed) and not await self._finalize(vmi, session, refreshed)
        if not session.unfinished:
            await handler.update(vmi, lambda obj: obj["status"]["migrationState"].update(completed=True))
        await handler.report(vmi, session)
        handler.controller.enqueue(Key(vmi["metadata"]["namespace"], vmi["metadata"]["name"]))

    async def _mark_ready(self, session: Session) -> None:
        ready = timestamp().replace("T", " ").replace("Z", " +0000 UTC")
        patch = {"metadata": {"annotations": {"kubevirt.io/migration-target-ready-timestamp": ready}}}
        pod = session.pod.ref
        try:
            await self._handler.context.client.merge(PODS, pod.namespace, pod.name, patch)
        except ApiError as error:
            if not error.not_found:
                raise

    async def _finalize(self, vmi: Object, session: Session, names: list[str]) -> bool:
        """Refresh the links, again and again as KubeVirt does since 1.6; every change shows in the status.

        False when a failure keeps the migration from being completed.
        """
        handler, facts = self._handler, self._handler.context.facts

        async def show() -> None:
            await handler.report(vmi, session)

        try:
            for _ in range(facts.link_refreshes):
                await session.launcher.refresh_links(names, facts.link_refresh_seconds or 0.0, show)
        except LauncherError as error:
            if not facts.link_refresh_error_ends:
                log.warning("%s: link refresh: %s", vmi["metadata"]["name"], error)
                return True
            message = (
                f'failed to finalize migration: server error. command FinalizeVirtualMachineMigration failed: "{error}"'
            )
            await handler.events.warning(vmi, "SyncFailed", message)
            return False
        return True

    async def send(self, vmi: Object, session: Session) -> None:
        """The source: start sending once the target listens; abort when asked."""
        state = _state(vmi)
        if session.outgoing is not None:
            if state.get("abortRequested"):
                await self._abort(vmi, session)
            return
        leaving = _under_way(vmi) and state.get("sourceNode") == self._handler.node.name
        if not leaving or state.get("endTimestamp"):
            return
        if state.get("abortRequested"):
            await self._failed(vmi, MigrationError(_ABORTED, aborted=True))
            return
        target = self._target_launcher(vmi)
        if target is None or not state.get("targetNodeAddress"):
            return
        await self._handler.events.normal(vmi, "Migrating", "VirtualMachineInstance is migrating.")
        started = {"startTimestamp": timestamp(), "mode": "PreCopy"}
        await self._handler.update(vmi, lambda obj: obj["status"]["migrationState"].update(started))
        session.outgoing = asyncio.create_task(self._migrate(vmi, session, target))

    async def _abort(self, vmi: Object, session: Session) -> None:
        """Abort the outgoing migration; libvirt may not have begun it yet, or it may end first."""
        if session.aborting:
            return
        session.aborting = True
        await self._handler.events.normal(vmi, "Migrating", "VirtualMachineInstance is aborting migration.")
        while session.outgoing is not None and not session.outgoing.done():
            if await session.launcher.abort_migration():
                break
            await asyncio.sleep(_ABORT_POLL_SECONDS)

    def _target_launcher(self, vmi: Object) -> Launcher | None:
        name = _state(vmi).get("targetPod")
        uids = [p["metadata"]["uid"] for p in self._handler.context.pods if p["metadata"]["name"] == name]
        return next(
            (self._handler.context.launchers[uid] for uid in uids if uid in self._handler.context.launchers), None
        )

    async def _migrate(self, vmi: Object, session: Session, target: Launcher) -> None:
        handler = self._handler
        try:
            result = await session.launcher.migrate_to(target)
            log.info("%s migrated: %s", vmi["metadata"]["name"], result)
            session.domain_up = False
        except MigrationError as error:
            await self._failed(vmi, error)
            session.outgoing, session.aborting = None, False
        handler.controller.enqueue(Key(vmi["metadata"]["namespace"], vmi["metadata"]["name"]))

    async def _failed(self, vmi: Object, error: MigrationError) -> None:
        reason = _ABORTED if error.aborted else str(error)
        uid = _state(vmi).get("migrationUid")
        message = f"VirtualMachineInstance migration uid {uid} failed. reason:{reason}"
        await self._handler.events.warning(vmi, "Migrated", message)

        def change(obj: Object) -> None:
            state = obj["status"]["migrationState"]
            state |= {"failed": True, "completed": True, "failureReason": reason, "endTimestamp": timestamp()}
            if error.aborted:
                state["abortStatus"] = "Succeeded"

        await self._handler.update(vmi, change)
