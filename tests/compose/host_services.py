"""What a host runs beside its containers: a resolver on its loopback address, and a service on every address.

usage: host_services.py LOG NAME=ADDRESS...
Every name asked for is a line of LOG. Names that aren't given don't exist.
"""

import socket
import socketserver
import sys
import threading

SERVICE_PORT = 8088


def question(query):
    """The name asked for, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    return ".".join(labels), at + 5


def answer(query, zone, log):
    name, end = question(query)
    print(name, file=log, flush=True)
    wants_ipv4 = query[end - 4 : end - 2] == b"\0\1"
    records = b""
    if name in zone and wants_ipv4:
        records = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton(zone[name])
    flags = b"\x81\x80" if name in zone else b"\x81\x83"
    return query[:2] + flags + b"\0\1" + (b"\0\1" if records else b"\0\0") + b"\0\0\0\0" + query[12:end] + records


class Greeting(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"the host's own service\n")


def main():
    log = open(sys.argv[1], "a", encoding="utf-8")
    zone = dict(pair.split("=") for pair in sys.argv[2:])
    service = socketserver.ThreadingTCPServer(("0.0.0.0", SERVICE_PORT), Greeting)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("127.0.0.1", 53))
    print("listening", flush=True)
    while True:
        query, client = resolver.recvfrom(4096)
        try:
            resolver.sendto(answer(query, zone, log), client)
        except (IndexError, OSError) as error:
            print("not answered:", error, file=sys.stderr, flush=True)


main()
