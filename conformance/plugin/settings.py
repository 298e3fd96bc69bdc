"""The plugin's options, each with an ini twin, and what they amount to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.provider import MODES, Mode
from conformance.cluster.shape import USUAL, Shape
from conformance.guest.image import profiles
from conformance.model import ModelError
from conformance.model.registration import NadReference
from conformance.plugin.sharding import Shard, ShardError

DEFAULT_REPORT_DIR = "out/report"


@dataclass(frozen=True)
class Settings:
    """What the user asked for. ``binding`` is a path or the name of a bundled definition; empty: the plugin rests.

    ``sandbox`` is the state directory of a sandbox that is up already; ``timeout_factor`` scales every timeout;
    ``secondary_network`` is ``namespace/name``, empty to take the site's, the definition's or the cluster's; ``site``
    is a site file; ``guests`` say what the sandbox boots for a containerDisk, ``[REFERENCE=]GUEST``;
    ``workers`` counts the processes that run checks besides this one.
    """

    binding: str
    mode: Mode
    kubeconfig: Path | None
    context: str | None
    sandbox: Path | None
    kubevirt_version: str
    profile: str
    requirements: frozenset[str]
    report_dir: Path
    keep_on_failure: bool
    timeout_factor: float
    site: Path | None = None
    node_access: bool = False
    workers: int = 0
    hco: bool = False
    secondary_network: str = ""
    shard: Shard | None = None
    registered: bool = False
    upstream: bool = False
    guest: str = ""
    kind: KindOptions = field(default_factory=KindOptions)
    guests: tuple[str, ...] = ()
    shape: Shape = USUAL

    @property
    def active(self) -> bool:
        return bool(self.binding)

    @property
    def restricted(self) -> bool:
        """Whether only a part of what applies was asked for."""
        return bool(self.requirements) or self.profile != "all"


_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("binding", "", "path of a binding definition or mutant, or the name of a bundled one"),
    ("cluster", "sandbox", f"where the cluster comes from: {', '.join(MODES)}"),
    ("kubeconfig", "", "kubeconfig of the cluster, for --cluster kubeconfig (default: $KUBECONFIG, ~/.kube/config)"),
    ("kube-context", "", "context of that kubeconfig (default: its current one)"),
    ("sandbox-state", "", "state directory of a sandbox that `binding-conformance up` has brought up"),
    ("kubevirt-version", "", "KubeVirt release that the sandbox stands for, or that kind gets (default: the newest)"),
    ("kubernetes-version", "", "Kubernetes release of the nodes of --cluster kind (default: the newest)"),
    ("profile", "all", "judge only this profile: core, extended, all, or the name of a capability"),
    ("report-dir", DEFAULT_REPORT_DIR, f"directory of the report (default: {DEFAULT_REPORT_DIR})"),
    ("site", "", "site file with the local facts of the cluster"),
    ("secondary-network", "", "NetworkAttachmentDefinition (namespace/name) to test secondary interfaces on"),
    ("guest", "", "guest profile: fedora, alpine or reacting (default: what the cluster offers)"),
    ("shard", "", "run part I of N, I/N (or job/N in an indexed Job); `verify --merge` joins their reports"),
    ("nodes", "", "how many nodes the sandbox has (default: 2)"),
    ("pod-mtu", "", "MTU of the sandbox's pod network in bytes (default: 1500)"),
    (
        "ip-provider",
        "",
        "who gives the sandbox's pods their addresses: routed or sticky (default: what the binding is for)",
    ),
    ("timeout-factor", "1", "multiply every timeout by this number"),
)


def add_options(parser: pytest.Parser) -> None:
    """One group, long options, and ``conformance_<option>`` in the ini file for each."""
    group = parser.getgroup("conformance", "network binding conformance")
    for name, default, text in _OPTIONS:
        group.addoption(f"--{name}", dest=_dest(name), default=None, help=text, metavar=name.upper().replace("-", "_"))
        parser.addini(_dest(name), text, default=default)
    group.addoption(
        "--requirement",
        dest=_dest("requirement"),
        action="append",
        default=None,
        metavar="ID",
        help="judge only this requirement (may be repeated)",
    )
    parser.addini(_dest("requirement"), "judge only these requirements", type="args", default=[])
    kind = "option of --cluster kind, NAME=VALUE (may be repeated): name, engine, ip-family, multus, bundle, ..."
    group.addoption("--kind", dest=_dest("kind"), action="append", default=None, metavar="NAME=VALUE", help=kind)
    parser.addini(_dest("kind"), kind, type="args", default=[])
    registered = "the binding is registered already, as defined: wait for it, leave it alone (shards share it)"
    group.addoption("--registered", dest=_dest("registered"), action="store_true", default=None, help=registered)
    parser.addini(_dest("registered"), registered, type="bool", default=False)
    upstream = "afterwards run KubeVirt's own conformance suite with the binding as primary; a section of the report"
    group.addoption(
        "--upstream-conformance",
        dest=_dest("upstream-conformance"),
        action="store_true",
        default=None,
        help=upstream,
    )
    parser.addini(_dest("upstream-conformance"), upstream, type="bool", default=False)
    guest = "what the sandbox boots for a containerDisk: [REFERENCE=] the name of a guest, or the path of a disk image"
    group.addoption(
        "--guest-image",
        dest=_dest("guest-image"),
        action="append",
        default=None,
        metavar="[REFERENCE=]GUEST",
        help=guest,
    )
    parser.addini(_dest("guest-image"), guest, type="linelist", default=[])
    keep = "leave the cluster and the binding in place when a check did not pass"
    group.addoption("--keep-on-failure", dest=_dest("keep-on-failure"), action="store_true", default=None, help=keep)
    parser.addini(_dest("keep-on-failure"), keep, type="bool", default=False)
    owned = "let HCO own the sandbox's KubeVirt CR"
    group.addoption("--hco", dest=_dest("hco"), action="store_true", default=None, help=owned)
    parser.addini(_dest("hco"), owned, type="bool", default=False)
    look = "look at the nodes through a short-lived privileged DaemonSet (on a cluster of our own it does anyway)"
    group.addoption("--node-access", dest=_dest("node-access"), action="store_true", default=None, help=look)
    parser.addini(_dest("node-access"), look, type="bool", default=False)


def read_settings(config: pytest.Config) -> Settings:
    """The settings of a session. Raises pytest.UsageError for a value that cannot be."""
    mode = _mode(str(_value(config, "cluster")))
    try:
        factor = float(str(_value(config, "timeout-factor")))
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise pytest.UsageError(f"--timeout-factor {_value(config, 'timeout-factor')}: give a positive number")
    return Settings(
        binding=str(_value(config, "binding")),
        mode=mode,
        kubeconfig=_path(config, "kubeconfig"),
        context=str(_value(config, "kube-context")) or None,
        sandbox=_path(config, "sandbox-state"),
        kubevirt_version=str(_value(config, "kubevirt-version")),
        profile=str(_value(config, "profile")),
        requirements=frozenset(_list(config, "requirement")),
        report_dir=(_path(config, "report-dir") or Path(DEFAULT_REPORT_DIR)).absolute(),
        keep_on_failure=bool(_value(config, "keep-on-failure")),
        timeout_factor=factor,
        site=_path(config, "site"),
        node_access=bool(_value(config, "node-access")),
        workers=_workers(config),
        hco=bool(_value(config, "hco")),
        secondary_network=_network(config),
        shard=_shard(config),
        registered=bool(_value(config, "registered")),
        guest=_guest(config),
        upstream=bool(_value(config, "upstream-conformance")),
        kind=_kind_options(config),
        guests=_guests(config, mode),
        shape=_shape(config, mode),
    )


def _mode(given: str) -> Mode:
    for mode in MODES:
        if mode == given:
            return mode
    raise pytest.UsageError(f"--cluster {given}: not one of {', '.join(MODES)}")


def _kind_options(config: pytest.Config) -> KindOptions:
    words = _value(config, "kind")
    try:
        return KindOptions.parse(
            [str(word) for word in words] if isinstance(words, list) else [],
            kubevirt_version=str(_value(config, "kubevirt-version")),
            kubernetes_version=str(_value(config, "kubernetes-version")),
        )
    except ModelError as error:
        raise pytest.UsageError(str(error)) from error


def _guest(config: pytest.Config) -> str:
    name = str(_value(config, "guest"))
    if name and name not in profiles():
        raise pytest.UsageError(f"--guest {name}: not one of {', '.join(profiles())}; a site file takes any other")
    return name


def _shard(config: pytest.Config) -> Shard | None:
    try:
        return Shard.parse(str(_value(config, "shard")))
    except ShardError as error:
        raise pytest.UsageError(f"--shard {error}") from error


def _guests(config: pytest.Config, mode: str) -> tuple[str, ...]:
    found = _value(config, "guest-image")
    texts = tuple(str(text) for text in found) if isinstance(found, list) else ()
    if texts and mode != "sandbox":
        raise pytest.UsageError(f"--guest-image {texts[0]}: only the sandbox maps containerDisks; leave it out")
    for text in texts:
        from conformance.cluster.sandbox import guest_choice  # only where a sandbox is wanted

        try:
            guest_choice(text)
        except ValueError as error:
            raise pytest.UsageError(f"--guest-image {text}: {error}") from error
    return texts


def _shape(config: pytest.Config, mode: str) -> Shape:
    try:
        shape = Shape.parse(*(str(_value(config, name)) for name in ("nodes", "pod-mtu", "ip-provider")))
        shape.require(mode)
    except ModelError as error:
        raise pytest.UsageError(str(error)) from error
    return shape


def _workers(config: pytest.Config) -> int:
    """How many processes xdist will start; 0 when this one runs the checks."""
    if not config.pluginmanager.hasplugin("xdist") or config.getoption("dist", "no") == "no":
        return 0
    from xdist.workermanage import parse_tx_spec_config  # only where xdist is installed

    return len(parse_tx_spec_config(config)) if config.getoption("tx", None) else 0


def _dest(name: str) -> str:
    return "conformance_" + name.replace("-", "_")


def _value(config: pytest.Config, name: str) -> object:
    given = config.getoption(_dest(name))
    return config.getini(_dest(name)) if given is None else given


def _path(config: pytest.Config, name: str) -> Path | None:
    text = str(_value(config, name))
    return Path(text).expanduser().absolute() if text else None


def _network(config: pytest.Config) -> str:
    text = str(_value(config, "secondary-network"))
    if text and NadReference.parse(text) is None:
        raise pytest.UsageError(f"--secondary-network {text}: give namespace/name of a NetworkAttachmentDefinition")
    return text


def _list(config: pytest.Config, name: str) -> list[str]:
    found = _value(config, name)
    words = found if isinstance(found, list) else str(found).split()
    return [part for word in words for part in str(word).replace(",", " ").split()]
