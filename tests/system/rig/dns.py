"""A DNS server that answers from a table and remembers every question."""

import socket
import struct
import threading

_A, _AAAA = 1, 28


class Turns:
    """What a name stands for one question after the other, A and AAAA each for itself; the last stays."""

    def __init__(self, *answers, ttl=0):
        self.ttl = ttl
        self._answers = {_A: list(answers), _AAAA: list(answers)}

    def next(self, kind):
        left = self._answers.get(kind, [[]])
        return left.pop(0) if len(left) > 1 else left[0]


class DnsServer:
    """On port 53 of the gate. `zone` holds lists of addresses, or Turns, by name."""

    def __init__(self, world, zone, address="127.0.0.1"):
        self.zone = zone
        self._asked = []
        self._held = {}
        self._lock = threading.Lock()
        self._socket = world.gate.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def hold(self, name):
        """Questions about it are answered when it is released."""
        self._held[name] = []

    def release(self, name):
        for packet, peer in self._held.pop(name):
            self._socket.sendto(self._reply(packet), peer)

    def asked(self):
        """Every name asked for so far."""
        with self._lock:
            return list(self._asked)

    def _serve(self):
        while True:
            try:
                packet, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            if not packet:
                continue
            name, _ = self._name(packet)
            with self._lock:
                self._asked.append(name)
            if name in self._held:
                self._held[name].append((packet, peer))
            else:
                self._socket.sendto(self._reply(packet), peer)

    @staticmethod
    def _name(packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1").lower())
            at += packet[at] + 1
        return ".".join(labels), at

    def _reply(self, packet):
        name, at = self._name(packet)
        kind, _ = struct.unpack_from("!HH", packet, at + 1)
        known = self.zone.get(name, self.zone.get("*." + name.partition(".")[2]))
        ttl = 1
        if isinstance(known, Turns):
            known, ttl = known.next(kind), known.ttl
        wanted = [a for a in known or [] if (":" in a) == (kind == _AAAA) and kind in (_A, _AAAA)]
        code = 0 if known is not None else 3
        head = packet[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(wanted), 0, 0)
        records = b""
        for address in wanted:
            family = socket.AF_INET6 if kind == _AAAA else socket.AF_INET
            data = socket.inet_pton(family, address)
            records += struct.pack("!HHHIH", 0xC00C, kind, 1, ttl, len(data)) + data
        return head + packet[12 : at + 5] + records

    def close(self):
        with self._lock:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()
