"""A real OPA with its decision log."""

import http.server
import io
import json
import os
import signal
import subprocess
from pathlib import Path

from .gate_server import GateServer
from .lines import JsonLines
from .waiting import DEADLINE, eventually, stop_process
from .warder import REPOSITORY, UnixHttp, http_get

REGO = Path(os.environ.get("WARDER_REGO", REPOSITORY / "rego/egress"))
KEPT_SAFE = ["--config-file", REPOSITORY / "rego/opa.yaml", "--authorization", "basic", "--unix-socket-perm", "600",
             REPOSITORY / "rego/system"]
EXTRA_RULES = Path(__file__).resolve().parents[1] / "helpers/extra.rego"


class BundleService:
    """A web server beside OPA that has one bundle."""

    def __init__(self, world):
        self.content = b""
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = service.content
                self.send_response(200)
                self.send_header("Content-Type", "application/gzip")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = GateServer(world, Handler)
        self.url = self._server.url

    def close(self):
        self._server.close()


def index_of(data):
    """data.egress.index of that data."""
    command = ["opa", "eval", "--format", "raw", "--stdin-input", "--data", REGO,
               "data.egress.index with data.network_policies as input"]
    text = json.dumps(data["network_policies"])
    return json.loads(subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout)


class Opa:
    """`opa run --server` on a unix socket (and on `port` of the gate's loopback), with the bundled policy
    and `policies` as its data; `revision` is what they call themselves. With `watch` it reads changed files
    by itself, with `bundle` it gets both as a bundle of that revision and asks for another one each second.
    `settings` are more of OPA's own, as its --set takes them. With `kept_safe` it has the configuration that
    the repository ships for OPA, with `indexed` its data is the policies' index alone. With `log` a file, its
    log goes there and can't be looked at. With `tls` (files of an Authority's) it speaks https on `port`.
    `words` are more of OPA's own arguments."""

    def __init__(self, world, policies, name="opa", port=None, *, revision=None, watch=False, bundle=False,
                 settings=(), kept_safe=False, indexed=False, log=subprocess.PIPE, tls=None, words=()):
        self.world = world
        self.socket = world.secret / f"{name}.sock"
        self._unix_url = f"unix://{self.socket}"
        self._addresses = ["--addr", self._unix_url]
        self.url = self._unix_url
        if port:
            self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            self._addresses += ["--addr", self.url]
        if tls:
            self._addresses += ["--tls-cert-file", tls.certificate, "--tls-private-key-file", tls.key]
        self._data = world.work / f"{name}-data"
        self._data.mkdir(exist_ok=True)
        self._bundle = BundleService(world) if bundle else None
        self._watch = ["--watch"] if watch else []
        self._settings = list(KEPT_SAFE) if kept_safe else ["--set", "decision_logs.console=true"]
        self._settings += [word for setting in settings for word in ("--set", setting)]
        self._indexed = indexed
        self._log = log
        self._words = words
        self.set_policies(policies, revision)
        self.start()

    def set_policies(self, policies, revision=None):
        """For the next start; at once only with `watch` or `bundle`."""
        data = {"network_policies": policies}
        if revision and not self._bundle:
            data["revision"] = revision
        if self._indexed:
            data = {"egress_index": index_of(data)}
        # JSON is YAML. Whoever watches sees one file or the other, whole.
        new = self.world.work / f"{self._data.name}.new"
        new.write_text(json.dumps(data, indent=1))
        new.replace(self._data / "data.yaml")
        if self._bundle:
            made = self.world.work / f"{self._data.name}.tar.gz"
            subprocess.run(
                ["opa", "build", REGO, self._data, "--ignore", "*_test.rego",
                 "--revision", revision, "--output", made],
                check=True, capture_output=True,
            )
            self._bundle.content = made.read_bytes()

    def serve_bundle(self, content):
        """Whatever it is, as the next bundle."""
        self._bundle.content = content

    def _policy(self):
        if not self._bundle:
            return [*self._watch, REGO, self._data, EXTRA_RULES]
        settings = {
            "services.bundles.url": self._bundle.url,
            "bundles.egress.service": "bundles",
            "bundles.egress.resource": "egress.tar.gz",
            "bundles.egress.polling.min_delay_seconds": 1,
            "bundles.egress.polling.max_delay_seconds": 1,
        }
        return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    def start(self):
        self.process = subprocess.Popen(
            self.world.gate.command(
                "opa", "run", "--server", *self._addresses, "--disable-telemetry", "--log-format", "json",
                *self._settings, *self._words, *self._policy(),
            ),
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        self.log = JsonLines(self.process.stderr or io.BytesIO(), "opa")
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

    def close(self):
        """It does not come back."""
        self.stop()
        if self._bundle:
            self._bundle.close()

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.kill()
        self.process.wait(DEADLINE)
