"""The bug Warder was born from: the client's connection is not in the table where it was looked for."""

import json

import pytest

from conftest import ECHO, EXAMPLE
from rig.client import Agent, RawClient, run
from rig.world import BOXES, GATE, GATE6, ORIGIN, ORIGIN6, PRIVATE

BOX = BOXES["box"][0]
BOX2 = BOXES["box2"][0]


@pytest.fixture
def gate3128(make_warder, world):
    """Warder where the issue has it, at 10.200.0.1:3128, also on IPv6."""

    def make(*boxes, aliases=()):
        return make_warder(
            listen=[f"{GATE}:3128", f"[{GATE6}]:3128"],
            identity={
                "sandboxes": [{"pid": world.anchor(box)} for box in boxes or ("box",)],
                "listener_aliases": list(aliases),
            },
        )

    return make


def curl(world, space, proxy=f"{GATE}:3128"):
    return run(world, space, "curl", "-sSv", "-m", "60", "-p", "-x", f"http://{proxy}",
               f"http://{PRIVATE}:{EXAMPLE}/")


def socat(world, space, proxy=GATE, port=3128):
    return run(world, space, "socat", "-t60", "-", f"PROXY:{proxy}:{PRIVATE}:{EXAMPLE},proxyport={port}",
               stdin=b"hello echo\n")


CLIENTS = {"/usr/bin/curl": curl, "/usr/bin/socat": socat}


def record_of(warder, ran):
    return warder.records.wait(
        lambda r: r.get("event") == "decision" and r.get("pid") == ran.pid, f"pid {ran.pid}"
    )


def assert_allowed(warder, ran, binary, scope):
    record = record_of(warder, ran)
    assert record["decision"] == "allow", (record, str(ran))
    assert (record["binary"], record["scope"]) == (binary, scope)
    assert b"hello echo" in ran.out, str(ran)


@pytest.mark.parametrize("binary", CLIENTS)
def test_a_connection_in_the_sandbox_table(gate3128, world, binary):
    warder = gate3128()
    ran = CLIENTS[binary](world, world.box)
    assert_allowed(warder, ran, binary, f"pid:{world.anchor('box')}")


@pytest.mark.parametrize("binary", CLIENTS)
def test_b_connection_only_in_the_global_table(gate3128, world, binary):
    warder = gate3128("empty")
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{world.anchor('empty')}/net/{table}", encoding="ascii") as lines:
            assert len(lines.readlines()) == 1, "the per-PID table was to be empty"
    ran = CLIENTS[binary](world, world.gate)
    assert_allowed(warder, ran, binary, "global")


def test_b_denied_program_in_the_global_table(gate3128, world, programs, origins):
    warder = gate3128()
    with origins.example.untouched(), Agent(world, world.gate, programs.denied) as agent:
        agent.open((GATE, 3128), PRIVATE, EXAMPLE)
        assert agent.statuses() == [403]
        record = warder.decision_about(PRIVATE)
        assert (record["binary"], record["scope"]) == (programs.denied, "global")
        assert record["pid"] == agent.pid


@pytest.mark.parametrize("binary", CLIENTS)
def test_c_redirected_in_the_proxys_namespace(gate3128, world, binary):
    warder = gate3128()
    with world.gate.iptables("PREROUTING", "-p", "tcp", "--dport", "8080", "-j", "REDIRECT",
                             "--to-ports", "3128"):
        if binary.endswith("curl"):
            ran = curl(world, world.box, f"{GATE}:8080")
        else:
            ran = socat(world, world.box, port=8080)
    assert_allowed(warder, ran, binary, f"pid:{world.anchor('box')}")


def test_c_redirected_from_an_address_the_proxy_does_not_have(gate3128, world, programs):
    warder = gate3128()
    with world.gate.iptables("PREROUTING", "-d", "10.99.9.9", "-p", "tcp", "-j", "DNAT",
                             "--to-destination", f"{GATE}:3128"), \
            Agent(world, world.box, programs.allowed) as agent:
        agent.open(("10.99.9.9", 3128), PRIVATE, EXAMPLE)
        assert agent.statuses("x") == [200]
        assert warder.decision_about(PRIVATE)["pid"] == agent.pid


def test_c_local_client_redirected_in_the_proxys_namespace(gate3128, world, programs):
    warder = gate3128()
    with world.gate.iptables("OUTPUT", "-d", GATE, "-p", "tcp", "--dport", "8080", "-j", "DNAT",
                             "--to-destination", f"{GATE}:3128"), \
            Agent(world, world.gate, programs.allowed) as agent:
        agent.open((GATE, 8080), PRIVATE, EXAMPLE)
        assert agent.statuses("x") == [200]
        record = warder.decision_about(PRIVATE)
        assert (record["pid"], record["scope"]) == (agent.pid, "global")


