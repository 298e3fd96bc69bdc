"""Running CNI plugins as libcni does: configuration lists, chaining, runtime configuration, and the result cache.

Source: the CNI specification 0.3.1-1.1.0 and the behaviour and texts of libcni 1.3 (`libcni/api.go`, `libcni/conf.go`,
`pkg/invoke`). The plugins are real executables in the node's /opt/cni/bin, run in the node's namespaces.
"""

import base64
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance.sandbox.network.gojson import GoJsonError, parse_object
from conformance.sandbox.network.node import CNI_BINARIES, CNI_STATE, CommandError, Completed, Node
from conformance.sandbox.network.pods import CniRecord, Json
from conformance.sandbox.network.results import ResultError, as_version, read_result

# Multus looks in its own binDir and then in the CNI_PATH that the kubelet gave it: the same directory twice.
SEARCH_PATH = (CNI_BINARIES, CNI_BINARIES)
PLUGIN_SECONDS = 240.0
"""How long the kubelet waits for a pod's sandbox; a plugin that hangs is killed then."""

_KEPT_RECORDS = 500


class CniError(Exception):
    """A CNI operation failed; the text is libcni's, the plugin's own message in it."""


class PluginHungError(CniError):
    """A plugin did not end in time, and was killed."""


@dataclass(frozen=True)
class NetworkConf:
    """A CNI configuration: a list of plugins, or (when `is_list` is False) a single one in the old format."""

    name: str
    cni_version: str
    plugins: tuple[Json, ...]
    raw: bytes
    is_list: bool


@dataclass(frozen=True)
class RuntimeConf:
    """What the runtime adds to a configuration: which container, which interface, which arguments."""

    container_id: str
    netns: str
    ifname: str
    args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, object] = field(default_factory=dict)


def load_conf(raw: bytes) -> NetworkConf:
    """Parse a configuration or configuration list. Raises CniError with libcni's text."""
    try:
        document = parse_object(raw)
    except GoJsonError as error:
        raise CniError(f"error parsing configuration: {error}") from error
    if document.get("type"):
        single, version = str(document.get("name", "")), str(document.get("cniVersion", ""))
        return NetworkConf(single, version, (document,), raw, is_list=False)
    name = document.get("name")
    if not isinstance(name, str):
        raise CniError("error parsing configuration list: no name")
    plugins = document.get("plugins")
    if not isinstance(plugins, list) or not plugins:
        raise CniError("error parsing configuration list: no plugins in list")
    for index, plugin in enumerate(plugins):
        if not isinstance(plugin, dict) or not plugin.get("type"):
            raise CniError(f"failed to parse plugin config {index}: error parsing configuration: missing 'type'")
    return NetworkConf(name, str(document.get("cniVersion", "")), tuple(plugins), raw, is_list=True)


