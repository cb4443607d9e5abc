"""Programs people use, with requests that the proxy forwards: each allowed, and each denied."""

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import PYTHON
from rig.client import run
from rig.forward import Questions
from rig.origin import pattern
from rig.recording_origin import Answer
from rig.waiting import DEADLINE, eventually
from rig.world import CLIENT_UID, GATE
from test_real_clients import needs

HELPERS = Path(__file__).parent / "helpers"
CHROMIUM = "/usr/lib/chromium/chromium"
APT = "/usr/lib/apt/methods/http"
RESOURCES = 20
# How long the WebSocket is used; 600 before a release.
SECONDS = float(os.environ.get("WARDER_WEBSOCKET_SECONDS", "20"))
UPLOAD = pattern("upload", 2_000_000)

URLLIB = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
REQUESTS = """
import sys, requests
with requests.Session() as session:
    for _ in range(3):
        answer = session.get(sys.argv[1])
        answer.raise_for_status()
        print(answer.text)
    assert session.post(sys.argv[1], data=iter([b"abc", b"def"])).text == "got 6 bytes"
"""
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def page():
    pictures = "".join(f'<img src="/picture{i}.svg" onload="loaded()">' for i in range(RESOURCES))
    script = "let n = 0; function loaded() { if (++n == %d) document.title = 'all there'; }" % RESOURCES
    return f"<html><head><link rel='icon' href='data:,'><title>not yet</title><script>{script}</script></head><body>{pictures}</body></html>"


def site_files():
    packages = b"Package: hello\nVersion: 1\nArchitecture: all\nFilename: ./hello.deb\nSize: 1\nSHA256: " + b"0" * 64 + b"\n\n"
    packed = gzip.compress(packages)
    sums = "".join(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
                   for name, data in (("Packages", packages), ("Packages.gz", packed)))
    release = f"Origin: test\nSuite: ./\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}"
    picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    return {
        "/hello": b"hello from the origin\n",
        "/page.html": page().encode(),
        "/debian/./Release": release.encode(),
        "/debian/./Packages": packages,
        "/debian/./Packages.gz": packed,
        **{f"/picture{i}.svg": picture for i in range(RESOURCES)},
    }


def answering(files):
    """A web server of few words."""
    kinds = {".html": "text/html", ".svg": "image/svg+xml"}

    def answer(request):
        path = request.first.split(b" ")[1].decode()
        if request.values(b"upgrade"):
            key = request.values(b"sec-websocket-key")[0]
            accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest()).decode()
            return Answer(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode(), then="echo")
        if request.method in (b"PUT", b"POST"):
            interim = b"HTTP/1.1 100 Continue\r\n\r\n" if request.values(b"expect") else b""
            return Answer(uploaded, at_head=interim)
        if path not in files:
            return Answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        kind = kinds.get(Path(path).suffix, "text/plain")
        return Answer(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(files[path])}\r\n\r\n"
                      .encode() + files[path])

    return answer


def uploaded(request):
    said = f"got {len(request.body)} bytes"
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode()


