"""What the shipped compose.yaml promises, on a real engine. In the order of the file; variants come last."""

import ipaddress
import os
import shutil
import uuid
from pathlib import Path

import pytest
from stack import CURL, CURL_ALLOWED, ROOT, run

CURL_PATH, PYTHON_PATH, SHELL_PATH = "/usr/bin/curl", "/usr/bin/python3.11", "/usr/bin/dash"
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
USERS = [None, "0:0"]
ORIGIN, HOST_SERVICE = "172.31.77.9", 8088
NO_TUNNEL = "403 000"


def expect(entry, record, binary, allowed):
    """Warder's record and OPA's entry say the same, and it is right."""
    question = entry["input"]
    assert (record["binary"], record["decision"]) == (binary, "allow" if allowed else "deny"), record
    assert question["binary"] == binary, question
    assert entry["result"]["allow"] is allowed, entry
    assert question["request_id"] == record["request_id"]


def expect_works(stack, user=None):
    """One allowed client and one denied, each under its own name."""
    answer, record, entry = stack.curl(user=user)
    assert answer.output == CURL_ALLOWED, answer
    expect(entry, record, CURL_PATH, True)
    answer, record, entry = stack.python(user=user)
    assert "403" in answer.output, answer
    expect(entry, record, PYTHON_PATH, False)


def attempts(*targets):
    """Python that prints what became of a connection to each address and port, all at once."""
    return f"""
import concurrent.futures, errno, socket
def attempt(target):
    try:
        socket.create_connection(target, timeout=10).close()
        return "connected"
    except socket.gaierror:
        return "no such name"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(*pool.map(attempt, {targets!r}), sep="; ")
"""


def resolves(name):
    return f"""
import socket
try: print(socket.getaddrinfo({name!r}, 443)[0][4][0])
except socket.gaierror: print("no such name")
"""


@pytest.mark.parametrize("user", USERS)
def test_curl_is_allowed_and_python_denied(stack, user):
    expect_works(stack, user)


def test_identity_is_proven(stack):
    """Nothing is left open: who connected, who holds the socket, and that nobody else does."""
    for client, binary in ((stack.curl, CURL_PATH), (stack.python, PYTHON_PATH)):
        for user in USERS:
            _, record, entry = client(user=user)
            identity = entry["input"]["identity"]
            assert (record["binary"], identity["grade"], identity["assurance"], identity["causes"]) == (binary, "exact", "proven", []), record


def test_a_host_the_policy_does_not_name_is_denied(stack):
    answer, record, entry = stack.curl("https://exfiltrate.test/")
    assert answer.output == NO_TUNNEL, answer
    expect(entry, record, CURL_PATH, False)
    assert "exfiltrate.test" not in stack.names_asked()


def test_container_and_ancestors(stack):
    """A shell's Python's curl: both parents, nearest first, and the sandbox's id, in both logs."""
    client = f"import subprocess; subprocess.run({[*CURL, 'https://origin.test/']!r})"
    answer, record, entry = stack.asked("sh", "-c", 'python3 -c "$1"; exit $?', "sh", client)
    assert answer.output == CURL_ALLOWED, answer
    expect(entry, record, CURL_PATH, True)
    assert entry["input"]["ancestors"][:2] == [PYTHON_PATH, SHELL_PATH], entry
    processes = entry["input"]["identity"]["processes"]
    assert [process["container"] for process in processes] == [stack.id("sandbox")], processes
    assert record["container"] == stack.id("sandbox"), record


def test_no_way_round(stack):
    """The control is the same attempt at Warder's own listener."""
    assert stack.try_in_sandbox(attempts((stack.address("warder", "inside"), 3128))) == "connected"
    targets = (ORIGIN, 443), (stack.address("warder", "outside"), 3128), ("192.0.2.1", 443)
    for user in USERS:
        results = stack.try_in_sandbox(attempts(*targets), user).split("; ")
        assert len(results) == len(targets) and set(results) <= {"ENETUNREACH", "EHOSTUNREACH"}, results


