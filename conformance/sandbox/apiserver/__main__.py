"""`python -m conformance.sandbox.apiserver`: serve until SIGTERM, SIGINT or the end of standard input.

Writes `DIRECTORY/admin.kubeconfig` (mode 0600), one more for each `--component`, and prints one line,
`ready https://127.0.0.1:PORT`, when requests are answered. Standard input is a pipe from the owner: when it closes,
the owner is gone and the server ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml
from aiohttp import web

from conformance.sandbox.apiserver.admission import admit_everything, load_hook
from conformance.sandbox.apiserver.audit import AuditLog
from conformance.sandbox.apiserver.errors import KubeObject, StatusError
from conformance.sandbox.apiserver.pki import Pki
from conformance.sandbox.apiserver.server import ApiServer
from conformance.sandbox.apiserver.tokens import read_token_file

ADMIN_KUBECONFIG = "admin.kubeconfig"
DEFAULT_VERSION = "v1.36.2"
_USAGE_ERROR = 2


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m conformance.sandbox.apiserver", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where admin.kubeconfig is written")
    parser.add_argument("--backend", type=Path, required=True, help="UNIX socket of the stream server")
    parser.add_argument("--crds", type=Path, nargs="*", default=[], help="YAML files with objects to start with")
    parser.add_argument("--admission", default="", help="package.module:function that sees every write")
    parser.add_argument("--component", nargs="*", default=[], help="write NAME.kubeconfig of user system:NAME, too")
    parser.add_argument("--token-file", type=Path, help="CSV of token,user,uid,groups for further users")
    parser.add_argument("--server-version", default=DEFAULT_VERSION, help="the version that /version answers")
    parser.add_argument("--audit-log-path", type=Path, help="file that the audit events of every request go to")
    parser.add_argument("--listener", type=int, help="inherited descriptor of another socket to serve on")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    return parser.parse_args(arguments)


def read_objects(files: Iterable[Path]) -> list[KubeObject]:
    """All objects of some YAML files, `List`s taken apart; ValueError naming the file when one is no object."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects: list[KubeObject] = []
    for file in files:
        try:
            documents = [document for document in yaml.load_all(file.read_text(encoding="utf-8"), loader) if document]
        except yaml.YAMLError as error:
            raise ValueError(f"{file}: {error}") from error
        if not all(isinstance(document, dict) for document in documents):
            raise ValueError(f"{file}: holds something that is no Kubernetes object")
        for document in documents:
            objects += document["items"] if document.get("kind") == "List" else [document]
    return objects


def build_server(arguments: argparse.Namespace, pki: Pki) -> ApiServer:
    """A server with its definitions loaded. ValueError, OSError or StatusError for bad input."""
    server = ApiServer(
        hook=load_hook(arguments.admission) if arguments.admission else admit_everything,
        backend=arguments.backend,
        authority=pki.authority_pem,
        users=read_token_file(arguments.token_file) if arguments.token_file else {},
        version=arguments.server_version,
        audit=AuditLog(arguments.audit_log_path) if arguments.audit_log_path else None,
    )
    server.load(read_objects(arguments.crds))
    return server


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until told to end."""
    pki = Pki()
    server = build_server(arguments, pki)
    listener = socket.create_server(("127.0.0.1", arguments.port), backlog=256)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    runner = web.AppRunner(
        server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5, handle_signals=False
    )
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=pki.server_context()).start()
    if arguments.listener is not None:
        inside = socket.socket(fileno=arguments.listener)
        await web.SockSite(runner, inside, ssl_context=pki.server_context()).start()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    pki.write_admin_kubeconfig(arguments.directory / ADMIN_KUBECONFIG, url)
    for name in arguments.component:
        pki.write_kubeconfig(arguments.directory / f"{name}.kubeconfig", url, f"system:{name}")
    gc.freeze()
    stop = _stop_event()
    print(f"ready {url}", flush=True)
    await stop.wait()
    await runner.cleanup()


def _stop_event() -> asyncio.Event:
    """Set by SIGTERM, SIGINT or the end of standard input (when that is a pipe or a socket)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return stop  # started without a standard input
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):

        def read() -> None:
            if not os.read(descriptor, 4096):
                loop.remove_reader(descriptor)
                stop.set()

        loop.add_reader(descriptor, read)
    return stop


def main() -> int:
    """Run; returns the exit status."""
    arguments = parse_arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(serve(arguments))
    except (ValueError, OSError, StatusError) as error:
        print(f"apiserver: {error}", file=sys.stderr)
        return _USAGE_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
