"""One socket to one address, and the last word of the guard about where it leads."""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import IPv6Address, ip_address

from qhronos.errors import Unreachable
from qhronos.http.guard import Egress, plain
from qhronos.http.url import Address


async def dial(address: Address, port: int, egress: Egress) -> socket.socket:
    """A connected socket. Raises OSError, and Unreachable if it leads elsewhere than to the address."""
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        check_peer(sock, address, port, egress)
    except BaseException:
        sock.close()
        raise
    return sock


def check_peer(sock: socket.socket, address: Address, port: int, egress: Egress) -> None:
    """The socket leads to the address that was vetted, and not back to this machine. Raises Unreachable."""
    peer = plain(ip_address(sock.getpeername()[0]))
    if peer != address:
        raise Unreachable("egress", "connected to another address than the one that was vetted")
    if plain(ip_address(sock.getsockname()[0])) == peer and not egress.is_hole(peer, port):
        raise Unreachable("egress", "an address of this machine is not open to deliveries")


def reason(error: OSError) -> str:
    """Why a connect failed, in the words of the system."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"connect failed: {os.strerror(error.errno).lower()}" if error.errno else "connect failed"