def test_the_host_is_out_of_reach(stack):
    """A bridge has an address on the host, and with it whatever the host serves on all of them."""
    inside, outside = (str(next(ipaddress.ip_network(stack.network(name)["Subnet"]).hosts())) for name in ("inside", "outside"))
    for user in USERS:
        assert stack.try_in_sandbox(attempts((inside, HOST_SERVICE)), user) in ("ENETUNREACH", "EHOSTUNREACH")
    # The service is there: from the other network it is reached.
    reached = stack.execute("origin", "python3", "-c", attempts((outside, HOST_SERVICE)))
    assert reached.output.strip() == "connected", reached


def test_names_do_not_leave_the_sandbox(stack):
    """The engine's resolver answers for the containers; it asks no server for the sandbox."""
    name = f"{uuid.uuid4().hex}.exfiltrate.test"
    assert stack.try_in_sandbox(resolves("warder")) == stack.address("warder", "inside")
    for user in USERS:
        assert stack.try_in_sandbox(resolves(name), user) == "no such name"
        assert stack.try_in_sandbox(resolves("origin.test"), user) == "no such name"
    assert name not in stack.names_asked()
    # Warder's own questions do get there.
    stack.curl()
    assert "origin.test" in stack.names_asked()


def test_opa_is_out_of_reach(stack):
    assert list(stack.inspect("opa")["NetworkSettings"]["Networks"]) == ["none"]
    looks = 'import os; print(os.path.exists("/run/opa"), [m for m in open("/proc/self/mountinfo") if "opa" in m])'
    for user in USERS:
        assert stack.try_in_sandbox(looks, user) == "False []"
        assert stack.try_in_sandbox(attempts(("opa", 8181)), user) == "no such name"
    answer, record, _ = stack.curl("https://opa:8181/v1/policies")
    assert answer.output == NO_TUNNEL and record["decision"] == "deny", (answer, record)


def test_opa_answers_warder_only_what_it_asks(stack):
    """Even whoever has the socket can't change the policy, or read it."""
    socket = f"/proc/{stack.pid('opa')}/root/run/opa/opa.sock"
    assert os.stat(socket).st_mode & 0o777 == 0o600

    def ask(method, path):
        done = run(["curl", "-sS", "--max-time", "10", "--unix-socket", socket, "-X", method, "--data", "{}",
                    "-w", " %{http_code}", f"http://opa{path}"])
        return int(done.stdout.rsplit(" ", 1)[1])

    assert ask("POST", "/v1/data/egress/decision") == ask("GET", "/health") == 200
    for method, path in (("PUT", "/v1/policies/mine"), ("GET", "/v1/policies"), ("GET", "/v1/data"),
                         ("PATCH", "/v1/data"), ("POST", "/v1/query"), ("GET", "/v1/config")):
        assert ask(method, path) == 401, (method, path)


def test_only_the_proxy_listens(stack):
    """All ports of Warder's address in the sandbox's network: the admin listener is not among them."""
    scan = f"""
import socket
open_ports = []
for port in range(1, 65536):
    with socket.socket() as attempt:
        attempt.settimeout(2)
        if attempt.connect_ex(({stack.address("warder", "inside")!r}, port)) == 0: open_ports.append(port)
print(open_ports)
"""
    assert stack.try_in_sandbox(scan) == "[3128]"
    assert stack.execute("sandbox", "ls", "/run/warder").status != 0
    assert stack.admin("/healthz").status == 0


