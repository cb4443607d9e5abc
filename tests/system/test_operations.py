"""Starting, watching and ending Warder."""

import concurrent.futures
import signal
import socket
import subprocess

import pytest

from conftest import ECHO
from rig.client import RawClient, connect_head
from rig.scripted_opa import ALLOW, Held, ScriptedOpa, answer
from rig.waiting import DEADLINE, eventually
from rig.warder import PROGRAM
from rig.world import GATE, ORIGIN


def open_tunnel(world, warder):
    client = RawClient(world.box, warder.address)
    reply = client.connect(ORIGIN, ECHO, b"x")
    assert reply.status == 200
    client.read(1)
    return client, reply


def listens(world, warder):
    with world.box.socket() as probe:
        probe.settimeout(DEADLINE)
        return probe.connect_ex(warder.address) == 0


def test_health_and_readiness(make_warder, extra_opa):
    warder = make_warder(extra_opa.url)
    assert warder.get("/healthz")[0] == 200
    eventually(warder.ready, "ready")
    extra_opa.stop()
    eventually(lambda: warder.get("/readyz")[0] == 503, "not ready without OPA")
    assert warder.get("/healthz")[0] == 200, "alive all the same"
    extra_opa.start()
    eventually(warder.ready, "ready again")


def test_not_ready_while_the_policy_is_undefined(make_warder, opa):
    warder = make_warder(opa={"path": "/v1/data/no/such/document"}, awaits_opa=False)
    eventually(lambda: "undefined" in warder.get("/readyz")[1], "/readyz says what is wrong")
    assert warder.get("/readyz")[0] == 503


def test_metrics(warder, world):
    client, _ = open_tunnel(world, warder)
    client.close()
    with RawClient(world.box, warder.address) as client:
        assert client.connect("denied.test", 443).status == 403
    samples = warder.samples()
    assert all(name.startswith("warder_") for name in samples), samples
    decisions = warder.decisions()
    assert decisions["allowed"] >= 1 and decisions["denied"] >= 1


def test_sigterm_lets_tunnels_finish(make_warder, world):
    warder = make_warder()
    client, reply = open_tunnel(world, warder)
    with client:
        warder.terminate()
        eventually(lambda: not listens(world, warder), "no new connections")
        client.send(b"still here")
        assert client.read(10) == b"still here"
        assert warder.process.poll() is None
        client.end_writing()
        assert client.rest() == b""
    warder.check_end(warder.wait())
    assert warder.tunnel(reply.request_id)["close_reason"] == "end"


def test_sigterm_refuses_requests_that_come_too_late(make_warder, world):
    warder = make_warder(workers=1)
    tunnel, _ = open_tunnel(world, warder)
    with tunnel, RawClient(world.box, warder.address) as late:
        late.send(b"CONNECT ")
        # Accepted in order: when a later one has its answer, this one is known.
        open_tunnel(world, warder)[0].close()
        warder.terminate()
        eventually(lambda: not listens(world, warder), "no new connections")
        late.send(connect_head(ORIGIN, ECHO)[len("CONNECT "):])
        reply = late.reply()
        assert (reply.status, reply.phrase) == (503, "Service Unavailable (draining)")
    warder.check_end(warder.wait())


def test_drain_has_an_end(make_warder, world):
    warder = make_warder(timeouts={"drain": "500ms"})
    client, reply = open_tunnel(world, warder)
    with client:
        warder.terminate()
        assert client.rest() == b""
    warder.check_end(warder.wait())
    record = warder.tunnel(reply.request_id)
    assert record["closed_by"] == "proxy"


def test_second_sigterm_ends_at_once(make_warder, world):
    warder = make_warder(timeouts={"drain": "1h"})
    client, reply = open_tunnel(world, warder)
    with client:
        warder.terminate()
        warder.records.wait(lambda r: r.get("event") == "draining", "that it drains")
        assert warder.process.poll() is None
        warder.terminate()
        assert client.rest() == b""
    warder.check_end(warder.wait())
    assert warder.tunnel(reply.request_id)["closed_by"] == "proxy"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_when_idle(make_warder, number):
    warder = make_warder()
    warder.process.send_signal(number)
    warder.check_end(warder.wait())


