"""A pod's network on one node: its namespace, the default network, and what Multus attaches to it.

The order and the undoing are Multus', the messages those of Multus, libcni and the kubelet, as a vendor reads them in
the pod's events. What a pod was given is remembered in the node's /var/lib/cni, so that it can be taken away again
whatever became of its NetworkAttachmentDefinitions meanwhile.
"""

import asyncio
import base64
import contextlib
import json
import logging
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.addresses import NoAddressLeftError
from conformance.sandbox.network.cni import (
    PLUGIN_SECONDS,
    Cni,
    CniError,
    NetworkConf,
    PluginHungError,
    RuntimeConf,
    load_conf,
)
from conformance.sandbox.network.multus import Delegate, DeviceIds, Lookup, Multus, MultusError, configuration_files
from conformance.sandbox.network.node import CNI_CONFIGURATION, CNI_STATE, Node
from conformance.sandbox.network.pods import EventLog, Json, PodEvent, PodNetworkError, PodNetworkResult, PodRef
from conformance.sandbox.network.status import (
    network_statuses,
    normalise_result,
    render_network_status,
    result_addresses,
)
from conformance.sandbox.network.sticky import StickyNetwork

__all__ = [
    "PodEvent",
    "PodNetwork",
    "PodNetworkError",
    "PodNetworkResult",
    "PodRef",
    "render_network_status",
    "write_default_network",
]

logger = logging.getLogger(__name__)

_META_PLUGIN = 'plugin type="multus" name="multus-cni-network"'


@dataclass(frozen=True)
class _Sandbox:
    """What is remembered of a pod's network: enough to undo it."""

    id: str
    netns: str
    pod: PodRef
    delegates: tuple[Delegate, ...] = ()


