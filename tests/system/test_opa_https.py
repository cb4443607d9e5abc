"""How Warder and OPA show each other who they are: certificates, and a bearer token."""

import contextlib
import json

import pytest

from conftest import ECHO
from rig.authority import Authority
from rig.client import RawClient
from rig.opa import Opa
from rig.waiting import eventually
from rig.warder import UnixHttp
from rig.world import ORIGIN

# The name is one of the certificate's, and so is OPA's address.
NAME, OTHER_NAME = "opa.test", "other-opa.test"

AUTHZ = """package system.authz

default allow := false

allow if input.identity == {token}

allow if {{
	input.path == ["health"]
	input.params == {{}}
}}
"""


@pytest.fixture(scope="module")
def authority(world):
    return Authority(world.work, "authority")


@pytest.fixture(scope="module")
def stranger(world):
    return Authority(world.work, "stranger")


@pytest.fixture(scope="module")
def served(authority):
    return authority.issue("opa", f"DNS:{NAME}", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def https_opa(world, policies, served):
    opa = Opa(world, policies, name="https-opa", port=world.port(), tls=served)
    yield opa
    opa.stop()


@pytest.fixture(scope="module")
def mutual_opa(world, policies, served, authority):
    opa = Opa(world, policies, name="mutual-opa", port=world.port(), tls=served,
              words=["--authentication", "tls", "--tls-ca-cert-file", authority.certificate])
    yield opa
    opa.stop()


@pytest.fixture(autouse=True)
def names(dns):
    for name in (NAME, OTHER_NAME):
        dns.zone[name] = ["127.0.0.1"]
    yield
    for name in (NAME, OTHER_NAME):
        del dns.zone[name]


def by_name(url, name=NAME):
    return url.replace("127.0.0.1", name)


def ask(world, warder):
    with RawClient(world.box, warder.address) as client:
        return client.connect(ORIGIN, ECHO, b"x")


def assert_works(world, warder, opa):
    reply = ask(world, warder)
    assert reply.status == 200, reply
    assert opa.decision(reply.decision_id)["result"]["allow"] is True


def assert_never_opens(world, warder, origins, *reason):
    """Nobody gets through, and the log says why."""
    with origins.allowed[ECHO].untouched():
        reply = ask(world, warder)
    assert (reply.status, reply.phrase) == (503, "Service Unavailable (starting)")
    waiting = warder.records.wait(lambda r: r.get("event") == "gate_waiting", "what it waits for")
    assert all(part in waiting["opa"] for part in reason), waiting
    assert not warder.ready()


@pytest.mark.parametrize("name", [None, NAME])
def test_https(make_warder, world, https_opa, authority, name):
    url = by_name(https_opa.url, name) if name else https_opa.url
    assert_works(world, make_warder(url, opa={"ca_file": str(authority.certificate)}), https_opa)


def test_http_by_name(make_warder, world, policies):
    opa = Opa(world, policies, name="named-opa", port=world.port())
    try:
        warder = make_warder(by_name(opa.url))
        assert_works(world, warder, opa)
        warder.stop()
    finally:
        opa.stop()


def test_opa_of_another_authority(make_warder, world, origins, https_opa, stranger):
    warder = make_warder(https_opa.url, awaits_opa=False, opa={"ca_file": str(stranger.certificate)})
    assert_never_opens(world, warder, origins, "opa_unreachable", "certificate verify failed", "issuer certificate")


def test_opa_of_no_authority_of_the_system(make_warder, world, origins, https_opa):
    warder = make_warder(https_opa.url, awaits_opa=False)
    assert_never_opens(world, warder, origins, "opa_unreachable", "certificate verify failed", "issuer certificate")


def test_opa_under_a_name_that_is_not_its_own(make_warder, world, origins, https_opa, authority):
    warder = make_warder(by_name(https_opa.url, OTHER_NAME), awaits_opa=False,
                         opa={"ca_file": str(authority.certificate)})
    assert_never_opens(world, warder, origins, "opa_unreachable", "certificate verify failed", "hostname mismatch")


def test_plain_http_to_an_https_opa(make_warder, world, origins, https_opa):
    warder = make_warder(https_opa.url.replace("https", "http"), awaits_opa=False)
    # OPA says 400 in plain text and resets the connection, whichever is seen first.
    assert_never_opens(world, warder, origins, "opa_")


def test_https_to_a_plain_opa(make_warder, world, origins, policies, authority):
    opa = Opa(world, policies, name="plain-opa", port=world.port())
    try:
        warder = make_warder(opa.url.replace("http", "https"), awaits_opa=False,
                             opa={"ca_file": str(authority.certificate)})
        assert_never_opens(world, warder, origins, "opa_unreachable", "TLS: ")
        warder.stop()
    finally:
        opa.stop()


# A certificate of Warder's own.


def shows(authority, identity):
    return {"ca_file": str(authority.certificate), "cert_file": str(identity.certificate),
            "key_file": str(identity.key)}


def test_a_certificate_that_opa_asks_for(make_warder, world, mutual_opa, authority):
    warder = make_warder(mutual_opa.url, opa=shows(authority, authority.issue("warder", "DNS:warder")))
    assert_works(world, warder, mutual_opa)


def test_no_certificate_where_opa_asks_for_one(make_warder, world, origins, mutual_opa, authority):
    warder = make_warder(mutual_opa.url, awaits_opa=False, opa={"ca_file": str(authority.certificate)})
    assert_never_opens(world, warder, origins, "certificate required")


def test_a_certificate_of_another_authority(make_warder, world, origins, mutual_opa, authority, stranger):
    warder = make_warder(mutual_opa.url, awaits_opa=False,
                         opa=shows(authority, stranger.issue("warder", "DNS:warder")))
    assert_never_opens(world, warder, origins, "unknown ca")


def test_a_certificate_that_is_renewed(make_warder, world, origins, mutual_opa, authority, stranger):
    """Without a restart; in between, what is there is no good."""
    shown = stranger.issue("renewed", "DNS:warder")
    warder = make_warder(mutual_opa.url, awaits_opa=False, opa=shows(authority, shown))
    assert_never_opens(world, warder, origins, "unknown ca")
    good = authority.issue("renewed", "DNS:warder")
    mark = warder.mark()
    good.certificate.replace(shown.certificate)
    told = warder.records.wait(lambda r: r.get("event") == "opa_certificates", "that they are no good", mark)
    assert told["level"] == "error" and "key values mismatch" in told["detail"]
    mark = warder.mark()
    good.key.replace(shown.key)
    told = warder.records.wait(lambda r: r.get("event") == "opa_certificates", "that they are good", mark)
    assert told["level"] == "info"
    warder.records.wait(lambda r: r.get("event") == "gate_open", "OPA answers")
    assert_works(world, warder, mutual_opa)


def test_a_bad_certificate_changes_nothing(make_warder, world, mutual_opa, authority):
    shown = authority.issue("spoilt", "DNS:warder")
    warder = make_warder(mutual_opa.url, opa=shows(authority, shown))
    # Whole at once: half of it would be no good in another way, and told too.
    new = shown.certificate.with_suffix(".new")
    new.write_text("this is no certificate")
    new.replace(shown.certificate)
    told = warder.records.wait(lambda r: r.get("event") == "opa_certificates", "that it is no good")
    assert told["level"] == "error" and str(shown.certificate) in told["detail"]
    # No worker has a connection yet.
    assert_works(world, warder, mutual_opa)
    assert len([r for r in warder.records.since() if r.get("event") == "opa_certificates"]) == 1


# A bearer token.


class TokenOpa(Opa):
    """It answers whoever shows `token`."""

    def __init__(self, world, policies, token, **more):
        self._rules = world.work / "token-authz.rego"
        self.set_token(world, token)
        super().__init__(world, policies, port=world.port(), watch=True, **more,
                         words=["--authentication", "token", "--authorization", "basic", self._rules])

    def set_token(self, world, token):
        new = world.work / "token-authz.new"
        new.write_text(AUTHZ.format(token=json.dumps(token)))
        new.replace(self._rules)

    def status_for(self, token):
        connection = UnixHttp(self.socket)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/data/egress/binaries", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status


@pytest.fixture
def token_file(world):
    return world.secret / "token"


def write_token(file, token):
    new = file.with_suffix(".new")
    new.write_text(token + "\n")
    new.replace(file)


@pytest.mark.parametrize("secure", [False, True])
def test_a_token_that_is_renewed(make_warder, world, origins, policies, authority, served, token_file, secure):
    """The old one opens nothing any more, the new one does as soon as it is in the file."""
    write_token(token_file, "token-of-yesterday")
    opa = TokenOpa(world, policies, "token-of-yesterday", name=f"token-opa-{secure}", tls=served if secure else None)
    try:
        options = {"ca_file": str(authority.certificate)} if secure else {}
        warder = make_warder(opa.url, workers=1, opa={**options, "token_file": str(token_file)})
        assert_works(world, warder, opa)
        opa.set_token(world, "token-of-today")
        eventually(lambda: opa.status_for("token-of-yesterday") == 401, "OPA has read what it watches")
        with origins.allowed[ECHO].untouched():
            reply = ask(world, warder)
        assert (reply.status, reply.phrase) == (503, "Service Unavailable (opa_status)")
        assert "401" in warder.decision(reply.request_id)["reason"]
        write_token(token_file, "token-of-today")
        eventually(lambda: ask(world, warder).status == 200, "the new token is used")
        assert not any("token-of" in line for line in map(str, warder.records.raw)), "it told a token"
        warder.stop()
    finally:
        opa.stop()


def test_a_token_that_opa_does_not_take(make_warder, world, origins, policies, token_file):
    opa = TokenOpa(world, policies, "another-token", name="strict-opa")
    write_token(token_file, "this-token")
    try:
        warder = make_warder(opa.url, awaits_opa=False, opa={"token_file": str(token_file)})
        assert_never_opens(world, warder, origins, "opa_status", "401")
        warder.stop()
        without = make_warder(opa.url, awaits_opa=False)
        assert_never_opens(world, without, origins, "opa_status", "401")
        without.stop()
    finally:
        opa.stop()