class Cni:
    """libcni for one node."""

    def __init__(self, node: Node, plugin_seconds: float = PLUGIN_SECONDS) -> None:
        self.node = node
        self._plugin_seconds = plugin_seconds
        self.records: deque[CniRecord] = deque(maxlen=_KEPT_RECORDS)
        """The last invocations, oldest first: evidence for whoever wonders what a plugin was told and what it said."""

    async def add(self, conf: NetworkConf, runtime: RuntimeConf) -> Json:
        """Run ADD through the chain and cache the result. Returns the last plugin's result. Raises CniError."""
        result: Json | None = None
        for plugin in conf.plugins:
            try:
                result = await self._add_one(conf, plugin, result, runtime)
            except CniError as error:
                if not conf.is_list:
                    raise
                raise type(error)(f"plugin {_description(plugin)} failed (add): {error}") from error
        assert result is not None
        self._cache_add(conf, runtime, result)
        return result

    async def delete(self, conf: NetworkConf, runtime: RuntimeConf) -> None:
        """Run DEL through the chain in reverse, with the cached result, and drop the cache entry. Raises CniError."""
        cached = self._cached_result(conf, runtime) if _at_least(conf.cni_version, "0.4.0") else None
        for plugin in reversed(conf.plugins):
            try:
                await self._invoke("DEL", conf, plugin, cached, runtime)
            except CniError as error:
                if not conf.is_list:
                    raise
                raise CniError(f"plugin {_description(plugin)} failed (delete): {error}") from error
        self._cache_file(conf, runtime).unlink(missing_ok=True)

    async def check(self, conf: NetworkConf, runtime: RuntimeConf) -> None:
        """Run CHECK through the chain with the cached result. Raises CniError, also for versions before 0.4.0."""
        if not _at_least(conf.cni_version, "0.4.0"):
            raise CniError(f'configuration version "{conf.cni_version}" does not support the CHECK command')
        cached = self._cached_result(conf, runtime)
        for plugin in conf.plugins:
            await self._invoke("CHECK", conf, plugin, cached, runtime)

    async def _add_one(self, conf: NetworkConf, plugin: Json, previous: Json | None, runtime: RuntimeConf) -> Json:
        stdout = await self._invoke("ADD", conf, plugin, previous, runtime)
        try:
            return read_result(stdout, conf.cni_version)
        except ResultError as error:
            raise CniError(str(error)) from error

    async def _invoke(
        self, command: str, conf: NetworkConf, plugin: Json, previous: Json | None, runtime: RuntimeConf
    ) -> bytes:
        path = self._find(str(plugin["type"]))
        stdin = json.dumps(_one_config(conf, plugin, previous, runtime))
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": runtime.container_id,
            "CNI_NETNS": runtime.netns,
            "CNI_IFNAME": runtime.ifname,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in runtime.args),
            "CNI_PATH": ":".join(SEARCH_PATH),
        }
        begun = time.monotonic()
        try:
            done = await self.node.run(path, input=stdin.encode(), env=env, check=False, timeout=self._plugin_seconds)
        except CommandError as error:
            raise PluginHungError("netplugin failed with no error message: signal: killed") from error
        record = CniRecord(
            container_id=runtime.container_id,
            command=command,
            plugin=str(plugin["type"]),
            ifname=runtime.ifname,
            stdin=stdin,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            returncode=done.returncode,
            seconds=time.monotonic() - begun,
        )
        self.records.append(record)
        if done.returncode != 0:
            raise CniError(_plugin_error(path, done))
        return done.stdout

    def _find(self, plugin: str) -> str:
        if "/" in plugin:
            raise CniError(f"invalid plugin name: {plugin}")
        for directory in dict.fromkeys(SEARCH_PATH):
            file = self.node.path(f"{directory}/{plugin}")
            if file.is_file():
                _require_executable_format(file, f"{directory}/{plugin}")
                return f"{directory}/{plugin}"
        raise CniError(f'failed to find plugin "{plugin}" in path [{" ".join(SEARCH_PATH)}]')

    def _cache_file(self, conf: NetworkConf, runtime: RuntimeConf) -> Path:
        return self.node.path(f"{CNI_STATE}/results") / f"{conf.name}-{runtime.container_id}-{runtime.ifname}"

    def _cache_add(self, conf: NetworkConf, runtime: RuntimeConf, result: Json) -> None:
        entry: Json = {
            "kind": "cniCacheV1",
            "containerId": runtime.container_id,
            "config": base64.b64encode(conf.raw).decode("ascii"),
            "ifName": runtime.ifname,
            "networkName": conf.name,
            "netns": runtime.netns,
            "cniArgs": [list(pair) for pair in runtime.args],
        }
        if runtime.capability_args:
            entry["capabilityArgs"] = dict(runtime.capability_args)
        entry["result"] = result
        file = self._cache_file(conf, runtime)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(json.dumps(entry), encoding="utf-8")
        file.chmod(0o600)

    def _cached_result(self, conf: NetworkConf, runtime: RuntimeConf) -> Json | None:
        try:
            entry = json.loads(self._cache_file(conf, runtime).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        result = entry.get("result")
        return as_version(result, conf.cni_version) if isinstance(result, dict) else None


def inject_cni_args(conf: NetworkConf, arguments: Mapping[str, object]) -> NetworkConf:
    """The configuration with `arguments` merged into `args.cni` of every plugin, as Multus passes `cni-args`."""
    plugins: list[Json] = []
    for plugin in conf.plugins:
        args = plugin.get("args")
        merged: Json = dict(args) if isinstance(args, dict) else {}
        inner = merged.get("cni")
        merged["cni"] = {**(inner if isinstance(inner, dict) else {}), **arguments}
        plugins.append({**plugin, "args": merged})
    return _with_plugins(conf, plugins)


def inject_device_id(conf: NetworkConf, device: str) -> NetworkConf:
    """The configuration with the device that was allocated for it, under both names that Multus uses."""
    plugins: list[Json] = [{**plugin, "deviceID": device, "pciBusID": device} for plugin in conf.plugins]
    return _with_plugins(conf, plugins)


def _with_plugins(conf: NetworkConf, plugins: list[Json]) -> NetworkConf:
    document: Json = {**json.loads(conf.raw), "plugins": plugins} if conf.is_list else plugins[0]
    return replace(conf, plugins=tuple(plugins), raw=json.dumps(document).encode())


def _one_config(conf: NetworkConf, plugin: Json, previous: Json | None, runtime: RuntimeConf) -> Json:
    document: Json = {**plugin, "name": conf.name, "cniVersion": conf.cni_version}
    if previous is not None:
        document["prevResult"] = previous
    capabilities = plugin.get("capabilities")
    if isinstance(capabilities, dict):
        wanted = [key for key, supported in capabilities.items() if supported is True]
        given = {key: runtime.capability_args[key] for key in wanted if key in runtime.capability_args}
        if given:
            document["runtimeConfig"] = given
    return document


def _description(plugin: Json) -> str:
    name = plugin.get("name")
    return f'type="{plugin["type"]}"' + (f' name="{name}"' if name else "")


def _plugin_error(path: str, done: Completed) -> str:
    stderr = done.stderr.decode(errors="replace")
    if not done.stdout:
        if stderr.startswith("nsenter: failed to execute"):
            reason = stderr.strip().rsplit(": ", 1)[-1].lower()
            return f"netplugin failed with no error message: fork/exec {path}: {reason}"
        if stderr:
            return f"netplugin failed: {json.dumps(stderr, ensure_ascii=False)}"
        status = f"signal: {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        return f"netplugin failed with no error message: {status}"
    try:
        error = parse_object(done.stdout)
    except GoJsonError as problem:
        text = json.dumps(done.stdout.decode(errors="replace"), ensure_ascii=False)
        return f"netplugin failed but error parsing its diagnostic message {text}: {problem}"
    details = error.get("details")
    return f"{error.get('msg', '')}" + (f"; {details}" if details else "")


def _require_executable_format(file: Path, node_path: str) -> None:
    # A shell would run a script that has no interpreter line; the kernel, which is what libcni asks, would not.
    with file.open("rb") as opened:
        start = opened.read(4)
    if start != b"\x7fELF" and not start.startswith(b"#!"):
        raise CniError(f"netplugin failed with no error message: fork/exec {node_path}: exec format error")


def _at_least(version: str, minimum: str) -> bool:
    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))

    return numbers(version or "0.1.0") >= numbers(minimum)
