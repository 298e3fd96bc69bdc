"""What KubeVirt calls virt-launcher, driven from outside: the VM of one launcher pod."""

import asyncio
import contextlib
import logging
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from conformance.sandbox.guests import GuestImage
from conformance.sandbox.launcher import compute, guestagent, links, migration
from conformance.sandbox.launcher.cloudinit import cloud_init_of, write_iso
from conformance.sandbox.launcher.dhcpservers import DhcpServers
from conformance.sandbox.launcher.disks import VolumeFile, boot_files, migrated_disks, root_disk
from conformance.sandbox.launcher.domain import (
    CONSOLE_LOG,
    CONSOLE_SOCKET,
    build_domain,
    domain_name,
    parse_domain,
    to_xml,
    with_placeholder,
    with_resources,
)
from conformance.sandbox.launcher.errors import DomainError, LauncherError, LibvirtError
from conformance.sandbox.launcher.hooks import NEWEST_RULES, HookManager, HookRules
from conformance.sandbox.launcher.libvirt import Libvirt
from conformance.sandbox.launcher.links import DomainInterface
from conformance.sandbox.launcher.migration import MigrationResult
from conformance.sandbox.launcher.podinterfaces import PodInterfaces
from conformance.sandbox.launcher.protocols import ContainerLike, NodeLike, PodLike

HOOK_VOLUME = "hook-sidecar-sockets"
DomainState = Literal["running", "paused", "shutoff", "shutdown", "crashed", "blocked", "pmsuspended", "nostate"]

_WATCHING_SECONDS = 0.5
_EVENT_SECONDS = 30
_RETRY_SECONDS = 0.5
_log = logging.getLogger(__name__)
_STATES = {"shut off": "shutoff", "in shutdown": "shutdown", "idle": "blocked", "no state": "nostate"}
_ALIVE = ("running", "paused", "blocked", "pmsuspended", "shutdown")


