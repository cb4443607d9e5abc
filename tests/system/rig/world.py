"""The stage: a gate where Warder runs, boxes with clients, and a place for origins.

        box 10.200.0.2 ----\\
       box2 10.200.0.3 -----+-- gate 10.200.0.1 -- origin 11.20.0.9, 11.20.0.66, 10.200.0.9
   stranger 10.200.0.4 ----/    fd00:200::1               2a10:ffff:20::9
       twin (not connected; has the addresses of box and gate)
      empty (not connected; nobody ever makes a connection there)

Nothing leads out of these namespaces. 11.20.0.0/16 and 2a10:ffff::/32 stand for the internet: public
addresses, as the address guard sees them.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .netns import Namespace, remove_leftovers

GATE = "10.200.0.1"
GATE6 = "fd00:200::1"
BOXES = {
    "box": ("10.200.0.2", "fd00:200::2"),
    "box2": ("10.200.0.3", "fd00:200::3"),
    "stranger": ("10.200.0.4", "fd00:200::4"),
}
ORIGIN = "11.20.0.9"
ORIGIN6 = "2a10:ffff:20::9"
BLACK_HOLE6 = "2a10:ffff:20::dead"
FORBIDDEN = "11.20.0.66"
PRIVATE = "10.200.0.9"
CLIENT_UID = 65534


class World:
    def __init__(self):
        remove_leftovers()
        self.work = Path(tempfile.mkdtemp(prefix="warder-system-"))
        self.work.chmod(0o755)
        # OPA's API can rewrite the policy: nobody but root may reach its socket.
        self.secret = self.work / "secret"
        self.secret.mkdir(mode=0o700)
        self.home = self.work / "home"
        self.home.mkdir()
        os.chown(self.home, CLIENT_UID, CLIENT_UID)
        self.spaces = {}
        self.anchors = {}
        self._next_port = 20000
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name):
        try:
            return self.__dict__["spaces"][name]
        except KeyError:
            raise AttributeError(name) from None

    def _add(self, role):
        self.spaces[role] = Namespace(role)
        return self.spaces[role]

    def _build(self):
        gate = self._add("gate")
        for role, (v4, v6) in BOXES.items():
            self._join(gate, self._add(role), [v4, v6])
        self._join(gate, self._add("origin"), [ORIGIN, FORBIDDEN, PRIVATE, ORIGIN6])
        # Packets to this address leave the gate and vanish: no neighbour answers for it, and none is
        # asked for.
        gate.ip(
            f"route add {BLACK_HOLE6} dev to-origin",
            f"neigh add {BLACK_HOLE6} lladdr 02:00:00:00:de:ad dev to-origin nud permanent",
        )
        self._add("twin").ip(f"addr add {GATE}/32 dev lo", f"addr add {BOXES['box'][0]}/32 dev lo")
        self._add("empty")
        for role in (*BOXES, "twin", "empty"):
            self.anchors[role] = subprocess.Popen(
                self.spaces[role].command("sleep", "infinity", user=CLIENT_UID)
            )

    @staticmethod
    def _join(gate, space, addresses):
        """A veth pair with host routes only, so that one link more needs no bridge."""
        here, there = f"to-{space.role}", "up0"
        gate.ip(f"link add {here} type veth peer name {there} netns {space.name}")
        v6 = [a for a in addresses if ":" in a]
        v4 = [a for a in addresses if ":" not in a]
        gate.ip(
            f"link set {here} up",
            f"addr add {GATE}/32 dev {here}",
            f"addr add {GATE6}/128 dev {here} nodad",
            *(f"route add {a}/32 dev {here} src {GATE}" for a in v4),
            *(f"route add {a}/128 dev {here} src {GATE6}" for a in v6),
        )
        space.ip(
            f"link set {there} up",
            *(f"addr add {a}/32 dev {there}" for a in v4),
            *(f"addr add {a}/128 dev {there} nodad" for a in v6),
            f"route add {GATE}/32 dev {there}",
            f"route add default via {GATE} dev {there}",
            f"route add {GATE6}/128 dev {there}",
            f"route add default via {GATE6} dev {there}",
        )

    def anchor(self, role):
        """The pid that stands for a box in Warder's configuration."""
        return self.anchors[role].pid

    def port(self):
        """A port nobody has used in the gate: the namespace is ours alone."""
        self._next_port += 1
        return self._next_port

    def close(self):
        for process in self.anchors.values():
            process.kill()
            process.wait()
        for space in self.spaces.values():
            space.remove()
        shutil.rmtree(self.work, ignore_errors=True)
