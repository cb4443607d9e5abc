"""A program that does what the test tells it on standard input, one JSON object a line: it opens
connections through the proxy, and it can become another program, or hand its descriptors to one."""

import array
import json
import os
import socket
import subprocess
import sys


class Agent:
    def __init__(self, descriptors):
        self.sockets = [socket.socket(fileno=number) for number in descriptors]
        for sock in self.sockets:
            sock.settimeout(60)
        self.channel = None
        self.child = None

    def hello(self):
        return os.readlink("/proc/self/exe")

    def open(self, to, head, count, source=None, v6=False):
        ports = []
        for _ in range(count):
            sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
            sock.settimeout(60)
            if source:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(tuple(source))
            sock.connect(tuple(to))
            sock.sendall(head.encode())
            self.sockets.append(sock)
            ports.append(sock.getsockname()[1])
        return ports

    def send(self, data):
        for sock in self.sockets:
            sock.sendall(data.encode())
        return len(self.sockets)

    def statuses(self, payload):
        results = []
        for sock in self.sockets:
            with sock, sock.makefile("rb") as stream:
                line = stream.readline()
                status = int(line.split()[1]) if line else 0
                if status == 200 and payload:
                    while stream.readline() not in (b"\r\n", b""):
                        pass
                    sock.sendall(payload.encode())
                    back = stream.read(len(payload))
                    assert back == payload.encode(), back
                results.append(status)
        self.sockets = []
        return results

    def answers(self):
        """Each whole answer, to the end of the connection."""
        texts = []
        for sock in self.sockets:
            with sock, sock.makefile("rb") as stream:
                texts.append(stream.read().decode("latin-1"))
        self.sockets = []
        return texts

    def exchange(self, to, rounds):
        """One connection after the other: a head, and what goes through the tunnel if one opens. The status
        of each, its local port, and what came back through the tunnel."""
        answers = []
        for head, payload in rounds:
            with socket.create_connection(tuple(to), 60) as sock, sock.makefile("rb") as stream:
                sock.sendall(head.encode())
                line = stream.readline()
                status = int(line.split()[1]) if line else 0
                back = b""
                if status == 200 and payload:
                    while stream.readline() not in (b"\r\n", b""):
                        pass
                    try:
                        sock.sendall(payload.encode())
                        back = stream.read(len(payload))
                    except ConnectionError:
                        pass
                answers.append({"status": status, "port": sock.getsockname()[1], "back": back.decode()})
        return answers

    def become(self, program):
        """exec: the same process and descriptors, another program. It answers when it is up."""
        for sock in self.sockets:
            sock.set_inheritable(True)
        numbers = [str(sock.fileno()) for sock in self.sockets]
        os.execv(program, [program, "-I", "-S", __file__, *numbers])

    def spawn(self, argv):
        """Another program that holds the descriptors too. Done when it runs: exec closes the pipe."""
        self.child = subprocess.Popen(
            argv, pass_fds=[sock.fileno() for sock in self.sockets], stdin=subprocess.PIPE
        )
        return self.child.pid

    def wait_at(self, path):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind(path)
        os.chmod(path, 0o777)
        return path

    def give(self, path, close):
        """SCM_RIGHTS."""
        numbers = array.array("i", [sock.fileno() for sock in self.sockets])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(path)
            channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
        if close:
            for sock in self.sockets:
                os.close(sock.detach())
            self.sockets = []
        return len(numbers)

    def take(self):
        _, ancillary, _, _ = self.channel.recvmsg(1, socket.CMSG_SPACE(4 * 250))
        for _, _, data in ancillary:
            numbers = array.array("i")
            numbers.frombytes(data)
            self.sockets += [socket.socket(fileno=number) for number in numbers]
        for sock in self.sockets:
            sock.settimeout(60)
        return len(self.sockets)


def read_line():
    # Nothing may be read ahead: after exec it would be lost.
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return json.loads(line)


def main():
    agent = Agent([int(number) for number in sys.argv[1:]])
    if sys.argv[1:]:
        print(json.dumps(agent.hello()), flush=True)
    while True:
        order = read_line()
        print(json.dumps(getattr(agent, order.pop("op"))(**order)), flush=True)


main()
