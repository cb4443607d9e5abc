"""A real OPA with its decision log."""

import json
import os
import signal
import subprocess
from pathlib import Path

from .lines import JsonLines
from .waiting import DEADLINE, eventually, stop_process
from .warder import REPOSITORY, UnixHttp, http_get

REGO = Path(os.environ.get("WARDER_REGO", REPOSITORY / "rego/egress"))
EXTRA_RULES = Path(__file__).resolve().parents[1] / "helpers/extra.rego"


class Opa:
    """`opa run --server` on a unix socket (and on `port` of the gate's loopback), with the bundled policy
    and `policies` as its data."""

    def __init__(self, world, policies, name="opa", port=None):
        self.world = world
        self.socket = world.secret / f"{name}.sock"
        self._unix_url = f"unix://{self.socket}"
        self._addresses = ["--addr", self._unix_url]
        self.url = self._unix_url
        if port:
            self.url = f"http://127.0.0.1:{port}"
            self._addresses += ["--addr", self.url]
        self._data = world.work / f"{name}-data"
        self._data.mkdir(exist_ok=True)
        # JSON is YAML.
        (self._data / "data.yaml").write_text(json.dumps({"network_policies": policies}, indent=1))
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.world.gate.command(
                "opa", "run", "--server", *self._addresses, "--disable-telemetry", "--log-format", "json",
                "--set", "decision_logs.console=true", REGO, self._data, EXTRA_RULES,
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.log = JsonLines(self.process.stderr, "opa")
        eventually(self._healthy, "OPA answers /health")

    def _healthy(self):
        assert self.process.poll() is None, f"OPA ended: {self.log.raw[-5:]}"
        try:
            return http_get(self.socket, "/health")[0] == 200
        except OSError:
            return False

    def decision(self, decision_id):
        return self.log.wait(
            lambda entry: entry.get("decision_id") == decision_id, f"decision {decision_id}"
        )

    def decisions_for(self, request_id):
        """The log entries whose question carried this request id; waits for the first."""
        def matches(entry):
            return entry.get("input", {}).get("request_id") == request_id
        self.log.wait(matches, f"a question with request id {request_id}")
        return [entry for entry in self.log.since() if matches(entry)]

    def put_policy(self, name, text):
        connection = UnixHttp(self.socket)
        try:
            connection.request("PUT", f"/v1/policies/{name}", text.encode())
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def freeze(self):
        stop_process(self.process.pid)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.kill()
        self.process.wait(DEADLINE)