def capabilities(pid):
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines() if ":\t" in line)
    return {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, status["NoNewPrivs"]


def test_privileges(stack):
    """Warder has what its file says and no more; the others have nothing."""
    wanted = sum(1 << bit for bit in CAPABILITIES.values())
    held, no_new = capabilities(stack.pid("warder"))
    assert (held["CapPrm"], held["CapEff"], held["CapBnd"], no_new) == (wanted, wanted, wanted, "1")
    for service in ("sandbox", "opa"):
        held, no_new = capabilities(stack.pid(service))
        assert set(held.values()) == {0} and no_new == "1", (service, held)
    # It is a proxy, not a router between its networks.
    assert stack.execute("warder", "cat", "/proc/sys/net/ipv4/ip_forward").output == "0\n"


def test_the_sandbox_sees_only_itself(stack):
    """Even as root: Warder, OPA and the host's processes are in none of its PID numbers."""
    seen = stack.execute("sandbox", "sh", "-c", "cat /proc/[0-9]*/comm", user="0:0").output.split()
    assert "sleep" in seen
    assert not {"warder", "opa", "dockerd", "containerd-shim"} & set(seen), seen


def test_the_image_has_the_policy_package():
    mounts = ["-v", f"{shutil.which('opa')}:/usr/local/bin/opa:ro", "-v", f"{ROOT}/rego/example:/policy:ro"]
    done = run(["docker", "run", "--rm", "--network", "none", *mounts, "warder", "policy", "check", "/policy"])
    assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings\n"), done


def test_a_restarted_sandbox(stack):
    before = stack.pid("sandbox"), stack.inspect("warder")["State"]["StartedAt"]
    stack.compose("restart", "--timeout", "2", "sandbox")
    assert stack.pid("sandbox") != before[0]
    assert stack.inspect("warder")["State"]["StartedAt"] == before[1], "Warder was restarted too"
    expect_works(stack)
    test_container_and_ancestors(stack)


def test_a_recreated_sandbox(stack):
    """Another container under the same name: another id, which the records have."""
    before = stack.id("sandbox")
    stack.compose("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "--timeout", "2", "sandbox")
    assert stack.id("sandbox") != before
    expect_works(stack)
    test_container_and_ancestors(stack)


def test_a_restarted_warder(stack):
    stack.compose("restart", "--timeout", "10", "warder")
    stack.wait_ready()
    expect_works(stack)


def without(*capabilities):
    def change(content):
        kept = content["services"]["warder"]["cap_add"]
        content["services"]["warder"]["cap_add"] = [name for name in kept if name not in capabilities]

    return change


@pytest.fixture
def variants(stack):
    yield stack
    stack.shipped()


def doctor(stack):
    """What it says in Warder's container, with the flags that Warder was started with."""
    flags = [word for word in stack.inspect("warder")["Args"] if word.startswith("--") and not word.startswith("--listen")]
    return stack.execute("warder", "/usr/local/bin/warder", "doctor", *flags)


def check_unresolved(answer, record):
    assert (record["grade"], record["binary"], record["decision"]) == ("unresolved", None, "deny"), record
    assert record["identity_reason"] and record["identity_detail"], record
    assert answer.output == NO_TUNNEL, answer


def check_observed(answer, record):
    """Its own name, and what could not be checked."""
    assert (record["binary"], record["assurance"]) == (CURL_PATH, "observed"), record
    assert {"connector_unknown", "references_uncounted"} <= set(record["causes"]), record
    assert answer.output == CURL_ALLOWED, answer


# DAC_READ_SEARCH is for procfs, which is all there is without SYS_ADMIN.
WITHOUT = [
    (["SYS_PTRACE"], check_unresolved),
    (["SYS_ADMIN"], check_observed),
    (["SYS_ADMIN", "DAC_READ_SEARCH"], check_unresolved),
]


@pytest.mark.parametrize("missing, check", WITHOUT, ids=lambda value: "+".join(value) if isinstance(value, list) else "")
def test_without_a_capability(variants, missing, check):
    stack = variants
    stack.variant(without(*missing))
    held, _ = capabilities(stack.pid("warder"))
    for name in missing:
        assert not held["CapEff"] & 1 << CAPABILITIES[f"CAP_{name}"]
    for _ in range(3):
        answer, record, _ = stack.curl()
        check(answer, record)
    found = doctor(stack)
    for name in missing:
        assert f"CAP_{name} is not effective" in found.output, found


def test_without_any_capability(variants):
    stack = variants
    stack.variant(without(*(name.removeprefix("CAP_") for name in CAPABILITIES)))
    answer, record, _ = stack.curl()
    check_unresolved(answer, record)
    found = doctor(stack)
    for name in CAPABILITIES:
        assert f"{name} is not effective" in found.output, found


def test_doctor_is_content_with_the_shipped_file(stack):
    found = doctor(stack)
    assert found.status == 0, found
