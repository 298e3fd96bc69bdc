"""SSH with this run's keys over portforward and through a pod, against a real SSH server with a pinned host key."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator

import paramiko
import pytest
import yaml
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from conformance.guest.guest import Guest
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys, KeyPair
from conformance.guest.shell import CommandTimedOut, GuestUnreachable, HostKeyMismatch
from conformance.kube.cluster import Cluster
from conformance.kube.timeouts import Timeouts
from conformance.traffic.pod import ClientPod
from tests.unit.kube.apiserver import pod_manifest
from tests.unit.kube.backend import Backend

IMAGE = GuestImage("an-image", "tester", "word")


class SshServer(paramiko.ServerInterface):
    """Admits one key and runs commands with sh."""

    def __init__(self, keys: GuestKeys) -> None:
        self._admitted = keys.client.public

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        admitted = username == "tester" and f"{key.get_name()} {key.get_base64()}" == self._admitted
        return AUTH_SUCCESSFUL if admitted else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    @staticmethod
    def _run(channel: paramiko.Channel, command: str) -> None:
        # The client ends its input once it knows that the request was granted. Answering before that could close the
        # channel ahead of the grant, which paramiko sends only after check_channel_exec_request has returned.
        given = channel.makefile("rb").read()
        done = subprocess.run(["sh", "-c", command], input=given, capture_output=True, check=False)
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode)
        channel.close()


@pytest.fixture(scope="module")
def keys() -> GuestKeys:
    return GuestKeys.generate()


@pytest.fixture(scope="module")
def port(keys: GuestKeys) -> Iterator[int]:
    """The port of an SSH server with the run's host key."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(peer)
            transport.add_server_key(keys.host.paramiko())
            transport.start_server(event=threading.Event(), server=SshServer(keys))

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def guest(cluster: Cluster, keys: GuestKeys) -> Guest:
    return Guest(cluster, "default", "vm", image=IMAGE, keys=keys, timeouts=Timeouts())


def test_commands_over_portforward(cluster: Cluster, backend: Backend, keys: GuestKeys, port: int) -> None:
    with guest(cluster, keys).ssh(port=port) as shell:
        result = shell.run("echo out; echo err >&2; exit 5")
        assert (result.exit_status, result.stdout, result.stderr) == (5, "out\n", "err\n")
        assert len(shell.run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000
        with pytest.raises(CommandTimedOut):
            shell.run("sleep 3", timeout=0.5)
        assert shell.run("echo again").stdout == "again\n"


def test_commands_from_a_pod(cluster: Cluster, backend: Backend, keys: GuestKeys, port: int) -> None:
    pod = ClientPod(cluster, pod_manifest("pod"))
    with guest(cluster, keys).ssh_from(pod, "127.0.0.1", port=port) as shell:
        assert shell.run("echo inside").stdout == "inside\n"
    with pytest.raises(GuestUnreachable, match="Connection refused"):
        guest(cluster, keys).ssh_from(pod, "127.0.0.1", port=9)


def test_another_host_key_is_never_accepted(cluster: Cluster, backend: Backend, keys: GuestKeys, port: int) -> None:
    expecting_another = GuestKeys(keys.client, KeyPair.generate())
    with pytest.raises(HostKeyMismatch, match="another machine answers"):
        guest(cluster, expecting_another).ssh(port=port)


def test_a_refused_key_and_a_refused_dial_say_so(
    cluster: Cluster, backend: Backend, keys: GuestKeys, port: int
) -> None:
    with pytest.raises(GuestUnreachable, match="Authentication"):
        guest(cluster, GuestKeys(KeyPair.generate(), keys.host)).ssh(port=port)
    with pytest.raises(GuestUnreachable, match="dialing VM"):
        guest(cluster, keys).ssh(port=9)


def test_user_data_carries_both_keys_and_survives_yaml(keys: GuestKeys) -> None:
    text = keys.user_data(hostname="vm", extra={"runcmd": ["true"]})
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert document["ssh_authorized_keys"] == [keys.client.public]
    assert document["ssh_keys"] == {"ed25519_private": keys.host.private, "ed25519_public": keys.host.public}
    assert (document["hostname"], document["runcmd"]) == ("vm", ["true"])
    assert keys.client.private not in text
    assert keys.client.private not in repr(keys)
