"""Multus' part: from a pod's annotations to the networks to attach, each with its CNI configuration.

Source: the Network Plumbing Working Group's specification of the annotation `k8s.v1.cni.cncf.io/networks` and the
behaviour and error texts of Multus 4.3 (`pkg/k8sclient`, `pkg/types`), recorded on a real cluster.
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.sandbox.network.cni import CniError, NetworkConf, inject_cni_args, inject_device_id, load_conf
from conformance.sandbox.network.gojson import GoJsonError, parse_object
from conformance.sandbox.network.node import CNI_CONFIGURATION, Node
from conformance.sandbox.network.pods import EventLog, Json, PodRef

NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK_ANNOTATION = "v1.multus-cni.io/default-network"
RESOURCE_ANNOTATION = "k8s.v1.cni.cncf.io/resourceName"
MULTUS_NAMESPACE = "kube-system"

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_MAC = re.compile(r"^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$")
_INTERFACE_NAME_LIMIT = 15

Lookup = Callable[[str, str], Awaitable[Json | None]]
"""A NetworkAttachmentDefinition by namespace and name, or None."""

DeviceIds = Mapping[str, Sequence[str]]
"""The devices a pod was given, by resource, in the order in which networks that name the resource take them."""


class MultusError(Exception):
    """A pod's networks cannot be told from its annotations; the text is Multus' own, without its prefix."""


@dataclass(frozen=True)
class Selection:
    """One element of the networks annotation."""

    namespace: str
    name: str
    interface: str = ""
    mac: str = ""
    ips: tuple[str, ...] = ()
    cni_args: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Delegate:
    """One network to attach: its CNI configuration and what was asked of it. `name` is what events and status say."""

    name: str
    conf: NetworkConf
    master: bool = False
    interface: str = ""
    mac: str = ""
    ips: tuple[str, ...] = ()

    def ifname(self, index: int) -> str:
        """The interface name it is given: the one asked for, `eth0` for the default network, else `net<index>`."""
        return self.interface or ("eth0" if self.master else f"net{index}")

    def capability_args(self) -> dict[str, object]:
        """What goes into a plugin's `runtimeConfig` if it declares the capability; never for the default network."""
        if self.master:
            return {}
        given: dict[str, object] = {"ips": list(self.ips)} if self.ips else {}
        return {**given, "mac": self.mac} if self.mac else given


@dataclass
class Multus:
    """Resolves the networks of one pod."""

    node: Node
    lookup: Lookup
    log: EventLog = field(default_factory=EventLog)
    devices: DeviceIds = field(default_factory=dict)
    _taken: Counter[str] = field(default_factory=Counter)

    async def delegates(self, pod: PodRef, annotations: Mapping[str, str], default: NetworkConf) -> list[Delegate]:
        """The networks of a pod in order, the default network first. Raises MultusError."""
        first = Delegate(default.name, default, master=True)
        override = annotations.get(DEFAULT_NETWORK_ANNOTATION)
        if override is not None:
            first = await self._default_override(override)
        text = annotations.get(NETWORKS_ANNOTATION, "")
        if not text:
            return [first]
        others: list[Delegate] = []
        for selection in parse_networks(text, pod.namespace):
            try:
                others.append(await self._delegate(selection))
            except MultusError as error:
                raise MultusError(
                    "TryLoadPodDelegates: error in getting k8s network for pod: "
                    f"GetNetworkDelegates: failed getting the delegate: {error}"
                ) from error
        return [first, *others]

    async def _default_override(self, text: str) -> Delegate:
        prefix = (
            "TryLoadPodDelegates: error in loading K8s cluster default network from pod annotation: "
            "tryLoadK8sPodDefaultNetwork:"
        )
        try:
            selections = parse_networks(text, MULTUS_NAMESPACE)
        except MultusError as error:
            raise MultusError(f"{prefix} failed to parse CRD object: {error}") from error
        if len(selections) > 1:
            raise MultusError(f"{prefix} more than one default network is specified: {text}")
        try:
            return await self._delegate(selections[0], master=True)
        except MultusError as error:
            raise MultusError(f"{prefix} failed getting the delegate: {error}") from error

    async def _delegate(self, selection: Selection, *, master: bool = False) -> Delegate:
        definition = await self.lookup(selection.namespace, selection.name)
        if definition is None:
            message = (
                f"cannot find a network-attachment-definition ({selection.name}) in namespace ({selection.namespace}): "
                f'network-attachment-definitions.k8s.cni.cncf.io "{selection.name}" not found'
            )
            self.log.add("NoNetworkFound", message, "Warning")
            raise MultusError(f"getKubernetesDelegate: {message}")
        conf = self._conf(definition, selection.name)
        if selection.cni_args is not None:
            conf = inject_cni_args(conf, selection.cni_args)
        if device := self._next_device(definition):
            conf = inject_device_id(conf, device)
        name = f"{selection.namespace}/{selection.name}"
        return Delegate(name, conf, master, selection.interface, selection.mac, selection.ips)

    def _next_device(self, definition: Json) -> str | None:
        """The device for a network whose definition names a resource: the pod's next one of it."""
        metadata = definition.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        resource = str(annotations.get(RESOURCE_ANNOTATION, "")) if isinstance(annotations, dict) else ""
        given = self.devices.get(resource, ())
        index = self._taken[resource]
        self._taken[resource] += 1
        return given[index] if index < len(given) else None

    def _conf(self, definition: Json, name: str) -> NetworkConf:
        spec = definition.get("spec")
        config = spec.get("config") if isinstance(spec, dict) else None
        if not config:
            return self._conf_from_files(name)
        try:
            document = parse_object(str(config).encode())
        except GoJsonError as error:
            reason = f"failed to unmarshal Spec.Config: {error}"
            raise MultusError(f"GetCNIConfig: err in getCNIConfigFromSpec: {reason}") from error
        if not document.get("name"):
            document["name"] = name
        if not document.get("type"):
            _require_plugins(document)
        try:
            return load_conf(json.dumps(document).encode())
        except CniError as error:
            raise MultusError(f"LoadDelegateNetConf: failed with: {error}") from error

    def _conf_from_files(self, name: str) -> NetworkConf:
        for file in configuration_files(self.node):
            try:
                conf = load_conf(file.read_bytes())
            except CniError:
                continue
            if conf.name == name:
                return conf
        reason = f"no network available in the name {name} in cni dir {CNI_CONFIGURATION}"
        raise MultusError(f"GetCNIConfig: err in GetCNIConfigFromFile: {reason}")


