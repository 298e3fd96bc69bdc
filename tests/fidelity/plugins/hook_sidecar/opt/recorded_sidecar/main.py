"""The sidecar process: `hook-sidecar MODE`, where MODE is the recorded image's part after `sc-`, or passt or slirp.

Two more modes were not recorded: `slowinfo` takes longer for Info than virt-launcher waits, `future` knows no version
that virt-launcher does.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from . import wire
from .domain import EDITS

SOCKETS = Path("/var/run/kubevirt-hooks")
SLOW_SECONDS = 65.0
SLOW_INFO_SECONDS = 2.0
EXIT_STATUS = 3
VERSIONS = {"v2": ("v1alpha2",), "slirp": ("v1alpha2",), "future": ("v2",)}
SIGNALLED_STATUS = 2
"""The recorded slirp sidecar knew no SIGTERM: Go's runtime ended it with this."""
Method = Callable[[bytes, grpc.ServicerContext], bytes]
FIXED_SOCKETS = {"passt": "passt.sock", "slirp": "slirp.sock"}


class Hooks:
    """Info, OnDefineDomain and, where the recorded one had it, Shutdown."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.stop = threading.Event()
        self.binding = os.environ.get("NETWORK_BINDING_PLUGIN_NAME", "")
        self.versions = VERSIONS.get(mode, ("v1alpha3", "v1alpha2"))

    def info(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """The hooks and versions of this sidecar."""
        if self.mode == "slowinfo":
            time.sleep(SLOW_INFO_SECONDS)
        shutdown = ("Shutdown",) if "v1alpha3" in self.versions else ()
        return wire.info(self.mode, ("OnDefineDomain", *shutdown), self.versions)

    def define_domain(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """The edited domain, or the recorded failure."""
        domain_xml, vmi = wire.define_domain(request)
        print(f"{self.mode}: OnDefineDomain", flush=True)
        if self.mode == "err":
            context.abort(grpc.StatusCode.UNKNOWN, "exit status 1")
        if self.mode == "slow":
            time.sleep(SLOW_SECONDS)
        return wire.domain_result(EDITS[self.mode](domain_xml, json.loads(vmi), self.binding))

    def shutdown(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """End after the answer."""
        self.stop.set()
        return b""

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Info, and Callbacks of each version."""
        result = [_service("kubevirt.hooks.info.Info", Info=self.info)]
        for version in self.versions:
            calls: dict[str, Method] = {"OnDefineDomain": self.define_domain}
            if version == "v1alpha3":
                calls["Shutdown"] = self.shutdown
            result.append(_service(f"kubevirt.hooks.{version}.Callbacks", **calls))
        return result


def main(arguments: list[str]) -> int:
    """Serve until Shutdown or SIGTERM. Exit status 3 at once in mode `exit`; no socket in mode `nosock`."""
    mode = arguments[0]
    if mode == "exit":
        print("exiting on purpose", file=sys.stderr)
        return EXIT_STATUS
    hooks = Hooks(mode)
    if mode == "nosock":
        signal.pause()  # like the shell that slept there: the first process of a container ignores SIGTERM by default
        return 0
    if mode == "slow":  # what sleeps there is a shell, which has to be killed
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(SIGNALLED_STATUS) if mode == "slirp" else hooks.stop.set())
    path = SOCKETS / FIXED_SOCKETS.get(mode, f"shim-{os.getpid()}-{time.time_ns() % 10**6}.sock")
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers(tuple(hooks.handlers()))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    hooks.stop.wait()
    server.stop(grace=1).wait()
    return 0


def _service(name: str, **methods: Method) -> grpc.GenericRpcHandler:
    handlers = {method: grpc.unary_unary_rpc_method_handler(function) for method, function in methods.items()}
    return grpc.method_handlers_generic_handler(name, handlers)
