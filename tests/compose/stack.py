"""The containers, and what their programs say."""

import json
import os
import subprocess
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("COMPOSE_TEST_WORK", "/nonexistent"))
SHIPPED = ROOT / "compose.yaml"
OVERRIDE = ROOT / "tests/compose/override.yaml"
LIMIT = 60

CURL = ["curl", "-sS", "--max-time", "30", "--cacert", "/srv/ca.pem", "-w", "%{http_connect} %{http_code}"]
CURL_ALLOWED = "hello from the origin\n200 200"
# Takes the proxy from the environment, as curl does.
PYTHON_CLIENT = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/srv/ca.pem")
try:
    print(urllib.request.urlopen(sys.argv[1], context=context, timeout=30).read().decode())
except OSError as error:
    print(error)
"""


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)


def wait_until(what, condition):
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {LIMIT} s: {what}"
        time.sleep(0.1)
    return found


def json_lines(text):
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


class Answer:
    def __init__(self, done):
        self.status, self.output, self.errors = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit {self.status}: {self.output} {self.errors}"


class Stack:
    def __init__(self):
        self.file = SHIPPED

    def compose(self, *arguments):
        done = run(["docker-compose", "--project-directory", str(ROOT), "-f", str(self.file), "-f", str(OVERRIDE), *arguments])
        assert done.returncode == 0, f"docker-compose {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def up(self):
        self.compose("up", "--detach", "--no-build")
        self.wait_ready()

    def down(self):
        self.compose("down", "--volumes", "--timeout", "2")

    def variant(self, change):
        """Recreates what another compose.yaml makes different; `change` gets the parsed file."""
        content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
        change(content)
        self.file = WORK / "variant.yaml"
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.up()

    def shipped(self):
        self.file = SHIPPED
        self.up()

    def wait_ready(self):
        wait_until("Warder is ready", lambda: self.admin("/readyz").status == 0 or self.ended("warder"))
        wait_until("the origin listens", lambda: "listening" in self.logs("origin"))

    def ended(self, service):
        assert self.inspect(service)["State"]["Running"], f"{service} has ended: {self.logs(service)}"

    def id(self, service):
        label = f"label=com.docker.compose.service={service}"
        return run(["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", label]).stdout.strip()

    def inspect(self, service):
        return json.loads(run(["docker", "inspect", self.id(service)]).stdout)[0]

    def pid(self, service):
        return self.inspect(service)["State"]["Pid"]

    def address(self, service, network):
        return self.inspect(service)["NetworkSettings"]["Networks"][f"warder_{network}"]["IPAddress"]

    def network(self, name):
        """What addresses it has."""
        return json.loads(run(["docker", "network", "inspect", f"warder_{name}"]).stdout)[0]["IPAM"]["Config"][0]

    def logs(self, service):
        done = run(["docker", "logs", self.id(service)])
        return done.stdout + done.stderr

    def names_asked(self):
        """What the host's resolver was asked for."""
        return (WORK / "log/names").read_text(encoding="utf-8").split()

    def execute(self, service, *command, user=None):
        chosen = ["--user", user] if user else []
        return Answer(run(["docker", "exec", *chosen, self.id(service), *command]))

    def admin(self, path):
        """Asks the admin listener from the host: no other container has its socket."""
        socket = f"/proc/{self.pid('warder')}/root/run/warder/admin.sock"
        return Answer(run(["curl", "-sSf", "--max-time", "10", "--unix-socket", socket, f"http://warder{path}"]))

    def records(self):
        return [entry for entry in json_lines(self.logs("warder")) if entry.get("event") == "decision"]

    def asked(self, *command, user=None):
        """Runs a client in the sandbox; its answer, Warder's record of it and OPA's log entry."""
        before = len(self.records())
        answer = self.execute("sandbox", *command, user=user)
        records = wait_until(f"a record of {command} ({answer})", lambda: self.records()[before:])
        assert len(records) == 1, records
        return answer, records[0], self.decision(records[0])

    def decision(self, record):
        """The entry of OPA's decision log that belongs to the record; None where OPA was not asked."""
        wanted = record.get("decision_id")
        if not wanted:
            return None
        entries = lambda: [e for e in json_lines(self.logs("opa")) if e.get("decision_id") == wanted and "input" in e]
        found = wait_until(f"OPA's entry {wanted}", entries)
        assert len(found) == 1, found
        return found[0]

    def curl(self, url="https://origin.test/", user=None):
        return self.asked(*CURL, url, user=user)

    def python(self, url="https://origin.test/", user=None):
        return self.asked("python3", "-c", PYTHON_CLIENT, url, user=user)

    def try_in_sandbox(self, code, user=None):
        """Python in the sandbox; `code` prints what it found."""
        answer = self.execute("sandbox", "python3", "-c", code, user=user)
        assert answer.status == 0, answer
        return answer.output.strip()