class PodNetwork:
    """CNI and Multus for one node."""

    def __init__(
        self,
        node: Node,
        lookup: Lookup,
        shared: StickyNetwork | None = None,
        plugin_seconds: float = PLUGIN_SECONDS,
    ) -> None:
        """`lookup` fetches a NetworkAttachmentDefinition by namespace and name, None if there is none; `shared` lends
        the addresses of the default network where its plugin does not; a plugin may take `plugin_seconds`.
        """
        self.node = node
        self.cni = Cni(node, plugin_seconds)
        self._lookup, self._shared = lookup, shared

    async def setup(
        self, pod: PodRef, annotations: Mapping[str, str], devices: DeviceIds | None = None, machine: str = ""
    ) -> PodNetworkResult:
        """Create the pod's network namespace and attach every network its annotations name, with the pod's `devices`.
        `machine` is the name of the VM that the pod is for, or "".

        Raises PodNetworkError with the event texts of a real node; everything is undone then, the namespace too.
        """
        sandbox = _Sandbox(secrets.token_hex(32), f"cni-{pod.uid}-{secrets.token_hex(4)}", pod)
        log = EventLog()
        self.node.create_netns(sandbox.netns)
        try:
            default = self._default_network(sandbox)
            sandbox = await self._resolve(
                sandbox, annotations, default, Multus(self.node, self._lookup, log, devices or {})
            )
            sandbox = await self._lend(sandbox, default, machine)
            self._remember(sandbox)
            return await self._attach(sandbox, log)
        except BaseException:
            # Shielded: a cancelled caller must not leave half an undoing behind.
            await asyncio.shield(self._discard(sandbox))
            raise

    async def teardown(self, pod: PodRef) -> None:
        """Detach the pod's networks in reverse order and remove its namespace. Idempotent.

        Raises PodNetworkError (reason FailedKillPod) if a plugin refuses; the call may be repeated then.
        """
        for sandbox in self._remembered(pod):
            errors = await self._detach(sandbox, len(sandbox.delegates) - 1)
            if errors:
                raise PodNetworkError("FailedKillPod", _kill_message(sandbox, errors))
            await self._forget(sandbox)

    async def check(self, pod: PodRef) -> None:
        """Run CNI CHECK of every network of the pod, in order. Raises CniError with the plugin's text."""
        for sandbox in self._remembered(pod):
            for index, delegate in enumerate(sandbox.delegates):
                await self.cni.check(delegate.conf, _runtime(sandbox, delegate, index))

    def _default_network(self, sandbox: _Sandbox) -> NetworkConf:
        for file in configuration_files(self.node):
            try:
                return load_conf(file.read_bytes())
            except CniError as error:
                logger.warning("%s: %s: %s", self.node.name, file.name, error)
        raise _create_error(sandbox, "cni plugin not initialized")

    async def _resolve(
        self, sandbox: _Sandbox, annotations: Mapping[str, str], default: NetworkConf, multus: Multus
    ) -> _Sandbox:
        pod = sandbox.pod
        try:
            delegates = await multus.delegates(pod, annotations, default)
        except MultusError as error:
            text = f"Multus: [{pod.namespace}/{pod.name}/{pod.uid}]: error loading k8s delegates k8s args: {error}"
            raise _create_error(sandbox, f"{_META_PLUGIN} failed (add): {text}", multus.log) from error
        return _Sandbox(sandbox.id, sandbox.netns, pod, tuple(delegates))

    async def _lend(self, sandbox: _Sandbox, default: NetworkConf, machine: str) -> _Sandbox:
        """The address of the default network, where the cluster lends it."""
        first = sandbox.delegates[0]
        if self._shared is None or first.conf is not default:
            return sandbox
        try:
            address = await self._shared.lend(self.node, sandbox.pod, machine)
        except NoAddressLeftError as error:
            raise _create_error(sandbox, str(error)) from error
        given = replace(first, ips=address.interfaces, mac=address.mac)
        return replace(sandbox, delegates=(given, *sandbox.delegates[1:]))

    async def _attach(self, sandbox: _Sandbox, log: EventLog) -> PodNetworkResult:
        statuses: list[Json] = []
        pod_ips: tuple[str, ...] = ()
        for index, delegate in enumerate(sandbox.delegates):
            try:
                result = normalise_result(await self._add(sandbox, delegate, index))
            except PluginHungError as error:
                # The kubelet's own patience ends with it: it never hears what the runtime has to say.
                await asyncio.shield(self._detach(sandbox, index))
                message = (
                    "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded"
                )
                raise PodNetworkError("FailedCreatePodSandBox", message, tuple(log.events)) from error
            except CniError as error:
                await asyncio.shield(self._detach(sandbox, index))
                raise _create_error(sandbox, _add_message(sandbox.pod, delegate, error), log) from error
            addresses = result_addresses(result)
            if "interfaces" in result or "ips" in result:
                text = f"Add {delegate.ifname(index)} [{' '.join(addresses)}] from {delegate.name}"
                log.add("AddedInterface", text)
            if delegate.master:
                pod_ips = tuple(address.partition("/")[0] for address in addresses)
            statuses += network_statuses(result, delegate.name, default=delegate.master)
        if not pod_ips:
            raise _create_error(sandbox, f'failed to find network info for sandbox "{sandbox.id}"', log)
        return PodNetworkResult(sandbox.netns, sandbox.id, pod_ips, statuses, tuple(log.events))

    async def _add(self, sandbox: _Sandbox, delegate: Delegate, index: int) -> Json:
        ifname = delegate.ifname(index)
        if self._has_link(sandbox.netns, ifname):
            plugin = delegate.conf.plugins[0]["type"] if not delegate.conf.is_list else ""
            reason = f"validateIfName: interface name {ifname} already exists"
            raise CniError(f'DelegateAdd: cannot set "{plugin}" interface name to "{ifname}": {reason}')
        return await self.cni.add(delegate.conf, _runtime(sandbox, delegate, index))

    async def _detach(self, sandbox: _Sandbox, last: int) -> list[str]:
        errors: list[str] = []
        for index in range(last, -1, -1):
            delegate = sandbox.delegates[index]
            try:
                await self.cni.delete(delegate.conf, _runtime(sandbox, delegate, index))
            except CniError as error:
                logger.warning("%s: DEL of %s for %s: %s", self.node.name, delegate.name, sandbox.pod, error)
                errors.append(_delete_message(delegate, error))
        return errors

    async def _discard(self, sandbox: _Sandbox) -> None:
        # A failed ADD has been followed by its DELs; a cancelled one has not, and a second DEL does no harm.
        await self._detach(sandbox, len(sandbox.delegates) - 1)
        await self._forget(sandbox)

    def _has_link(self, netns: str, ifname: str) -> bool:
        def look() -> bool:
            try:
                socket.if_nametoindex(ifname)
            except OSError:
                return False
            return True

        return syscalls.in_network_namespace(self.node.netns_path(netns), look)

    def _scratch(self) -> Path:
        return self.node.path(f"{CNI_STATE}/multus")

    def _remember(self, sandbox: _Sandbox) -> None:
        directory = self._scratch()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        pod = sandbox.pod
        document = {
            "netns": sandbox.netns,
            "pod": [pod.namespace, pod.name, pod.uid],
            "delegates": [_delegate_document(delegate) for delegate in sandbox.delegates],
        }
        (directory / sandbox.id).write_text(json.dumps(document), encoding="utf-8")

    def _remembered(self, pod: PodRef) -> list[_Sandbox]:
        found: list[_Sandbox] = []
        with contextlib.suppress(FileNotFoundError):
            for file in self._scratch().iterdir():
                document = json.loads(file.read_text(encoding="utf-8"))
                if document["pod"][2] == pod.uid:
                    delegates = tuple(_delegate_from(entry) for entry in document["delegates"])
                    found.append(_Sandbox(file.name, document["netns"], PodRef(*document["pod"]), delegates))
        return found

    async def _forget(self, sandbox: _Sandbox) -> None:
        if self._shared is not None:
            await self._shared.take_back(sandbox.pod)
        self.node.delete_netns(sandbox.netns)
        (self._scratch() / sandbox.id).unlink(missing_ok=True)


