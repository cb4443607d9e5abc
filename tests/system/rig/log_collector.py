"""Where OPA uploads its decision log to: what a collector on the network keeps of it."""

import gzip
import http.server
import json
import threading

from .gate_server import GateServer


class LogCollector:
    """A web server in the gate that appends each uploaded event to `path`, one to a line."""

    def __init__(self, world, path):
        self.path = path
        path.touch()
        self._lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.keep(json.loads(gzip.decompress(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = GateServer(world, Handler)
        # Uploads are late on purpose: what is held back is what a killed OPA takes along.
        self.settings = [
            f"services.collector.url={self._server.url}",
            "decision_logs.service=collector",
            "decision_logs.reporting.min_delay_seconds=1",
            "decision_logs.reporting.max_delay_seconds=1",
        ]

    def keep(self, events):
        with self._lock, open(self.path, "a", encoding="utf-8") as out:
            out.writelines(json.dumps(event) + "\n" for event in events)

    def events(self):
        with self._lock:
            return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def close(self):
        self._server.close()