@pytest.mark.parametrize("binary", CLIENTS)
def test_c_dnat_in_the_clients_namespace_with_an_alias(gate3128, world, binary):
    warder = gate3128(aliases=["10.96.0.10:80"])
    with world.box.iptables("OUTPUT", "-d", "10.96.0.10", "-p", "tcp", "--dport", "80", "-j", "DNAT",
                            "--to-destination", f"{GATE}:3128"):
        if binary.endswith("curl"):
            ran = curl(world, world.box, "10.96.0.10:80")
        else:
            ran = socat(world, world.box, "10.96.0.10", 80)
    assert_allowed(warder, ran, binary, f"pid:{world.anchor('box')}")


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("v6", [False, True])
def test_c_dnat_in_the_clients_namespace_without_an_alias(gate3128, world, programs, allowed, v6):
    """Connection tracking in the client's namespace knows what was dialled."""
    warder = gate3128()
    dialled, gate = ("fd00:96::10", f"[{GATE6}]") if v6 else ("10.96.0.10", GATE)
    program = programs.allowed if allowed else programs.denied
    with world.box.iptables("OUTPUT", "-d", dialled, "-p", "tcp", "--dport", "80", "-j", "DNAT",
                            "--to-destination", f"{gate}:3128",
                            program="ip6tables" if v6 else "iptables"), \
            Agent(world, world.box, program) as agent:
        agent.open((dialled, 80), PRIVATE, EXAMPLE, v6=v6)
        assert agent.statuses("x" if allowed else None) == [200 if allowed else 403]
        record = warder.decision_about(PRIVATE)
    assert (record["pid"], record["binary"]) == (agent.pid, program)
    assert record["scope"] == f"pid:{world.anchor('box')}"


def free_port(space, address):
    """A port nobody uses in `space`, to be bound by the test's programs in turn."""
    probe = space.socket()
    with probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def test_d_same_tuple_in_two_namespaces_is_ambiguous(gate3128, world, programs, origins):
    warder = gate3128("box", "twin")
    port = free_port(world.box, BOX)
    listener = world.twin.socket()
    with listener, origins.example.untouched(), \
            Agent(world, world.twin, programs.denied) as planted, \
            Agent(world, world.box, programs.allowed) as agent:
        listener.bind((GATE, 3128))
        listener.listen()
        planted.open((GATE, 3128), PRIVATE, EXAMPLE, source=[BOX, port])
        agent.open((GATE, 3128), PRIVATE, EXAMPLE, source=[BOX, port])
        assert agent.statuses() == [403]
        record = warder.decision_about(PRIVATE)
        assert (record["decision"], record["grade"]) == ("deny", "ambiguous")
        assert record["binary"] is None
        assert sorted(record["holders"]) == sorted([programs.allowed, programs.denied])


def test_d_planted_tuple_cannot_stand_in_for_a_local_client(gate3128, world, programs, origins):
    """A source address of the proxy's own namespace is looked for there and nowhere else."""
    warder = gate3128("twin")
    port = free_port(world.gate, GATE)
    listener = world.twin.socket()
    with listener, origins.example.untouched(), \
            Agent(world, world.twin, programs.allowed) as planted, \
            Agent(world, world.gate, programs.denied) as agent:
        listener.bind((GATE, 3128))
        listener.listen()
        planted.open((GATE, 3128), PRIVATE, EXAMPLE, source=[GATE, port])
        agent.open((GATE, 3128), PRIVATE, EXAMPLE, source=[GATE, port])
        assert agent.statuses() == [403]
        record = warder.decision_about(PRIVATE)
        assert (record["binary"], record["scope"]) == (programs.denied, "global")


@pytest.mark.parametrize("allowed_first", [True, False])
def test_d_same_local_port_with_different_addresses(gate3128, world, programs, origins, allowed_first):
    warder = gate3128("box", "box2")
    port = free_port(world.box, BOX)
    with Agent(world, world.box, programs.allowed) as allowed, \
            Agent(world, world.box2, programs.denied) as denied:
        opened = [(allowed, BOX), (denied, BOX2)]
        for agent, address in opened if allowed_first else reversed(opened):
            agent.open((GATE, 3128), PRIVATE, EXAMPLE, source=[address, port])
        before = origins.example.connections()
        assert denied.statuses() == [403]
        assert allowed.statuses("mine") == [200]
        assert origins.example.connections() <= before + 1
    for program, box, address in ((programs.allowed, "box", BOX), (programs.denied, "box2", BOX2)):
        record = warder.decision_for(f"{address}:{port}")
        assert (record["binary"], record["scope"]) == (program, f"pid:{world.anchor(box)}")


