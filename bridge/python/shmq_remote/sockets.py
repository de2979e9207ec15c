"""Sockets of both clients. ZeroMQ never connects again by itself on a DEALER:
then the bridge would see a stranger, and we would not notice."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Optional, Tuple

import zmq


@dataclass(frozen=True)
class Keys:
    """CURVE keys in Z85; without `server` there is no encryption."""

    server: Optional[bytes] = None
    public: Optional[bytes] = None
    secret: Optional[bytes] = None


def make_keys(server_key: Optional[str], public_key: Optional[str],
              secret_key: Optional[str]) -> Keys:
    """Without a pair a new one is made; a public key is made from the secret
    one where it is not given."""
    if server_key is None:
        return Keys()
    if secret_key is None:
        if public_key is not None:
            raise ValueError("a public key without its secret_key")
        public, secret = zmq.curve_keypair()
    else:
        secret = secret_key.encode()
        public = public_key.encode() if public_key is not None \
            else zmq.curve_public(secret)
    return Keys(server_key.encode(), public, secret)


def _common(socket: Any, keys: Keys) -> None:
    socket.linger = 0
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6000)
    socket.setsockopt(zmq.IPV6, 1)
    if keys.server:
        socket.curve_serverkey = keys.server
        socket.curve_publickey = keys.public
        socket.curve_secretkey = keys.secret


_EVENTS = (zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED |
           zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_HANDSHAKE_FAILED_AUTH |
           zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL |
           zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL |
           zmq.EVENT_HANDSHAKE_SUCCEEDED)
REFUSED = (zmq.EVENT_HANDSHAKE_FAILED_AUTH |
           zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)


def open_dealer(context: Any, endpoint: str, keys: Keys) -> Tuple[Any, Any]:
    """A connecting DEALER and the monitor of its connection."""
    socket = context.socket(zmq.DEALER)
    try:
        _common(socket, keys)
        socket.sndhwm = socket.rcvhwm = 0
        # Not -1, and not `immediate`: ZeroMQ then gives the connection up as
        # soon as it hears of its end, and ends the process when that is
        # between two parts of a message being received.
        socket.reconnect_ivl = 3600000
        monitor = socket.get_monitor_socket(_EVENTS)
        socket.connect(endpoint)
    except BaseException:
        socket.close(0)
        raise
    return socket, monitor


def close_dealer(socket: Any, monitor: Any, linger_ms: int = 0) -> None:
    socket.disable_monitor()
    monitor.close(0)
    socket.close(linger_ms)


def open_sub(context: Any, endpoint: str, keys: Keys,
             prefixes: Iterable[bytes]) -> Any:
    """A SUB; it does connect again by itself, and gaps are noticed."""
    socket = context.socket(zmq.SUB)
    _common(socket, keys)
    socket.reconnect_ivl = 50
    socket.reconnect_ivl_max = 2000
    for prefix in prefixes:
        socket.setsockopt(zmq.SUBSCRIBE, prefix)
    socket.connect(endpoint)
    return socket
