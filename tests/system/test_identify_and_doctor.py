"""`warder identify` and `warder doctor`: what an operator sees who asks."""

import json
import os
import subprocess

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, RawClient
from rig.opa import REGO, Opa
from rig.waiting import DEADLINE, eventually
from rig.warder import PROGRAM, UnixHttp
from rig.world import GATE, ORIGIN

AUTHZ = """package system.authz
default allow := false
allow if input.method == "POST"
allow if input.path == ["health"]
"""


def warder_says(world, *arguments):
    """Exit code and standard output of one of its commands, run in the gate."""
    done = subprocess.run(
        world.gate.command(PROGRAM, *arguments), capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def doctor(world, opa, dns, tmp_path):
    """`doctor(check, …)`: the findings of that check, and the exit code."""

    def ask(check, **changes):
        config = {
            "opa": {"url": opa.url, "timeout": "20s"},
            "identity": {"sandboxes": [{"pid": world.anchor("box")}], "timeout": "20s"},
            "dns": {"server": "127.0.0.1:53"},
            **changes,
        }
        file = tmp_path / "doctor.yaml"
        file.write_text(json.dumps(config))
        code, said = warder_says(world, "doctor", "--config", file, "--json")
        report = json.loads(said)
        worst = {finding["result"] for finding in report["findings"]}
        assert code == (1 if "FAIL" in worst else 0), report
        return [finding for finding in report["findings"] if finding["check"] == check], code

    return ask


class TcpOpa:
    """A real OPA on an address of the gate."""

    def __init__(self, world, address, folder, *more):
        self.url = f"http://{address}:{world.port()}"
        socket = folder / "opa.sock"
        self._process = subprocess.Popen(
            world.gate.command(
                "opa", "run", "--server", "--addr", self.url, "--addr", f"unix://{socket}", "--disable-telemetry",
                *more, REGO,
            ),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self._healthy(socket), "OPA answers")

    def _healthy(self, path):
        assert self._process.poll() is None, "OPA ended"
        connection = UnixHttp(path)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def test_identify_names_the_owner_and_tells_its_steps(world, warder, programs):
    with Agent(world, world.box, programs.allowed) as agent:
        [port] = agent.open(warder.address, ORIGIN, ECHO)
        flags = ["--client", f"10.200.0.2:{port}", "--proxy", f"{GATE}:{warder.port}"]
        flags += ["--pid", str(world.anchor("box"))]
        code, said = warder_says(world, "identify", *flags)
        assert code == 0, said
        assert f"\nbinary        {programs.allowed}\n" in said
        assert f"\nprocess       {agent.pid} uid 65534 " in said
        steps = [line for line in said.splitlines() if " us  " in line]
        for step in ("socket in pid:", "socket in global", "connector", "holders", "facts", "second look", "conclusion"):
            assert any(f" us  {step}" in line for line in steps), (step, said)

        code, said = warder_says(world, "identify", *flags, "--json")
        assert code == 0
        report = json.loads(said)
        assert report["input"]["binary"] == programs.allowed
        assert [process["pid"] for process in report["input"]["identity"]["processes"]] == [agent.pid]
        times = [step["us"] for step in report["steps"]]
        assert times == sorted(times) and times[-1] <= report["took_us"]


def test_identify_explains_why_nobody_was_found(world, warder):
    code, said = warder_says(
        world, "identify", "--client", "10.200.0.2:1", "--proxy", f"{GATE}:{warder.port}",
        "--pid", str(world.anchor("box")),
    )
    assert code == 1
    assert "\nreason        socket_not_found\n" in said
    assert "conclusion: unresolved: socket_not_found" in said


def test_identify_finds_what_was_redirected(world, warder, programs):
    rule = ["PREROUTING", "-p", "tcp", "-d", GATE, "--dport", "4444"]
    with world.gate.iptables(*rule, "-j", "REDIRECT", "--to-ports", str(warder.port)):
        with Agent(world, world.box, programs.allowed) as agent:
            [port] = agent.open((GATE, 4444), ORIGIN, ECHO)
            flags = ["--client", f"10.200.0.2:{port}", "--proxy", f"{GATE}:{warder.port}"]
            flags += ["--pid", str(world.anchor("box"))]
            assert warder_says(world, "identify", *flags)[0] == 1
            code, said = warder_says(world, "identify", *flags, "--original", f"{GATE}:4444")
            assert code == 0 and f"\nbinary        {programs.allowed}\n" in said


def test_doctor_finds_the_rig_in_order(doctor, opa):
    findings, code = doctor("opa")
    assert code == 0
    assert findings == [
        {"result": "ok", "check": "opa", "to_do": "",
         "what": f"{opa.url}/v1/data/egress/decision answers, and denies an unknown caller"},
    ]
    [dns], _ = doctor("dns")
    assert (dns["result"], dns["what"]) == ("ok", "127.0.0.1:53 answers")
    sandbox, _ = doctor("sandbox")
    assert [finding["result"] for finding in sandbox] == ["ok", "ok"]
    assert "its network namespace was entered" in sandbox[0]["what"]
    [self], _ = doctor("self")
    assert "a connection of Warder's own was traced to it" in self["what"]


def test_doctor_says_what_is_wrong_with_opa(doctor, world, tmp_path):
    [finding], code = doctor("opa", opa={"url": f"unix://{tmp_path}/nobody.sock"})
    assert code == 1 and finding["result"] == "FAIL" and "opa_unreachable" in finding["what"]
    with TcpOpa(world, "127.0.0.1", tmp_path) as other:
        [finding], code = doctor("opa", opa={"url": other.url, "path": "/v1/data/none", "timeout": "20s"})
    assert code == 1 and finding["what"] == "OPA answers, but /v1/data/none is undefined"


def test_doctor_lists_what_opa_finds_wrong_with_the_policy(doctor, world, opa):
    [finding], code = doctor("policy")
    assert code == 0 and finding["what"].startswith("OPA finds no mistakes in the policy"), finding
    bad = Opa(world, {"web": {"endpoints": [{"host": "origin.test", "port": 443, "prot": "tcp"}],
                              "binaries": [{"path": "bin/curl"}]}}, name="mistaken-opa")
    try:
        findings, code = doctor("policy", opa={"url": bad.url, "timeout": "20s"})
    finally:
        bad.stop()
    assert code == 1 and {finding["result"] for finding in findings} == {"FAIL"}
    told = [finding["what"] for finding in findings]
    assert "network_policies/web/endpoints/0/prot: prot is not a key" in told, told
    assert any(what.startswith("network_policies/web/binaries/0") for what in told), told


def test_doctor_tells_who_can_open_a_socket(doctor, world, opa):
    [finding], code = doctor("opa_write")
    assert code == 0 and "(uid 65534) may not open OPA's socket" in finding["what"]
    link = world.work / "open"
    link.mkdir()
    os.link(opa.socket, link / "opa.sock")
    try:
        for mode, result in ((0o777, "FAIL"), (0o755, "ok")):
            os.chmod(opa.socket, mode)
            url = {"url": f"unix://{link}/opa.sock", "timeout": "20s"}
            [finding], code = doctor("opa_write", opa=url)
            assert (finding["result"], code) == (result, 1 if result == "FAIL" else 0), finding
            [finding], _ = doctor("opa_write", opa=url, identity={"timeout": "20s"})
            assert finding["result"] == result, finding
    finally:
        os.chmod(opa.socket, 0o755)


@pytest.mark.parametrize(
    "address, sandboxes, result",
    [("127.0.0.1", True, "ok"), ("127.0.0.1", False, "FAIL"), (GATE, True, "FAIL")],
)
def test_doctor_tries_to_reach_opa_from_the_sandbox(doctor, world, tmp_path, address, sandboxes, result):
    named = [{"pid": world.anchor("box")}] if sandboxes else []
    with TcpOpa(world, address, tmp_path) as other:
        [finding], _ = doctor(
            "opa_write", opa={"url": other.url, "timeout": "20s"},
            identity={"sandboxes": named, "timeout": "20s"},
        )
    assert finding["result"] == result, finding


def test_doctor_finds_an_opa_that_asks_for_authorization_closed(doctor, world, tmp_path):
    authz = tmp_path / "authz.rego"
    authz.write_text(AUTHZ)
    with TcpOpa(world, GATE, tmp_path, "--authorization", "basic", authz) as other:
        [finding], code = doctor("opa_write", opa={"url": other.url, "timeout": "20s"})
    assert code == 0 and finding["what"] == "OPA asks for authorization to change policies (401)"


def test_doctor_says_what_dns_and_sandboxes_lack(doctor, opa):
    [finding], code = doctor("dns", dns={"server": "127.0.0.1:54"}, timeouts={"dns": "1s"})
    assert code == 1 and finding["result"] == "FAIL", finding
    findings, code = doctor("sandbox", identity={"sandboxes": [{"pid": opa.process.pid}], "timeout": "20s"})
    assert [finding["result"] for finding in findings] == ["warn", "ok"]
    assert "is in Warder's own network namespace" in findings[0]["what"]
    [finding], code = doctor("identity", identity={"sandboxes": [{"pid": 1 << 22}], "timeout": "20s"})
    assert code == 1 and "4194304" in finding["what"], finding


def test_doctor_leaves_opa_as_it_was(doctor, world, tmp_path):
    with TcpOpa(world, GATE, tmp_path) as other:
        doctor("opa_write", opa={"url": other.url, "timeout": "20s"})
        connection = UnixHttp(tmp_path / "opa.sock")
        connection.request("GET", "/v1/policies")
        policies = json.loads(connection.getresponse().read())["result"]
        connection.close()
    assert not [policy["id"] for policy in policies if "doctor" in policy["id"]]


def test_the_raw_client_is_named_by_identify_too(world, warder):
    with RawClient(world.box, warder.address) as client:
        code, said = warder_says(
            world, "identify", "--client", f"10.200.0.2:{client.port}", "--proxy", f"{GATE}:{warder.port}",
            "--pid", str(world.anchor("box")),
        )
    assert code == 0 and f"\nbinary        {PYTHON}\n" in said