def write_default_network(node: Node, name: str = "podnet", *, lent: bool = False) -> None:
    """Give the node its default network: the real `bridge` plugin, both address families. The node's own `host-local`
    gives the addresses, or, where they are `lent` by the cluster, the plugin `static` passes them on.
    """
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    ranges = [[{"subnet": node.pod_cidr}], [{"subnet": node.pod_cidr6}]]
    own = {"type": "host-local", "ranges": ranges, "routes": routes}
    plugin = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "mtu": node.mtu,
        "ipam": {"type": "static", "routes": routes} if lent else own,
    }
    document = {"cniVersion": "1.0.0", "name": name, "plugins": [plugin]}
    file = node.path(CNI_CONFIGURATION) / f"10-{name}.conflist"
    file.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _runtime(sandbox: _Sandbox, delegate: Delegate, index: int) -> RuntimeConf:
    pod = sandbox.pod
    args = [
        ("IgnoreUnknown", "true"),
        ("K8S_POD_NAMESPACE", pod.namespace),
        ("K8S_POD_NAME", pod.name),
        ("K8S_POD_INFRA_CONTAINER_ID", sandbox.id),
        ("K8S_POD_UID", pod.uid),
    ]
    if delegate.mac:
        args.append(("MAC", delegate.mac))
    if delegate.ips:
        args.append(("IP", ",".join(delegate.ips)))
    netns = f"/var/run/netns/{sandbox.netns}"
    return RuntimeConf(sandbox.id, netns, delegate.ifname(index), tuple(args), delegate.capability_args())


def _create_error(sandbox: _Sandbox, reason: str, log: EventLog | None = None) -> PodNetworkError:
    message = (
        "Failed to create pod sandbox: rpc error: code = Unknown desc = "
        f'failed to setup network for sandbox "{sandbox.id}": {reason}'
    )
    return PodNetworkError("FailedCreatePodSandBox", message, tuple(log.events) if log else ())


def _add_message(pod: PodRef, delegate: Delegate, error: CniError) -> str:
    network = delegate.conf.name
    where = f"[{pod.namespace}/{pod.name}/{pod.uid}:{network}]"
    return f'{_META_PLUGIN} failed (add): {where}: error adding container to network "{network}": {error}'


def _delete_message(delegate: Delegate, error: CniError) -> str:
    if delegate.conf.is_list:
        return (
            f'DelegateDel: error invoking ConflistDel - "{delegate.conf.name}": '
            f"conflistDel: error in getting result from DelNetworkList: {error}"
        )
    plugin = delegate.conf.plugins[0]["type"]
    reason = f"error in getting result from DelNetwork: {error}"
    return f'DelegateDel: error invoking DelegateDel - "{plugin}": {reason}'


def _kill_message(sandbox: _Sandbox, errors: list[str]) -> str:
    reason = f"{_META_PLUGIN} failed (delete): errors: {' / '.join(errors)}"
    destroy = f'failed to destroy network for sandbox "{sandbox.id}": {reason}'
    inner = json.dumps(f"rpc error: code = Unknown desc = {destroy}", ensure_ascii=False)
    return f'error killing pod: failed to "KillPodSandbox" for "{sandbox.pod.uid}" with KillPodSandboxError: {inner}'


def _delegate_document(delegate: Delegate) -> Json:
    return {
        "name": delegate.name,
        "conf": base64.b64encode(delegate.conf.raw).decode("ascii"),
        "master": delegate.master,
        "interface": delegate.interface,
        "mac": delegate.mac,
        "ips": list(delegate.ips),
    }


def _delegate_from(document: Mapping[str, object]) -> Delegate:
    ips = document["ips"]
    return Delegate(
        name=str(document["name"]),
        conf=load_conf(base64.b64decode(str(document["conf"]))),
        master=bool(document["master"]),
        interface=str(document["interface"]),
        mac=str(document["mac"]),
        ips=tuple(str(address) for address in ips) if isinstance(ips, list) else (),
    )
