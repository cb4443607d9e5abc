"""A program that carries the connections of others is seen as one, and they are named."""

import contextlib
import re
import subprocess

import pytest

from rig.client import run
from rig.world import CLIENT_UID, GATE


@contextlib.contextmanager
def socat_relay(world, warder):
    """A socat in the box that hands one connection on to Warder; its port."""
    process = subprocess.Popen(
        world.box.command("socat", "-d", "-d", "TCP4-LISTEN:0,bind=127.0.0.1",
                          f"TCP4:{GATE}:{warder.port}", user=CLIENT_UID),
        stderr=subprocess.PIPE, text=True,
    )
    try:
        for line in process.stderr:
            if listening := re.search(r"listening on AF=2 127\.0\.0\.1:(\d+)", line):
                yield int(listening[1])
                break
        else:
            pytest.fail("socat does not listen")
    finally:
        process.kill()
        process.communicate()


def test_the_program_behind_socat(world, warder, site):
    mark = warder.mark()
    with socat_relay(world, warder) as port:
        ran = run(world, world.box, "curl", "-sS", "-m", "60", "-p", "-x", f"http://127.0.0.1:{port}",
                  "--cacert", site.certificate, "https://origin.test/hello")
    assert b"hello from the origin" in ran.out, str(ran)
    record = warder.decision_about("origin.test", mark)
    assert record["binary"].startswith("/usr/bin/socat")
    assert (record["grade"], record["assurance"]) == ("exact", "proven")
    assert record["relays"] is True
    assert record["via"] == ["/usr/bin/curl"]


def test_a_plain_client_is_no_relay(world, warder, site):
    mark = warder.mark()
    ran = run(world, world.box, "curl", "-sS", "-m", "60", "-p", "-x", f"http://{GATE}:{warder.port}",
              "--cacert", site.certificate, "https://origin.test/hello")
    assert b"hello from the origin" in ran.out, str(ran)
    record = warder.decision_about("origin.test", mark)
    assert (record["binary"], record["assurance"]) == ("/usr/bin/curl", "proven")
    assert record["relays"] is False
    assert not record.get("via")
