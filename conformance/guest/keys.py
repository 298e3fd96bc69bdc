"""Keys of one run, and the cloud-init user data that puts them into a guest.

The guest's host key is made here and given to it, so the SSH client knows it beforehand: no key is ever accepted
unseen.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 pair: ``private`` in OpenSSH's PEM form, ``public`` as ``ssh-ed25519 AAAA...`` without a comment."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return cls(private.decode(), public.decode())

    def paramiko(self) -> paramiko.Ed25519Key:
        """The pair as paramiko wants it."""
        return paramiko.Ed25519Key.from_private_key(io.StringIO(self.private))


@dataclass(frozen=True)
class GuestKeys:
    """The client's pair and the guests' host pair."""

    client: KeyPair
    host: KeyPair

    @classmethod
    def generate(cls) -> GuestKeys:
        return cls(KeyPair.generate(), KeyPair.generate())

    @classmethod
    def load(cls, directory: Path) -> GuestKeys:
        """The keys saved in ``directory`` by :meth:`save`."""
        pairs = {
            name: KeyPair((directory / name).read_text(), (directory / f"{name}.pub").read_text().strip())
            for name in ("client", "host")
        }
        return cls(pairs["client"], pairs["host"])

    def save(self, directory: Path) -> None:
        """Write both pairs (private files mode 0600), for the other processes of the run."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, pair in (("client", self.client), ("host", self.host)):
            private = directory / name
            private.touch(mode=0o600)
            private.write_text(pair.private)
            (directory / f"{name}.pub").write_text(pair.public + "\n")

    def user_data(self, *, hostname: str = "", extra: dict[str, object] | None = None) -> str:
        """Cloud-init user data that pins the host key and admits the client key for the image's default user.

        ``extra`` is merged over the top-level keys (``runcmd``, ``write_files``, ...).
        """
        document: dict[str, object] = {
            "ssh_pwauth": False,
            "ssh_deletekeys": True,
            "ssh_genkeytypes": [],
            "ssh_authorized_keys": [self.client.public],
            "ssh_keys": {"ed25519_private": _Literal(self.host.private), "ed25519_public": self.host.public},
            **({"hostname": hostname} if hostname else {}),
            **(extra or {}),
        }
        return "#cloud-config\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10_000)


class _Literal(str):
    """Text that is written as a YAML literal block (``|``), which every cloud-init reader copes with."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper with literal blocks."""


def _represent(dumper: yaml.SafeDumper, text: _Literal) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Literal, _represent)
