"""Shells over SSH: through KubeVirt's ``portforward``, or from a pod on the cluster network."""

from __future__ import annotations

import os
import socket
import time
from typing import Self

import paramiko

from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.guest.shell import CommandFailed, CommandResult, CommandTimedOut, GuestUnreachable, HostKeyMismatch

_BUFFER = 65536


class SshShell:
    """One SSH connection with the run's keys over any connected socket.

    Implements :class:`~conformance.guest.shell.Shell`. Raises HostKeyMismatch when another host key answers than the
    one this run gave to its guests.
    """

    def __init__(
        self, sock: socket.socket, way: str, guest: str, image: GuestImage, keys: GuestKeys, *, seconds: float = 30.0
    ) -> None:
        self.way, self.guest = way, guest
        self._transport = paramiko.Transport(sock)
        self._transport.banner_timeout = seconds
        self._transport.auth_timeout = seconds
        try:
            self._transport.start_client(timeout=seconds)
            self._check_host_key(keys)
            self._transport.auth_publickey(image.user, keys.client.paramiko())
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            raise GuestUnreachable(way, guest, f"{type(error).__name__}: {error or 'the connection ended'}") from error
        except HostKeyMismatch:
            self.close()
            raise
        self._transport.set_keepalive(5)

    def run(self, command: str, *, timeout: float = 60.0, check: bool = False) -> CommandResult:
        """See :class:`~conformance.guest.shell.Shell`."""
        started = time.monotonic()
        stdout, stderr = bytearray(), bytearray()
        try:
            channel = self._transport.open_session(timeout=timeout)
            with channel:
                channel.exec_command(command)
                channel.shutdown_write()
                self._collect(channel, stdout, stderr, started + timeout)
                status = channel.recv_exit_status()
        except TimeoutError as error:
            raise CommandTimedOut(self.guest, command, timeout, stdout.decode("utf-8", "replace")) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise GuestUnreachable(self.way, self.guest, f"the connection broke under {command!r}: {error}") from error
        result = CommandResult(
            command,
            status,
            stdout.decode("utf-8", "replace"),
            stderr.decode("utf-8", "replace"),
            time.monotonic() - started,
        )
        if status == -1:
            raise GuestUnreachable(self.way, self.guest, f"the connection ended under {command!r}")
        if check and not result.ok:
            raise CommandFailed(self.guest, result)
        return result

    def open_terminal(self, columns: int, lines: int) -> paramiko.Channel:
        """A login shell on a terminal of that size, for a person."""
        channel = self._transport.open_session()
        channel.get_pty(os.environ.get("TERM", "vt100"), columns, lines)
        channel.invoke_shell()
        return channel

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_host_key(self, keys: GuestKeys) -> None:
        seen = self._transport.get_remote_server_key()
        name, encoded = keys.host.public.split()[:2]
        if (seen.get_name(), seen.get_base64()) != (name, encoded):
            raise HostKeyMismatch(
                f"{self.way} to {self.guest}: host key {seen.get_name()} {seen.fingerprint}, not the one of this run: "
                "another machine answers at that address"
            )

    @staticmethod
    def _collect(channel: paramiko.Channel, stdout: bytearray, stderr: bytearray, until: float) -> None:
        """Read both streams to their end, so that neither fills its window while the other is waited for."""
        channel.settimeout(0.05)
        while True:
            idle = True
            for receive, into in ((channel.recv, stdout), (channel.recv_stderr, stderr)):
                try:
                    data = receive(_BUFFER)
                except TimeoutError:
                    idle = False
                    continue
                into.extend(data)
                idle = False if data else idle
            # both streams have ended; the exit status may come a moment later
            if idle and channel.status_event.wait(0.05):
                return
            if time.monotonic() > until:
                raise TimeoutError