def test_sigterm_while_opa_is_asked(make_warder, world, origins):
    held = ScriptedOpa(world, "drain", Held)
    warder = make_warder(held.url)
    try:
        with RawClient(world.box, warder.address) as client:
            client.send(connect_head(ORIGIN, ECHO))
            question = held.next_held()
            warder.terminate()
            eventually(lambda: not listens(world, warder), "no new connections")
            question.release(answer(ALLOW))
            assert client.reply().status == 200, "what was asked before the signal is finished"
        warder.check_end(warder.wait())
    finally:
        held.stop()


def test_reader_of_standard_output_that_stalls_blocks_nobody(make_warder, world):
    warder = make_warder(limits={"log_queue": 64}, workers=1)
    warder.records.stall()
    count = 400

    def status(number):
        with RawClient(world.box, warder.address) as client:
            return client.connect(f"host{number}.{'x' * 60}.test", 443).status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(status, range(count))) == {403}
    assert warder.get("/healthz")[0] == 200
    warder.records.resume()
    # What did not fit is counted, never silently gone.
    told = warder.records.wait(lambda r: r.get("event") == "dropped", "how much it dropped")
    with RawClient(world.box, warder.address) as client:
        reply = client.connect("after.test", 443)
    warder.decision(reply.request_id)
    decisions = [r for r in warder.records.since() if r.get("event") == "decision"]
    assert len(decisions) < count, "the queue was to overflow"
    assert told
    numbers = [r["seq"] for r in warder.records.since()]
    assert numbers == sorted(set(numbers))


def test_two_listeners(make_warder, world):
    first, second = world.port(), world.port()
    warder = make_warder(listen=[f"{GATE}:{first}", f"{GATE}:{second}"])
    for port in (first, second):
        with RawClient(world.box, (GATE, port)) as client:
            assert client.connect(ORIGIN, ECHO).status == 200
    assert warder.process.poll() is None


def run_warder(world, *arguments, text=None):
    config = world.work / "bad.yaml"
    if text is not None:
        config.write_text(text)
        arguments = (*arguments, config)
    return subprocess.run(world.gate.command(PROGRAM, *arguments), capture_output=True, text=True,
                          timeout=2 * DEADLINE, check=False)


@pytest.mark.parametrize("text, told", [
    ("opa: {url: 'http://127.0.0.1:1'}\nlimits:\n  conections: 3\n", (":3:", "conections")),
    ("listen: 7\n", (":1:", "listen")),
    ("workers: 1\nworkers: 2\n", (":2:", "workers")),
    ("opa: {timeout: soon}\n", (":1:", "timeout")),
])
def test_configuration_error_names_file_line_and_key(world, text, told):
    for arguments in (("check",), ("run", "--config")):
        done = run_warder(world, *arguments, text=text)
        assert done.returncode == 2, done
        assert "bad.yaml" in done.stderr
        for part in told:
            assert part in done.stderr, done.stderr


def test_address_in_use_is_an_error_at_the_start(world):
    with world.gate.socket() as taken:
        port = world.port()
        taken.bind((GATE, port))
        taken.listen()
        done = run_warder(world, "run", "--listen", f"{GATE}:{port}", "--admin", "none",
                          "--opa", "http://127.0.0.1:1")
    assert done.returncode == 1, done
    assert str(port) in done.stderr + done.stdout


def test_a_second_warder_does_not_share_the_first_ones_port(warder, world):
    done = run_warder(world, "run", "--listen", f"{GATE}:{warder.port}", "--admin", "none",
                      "--opa", "http://127.0.0.1:1")
    assert done.returncode == 1, done
    assert str(warder.port) in done.stderr + done.stdout


def test_client_that_leaves_while_opa_is_asked(make_warder, world, origins):
    held = ScriptedOpa(world, "leaver", Held)
    warder = make_warder(held.url)
    try:
        with origins.allowed[ECHO].untouched():
            client = RawClient(world.box, warder.address)
            client.send(connect_head(ORIGIN, ECHO))
            question = held.next_held()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            eventually(lambda: not warder.client_connections(), "the connection is closed")
            question.release(answer(ALLOW))
            assert warder.decision_about(ORIGIN)["code"] == "client_gone"
    finally:
        warder.stop()
        held.stop()
