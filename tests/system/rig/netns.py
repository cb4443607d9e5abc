"""Network namespaces: made, entered, removed."""

import contextlib
import ctypes
import os
import socket
import subprocess

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_PREFIX = "warder-test-"


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _run(*argv, stdin=None):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}\n{stdin or ''}"
    return done.stdout


class Namespace:
    """A network namespace with a name of its own per run."""

    def __init__(self, role):
        self.role = role
        self.name = f"{_PREFIX}{os.getpid()}-{role}"
        _run("ip", "netns", "add", self.name)
        self.ip("link set lo up")

    @property
    def path(self):
        return f"/run/netns/{self.name}"

    def ip(self, *commands):
        _run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(commands) + "\n")

    def command(self, *argv, user=None):
        """`argv` as it is started inside. It is reached by exec alone, so the pid stays."""
        who = ["-S", str(user), "-G", str(user)] if user else []
        return ["nsenter", f"--net={self.path}", *who, "--", *map(str, argv)]

    def run(self, *argv):
        return _run(*self.command(*argv))

    @contextlib.contextmanager
    def entered(self):
        """The calling thread inside the namespace; sockets made there stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        with self.entered():
            return socket.socket(family, kind)

    @contextlib.contextmanager
    def iptables(self, *rule, program="iptables"):
        """A rule of the nat table while the block runs: `iptables("PREROUTING", "-p", …)`."""
        chain, *rest = rule
        self.run(program, "-w", "-t", "nat", "-A", chain, *rest)
        try:
            yield
        finally:
            self.run(program, "-w", "-t", "nat", "-D", chain, *rest)

    def remove(self):
        _run("ip", "netns", "del", self.name)


def remove_leftovers():
    """Namespaces of runs that were killed before they could clean up."""
    if not os.path.isdir("/run/netns"):
        return
    for name in os.listdir("/run/netns"):
        if name.startswith(_PREFIX):
            owner = name[len(_PREFIX):].split("-")[0]
            if not os.path.exists(f"/proc/{owner}"):
                _run("ip", "netns", "del", name)
