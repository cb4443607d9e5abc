"""`warder policy check` and `warder policy build`, with a real OPA and the policy package of the source tree."""

import json
import os
import re
import signal
import subprocess

import pytest

from rig.opa import REGO
from rig.warder import PROGRAM, REPOSITORY

pytestmark = pytest.mark.many_inputs

GOOD = """\
network_policies:
  web:
    max_age: 5
    endpoints:
      - { host: api.example.com, port: 443 }
      - { host: "*.example.org", ports: [80, 443], access: read-only }
      - { host: "cdn-*.example.net", port: 443, enforcement: audit }
    binaries:
      - { path: /usr/bin/curl }
      - { path: "/opt/**/tool" }
      - { path: /usr/bin/python3 }
"""
BAD = """\
network_policies:
  web:
    endpoints:
      - { host: api.example.com, port: 443 }
      - host: "*.com"
        port: 80
    binaries:
      - { path: /usr/bin/curl, foo: 1 }
"""


MISSPELLED = GOOD.replace("network_policies:", "network_policy:")


def policy(command, *arguments):
    return subprocess.run([PROGRAM, "policy", command, *arguments, "--policy", REGO],
                          capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()

    def write(text):
        (folder / "data.yaml").write_text(text)
        return folder
    return write


@pytest.fixture
def root(tmp_path):
    """A sandbox's root with three programs, of which anybody may write to curl."""
    folder = tmp_path / "root"
    (folder / "usr/bin").mkdir(parents=True)
    for name in ("bash", "curl", "python3.11"):
        (folder / "usr/bin" / name).write_bytes(b"\x7fELF")
        (folder / "usr/bin" / name).chmod(0o755)
    (folder / "usr/bin/python3").symlink_to("python3.11")
    (folder / "usr/bin/curl").chmod(0o757)
    (folder / "bin").symlink_to("usr/bin")
    return folder


@pytest.fixture
def process(root):
    """Of user 54321, with that root."""
    if os.getuid() != 0:
        pytest.skip("NOT TESTED: a process of another user needs root")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.chroot(root)
            os.chdir("/")
            os.setgroups([54399])
            os.setresgid(54321, 54321, 54321)
            os.setresuid(54321, 54321, 54321)
            os.close(writer)
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class TestCheck:
    def test_good_ones(self, policies):
        done = policy("check", policies(GOOD))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("0 errors, 0 warnings\n"), done.stdout

    def test_bad_ones_with_their_places(self, policies):
        folder = policies(BAD)
        done = policy("check", folder)
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert lines[0].startswith(f"{folder}/data.yaml:8: error: network_policies/web/binaries/0/foo: ")
        assert lines[1].startswith(f"{folder}/data.yaml:5: error: network_policies/web/endpoints/1/host: ")
        assert lines[2:] == ["2 errors, 0 warnings"]

    def test_a_rule_and_a_revision_with_their_places(self, policies):
        rules = ("    endpoints:\n      - host: b.example.com\n        port: 80\n        rules:\n"
                 "          - allow:\n              methd: GET\n")
        folder = policies("revision: 20261128\n" + GOOD.replace("    endpoints:\n", rules))
        done = policy("check", folder)
        assert done.returncode == 1
        place = "network_policies/web/endpoints/0/rules/0/allow/methd"
        assert done.stdout.splitlines() == [
            f"{folder}/data.yaml:10: error: {place}: rules[0].allow.methd is not a key",
            f"{folder}/data.yaml:1: error: revision: revision is 20261128, not a text",
            "2 errors, 0 warnings",
        ]

    def test_as_json(self, policies):
        done = policy("check", policies(BAD), "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["result"]) == (1, "error")
        assert [(p["severity"], p["line"]) for p in told["problems"]] == [("error", 8), ("error", 5)]

    def test_files_that_opa_can_t_load(self, policies):
        done = policy("check", policies("network_policies: ["))
        assert done.returncode == 1, done
        assert "data.yaml: error converting YAML to JSON" in done.stdout

    def test_a_policy_that_stands_twice(self, policies):
        """OPA takes the last one and says nothing."""
        done = policy("check", policies(GOOD + "  web: {}\n"))
        assert done.returncode == 1, done
        assert "data.yaml:12: error: network_policies/web: stands here a second time" in done.stdout

    def test_without_a_directory(self, tmp_path):
        done = policy("check", tmp_path / "nowhere")
        assert (done.returncode, "no such file" in done.stdout) == (1, True)

    def test_without_opa(self, policies):
        done = policy("check", policies(GOOD), "--opa", "/no/such/opa")
        assert (done.returncode, done.stdout) == (2, "")
        assert "install OPA, or name it by --opa" in done.stderr

    def test_another_package(self, policies, tmp_path):
        (tmp_path / "other.rego").write_text("package other\n\nallow := true\n")
        done = subprocess.run([PROGRAM, "policy", "check", policies(GOOD), "--policy", tmp_path / "other.rego"],
                              capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no data.egress.problems" in done.stderr

    @pytest.mark.parametrize("text", [MISSPELLED, "{}\n", "network_policies: false\n"])
    def test_no_policies(self, policies, text):
        done = policy("check", policies(text))
        assert done.returncode == 1, done
        assert "error: network_policies: no policies are loaded" in done.stdout
        assert done.stdout.endswith(", 0 warnings\n"), done.stdout

    def test_a_misspelled_key_beside_good_policies(self, policies):
        folder = policies("revison: r-1\n" + GOOD + "network_policy: {}\nteams: [a]\n")
        (folder / "limits").mkdir()
        (folder / "limits/data.json").write_text("{}")
        done = policy("check", folder)
        assert done.returncode == 1, done
        assert done.stdout.splitlines() == [
            f"{folder}/data.yaml:13: error: network_policy: nothing reads this key: is network_policies meant?",
            f"{folder}/data.yaml:1: error: revison: nothing reads this key: is revision meant?",
            f"{folder}/limits/data.json: warning: limits: the policy package doesn't read this key",
            f"{folder}/data.yaml:14: warning: teams: the policy package doesn't read this key",
            "2 errors, 2 warnings",
        ]

    def test_data_of_another_package(self, policies):
        done = policy("check", policies(GOOD + "revision: r-1\nteams: [a]\n"))
        assert done.returncode == 0, done
        assert done.stdout.endswith("0 errors, 1 warning\n"), done.stdout

    def test_policies_that_allow_nothing(self, policies):
        done = policy("check", policies("network_policies: {}\n"))
        assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings\n")

    def test_policies_that_opa_loads_elsewhere(self, policies):
        folder = policies(GOOD)
        (folder / "team").mkdir()
        (folder / "team/data.yaml").write_text(GOOD)
        done = policy("check", folder)
        assert done.returncode == 0, done
        assert f"{folder}/team/data.yaml:1: warning: team/network_policies: these policies are not loaded" in done.stdout
        (folder / "data.yaml").unlink()
        done = policy("check", folder)
        assert done.returncode == 1, done
        assert "team/data.yaml:1: warning: team/network_policies: these policies are not loaded" in done.stdout

    def test_programs_under_a_root(self, policies, root):
        done = policy("check", policies(GOOD), "--root", root, "--user", "54321", "--json")
        assert done.returncode == 0, done
        told = {program["path"]: program for program in json.loads(done.stdout)["programs"]}
        assert told["/usr/bin/python3"]["resolves_to"] == "/usr/bin/python3.11"
        assert any("runs whatever" in warning for warning in told["/usr/bin/python3"]["warnings"])
        assert any("user 54321 may write to /usr/bin/curl" in w for w in told["/usr/bin/curl"]["warnings"])
        assert told["/opt/**/tool"]["warnings"] == ["matches no file here"]
        assert json.loads(done.stdout)["note"] is None

    def test_what_anybody_may_write(self, policies, root):
        done = policy("check", policies(GOOD), "--root", root)
        assert done.returncode == 0, done
        assert ("warning: anybody may write to /usr/bin/curl, or put another file into its place: only a sha256 tells "
                "what runs, and network_policies/web/binaries/0 has none") in done.stdout
        assert "note: of who may change these programs only what anybody may was looked at: --user" in done.stdout

    def test_an_entry_with_a_sha256(self, policies, root):
        text = GOOD.replace("{ path: /usr/bin/curl }", f"{{ path: /usr/bin/curl, sha256: {'a' * 64} }}")
        done = policy("check", policies(text), "--root", root)
        assert done.returncode == 0, done
        assert "/usr/bin/curl  [network_policies/web/binaries/0]" in done.stdout
        assert "may write" not in done.stdout

    def test_the_root_of_a_process(self, policies, root, process):
        """Its user owns one of the programs, one of its groups may write to another."""
        text = GOOD.replace("{ path: /usr/bin/curl }", "{ path: /usr/bin/curl, started_by: [/usr/bin/bash] }")
        os.chown(root / "usr/bin/bash", 54321, 0)
        os.chown(root / "usr/bin/python3.11", 0, 54399)
        os.chmod(root / "usr/bin/python3.11", 0o775)
        done = policy("check", policies(text), "--root", f"/proc/{process}/root")
        assert done.returncode == 0, done
        assert ("warning: user 54321 may write to /usr/bin/bash, or put another file into its place: whatever is there "
                "then satisfies network_policies/web/binaries/0/started_by") in done.stdout
        for program in ("curl", "python3.11"):
            assert f"user 54321 may write to /usr/bin/{program}," in done.stdout
        assert f"note: who may change these programs was looked at for process {process}, user 54321" in done.stdout
        assert "anybody" not in done.stdout

        done = policy("check", policies(text), "--root", f"/proc/{process}/root", "--user", "54322")
        assert "user 54322 may write to /usr/bin/curl" in done.stdout
        assert "may write to /usr/bin/bash" not in done.stdout
        assert "note:" not in done.stdout

    def test_a_starter_by_another_name(self, policies, root):
        text = GOOD.replace("{ path: /usr/bin/curl }", "{ path: /usr/bin/curl, started_by: [/bin/bash] }")
        done = policy("check", policies(text), "--root", root)
        assert done.returncode == 0, done
        assert "/bin/bash is /usr/bin/bash (/bin -> usr/bin)  [network_policies/web/binaries/0/started_by]" in done.stdout
        assert "compared with the kernel's paths, which have no links: write /usr/bin/bash" in done.stdout
        assert "may write to /usr/bin/bash" not in done.stdout
        (root / "usr/bin").chmod(0o777)
        done = policy("check", policies(text), "--root", root)
        assert "anybody may write to /usr/bin/bash" in done.stdout

    def test_a_root_that_is_none(self, policies):
        done = policy("check", policies(GOOD), "--root", "/no/such/root")
        assert (done.returncode, done.stdout) == (2, "")


def question(host, port, program, names=(), method=None, **identity):
    return {
        "binary": program, "host": host, "port": port, "request_id": "r", "ancestors": [], "sha256": None,
        "request": {"kind": "forward", "method": method, "scheme": "http", "path": "/", "query": None,
                    "path_raw": "/", "query_raw": None, "doubts": []} if method else
                   {"kind": "connect", "method": "CONNECT", "scheme": None, "path": None, "query": None,
                    "path_raw": None, "query_raw": None, "doubts": []},
        "client": {"address": "10.0.0.2", "port": 4711},
        "identity": {
            "grade": "exact", "assurance": "proven", "causes": [], "reason": None, "detail": None,
            "scope": "global", "method": "sock_diag", "relays": False, "via": [], "via_complete": True,
            "processes": [{"pid": 7, "uid": 1000, "gid": 1000, "role": ["connector", "holder"], "start_time": 1,
                           "binary": program, "path": program, "names": [program, *names], "sha256": None,
                           "deleted": False, "image_writable": False, "traced": False, "ancestors": [],
                           "ancestors_complete": True, "container": None, "pod": None, "command_line": None}],
            **identity,
        },
    }


QUESTIONS = [
    question(host, port, program, names, method)
    for host in ("api.example.com", "x.example.org", "a.b.example.org", "cdn-7.example.net", "other.test")
    for port in (80, 443)
    for program, names in (("/usr/bin/curl", ()), ("/usr/bin/python3.11", ("/usr/bin/python3",)),
                           ("/opt/a/b/tool", ()), ("/usr/bin/wget", ()))
    for method in (None, "GET", "POST")
] + [question("api.example.com", 443, "/usr/bin/curl", assurance="suspect", causes=["traced"])]


def answers(data):
    done = subprocess.run(
        ["opa", "eval", "--format", "json", "--ignore", "*_test.rego", "--data", REGO, "--data", data,
         "--stdin-input", "[d | some q in input; d := data.egress.decision with input as q]"],
        input=json.dumps(QUESTIONS), capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)["result"][0]["expressions"][0]["value"]


class TestBuild:
    def test_the_index_answers_as_the_policies_do(self, policies, tmp_path):
        folder, built = policies(GOOD), tmp_path / "built"
        done = policy("build", folder, "-o", built)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
        index = json.loads((built / "data.json").read_text())["egress_index"]
        assert index["revision"] == done.stdout.strip()
        assert os.listdir(built) == ["data.json"]

        by_policies, by_index = answers(folder), answers(built)
        assert len(by_policies) == len(by_index) == len(QUESTIONS)
        assert sum(answer["allow"] for answer in by_policies) > 10
        for one, other in zip(by_policies, by_index):
            assert {**one, "revision": None} == {**other, "revision": None}

    def test_again(self, policies, tmp_path):
        built = tmp_path / "built"
        first = policy("build", policies(GOOD), "-o", built).stdout
        assert policy("build", policies(GOOD), "-o", built).stdout == first
        assert policy("build", policies(GOOD.replace("443", "444")), "-o", built).stdout != first

    def test_errors_leave_what_was_there(self, policies, tmp_path):
        built = tmp_path / "built"
        assert policy("build", policies(GOOD), "-o", built).returncode == 0
        before = (built / "data.json").read_bytes()
        done = policy("build", policies(BAD), "-o", built)
        assert done.returncode == 1
        assert "foo is not a key" in done.stderr
        assert (built / "data.json").read_bytes() == before

    def test_no_policies_leave_what_was_there(self, policies, tmp_path):
        built = tmp_path / "built"
        assert policy("build", policies(GOOD), "-o", built).returncode == 0
        before = (built / "data.json").read_bytes()
        for folder in (policies(MISSPELLED), built):
            done = policy("build", folder, "-o", built)
            assert (done.returncode, done.stdout) == (1, "")
            assert "network_policies: no policies are loaded" in done.stderr
            assert (built / "data.json").read_bytes() == before

    def test_what_was_built_can_be_checked(self, policies, tmp_path):
        built = tmp_path / "built"
        assert policy("build", policies(GOOD), "-o", built).returncode == 0
        done = policy("check", built)
        assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings\n")

    def test_programs_of_what_was_built(self, policies, root, tmp_path):
        """As those of the policies: also one that some entries list, and one that starts others."""
        more = ("      - { path: /usr/bin/python3, descendants: true }\n"
                "      - { path: /usr/bin/curl, sha256: " + "a" * 64 + ", started_by: [/bin/bash] }\n")
        folder, built = policies(GOOD + more), tmp_path / "built"
        assert policy("build", folder, "-o", built).returncode == 0
        written, indexed = (policy("check", data, "--root", root, "--json") for data in (folder, built))
        assert (indexed.returncode, json.loads(indexed.stdout)) == (0, json.loads(written.stdout))
        told = {program["path"]: program["first_entry"] for program in json.loads(indexed.stdout)["programs"]}
        assert told == {
            "/bin/bash": "network_policies/web/binaries/4/started_by",
            "/opt/**/tool": "network_policies/web/binaries/1",
            "/usr/bin/curl": "network_policies/web/binaries/0",
            "/usr/bin/python3": "network_policies/web/binaries/2",
        }
        (built / "policies.yaml").write_text(folder.joinpath("data.yaml").read_text())
        both = policy("check", built, "--root", root, "--json")
        assert json.loads(both.stdout)["programs"] == json.loads(written.stdout)["programs"]

    def test_warnings_are_told(self, policies, tmp_path):
        folder = policies(GOOD.replace("/opt/**/tool", "/**"))
        (folder / "team").mkdir()
        (folder / "team/data.yaml").write_text(GOOD)
        done = policy("build", folder, "-o", tmp_path / "built")
        assert done.returncode == 0
        assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
        lines = done.stderr.splitlines()
        assert [line.split(": ")[:3] for line in lines] == [
            [f"{folder}/data.yaml:10", "warning", "network_policies/web/binaries/1/path"],
            [f"{folder}/team/data.yaml:1", "warning", "team/network_policies"],
        ]


@pytest.mark.parametrize("command", ["check", "build"])
def test_the_manual_knows_every_flag(command):
    manual = (REPOSITORY / "docs/policy.md").read_text()
    text = subprocess.run([PROGRAM, "policy", command, "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"(?<![\w-])--[a-z]+", text)) - {"--help", "--out"}
    assert flags
    assert not {flag for flag in flags if flag not in manual}
