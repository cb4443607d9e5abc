"""What OPA's authorization and log mask (rego/opa.yaml, rego/system) cost: the same question to three OPAs,
one connection each, in turns. Prints microseconds: the median wait of a client, and OPA's CPU time.

    /usr/bin/python3 bench/opa_kept_safe.py
"""

import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

REGO = Path(__file__).resolve().parents[1] / "rego"
VARIANTS = {
    "decision log alone": ["--set", "decision_logs.console=true"],
    "and mask": ["--config-file", REGO / "opa.yaml", REGO / "system"],
    "and authorization": ["--config-file", REGO / "opa.yaml", REGO / "system", "--authorization", "basic"],
}
ROUNDS, QUESTIONS = 9, 1000

PROCESS = {
    "pid": 469, "uid": 998, "gid": 998, "start_time": 81234, "binary": "/usr/bin/curl", "path": "/usr/bin/curl",
    "names": ["/usr/bin/curl"], "sha256": "0" * 64, "role": ["connector", "holder"], "deleted": False,
    "image_writable": False, "traced": False, "ancestors": ["/usr/bin/bash"], "ancestors_complete": True,
    "container": None, "pod": None, "command_line": None,
}
QUESTION = json.dumps({"input": {
    "binary": "/usr/bin/curl", "host": "10.200.0.9", "port": 18789, "request_id": "r", "sha256": "0" * 64,
    "ancestors": ["/usr/bin/bash"], "client": {"address": "10.200.0.2", "port": 43210},
    "request": {"kind": "connect", "method": "CONNECT", "scheme": None, "path": None, "path_raw": None,
                "query": None, "query_raw": None, "doubts": []},
    "identity": {"grade": "exact", "assurance": "proven", "causes": [], "reason": None, "detail": None,
                 "scope": "global", "method": "sock_diag", "relays": False, "via": [], "via_complete": True,
                 "processes": [PROCESS]},
}}).encode()
HEAD = "POST /v1/data/egress/decision HTTP/1.1\r\nHost: opa\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class Opa:
    def __init__(self, folder, number, flags):
        path = f"{folder}/{number}.sock"
        self._process = subprocess.Popen(
            ["opa", "run", "--server", "--addr", f"unix://{path}", "--disable-telemetry", "--log-format", "json",
             "--ignore", "*_test.rego", *flags, REGO / "egress", REGO / "example"], stderr=subprocess.DEVNULL)
        while not os.path.exists(path):
            assert self._process.poll() is None, "OPA ended"
            time.sleep(0.05)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rb")

    def ask(self):
        self._socket.sendall(HEAD.format(len(QUESTION)).encode() + QUESTION)
        status, length = self._stream.readline(), 0
        while (line := self._stream.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answer = self._stream.read(length)
        assert b" 200 " in status and json.loads(answer)["result"]["allow"], (status, answer)

    def round(self):
        waits, before = [], self._cpu()
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            self.ask()
            waits.append(time.perf_counter() - began)
        return statistics.median(waits) * 1e6, (self._cpu() - before) / QUESTIONS * 1e6

    def _cpu(self):
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self._process.kill()
        self._process.wait()


def main():
    with tempfile.TemporaryDirectory() as folder:
        opas = {name: Opa(folder, i, flags) for i, (name, flags) in enumerate(VARIANTS.items())}
        figures = {name: [] for name in opas}
        for i in range(ROUNDS + 1):
            for name, opa in opas.items():
                figures[name].append(opa.round())
            if i == 0:  # to warm up
                figures = {name: [] for name in opas}
        for name, rounds in figures.items():
            wait, cpu = (statistics.median(column) for column in zip(*rounds))
            print(f"{name:20}{wait:8.0f} us waited {cpu:8.0f} us of CPU")
        for opa in opas.values():
            opa.stop()


if __name__ == "__main__":
    main()
