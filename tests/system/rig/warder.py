"""One Warder process: its configuration, its records, and the proof that it ended well."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from .lines import JsonLines
from .waiting import DEADLINE, eventually, stop_process
from .world import GATE

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("WARDER", REPOSITORY / "build/release/warder")).resolve()
_SANITIZER = re.compile(rb"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
_numbers = iter(range(1, 1 << 30))
_number_lock = threading.Lock()


def merge(base, changes):
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


class UnixHttp(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def http_get(path, target):
    connection = UnixHttp(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Warder:
    """Runs in the gate. `changes` are merged into a configuration whose timeouts are long enough for
    a sanitizer build; what a test wants to see happen it sets itself."""

    def __init__(self, world, opa_url, *, prefix=(), awaits_opa=True, **changes):
        with _number_lock:
            number = next(_numbers)
        self.world = world
        self.port = world.port()
        self.admin = world.work / f"admin{number}.sock"
        config = merge(
            {
                "listen": [f"{GATE}:{self.port}"],
                "admin": f"unix:{self.admin}",
                # Tests deny in crowds; test_flood.py is about the limit.
                "opa": {"url": opa_url, "timeout": "20s", "max_denials_per_second": 0},
                "identity": {"sandboxes": [{"pid": world.anchor("box")}], "timeout": "20s"},
                "limits": {"connections_per_client": 5000, "connections_per_identity": 5000},
                "timeouts": {"dns": "20s", "connect": "20s"},
                "dns": {"server": "127.0.0.1:53"},
                "workers": 2,
            },
            changes,
        )
        self.config = config
        self.port = int(config["listen"][0].rsplit(":", 1)[1])
        self.address = (GATE, self.port)
        self.config_file = world.work / f"warder{number}.yaml"
        self.config_file.write_text(json.dumps(config, indent=1))
        self._errors_path = world.work / f"warder{number}.err"
        with open(self._errors_path, "wb") as errors:
            self.process = subprocess.Popen(
                world.gate.command(*prefix, PROGRAM, "run", "--config", self.config_file),
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.pid = self.process.pid
        self.records = JsonLines(self.process.stdout, f"warder {number}")
        self._stopped = False
        try:
            if config.get("log", {}) == {}:
                begun = "gate_open" if awaits_opa else "started"
                self.records.wait(lambda r: r.get("event") == begun, f"that it told {begun}")
            else:
                # Another level or format doesn't say so.
                eventually(self._answers, "it answers /healthz")
                if awaits_opa:
                    eventually(lambda: "requests are decided" in self.get("/readyz")[1], "requests are decided")
        except AssertionError as problem:
            self.kill()
            raise AssertionError(f"{problem}; standard error: {self.errors()}") from None

    def _answers(self):
        assert self.process.poll() is None, "it ended"
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def errors(self):
        return self._errors_path.read_bytes().decode(errors="replace")[-4000:]

    # Records.

    def mark(self):
        return self.records.mark()

    def decision(self, request_id, mark=0):
        return self.records.wait(
            lambda r: r.get("event") == "decision" and r.get("request_id") == request_id,
            f"what it decided about {request_id}",
            mark,
        )

    def decision_about(self, host, mark=0):
        return self.records.wait(
            lambda r: r.get("event") == "decision" and r.get("host") == host,
            f"what it decided about {host}",
            mark,
        )

    def decision_for(self, client, mark=0):
        """`client` as "address:port"."""
        return self.records.wait(
            lambda r: r.get("event") == "decision" and r.get("client") == client,
            f"what it decided for {client}",
            mark,
        )

    def tunnel(self, request_id):
        return self.records.wait(
            lambda r: r.get("event") == "tunnel" and r.get("request_id") == request_id,
            f"how tunnel {request_id} ended",
        )

    # Admin.

    def get(self, target):
        return http_get(self.admin, target)

    def samples(self):
        """The value of each metric by name and labels."""
        status, text = self.get("/metrics")
        assert status == 200, text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in lines}

    def decisions(self):
        """How many decisions there were of each code."""
        found = {}
        for name, value in self.samples().items():
            if match := re.match(r'warder_decisions_total{.*code="(\w+)"', name):
                found[match[1]] = found.get(match[1], 0) + value
        return found

    def ready(self):
        return self.get("/readyz")[0] == 200

    # What the process holds.

    def rows(self):
        """The rows of /proc/net/tcp{,6} of each TCP connection it holds, in columns."""
        mine = {os.path.basename(link) for link in self._links() if link.startswith("socket:")}
        rows = []
        for table in ("tcp", "tcp6"):
            text = Path(f"/proc/{self.pid}/net/{table}").read_text()
            for row in (line.split() for line in text.splitlines()[1:]):
                if row[3] != "0A" and f"socket:[{row[9]}]" in mine:
                    rows.append(row)
        return rows

    def connections(self):
        """(local, remote) of each of them."""
        return [(row[1], row[2]) for row in self.rows()]

    def _links(self):
        links = []
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                links.append(os.readlink(entry.path))
            except FileNotFoundError:
                continue
        return links

    def client_connections(self):
        suffix = f":{self.port:04X}"
        return [pair for pair in self.connections() if pair[0].endswith(suffix)]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def frozen(self):
        """Stopped while the block runs: what is prepared there is all there when it looks."""
        try:
            stop_process(self.pid)
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)
            # nsenter before it stops along with it.
            self.process.send_signal(signal.SIGCONT)

    # The end.

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=DEADLINE):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {seconds:.0f} s after it was told to end") from None

    def stop(self):
        """Every connection is given back, then SIGTERM ends it with 0 and nothing to complain."""
        if self._stopped:
            return
        try:
            if self.process.poll() is None:
                eventually(
                    lambda: not self.tunnels_left(), f"connections given back: {self.tunnels_left()}"
                )
                self.terminate()
            self.check_end(self.wait())
        finally:
            self.kill()

    def tunnels_left(self):
        """Connections other than those kept open to OPA."""
        opa = re.fullmatch(r"https?://[^/]*:(\d+)", self.config["opa"]["url"])
        kept = f"0100007F:{int(opa[1]):04X}" if opa else None
        return [pair for pair in self.connections() if pair[1] != kept]

    def check_end(self, code):
        self.records.join()
        assert code == 0, f"ended with {code}: {self.errors()}"
        errors = self._errors_path.read_bytes()
        assert not _SANITIZER.search(errors), errors.decode(errors="replace")
        text = self.config.get("log", {}).get("format") == "text"
        assert text or not self.records.broken, f"not JSON: {self.records.broken[:3]}"
        if not self.config.get("log"):
            # The loops were closed; had one kept a handle, it would not have come this far.
            assert any(r["event"] == "stopped" for r in self.records.since()[-20:])
        self._stopped = True

    def kill(self):
        self._stopped = True
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.records.resume()
