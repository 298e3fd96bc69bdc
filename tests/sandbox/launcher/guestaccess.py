"""SSH into a bench guest, and the key and host key a test pins."""

import asyncio
import io
import socket
import time
from dataclasses import dataclass

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.sandbox.launcher.bench import BenchNode


@dataclass(frozen=True)
class Keys:
    """A user key and the guest's host key, with the cloud-config that installs both."""

    user: paramiko.PKey
    host: paramiko.PKey
    user_data: str

    @classmethod
    def generate(cls, extra: str = "") -> "Keys":
        """New keys; `extra` is appended to the cloud-config."""
        user, host = _new_key(), _new_key()
        private = _openssh(host).replace("\n", "\n    ").rstrip()
        data = (
            "#cloud-config\n"
            f"ssh_authorized_keys:\n  - {_public(user)}\n"
            f"ssh_keys:\n  ed25519_private: |\n    {private}\n  ed25519_public: {_public(host)}\n" + extra
        )
        return cls(_paramiko(user), _paramiko(host), data)


async def ssh(node: BenchNode, address: str, keys: Keys, command: str, deadline: float = 30.0) -> tuple[str, float]:
    """Run a command in the guest as user fedora; its output, and the seconds until it was there.

    Tries again until the deadline: a guest that boots refuses at first, a proxy accepts and says nothing.
    """
    started = time.monotonic()
    last: Exception | None = None
    while time.monotonic() - started < deadline:
        try:
            output = await asyncio.to_thread(_run, node, address, keys, command)
        except (OSError, EOFError, paramiko.SSHException) as error:
            last = error
            await asyncio.sleep(0.1)
        else:
            return output, time.monotonic() - started
    raise TimeoutError(f"no SSH to {address} within {deadline:g} s: {last!r}")


def _run(node: BenchNode, address: str, keys: Keys, command: str) -> str:
    sock = node.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(2)
    try:
        sock.connect((address, 22))
        transport = paramiko.Transport(sock)
        transport.banner_timeout = 1.5
        transport.start_client(timeout=8)
        assert transport.get_remote_server_key().asbytes() == keys.host.asbytes()
        transport.auth_publickey("fedora", keys.user)
        channel = transport.open_session(timeout=8)
        channel.settimeout(20)
        channel.exec_command(command)
        output = channel.makefile("rb").read().decode() + channel.makefile_stderr("rb").read().decode()
        transport.close()
        return output
    finally:
        sock.close()


def _new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _openssh(key: Ed25519PrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _public(key: Ed25519PrivateKey) -> str:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(encoding, form).decode()


def _paramiko(key: Ed25519PrivateKey) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(_openssh(key)))