class Launcher:
    """One launcher pod. All methods may be called from one event loop only; start one operation at a time."""

    def __init__(
        self,
        node: NodeLike,
        pod: PodLike,
        netns: str,
        compute_container: ContainerLike,
        volumes: Path,
        shared: Path,
        hook_rules: HookRules = NEWEST_RULES,
    ) -> None:
        """`volumes` is the pod's volume directory (pods/<uid>/volumes); `shared` was given to `compute_mounts` too."""
        self.node = node
        self.pod = pod
        self.netns = netns
        self.volumes = volumes
        self.directory = compute.pod_directory(shared, pod)
        self.libvirt = Libvirt(compute_container, self.directory)
        self.hooks = HookManager(volumes / HOOK_VOLUME, rules=hook_rules)
        self._dhcp = DhcpServers(compute_container)
        self._domain: str | None = None

    @property
    def domain(self) -> str:
        """The domain's name. LauncherError before a VMI was handed over."""
        if self._domain is None:
            raise LauncherError(f"pod {self.pod.name} has no domain yet")
        return self._domain

    @property
    def console(self) -> Path:
        """The UNIX socket of the serial console; it exists while QEMU runs. See `console.connect_console`."""
        return self.directory / "consoles" / Path(CONSOLE_SOCKET).name

    @property
    def console_log(self) -> Path:
        """Everything the guest wrote on its serial console."""
        return self.directory / "consoles" / Path(CONSOLE_LOG).name

    async def wait_ready(self, deadline_seconds: float) -> None:
        """Wait until the pod's libvirtd answers. Raises LauncherNotReadyError."""
        await self.libvirt.wait_ready(deadline_seconds)

    async def collect_sidecars(self, count: int, timeout: float) -> None:
        """Wait for the hook sidecars. Raises HookCollectError with KubeVirt's text."""
        await self.hooks.collect(count, timeout)

    async def start_domain(self, vmi: dict[str, object], cache: PodInterfaces, guest: GuestImage) -> None:
        """Convert the VMI, let the sidecars edit the domain (twice), define it and start it.

        Raises DomainError or HookError; their `sync_message` is what KubeVirt shows. Nothing stays defined then, so
        the call can be repeated.
        """
        self._domain = domain_name(vmi)
        if await self.state() in _ALIVE:
            return
        wanted = await self._convert(vmi, cache, guest)
        try:
            defined = await self._define_with_hooks(to_xml(with_placeholder(wanted)), vmi)
            await self._define_with_hooks(to_xml(with_resources(wanted, parse_domain(defined))), vmi)
            await self.libvirt.call("start", self.domain)
        except LibvirtError as error:
            await self._undefine()
            raise DomainError(str(error)) from error
        except LauncherError:
            await self._undefine()
            raise

    async def prepare_target(self, vmi: dict[str, object], cache: PodInterfaces, guest: GuestImage) -> None:
        """Make the pod ready to receive a migration.

        The sidecars get OnDefineDomain once and what they return is dropped: the domain comes from the source. Raises
        DomainError or HookError.
        """
        self._domain = domain_name(vmi)
        wanted = await self._convert(vmi, cache, guest)
        await self.hooks.on_define_domain(to_xml(wanted), vmi)

    async def migrate_to(self, target: "Launcher", progress: migration.Progress | None = None) -> MigrationResult:
        """Live-migrate to a prepared launcher. Raises MigrationError; the VM then runs on here."""
        disks = migrated_disks(parse_domain(await self.domain_xml()))
        return await migration.migrate(self.libvirt, target.libvirt, self.domain, target.directory, disks, progress)

    async def abort_migration(self) -> bool:
        """Abort the migration that `migrate_to` runs; False if there is none."""
        return await migration.abort(self.libvirt, self.domain)

    async def domain_xml(self) -> str:
        """The live XML of the domain. Raises LibvirtError if there is none."""
        return await self.libvirt.call("dumpxml", self.domain)

    async def state(self) -> DomainState:
        """The state libvirt reports; "nostate" if there is no domain."""
        if self._domain is None:
            return "nostate"
        try:
            text = (await self.libvirt.call("domstate", self.domain)).strip()
        except LibvirtError:
            return "nostate"
        state = _STATES.get(text, text)
        return cast(DomainState, state) if state in get_args(DomainState) else "nostate"

    async def wait_stopped(self) -> DomainState:
        """Wait until the domain no longer runs here; returns its state then.

        Woken by libvirt's lifecycle events. Between two of them the state is asked again, once the next watch is
        certainly in place: a shutdown is two events in quick succession, and the second could fall in between.
        """
        while (state := await self.state()) in _ALIVE:
            event = asyncio.ensure_future(self._lifecycle_event())
            try:
                await asyncio.wait({event}, timeout=_WATCHING_SECONDS)
                if (state := await self.state()) not in _ALIVE:
                    break
                await event
            finally:
                event.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await event
        return state

    async def interfaces(self) -> list[DomainInterface]:
        """The domain's interfaces. Raises LibvirtError if there is no domain."""
        return links.interfaces_of(await self.domain_xml())

    async def live_interfaces(self) -> list[DomainInterface] | None:
        """The running domain's interfaces; None once it has ended. Raises LibvirtError if there is no domain."""
        xml = await self.domain_xml()
        return links.interfaces_of(xml) if links.is_live(xml) else None

    async def ended_unnamed(self) -> bool:
        """Whether the domain has ended and has an interface that only libvirt had named, while it ran."""
        try:
            xml = await self.domain_xml()
        except LibvirtError:
            return False
        return not links.is_live(xml) and any(not nic.alias for nic in links.interfaces_of(xml))

    async def agent_connected(self) -> bool:
        """Whether a guest agent has opened its channel. Raises LibvirtError if there is no domain."""
        return guestagent.is_connected(await self.domain_xml())

    async def ask_agent(self) -> guestagent.GuestReport:
        """What the guest agent says now. Raises LibvirtError when it does not answer."""
        return await guestagent.ask(self.libvirt, self.domain)

    async def cpu_seconds(self) -> float:
        """CPU time the VM has used so far, in this pod. Raises LibvirtError if it does not run."""
        info = await self.libvirt.values("dominfo", self.domain)
        return float(info.get("CPU time", "0").removesuffix("s"))

    async def shutdown(self, grace: float) -> bool:
        """Ask the guest to power off and wait `grace` seconds; then destroy it. True if the guest obeyed."""
        if await self.state() not in _ALIVE:
            return True
        if grace > 0:
            with contextlib.suppress(LibvirtError, TimeoutError):
                await self.libvirt.call("shutdown", self.domain, "--mode", "acpi")
                async with asyncio.timeout(grace):
                    await self.wait_stopped()
                return True
        await self.destroy()
        return False

    async def destroy(self) -> None:
        """End the VM at once. Idempotent."""
        with contextlib.suppress(LibvirtError):
            await self.libvirt.call("destroy", self.domain)

    async def pause(self) -> None:
        """Stop the virtual CPUs. Raises LibvirtError."""
        await self.libvirt.call("suspend", self.domain)

    async def resume(self) -> None:
        """Let the virtual CPUs run again. Raises LibvirtError."""
        await self.libvirt.call("resume", self.domain)

    async def shutdown_sidecars(self) -> None:
        """Tell the v1alpha3 sidecars to end. Failures are logged, as virt-launcher does."""
        try:
            await self.hooks.shutdown()
        except LauncherError as error:
            _log.warning("pod %s: Shutdown of the hook sidecars: %s", self.pod.name, error)

    async def refresh_links(
        self,
        interface_names: Iterable[str],
        seconds: float = 0.1,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> list[str]:
        """KubeVirt's link-refresh: down for so long, and back. Returns the interfaces found. Raises LibvirtError.

        `changed` is called after each change of a link.
        """
        return await links.refresh_links(self.libvirt, self.domain, interface_names, seconds, changed)

    async def set_link_state(self, interface_name: str, up: bool) -> bool:
        """Set one link; False if the domain has no such interface. Raises LibvirtError."""
        return await links.set_link_state(self.libvirt, self.domain, interface_name, up=up)

    async def _convert(self, vmi: dict[str, object], cache: PodInterfaces, guest: GuestImage) -> ET.Element:
        await self._dhcp.ensure(cache)
        files = [await root_disk(self.libvirt, vmi, guest), await self._write_cloud_init(vmi)]
        return build_domain(vmi, cache, boot_files(guest), [file for file in files if file is not None])

    async def _write_cloud_init(self, vmi: Mapping[str, object]) -> VolumeFile | None:
        """Write the NoCloud disk; None for a VMI without one."""
        data = cloud_init_of(vmi, self.volumes)
        if data is None:
            return None
        data = data.with_hook_data(await self.hooks.pre_cloud_init_iso(data.as_hook_data(), vmi))
        inside = f"cloud-init-data/{self.domain.replace('_', '/', 1)}/noCloud.iso"
        write_iso(data, self.directory / "disks" / inside)
        return VolumeFile(data.volume, f"{compute.EPHEMERAL_DISKS}/{inside}", read_only=True)

    async def _define_with_hooks(self, document: str, vmi: Mapping[str, object]) -> str:
        """One OnDefineDomain round and the definition it gives; returns the XML libvirt made of it."""
        edited = await self.hooks.on_define_domain(document, vmi)
        parse_domain(edited)
        await self.libvirt.call_with_xml("define", edited)
        return await self.libvirt.call("dumpxml", self.domain, "--inactive")

    async def _undefine(self) -> None:
        with contextlib.suppress(LibvirtError):
            await self.libvirt.call("undefine", self.domain)

    async def _lifecycle_event(self) -> None:
        """Return at the domain's next lifecycle event, or after a while without one."""
        watch = ("event", "--domain", self.domain, "--event", "lifecycle", "--timeout", str(_EVENT_SECONDS))
        try:
            await self.libvirt.call(*watch, timeout=_EVENT_SECONDS + 10)
        except LibvirtError as error:
            # No event in that time, or no domain any more: the state says which. The pause keeps asking rare.
            _log.debug("pod %s: no lifecycle event: %s", self.pod.name, error)
            await asyncio.sleep(_RETRY_SECONDS)
