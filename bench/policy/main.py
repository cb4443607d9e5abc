"""How long a decision takes with few and with many policies, by OPA's own timers, by a client's clock and by the
processor time of OPA's process. All OPAs run at once and are asked in turn, so that whatever else the machine does
falls on all.

usage: scripts/bench policy [--quick] [--policies N]... [--rounds N] [--questions N] [--package DIR]
"""

import argparse
import http.client
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WRITTEN = [3, 10]


def endpoints(policy, chance):
    """Five: three in ten are patterns for whole labels, one in twenty is one within a label."""
    for number in range(5):
        draw = chance.random()
        if draw < 0.15:
            host = f"*.s{number}.p{policy}.example.net"
        elif draw < 0.30:
            host = f"**.s{number}.p{policy}.example.net"
        elif draw < 0.35:
            host = f"api-*.p{policy}.example.org"
        else:
            host = f"s{number}.p{policy}.example.com"
        yield {"host": host, "port": 443, **({"access": "read-only"} if draw > 0.95 else {})}


def policies(count):
    chance = random.Random(681)
    return {
        f"policy-{policy}": {
            "endpoints": list(endpoints(policy, chance)),
            "binaries": [{"path": "/usr/bin/curl"}, {"path": f"/usr/bin/tool-{policy}"}, {"path": f"/opt/app-{policy}/**/bin/*"}],
        }
        for policy in range(count)
    }


def question(host, binary):
    process = {
        "pid": 4711, "uid": 1000, "gid": 1000, "role": ["connector", "holder"], "start_time": 81234, "binary": binary,
        "path": binary, "names": [binary], "sha256": "0f" * 32, "deleted": False, "image_writable": False, "traced": False,
        "ancestors": ["/usr/bin/bash", "/usr/bin/node", "/usr/sbin/init"], "ancestors_complete": True, "container": None,
        "pod": None, "command_line": None,
    }
    return {
        "binary": binary, "host": host, "port": 443, "request_id": "0123456789abcdef", "ancestors": process["ancestors"],
        "sha256": process["sha256"], "client": {"address": "10.200.0.2", "port": 43210},
        "request": {"kind": "connect", "method": "CONNECT", "scheme": None, "path": None, "path_raw": None, "query": None,
                    "query_raw": None, "doubts": []},
        "identity": {"grade": "exact", "assurance": "proven", "causes": [], "reason": None, "detail": None,
                     "scope": "pid:1", "method": "sock_diag", "relays": False, "via": [], "via_complete": True,
                     "processes": [process]},
    }


def questions(made, count):
    """By every way of being found, and by none: allowed and denied."""
    chance = random.Random(956)
    asked = []
    while len(asked) < count:
        name = chance.choice(list(made))
        number = name.removeprefix("policy-")
        endpoint = chance.choice(made[name]["endpoints"])
        host = endpoint["host"].replace("**", "a.b").replace("*", "a")
        binary = chance.choice([
            "/usr/bin/curl", f"/usr/bin/tool-{number}", f"/opt/app-{number}/v2/bin/x", "/usr/bin/nobody",
        ])
        asked.append(question(chance.choice([host, host, host, f"x.{host}", "example.com"]), binary))
    return asked