def configuration_files(node: Node) -> list[Path]:
    """The node's CNI configuration files, in the order in which a container runtime tries them."""
    directory = node.path(CNI_CONFIGURATION)
    return sorted(file for file in directory.iterdir() if file.suffix in (".conf", ".conflist", ".json"))


def parse_networks(text: str, default_namespace: str) -> list[Selection]:
    """Parse the annotation: a JSON list, or `[<namespace>/]<name>[@<interface>]` separated by commas.

    Raises MultusError with Multus' text.
    """
    selections = _from_json(text) if re.search(r'[\[{"]', text) else [_from_short(item) for item in text.split(",")]
    resolved: list[Selection] = []
    for selection in selections:
        if selection.mac and not _MAC.match(selection.mac):
            raise MultusError(f"parsePodNetworkAnnotation: failed to mac: address {selection.mac}: invalid MAC address")
        for address in selection.ips:
            _check_address(address)
        namespace = selection.namespace or default_namespace
        resolved.append(
            Selection(namespace, selection.name, selection.interface, selection.mac, selection.ips, selection.cni_args)
        )
    return resolved


def _from_json(text: str) -> list[Selection]:
    failed = "parsePodNetworkAnnotation: failed to parse pod Network Attachment Selection Annotation JSON format:"
    try:
        elements = parse_object(f'{{"list":{text}}}'.encode()).get("list")
    except GoJsonError as error:
        raise MultusError(f"{failed} {error}") from error
    if not isinstance(elements, list) or not all(isinstance(element, dict) for element in elements):
        kind = "array" if isinstance(elements, list) else "object"
        raise MultusError(
            f"{failed} json: cannot unmarshal {kind} into Go value of type []*types.NetworkSelectionElement"
        )
    return [_from_element(element) for element in elements]


def _from_element(element: Json) -> Selection:
    ips, arguments = element.get("ips"), element.get("cni-args")
    return Selection(
        namespace=str(element.get("namespace") or ""),
        name=str(element.get("name") or ""),
        interface=str(element.get("interface") or element.get("interfaceRequest") or ""),
        mac=str(element.get("mac") or ""),
        ips=tuple(str(address) for address in ips) if isinstance(ips, list) else (),
        cni_args=arguments if isinstance(arguments, dict) else None,
    )


def _from_short(item: str) -> Selection:
    prefix = "parsePodNetworkAnnotation: parsePodNetworkObjectName:"
    parts = item.strip().split("/")
    if len(parts) > 2:
        raise MultusError(f"{prefix} Invalid network object (failed at '/')")
    namespace = parts[0].strip() if len(parts) == 2 else ""
    pieces = parts[-1].split("@")
    if len(pieces) > 2:
        raise MultusError(f"{prefix} Invalid network object (failed at '@')")
    name, interface = pieces[0].strip(), pieces[1].strip() if len(pieces) == 2 else ""
    for label in (namespace, name):
        if label and not _LABEL.match(label):
            raise MultusError(
                f"{prefix} Failed to parse: one or more items did not match comma-delimited format (must consist of "
                "lower case alphanumeric characters). Must start and end with an alphanumeric character), mismatch @ "
                f"'{label}'"
            )
    if len(interface) > _INTERFACE_NAME_LIMIT or re.search(r"[\s/]", interface):
        raise MultusError(
            f"{prefix} Failed to parse interface name: must be less than 15 chars and not contain '/' or spaces. "
            f"interface name '{interface}'"
        )
    return Selection(namespace, name, interface)


def _check_address(address: str) -> None:
    what = "CIDR" if "/" in address else "IP address"
    try:
        ipaddress.ip_interface(address)
    except ValueError:
        reason = f": invalid CIDR address: {address}" if what == "CIDR" else ""
        raise MultusError(f'failed to parse {what} "{address}"{reason}') from None


def _require_plugins(document: Json) -> None:
    plugins = document.get("plugins")
    failed = "LoadDelegateNetConf: failed with: LoadDelegateNetConfList:"
    if not isinstance(plugins, list) or not plugins:
        raise MultusError(f"{failed} delegate must have the 'type' or 'plugin' field")
    if not isinstance(plugins[0], dict) or not plugins[0].get("type"):
        raise MultusError(f"{failed} a plugin delegate must have the 'type' field")
