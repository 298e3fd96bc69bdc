"""Cluster DNS: answers over UDP and TCP at the control plane's address, behind the Service `kube-dns`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from conformance.sandbox.kubernetes.names import Records
from conformance.sandbox.network.datagrams import Responder

log = logging.getLogger(__name__)

PORT: Final = 53
_TTL_SECONDS: Final = 5
_PLAIN_UDP_BYTES: Final = 512
_LONGEST_CHAIN: Final = 8

Lookup = Callable[[str], Records]


class DnsServer:
    """Answers from `lookup`. The sockets are the caller's, not yet bound, one of each kind and family."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._servers: list[asyncio.Server] = []
        self._transports: list[asyncio.BaseTransport] = []

    async def start(self, open_socket: Callable[[int, int], socket.socket]) -> None:
        """Listen on port 53 of every address, in both families; `open_socket(family, kind)` makes the sockets."""
        loop = asyncio.get_running_loop()
        for family in (socket.AF_INET, socket.AF_INET6):
            datagrams, stream = (open_socket(family, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
            for bound in (datagrams, stream):
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind(("", PORT))
            transport, _ = await loop.create_datagram_endpoint(lambda: Responder(self._answer_datagram), sock=datagrams)
            self._transports.append(transport)
            self._servers.append(await asyncio.start_server(self._serve_stream, sock=stream))

    async def stop(self) -> None:
        """Stop listening."""
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()

    def answer(self, wire: bytes, limit: int | None) -> bytes | None:
        """The response to a query, both as on the wire; None for what is no query.

        `limit` is the longest response in bytes, truncated where the client allows no more; None for none.
        """
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or not query.question:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if query.opcode() != dns.opcode.QUERY or query.question[0].rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.NOTIMP)
        else:
            self._fill(response, query.question[0].name, query.question[0].rdtype)
        return self._encode(query, response, limit)

    def _answer_datagram(self, wire: bytes) -> bytes | None:
        return self.answer(wire, _PLAIN_UDP_BYTES)

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        response.flags |= dns.flags.AA
        for _ in range(_LONGEST_CHAIN):
            found = self._lookup(name.to_text(omit_final_dot=True))
            if not found.exists:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return
            aliases = found.by_type.get("CNAME", ())
            texts = next((t for k, t in found.by_type.items() if k == dns.rdatatype.to_text(kind)), ())
            for rdtype, records in ((kind, texts), (dns.rdatatype.CNAME, () if texts else aliases)):
                if records:
                    response.answer.append(dns.rrset.from_text(name, _TTL_SECONDS, "IN", rdtype, *records))
            if texts or not aliases:
                return
            name = dns.name.from_text(aliases[0])

    @staticmethod
    def _encode(query: dns.message.Message, response: dns.message.Message, limit: int | None) -> bytes:
        if limit is None:
            return response.to_wire()
        allowed = max(limit, query.payload) if query.edns >= 0 else limit
        try:
            return response.to_wire(max_size=allowed)
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(length), None)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has what it wanted
        finally:
            writer.close()
