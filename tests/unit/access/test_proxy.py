"""A cluster that is reached through a proxy: every request goes there, the streams too."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from conformance.access.accounts import proxied_kubeconfig
from conformance.kube.cluster import Cluster
from conformance.kube.errors import Unusable
from conformance.kube.manifest import KUBEVIRT
from conformance.kube.pods import pod_exec
from tests.unit.kube.apiserver import Server
from tests.unit.kube.backend import Backend


class Proxy:
    """An HTTP proxy on loopback that passes on CONNECT and nothing else. ``asked`` are the targets, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        host, _, port = target.rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
        client.close()
        server.close()


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Proxy()
    yield made
    made.close()


def target(kubeconfig: Path) -> str:
    loaded = yaml.safe_load(kubeconfig.read_text())
    return f"CONNECT {urlsplit(loaded['clusters'][0]['cluster']['server']).netloc}"


def test_requests_and_streams_go_through_it(server: Server, backend: Backend, proxy: Proxy, tmp_path: Path) -> None:
    through = proxied_kubeconfig(server.kubeconfig, proxy.url, tmp_path / "by-proxy")
    assert through.stat().st_mode & 0o777 == 0o600
    cluster = Cluster.connect(through)
    try:
        assert cluster.get(KUBEVIRT.ref("kubevirt", "kubevirt"))
        asked = len(proxy.asked)
        assert asked, "no request came by"
        assert pod_exec(cluster, "default", "pod", "c", ["echo", "through"]).stdout == b"through\n"
        assert len(proxy.asked) == asked + 1, "the stream did not come by"
    finally:
        cluster.close()
    assert set(proxy.asked) == {target(server.kubeconfig)}


def test_files_that_a_kubeconfig_names_are_found_from_elsewhere(server: Server, proxy: Proxy, tmp_path: Path) -> None:
    loaded = yaml.safe_load(server.kubeconfig.read_text())
    own = tmp_path / "own"
    own.mkdir()
    names = {"certificate-authority": "ca.pem", "client-certificate": "client.pem", "client-key": "client.key"}
    for entry in (loaded["clusters"][0]["cluster"], loaded["users"][0]["user"]):
        for field, name in names.items():
            if field in entry:
                shutil.copy(server.kubeconfig.parent / entry[field], own / name)
                entry[field] = name
            elif f"{field}-data" in entry:
                (own / name).write_bytes(base64.b64decode(entry.pop(f"{field}-data")))
                entry[field] = name
    (own / "config").write_text(yaml.safe_dump(loaded))
    cluster = Cluster.connect(proxied_kubeconfig(own / "config", proxy.url, tmp_path / "by-proxy"))
    assert cluster.get(KUBEVIRT.ref("kubevirt", "kubevirt"))
    cluster.close()
    assert proxy.asked


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "https://127.0.0.1:1"])
def test_a_proxy_that_streams_cannot_use_is_refused_in_words(server: Server, tmp_path: Path, url: str) -> None:
    through = proxied_kubeconfig(server.kubeconfig, url, tmp_path / "by-proxy")
    with pytest.raises(Unusable, match=f"by-proxy: proxy-url {url}: only an http:// proxy"):
        Cluster.connect(through)