class Caller:
    def __init__(self, world, warder):
        self.world, self.warder = world, warder
        self.proxy = f"http://{GATE}:{warder.port}"

    def run(self, *argv, stdin=b"", **environment):
        return run(self.world, self.world.box, *argv, stdin=stdin, http_proxy=self.proxy, **environment)

    def curl(self, host, *more, path="/hello", stdin=b""):
        return self.run("curl", "-fsS", "-m", "60", *more, f"http://{host}{path}", stdin=stdin)

    def curl_old(self, host):
        return self.curl(host, "--http1.0")

    def curl_put(self, host):
        """curl asks for 100 Continue before it sends this much."""
        return self.curl(host, "-T", self.upload())

    def curl_post(self, host):
        return self.curl(host, "-H", "Expect:", "--data-binary", f"@{self.upload()}")

    def curl_expect(self, host):
        return self.curl(host, "-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary",
                         f"@{self.upload()}")

    def curl_chunked(self, host):
        return self.curl(host, "-H", "Transfer-Encoding: chunked", "-T", "-", stdin=UPLOAD)

    def upload(self):
        file = self.world.home / "upload"
        file.write_bytes(UPLOAD)
        return file

    def wget(self, host):
        return self.run("wget", "-nv", "-O-", "--tries=1", f"http://{host}/hello")

    def urllib(self, host):
        return self.run(PYTHON, "-c", URLLIB, f"http://{host}/hello")

    def requests(self, host):
        return self.run(PYTHON, "-c", REQUESTS, f"http://{host}/hello")

    def node(self, host):
        return self.run("node", HELPERS / "forward.js", self.proxy, f"http://{host}/hello")

    def node_agent(self, host):
        return self.run("node", HELPERS / "forward.js", self.proxy, f"http://{host}/hello", "agent",
                        NODE_PATH="/usr/share/nodejs")

    def go(self, host, program):
        return self.run(program, f"http://{host}/hello")

    def apt(self, host):
        folder = self.world.home / f"apt-{host}"
        for part in ("etc/preferences.d", "etc/apt.conf.d", "lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(f"deb [trusted=yes] http://{host}/debian ./\n")
        subprocess.run(["chown", "-R", str(CLIENT_UID), folder], check=True)
        options = {
            "Dir::Etc": folder / "etc", "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-", "Dir::State::lists": folder / "lists",
                "Dir::Cache": folder / "cache",
            "Acquire::http::Proxy": self.proxy, "Acquire::Languages": "none", "Acquire::Retries": "0",
            "Acquire::GzipIndexes": "false",
        }
        ran = self.run("apt-get", *(f"-o{key}={value}" for key, value in options.items()), "update",
                       "--error-on=any")
        ran.out += b"".join(file.read_bytes() for file in (folder / "lists").glob("*Packages"))
        return ran

    def chromium(self, host):
        """Prints the page as it is once everything on it is loaded."""
        return self.run(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            f"--user-data-dir={self.world.home}/chromium-{host}", f"--proxy-server={self.proxy}",
            "--timeout=30000", "--dump-dom", f"http://{host}/page.html",
        )

    def websocket(self, host, seconds=SECONDS):
        client = HELPERS / "websocket_client.py"
        return self.run(PYTHON, client, GATE, self.warder.port, host, seconds, seconds=seconds + 2 * DEADLINE)


GOT = f"got {len(UPLOAD)} bytes".encode()
HELLO = b"hello from the origin"
NODE = shutil.which("node")
# How each is called, the binary that connects, what it says when it is served, and the requests that come.
CLIENTS = {
    "curl": (Caller.curl, "/usr/bin/curl", HELLO, ["GET /hello"]),
    "curl --http1.0": (Caller.curl_old, "/usr/bin/curl", HELLO, ["GET /hello"]),
    "curl -T": (Caller.curl_put, "/usr/bin/curl", GOT, ["PUT /hello"]),
    "curl without Expect": (Caller.curl_post, "/usr/bin/curl", GOT, ["POST /hello"]),
    "curl with Expect": (Caller.curl_expect, "/usr/bin/curl", GOT, ["POST /hello"]),
    "curl in chunks": (Caller.curl_chunked, "/usr/bin/curl", GOT, ["PUT /hello"]),
    "wget": (Caller.wget, "/usr/bin/wget", HELLO, ["GET /hello"]),
    "apt-get update": (Caller.apt, APT, b"Package: hello", None),
    "urllib": (Caller.urllib, PYTHON, HELLO, ["GET /hello"]),
    "requests": (Caller.requests, PYTHON, HELLO, ["GET /hello"] * 3 + ["POST /hello"]),
    "node": (Caller.node, NODE, HELLO, ["GET /hello"]),
    "node with http-proxy-agent": (
        Caller.node_agent, os.path.exists("/usr/share/nodejs/http-proxy-agent") and NODE, HELLO,
            ["GET /hello"],
    ),
    "chromium": (Caller.chromium, CHROMIUM, b"<title>all there</title>", None),
    "websocket": (Caller.websocket, PYTHON, b"messages came back", ["GET /echo"]),
}


@pytest.fixture(scope="module")
def caller(world, forward_warder):
    return Caller(world, forward_warder)


@pytest.fixture
def www(raw_places):
    return raw_places.make(answering(site_files()))


@pytest.fixture(scope="module")
def questions(forward_opa):
    return Questions(forward_opa)


def first_lines(requests):
    return [b" ".join(request.first.split(b" ")[:2]).decode() for request in requests]


def assert_allowed(warder, www, questions, ran, binary, says, requests):
    assert ran.code == 0 and says in ran.out, str(ran)
    record = warder.decision_about(www.host)
    assert (record["decision"], record["code"], record["kind"]) == ("allow", "allowed", "forward")
    assert record["binary"] == os.path.realpath(binary)
    came = first_lines(www.requests())
    assert requests is None or came == requests
    questions.wait(www, len(came))
    # As many questions as requests, and the same; some clients use several connections at once.
    assert sorted(questions.in_words(www)) == sorted(came)
    assert not [taken.problem for taken in www.taken() if taken.problem]


def assert_denied(warder, host, ran, binary, raw_places):
    assert b"403" in ran.out + ran.err, str(ran)
    record = warder.decision_about(host)
    assert (record["decision"], record["code"], record["status"]) == ("deny", "denied", 403)
    assert record["binary"] == os.path.realpath(binary)
    assert not raw_places.intruders()


@pytest.mark.parametrize("name", CLIENTS)
def test_allowed(caller, www, questions, name):
    call, binary, says, requests = CLIENTS[name]
    needs(binary, name)
    assert_allowed(caller.warder, www, questions, call(caller, www.host), binary, says, requests)


@pytest.mark.parametrize("name", [name for name in CLIENTS if name != "chromium"])
def test_denied(caller, www, raw_places, name):
    call, binary, _, _ = CLIENTS[name]
    needs(binary, name)
    host = f"no.{www.host}"
    ran = call(caller, host)
    assert ran.code != 0, str(ran)
    assert_denied(caller.warder, host, ran, binary, raw_places)


def test_chromium_gets_every_picture(caller, www):
    needs(CHROMIUM, "chromium")
    caller.chromium(www.host)
    came = set(first_lines(www.requests()))
    assert {f"GET /picture{i}.svg" for i in range(RESOURCES)} <= came


def test_chromium_denied(caller, www, raw_places):
    """It shows the reason as the page, and ends well."""
    needs(CHROMIUM, "chromium")
    host = f"no.{www.host}"
    assert_denied(caller.warder, host, caller.chromium(host), CHROMIUM, raw_places)


@pytest.fixture(scope="module")
def go_client(go_client_path):
    subprocess.run([shutil.which("go") or "/usr/local/go/bin/go", "build", "-o", go_client_path, "."],
                   cwd=HELPERS / "goclient", check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return go_client_path


def test_go_allowed(caller, www, questions, go_client):
    ran = caller.go(www.host, go_client)
    assert_allowed(caller.warder, www, questions, ran, go_client, HELLO, ["GET /hello"])


def test_go_denied(caller, www, raw_places, go_client):
    host = f"no.{www.host}"
    ran = caller.go(host, go_client)
    assert_denied(caller.warder, host, ran, go_client, raw_places)


def test_curl_knows_a_body_that_was_cut_short(caller, raw_places):
    """Exit 18: less than was promised. 56 or 18 where the last chunk is missing."""
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        place = raw_places.make([Answer(data, then="close")])
        ran = caller.curl(place.host)
        assert ran.code in (18, 56) and ran.out in (b"", b"abc"), str(ran)


def test_everything_that_came_was_asked_about(caller, www, questions):
    """One program, many connections at once."""
    targets = [f"http://{www.host}/hello"] * 40
    ran = caller.run("curl", "-fsS", "-m", "60", "--parallel", "--parallel-max", "8", *targets)
    assert ran.code == 0 and ran.out.count(HELLO) == 40, str(ran)
    eventually(lambda: len(questions.about(www)) >= 40, "40 questions")
    assert questions.in_words(www) == first_lines(www.requests()) == ["GET /hello"] * 40
