"""The server's certificates and the kubeconfig that goes with them."""

from __future__ import annotations

import base64
import os
import ssl
from pathlib import Path

import trustme
import yaml

ADMIN = "sandbox-admin"

# Where it listens on the machine, and how pods know it: the first address of the services' network, and its names.
_NAMES = (
    "127.0.0.1",
    "::1",
    "localhost",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


class Pki:
    """One certificate authority per server, in memory."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="binding-conformance sandbox")

    @property
    def authority_pem(self) -> str:
        """The CA certificate, PEM."""
        return self._authority.cert_pem.bytes().decode()

    def server_context(self) -> ssl.SSLContext:
        """TLS for the server; client certificates are asked for and verified, but not required."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._authority.issue_cert(*_NAMES).configure_cert(context)
        self._authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def write_admin_kubeconfig(self, path: Path, server: str) -> None:
        """A kubeconfig (mode 0600) with a client certificate of group `system:masters`."""
        self.write_kubeconfig(path, server, ADMIN, "system:masters")

    def write_kubeconfig(self, path: Path, server: str, user: str, group: str | None = None) -> None:
        """A kubeconfig (mode 0600) with a client certificate of a user."""
        client = self._authority.issue_cert("client@sandbox.invalid", common_name=user, organization_name=group)
        chain = b"".join(blob.bytes() for blob in client.cert_chain_pems)
        credentials = {
            "client-certificate-data": _base64(chain),
            "client-key-data": _base64(client.private_key_pem.bytes()),
        }
        write_private(path, yaml.safe_dump(self._kubeconfig(server, user, credentials)))

    def _kubeconfig(self, server: str, user: str, credentials: dict[str, str]) -> dict[str, object]:
        cluster = {"server": server, "certificate-authority-data": _base64(self.authority_pem.encode())}
        context = {"cluster": "sandbox", "user": user, "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "sandbox", "context": context}],
        }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing it at once."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