class Server:
    """One OPA on a unix socket."""

    def __init__(self, folder, name, data, package, *flags):
        self.name, self.folder = name, folder / name.replace(",", "").replace(" ", "-")
        self.folder.mkdir()
        (self.folder / "data.json").write_text(json.dumps(data))
        path = str(self.folder) + ".sock"
        self.process = subprocess.Popen(
            ["opa", "run", "--server", "--addr", f"unix://{path}", "--log-level", "error", *flags, package, self.folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.path, self.package = path, package
        self._connect().close()
        self.forget()

    def forget(self):
        self.evaluations, self.round_trips, self.rounds, self.processor = [], [], [], []

    def processor_time(self):
        """Microseconds since it was started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6

    def _connect(self):
        for _ in range(3000):
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(self.path)
                return there
            except OSError:
                there.close()
                assert self.process.poll() is None, f"OPA ended: {self.name}"
                time.sleep(0.1)
        raise AssertionError(f"OPA did not start: {self.name}")

    def ask(self, body):
        begun = time.perf_counter_ns()
        self.connection.request("POST", "/v1/data/egress/decision?metrics", body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse().read()
        took = time.perf_counter_ns() - begun
        answer = json.loads(answer)
        return answer["result"], answer["metrics"]["timer_rego_query_eval_ns"], took

    def round(self, bodies):
        # OPA closes a connection on which it hears nothing for half a minute.
        self.connection = http.client.HTTPConnection("localhost")
        self.connection.sock = self._connect()
        begun = self.processor_time()
        results = [self.ask(body) for body in bodies]
        self.processor.append((self.processor_time() - begun) / len(bodies))
        self.connection.close()
        self.evaluations += [result[1] for result in results]
        self.round_trips += [result[2] for result in results]
        self.rounds.append(tuple(statistics.median(result[which] for result in results) for which in (1, 2)))
        return sum(result[0]["allow"] for result in results)

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def stop(self):
        self.process.kill()
        self.process.wait()


def index(folder, made, package):
    source = folder / "source.json"
    source.write_text(json.dumps({"network_policies": made}))
    begun = time.monotonic()
    text = subprocess.run(
        ["opa", "eval", "--format", "raw", "--data", package, "--data", source, "data.egress.index"],
        check=True, capture_output=True, text=True,
    ).stdout
    return json.loads(text), time.monotonic() - begun, len(text)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] / 1000


def opa_bench(server, body):
    """Nanoseconds for one evaluation, without a server."""
    file = server.folder.parent / "question.json"
    file.write_text(json.dumps(json.loads(body)["input"]))
    text = subprocess.run(
        ["opa", "bench", "--format", "json", "--benchmem=false", "--data", server.package, "--data", server.folder,
         "--input", file, "data.egress.decision"],
        check=True, capture_output=True, text=True,
    ).stdout
    return json.loads(text)["T"] / json.loads(text)["N"] / 1000


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--policies", type=int, action="append")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--questions", type=int, default=500)
    arguments.add_argument("--package", type=Path, default=REPOSITORY / "rego/egress", help="another version of it")
    options = arguments.parse_args()
    sizes = options.policies or ([10, 1000] if options.quick else [10, 10000])
    folder = Path(tempfile.mkdtemp(prefix="warder-bench-policy-"))
    servers, bodies = [], {}
    try:
        for size in sizes:
            made = policies(size)
            found, seconds, length = index(folder, made, options.package)
            name = f"{size:,} indexed"
            servers.append(Server(folder, name, {"egress_index": found}, options.package))
            bodies[name] = [json.dumps({"input": one}) for one in questions(made, options.questions)]
            print(f"{name}: index of {length / 1e6:.2f} MB built in {seconds:.1f} s", flush=True)
        for size in WRITTEN:
            made = policies(size)
            name = f"{size:,} as written"
            # As scripts/up has it. Of a large index it takes twice the memory.
            flags = ["--optimize-store-for-read-speed"]
            servers.append(Server(folder, name, {"network_policies": made}, options.package, *flags))
            bodies[name] = [json.dumps({"input": one}) for one in questions(made, options.questions)]
        report(servers, bodies, options.rounds)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)


def report(servers, bodies, rounds):
    for server in servers:
        server.round(bodies[server.name])  # OPA compiles its query, patterns and expressions once
        server.forget()
    allowed = {}
    for _ in range(rounds):
        for server in servers:
            allowed[server.name] = server.round(bodies[server.name])
    print()
    print("| policies | allowed | OPA's own p50 | p99 | client p50 | p99 | OPA's CPU | opa bench | memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    for server in servers:
        part = allowed[server.name] / len(bodies[server.name])
        print(
            f"| {server.name} | {part:.0%} | {percentile(server.evaluations, .5):.0f} µs "
            f"| {percentile(server.evaluations, .99):.0f} µs | {percentile(server.round_trips, .5):.0f} µs "
            f"| {percentile(server.round_trips, .99):.0f} µs "
            f"| {statistics.median(server.processor):.0f} µs | {opa_bench(server, bodies[server.name][0]):.0f} µs "
            f"| {server.memory():.0f} MB |", flush=True,
        )
    few, many = servers[0], servers[-1 - len(WRITTEN)]
    for which, what in ((0, "OPA's own timer"), (1, "client")):
        ratio = statistics.median(more[which] / less[which] for less, more in zip(few.rounds, many.rounds))
        print(f"{many.name} against {few.name}, {what}: {ratio:.2f} times (median of {rounds} rounds' p50; bar 1.5)")


if __name__ == "__main__":
    main()
