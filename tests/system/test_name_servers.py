"""Whom Warder asks for names when nobody has told it: the servers of resolv.conf, and of the next one."""

import json
import os
import shutil
import subprocess
from itertools import count

import pytest

from conftest import ECHO
from rig.client import RawClient
from rig.dns import DnsServer, Turns
from rig.waiting import eventually
from rig.warder import PROGRAM
from rig.world import ORIGIN

FIRST, SECOND = "nameserver 127.0.0.1\n", "# another network\nnameserver 127.0.0.2\n"
# Its own /etc, so that nobody else's resolv.conf changes.
OWN_ETC = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"')
numbers = count()


@pytest.fixture(scope="module")
def other_dns(world):
    server = DnsServer(world, {"*.v4.test": [ORIGIN], "kept.v4.test": Turns([ORIGIN], ttl=300)}, "127.0.0.2")
    yield server
    server.close()


@pytest.fixture
def etc(world, request):
    folder = world.work / f"etc-{request.node.name}"
    folder.mkdir()
    for needed in ("hosts", "ld.so.cache", "passwd", "nsswitch.conf"):
        shutil.copy(f"/etc/{needed}", folder)
    (folder / "resolv.conf").write_text(FIRST)
    return folder


def by_rename(folder, text):
    (folder / "resolv.conf.new").write_text(text)
    os.replace(folder / "resolv.conf.new", folder / "resolv.conf")


def in_place(folder, text):
    (folder / "resolv.conf").write_text(text)


def connect(world, warder, name):
    with RawClient(world.box, warder.address) as client:
        assert client.connect(name, ECHO).status == 200


def asked_of(server, world, warder):
    """Whether `server` is asked for a name that nobody has asked for yet."""
    name = f"new{next(numbers)}.v4.test"
    connect(world, warder, name)
    return name in server.asked()


def news(warder):
    return [r for r in warder.records.since() if r.get("event") == "name_servers"]


@pytest.mark.parametrize("change", [by_rename, in_place])
def test_another_resolv_conf_takes_effect(make_warder, world, dns, other_dns, etc, change, monkeypatch):
    monkeypatch.setitem(dns.zone, "kept.v4.test", Turns([ORIGIN], ttl=300))
    # A long life, so that only the change makes it forget.
    warder = make_warder(prefix=(*OWN_ETC, etc), dns={"server": ""}, workers=1)
    connect(world, warder, "kept.v4.test")
    assert asked_of(dns, world, warder)
    assert not news(warder)
    questions = other_dns.asked().count("kept.v4.test")
    change(etc, SECOND)
    eventually(lambda: asked_of(other_dns, world, warder), "the second server is asked")
    connect(world, warder, "kept.v4.test")
    assert other_dns.asked().count("kept.v4.test") > questions, "the first server's answer is still in use"
    first = len(dns.asked())
    assert asked_of(other_dns, world, warder)
    assert len(dns.asked()) == first
    eventually(lambda: news(warder), "the change is told")
    assert [r["servers"] for r in news(warder)] == ["127.0.0.2:53"]
    change(etc, FIRST)
    eventually(lambda: asked_of(dns, world, warder), "the first server is asked again")


def test_a_resolv_conf_that_is_no_good(make_warder, world, dns, other_dns, etc):
    """Two workers, and each of them looks; the log is told once."""
    warder = make_warder(prefix=(*OWN_ETC, etc), dns={"server": ""}, workers=2)
    other = len(other_dns.asked())

    def goes_on_and_tells(news_so_far):
        assert all(asked_of(dns, world, warder) for _ in range(10))
        return len(news(warder)) == news_so_far

    by_rename(etc, "nameserver of.another.network\n")
    eventually(lambda: goes_on_and_tells(1), "it tells that no server is named")
    (etc / "resolv.conf").unlink()
    eventually(lambda: goes_on_and_tells(2), "it tells that there is no file")
    assert len(other_dns.asked()) == other
    by_rename(etc, SECOND)
    # Ten in a row: by both workers.
    eventually(lambda: all([asked_of(other_dns, world, warder) for _ in range(10)]), "the second server is asked")
    eventually(lambda: len(news(warder)) >= 3, "the change is told")
    assert [(r["level"], r["servers"], r.get("detail")) for r in news(warder)] == [
        ("warn", "127.0.0.1:53", "not_found: /etc/resolv.conf names no server"),
        ("warn", "127.0.0.1:53", "not_found: /etc/resolv.conf (No such file or directory)"),
        ("info", "127.0.0.2:53", None),
    ]


def test_doctor_says_that_there_is_none(warder, world, etc):
    in_place(etc, "")
    config = world.work / "no-servers.yaml"
    config.write_text(json.dumps({**warder.config, "dns": {"server": ""}}))
    done = subprocess.run(world.gate.command(*OWN_ETC, etc, PROGRAM, "doctor", "--json", "--config", config),
                          capture_output=True, text=True)
    finding, = (f for f in json.loads(done.stdout)["findings"] if f["check"] == "dns")
    assert finding["what"] == "127.0.0.1:53 (not_found: /etc/resolv.conf names no server) answers"


def test_with_a_server_of_its_own_it_is_not_looked_at(make_warder, world, dns, other_dns, etc):
    in_place(etc, SECOND)
    warder = make_warder(prefix=(*OWN_ETC, etc))
    other = len(other_dns.asked())
    assert asked_of(dns, world, warder)
    assert len(other_dns.asked()) == other