@pytest.mark.parametrize("binary", CLIENTS)
def test_e_connection_in_neither_table(gate3128, world, opa, origins, binary):
    warder = gate3128()
    with origins.example.untouched():
        ran = CLIENTS[binary](world, world.stranger)
    assert b"403" in ran.err or b"Forbidden (denied)" in ran.err, str(ran)
    record = warder.decision_about(PRIVATE)
    assert (record["decision"], record["status"]) == ("deny", 403)
    assert (record["grade"], record["identity_reason"]) == ("unresolved", "socket_not_found")
    assert (record["binary"], record["pid"], record["scope"]) == (None, None, None)
    for scope in (f"pid:{world.anchor('box')}", "global"):
        assert scope in record["identity_detail"]
    # What the operator reads first names them too.
    asked, = opa.decisions_for(record["request_id"])
    assert asked["input"]["binary"] is None
    assert asked["input"]["identity"]["reason"] == "socket_not_found"


def test_e_the_answer_names_both_scopes(gate3128, world):
    gate3128()
    with RawClient(world.stranger, (GATE, 3128)) as client:
        reply = client.connect(PRIVATE, EXAMPLE)
    assert (reply.status, reply.phrase) == (403, "Forbidden (denied)")
    text = json.dumps(reply.problem)
    assert f"pid:{world.anchor('box')}" in text and "global" in text


def test_ipv6_client(gate3128, world, programs):
    warder = gate3128()
    with Agent(world, world.box, programs.allowed) as agent:
        agent.open((GATE6, 3128), PRIVATE, EXAMPLE, v6=True)
        assert agent.statuses("six") == [200]
        record = warder.decision_about(PRIVATE)
        assert (record["pid"], record["scope"]) == (agent.pid, f"pid:{world.anchor('box')}")
        assert record["client"].startswith("[fd00:200::2]:")


def test_ipv6_client_redirected(gate3128, world, programs):
    warder = gate3128()
    with world.gate.iptables("PREROUTING", "-p", "tcp", "--dport", "8080", "-j", "REDIRECT",
                             "--to-ports", "3128", program="ip6tables"), \
            Agent(world, world.box, programs.allowed) as agent:
        agent.open((GATE6, 8080), PRIVATE, EXAMPLE, v6=True)
        assert agent.statuses("six") == [200]
        assert warder.decision_about(PRIVATE)["pid"] == agent.pid


def test_ipv4_mapped_client(gate3128, world, programs):
    """An IPv6 socket connected to an IPv4 address stands in tcp6 with mapped addresses."""
    warder = gate3128()
    with Agent(world, world.box, programs.allowed) as agent:
        agent.open((f"::ffff:{GATE}", 3128), PRIVATE, EXAMPLE, v6=True)
        assert agent.statuses("mapped") == [200]
        assert warder.decision_about(PRIVATE)["pid"] == agent.pid


def test_ipv4_client_of_an_ipv6_listener(make_warder, world, programs):
    port = world.port()
    warder = make_warder(listen=[f"[::]:{port}"])
    with Agent(world, world.box, programs.allowed) as agent:
        agent.open((GATE, port), PRIVATE, EXAMPLE)
        agent.open((GATE6, port), PRIVATE, EXAMPLE, v6=True)
        assert agent.statuses("any") == [200, 200]
        assert warder.decision_about(PRIVATE)["pid"] == agent.pid


def test_client_that_has_ended_its_request_is_still_found(gate3128, world):
    """Half closed, its socket is FIN_WAIT2 and no longer ESTABLISHED."""
    gate3128()
    with RawClient(world.box, (GATE, 3128)) as client:
        client.send(f"CONNECT {ORIGIN}:{ECHO} HTTP/1.1\r\nHost: {ORIGIN}\r\n\r\nall I have".encode())
        client.end_writing()
        assert client.reply().status == 200
        assert client.rest() == b"all I have"


def test_origin_over_ipv6(gate3128, world, origins):
    gate3128()
    with RawClient(world.box, (GATE, 3128)) as client:
        before = origins.v6.connections()
        assert client.connect(ORIGIN6, ECHO, b"six").status == 200
        assert client.read(3) == b"six"
        assert origins.v6.connections() == before + 1


def test_origin_whose_ipv6_address_is_a_black_hole(gate3128, world):
    warder = gate3128()
    with RawClient(world.box, (GATE, 3128)) as client:
        reply = client.connect("blackhole.test", ECHO, b"four")
        assert reply.status == 200
        assert client.read(4) == b"four"
        assert warder.decision(reply.request_id)["decision"] == "allow"
