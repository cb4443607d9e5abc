"""usage: websocket_client.py PROXY_HOST PROXY_PORT HOST SECONDS: opens a WebSocket through the proxy as
RFC 6455 says, and for that long sends messages to an echo, of all three lengths a frame's head can have."""

import base64
import hashlib
import os
import socket
import struct
import sys
import time

proxy, host, seconds = (sys.argv[1], int(sys.argv[2])), sys.argv[3], float(sys.argv[4])
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload, opcode=2):
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    # A mask of zeros is allowed, and leaves the payload as it is.
    return head + b"\0\0\0\0" + payload


key = base64.b64encode(os.urandom(16))
with socket.create_connection(proxy, timeout=60) as sock, sock.makefile("rb") as stream:
    sock.sendall(
        b"GET http://%s/echo HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (host.encode(), host.encode(), key)
    )
    head = [stream.readline()]
    while head[-1] not in (b"\r\n", b""):
        head.append(stream.readline())
    if b" 101 " not in head[0]:
        sys.exit(head[0].decode().strip())
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert any(line.lower().startswith(b"sec-websocket-accept:") and accept in line for line in head), head
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        sent = frame(os.urandom((5, 200, 70000)[count % 3]))
        sock.sendall(sent)
        assert stream.read(len(sent)) == sent, count
        count += 1
        time.sleep(0.05)
    print(f"{count} messages came back")
