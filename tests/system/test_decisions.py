"""`warder decisions` and `warder why`: what they say of logs that a real OPA and a real Warder wrote."""

import concurrent.futures
import csv
import gzip
import io
import json
import os
import re
import select
import subprocess
import threading
from types import SimpleNamespace

import pytest

from conftest import ECHO, PYTHON
from rig.client import Agent, RawClient
from rig.lines import JsonLines
from rig.log_collector import LogCollector
from rig.opa import Opa
from rig.waiting import DEADLINE, eventually
from rig.warder import PROGRAM, REPOSITORY, Warder

DECIDED = "egress/decision"


def ask(world, warder, host, port=ECHO):
    with RawClient(world.box, warder.address) as client:
        return client.connect(host, port)


def says(*arguments, cwd=None, stdin=None, environment=None):
    """One of its commands on files: exit code, output, what it said on standard error."""
    done = subprocess.run(
        [PROGRAM, *arguments], capture_output=True, cwd=cwd, input=stdin, env=environment, timeout=DEADLINE,
        check=False,
    )
    errors = done.stderr.decode()
    assert "Sanitizer" not in errors, errors
    return SimpleNamespace(code=done.returncode, text=done.stdout.decode(), raw=done.stdout, errors=errors)


def objects(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


def is_event(entry):
    return entry.get("path") == DECIDED and "decision_id" in entry


def is_probe(entry):
    return entry["input"]["identity"]["reason"] == "probe"


@pytest.fixture(scope="module")
def logs(world, dns, origins, policies, programs, tmp_path_factory):
    """`opa` and `records`: files with a few decisions of each kind, and what they are about."""
    folder = tmp_path_factory.mktemp("logs")
    opa = Opa(world, policies, name="logged-opa", revision="r1")
    warder = Warder(world, opa.url)
    try:
        # A connection that the origin, this process too, accepted later would have OPA asked a second time.
        with RawClient(world.box, warder.address) as client:
            allowed = client.connect("v4.test", ECHO, b"x")
            client.read(1)
        denied = ask(world, warder, "denied.test")
        blocked = ask(world, warder, "loopback.test", 443)
        with Agent(world, world.box, programs.denied) as agent:
            agent.open(warder.address, "v4.test", ECHO)
            assert agent.statuses() == [403]
        with RawClient(world.box, warder.address) as client:
            client.send(b"CONNECT v4.test HTTP/1.1\r\nHost: v4.test\r\n\r\n")
            malformed = client.reply()
        assert [r.status for r in (allowed, denied, blocked, malformed)] == [200, 403, 403, 400]
        warder.stop()
    finally:
        warder.kill()
        opa.stop()
    opa.log.join()
    made = SimpleNamespace(
        folder=folder, opa=folder / "opa.log", records=folder / "warder.log",
        allowed=allowed, denied=denied, blocked=blocked, malformed=malformed, raw=opa.log.raw,
        events=[e for e in opa.log.since() if is_event(e) and not is_probe(e)],
    )
    made.opa.write_bytes(b"".join(opa.log.raw))
    made.records.write_bytes(b"".join(warder.records.raw))
    assert len(made.events) == 4
    return made


def ids(entries):
    return [entry["decision_id"] for entry in entries]


def test_what_opa_wrote_is_what_is_shown(logs):
    shown = says("decisions", "query", "--json", logs.opa)
    assert (shown.code, objects(shown)) == (0, logs.events)
    assert "foreign" in shown.errors


FILTERS = {
    "allowed": (["--allow"], lambda e: e["result"]["allow"]),
    "denied": (["--deny"], lambda e: not e["result"]["allow"]),
    "host": (["--host", "v4.test"], lambda e: e["input"]["host"] == "v4.test"),
    "host with a star": (["--host", "de*.test"], lambda e: e["input"]["host"] == "denied.test"),
    "port": (["--port", "443"], lambda e: e["input"]["port"] == 443),
    "binary": (["--binary", PYTHON], lambda e: e["input"]["binary"] == PYTHON),
    "binary with stars": (["--binary", "**/denied-agent"], lambda e: e["input"]["binary"].endswith("denied-agent")),
    "policy": (["--policy", "clients"], lambda e: e["result"]["policy"] == "clients"),
    "reason": (["--reason", "denied.test"], lambda e: e["input"]["host"] == "denied.test"),
    "grade": (["--grade", "exact"], lambda e: e["input"]["identity"]["grade"] == "exact"),
    "another grade": (["--grade", "unresolved"], lambda e: False),
    "container": (["--container", "0123456789ab"], lambda e: False),
    "no such assurance": (["--assurance", "suspect"], lambda e: e["input"]["identity"]["assurance"] == "suspect"),
    "revision": (["--revision", "r1"], lambda e: e["result"]["revision"] == "r1"),
    "another revision": (["--revision", "r2"], lambda e: False),
    "the last day": (["--since", "1d"], lambda e: True),
    "in the future": (["--since", "2100-01-01"], lambda e: False),
    "before": (["--until", "2020-01-01"], lambda e: False),
    "another path": (["--path", "egress/other"], lambda e: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(logs, name):
    flags, wanted = FILTERS[name]
    shown = says("decisions", "query", "--json", *flags, logs.opa)
    assert ids(objects(shown)) == ids(filter(wanted, logs.events))


def test_filter_by_id(logs):
    for event in logs.events:
        shown = says("decisions", "query", "--json", "--decision-id", event["decision_id"], logs.opa)
        assert objects(shown) == [event]
        shown = says("decisions", "query", "--json", "--request-id", event["input"]["request_id"], logs.opa)
        assert objects(shown) == [event]


def line_of(logs, event):
    return next(line for line in logs.raw if event["decision_id"].encode() in line)


def in_docker(raw):
    """As docker's json-file driver writes it: in pieces (its own are of 16 KiB), the last one with the line
    feed."""
    for line in raw:
        text = line.decode()
        for start in range(0, len(text), 1000):
            piece = {"log": text[start:start + 1000], "stream": "stderr", "time": "2026-11-27T06:30:00.1Z"}
            yield json.dumps(piece).encode() + b"\n"


def in_journal(raw):
    for number, line in enumerate(raw):
        text = line.decode().rstrip("\n")
        message = list(text.encode()) if number % 2 else text
        yield json.dumps({"__CURSOR": f"s={number}", "_PID": "7", "MESSAGE": message}).encode() + b"\n"


@pytest.mark.parametrize("form", [in_docker, in_journal])
def test_logs_kept_by_others(logs, form):
    text = b"".join(form(logs.raw))
    assert objects(says("decisions", "query", "--json", "-", stdin=text)) == logs.events


def test_the_last_line_in_docker_lacks_a_piece(logs):
    last = line_of(logs, logs.events[-1])
    *begun, _ = in_docker([last])
    assert begun
    shown = says("decisions", "query", "--json", "-", stdin=b"".join([*in_docker([last]), *begun]))
    assert objects(shown) == [json.loads(last)]
    assert " 1 decisions" in shown.errors and " 1 torn" in shown.errors, shown.errors


def test_rotated_and_packed_files(logs):
    # Log rotation cuts between lines; here, so that both files have decisions.
    lines = logs.raw
    half = 1 + lines.index(line_of(logs, logs.events[1]))
    old, new = logs.folder / "opa.log.1.gz", logs.folder / "opa.log.0"
    old.write_bytes(gzip.compress(b"".join(lines[:half])))
    new.write_bytes(b"".join(lines[half:]))
    assert objects(says("decisions", "query", "--json", old, new)) == logs.events


def test_torn_lines_foreign_lines_and_nonsense_are_counted(logs):
    event = next(line for line in logs.raw if b'"egress/decision"' in line and b'"reason":"probe"' not in line)
    noise = [b"plain text\n", b"\xff\xfe\n", b"{\"a\":\n", event[:200] + b"\n", b"x" * (14 << 20) + b"\n", b"\n"]
    shown = says("decisions", "query", "--json", "-", stdin=b"".join([*noise, event, event[:300]]))
    assert ids(objects(shown)) == [json.loads(event)["decision_id"]]
    assert "8 lines: 1 decisions, 3 foreign, 2 broken, 1 torn, 1 too long" in shown.errors


def test_csv_is_what_a_spreadsheet_reads(logs):
    shown = says("decisions", "query", "--csv", logs.opa)
    rows = list(csv.DictReader(io.StringIO(shown.raw.decode("ascii"), newline="")))
    assert [row["decision_id"] for row in rows] == ids(logs.events)
    assert [row["binary"] for row in rows] == [event["input"]["binary"] for event in logs.events]
    assert [row["reason"] for row in rows] == [event["result"]["reason"] for event in logs.events]
    assert {row["outcome"] for row in rows} == {"allow", "deny"}


def test_csv_of_a_reason_that_is_a_formula_with_quotes(logs):
    event = {**logs.events[0], "result": {**logs.events[0]["result"], "reason": '=1+"no", or\nyes'}}
    shown = says("decisions", "query", "--csv", "-", stdin=json.dumps(event).encode() + b"\n")
    row, = csv.DictReader(io.StringIO(shown.raw.decode("ascii"), newline=""))
    assert row["reason"] == """'=1+"no", or\\x0ayes"""
    assert row["decision_id"] == event["decision_id"]


def test_table_with_what_became_of_it(logs):
    shown = says("decisions", "query", "--records", logs.records, logs.opa)
    lines = shown.text.splitlines()
    assert len(lines) == 1 + len(logs.events)
    row, = (line for line in lines if logs.blocked.decision_id in line)
    # OPA allowed it, and the address guard refused it.
    assert re.search(r" allow +address_blocked ", row)


def test_why(logs):
    for reply in (logs.denied, logs.allowed):
        for number in (reply.request_id, reply.decision_id):
            shown = says("why", number, "--records", logs.records, logs.opa)
            assert shown.code == 0
            assert re.search(rf"^request +{reply.request_id}$", shown.text, re.MULTILINE)
            assert re.search(rf"^caller +{PYTHON} ", shown.text, re.MULTILINE)
    shown = says("why", logs.denied.request_id, logs.opa)
    assert re.search(r"^outcome +deny$", shown.text, re.MULTILINE)
    assert re.search(rf"^why .*denied\.test:{ECHO}", shown.text, re.MULTILINE)


TOLD_BY_BOTH = ("decision", "request", "caller", "sha256", "asked for", "outcome", "why", "policy", "scope")


def titled(text):
    """The lines of a story by their titles, and all parts of the reason."""
    lines = {line[:13].strip(): line[13:] for line in text.splitlines()}
    reason = re.search(r"^why {10}(.*(?:\n {13}.*)*)", text, re.MULTILINE)
    if reason:
        lines["why"] = re.sub(r"\n {13}", "; ", reason[1])
    return lines


@pytest.mark.parametrize("command", [["why"], ["decisions", "show"]])
def test_a_decision_that_opas_log_lacks_is_told_the_same_from_warders_record(logs, command):
    for reply in (logs.denied, logs.allowed):
        of_opa = titled(says(*command, reply.decision_id, logs.opa).text)
        of_warder = titled(says(*command, reply.decision_id, "--records", logs.records).text)
        assert of_warder["process"].startswith("pid ")
        for title in TOLD_BY_BOTH:
            if title in of_opa:
                assert of_warder.get(title) == of_opa[title], title


def test_why_a_request_that_opa_was_never_asked_about(logs):
    shown = says("why", logs.malformed.request_id, "--records", logs.records, logs.opa)
    assert shown.code == 0
    assert re.search(r"^answered +400 bad_authority$", shown.text, re.MULTILINE), shown.text
    assert "OPA's log has nothing about it" in shown.errors


def test_why_nobody_knows(logs):
    shown = says("why", "no-such-id", "--records", logs.records, logs.opa)
    assert (shown.code, shown.text) == (1, "")
    assert "nothing about no-such-id" in shown.errors


def refused_in_place_of(event):
    """Warder's record of the request where it gave up waiting for this answer."""
    return json.dumps({
        "ts": "2026-11-27T06:30:01Z", "seq": 1, "level": "error", "event": "decision", "decision": "error",
        "code": "opa_timeout", "reason": "OPA did not answer.", "decision_id": None,
        "request_id": event["input"]["request_id"], "status": 503, "kind": "connect",
    }).encode() + b"\n"


@pytest.mark.parametrize("piped", ["neither", "log", "records"])
def test_why_a_decision_that_warder_did_not_receive(logs, tmp_path, piped):
    event, = (e for e in logs.events if e["decision_id"] == logs.allowed.decision_id)
    record = refused_in_place_of(event)
    records = tmp_path / "warder.log"
    records.write_bytes(record)
    stdin = {"neither": None, "log": b"".join(logs.raw), "records": record}[piped]
    for number in (event["decision_id"], event["input"]["request_id"]):
        shown = says(
            "why", number, "--records", "-" if piped == "records" else records, "-" if piped == "log" else logs.opa,
            stdin=stdin,
        )
        assert shown.code == 0
        told = titled(shown.text)
        assert told["received"] == "no: Warder did not get this answer, and said 503 opa_timeout"
        assert told["answered"] == "503 opa_timeout"
        assert "nothing about it" not in shown.errors
    # Where the record of the decision is there, others of the request are not looked for.
    both = tmp_path / "both.log"
    both.write_bytes(logs.records.read_bytes() + record)
    shown = says("why", event["decision_id"], "--records", both, logs.opa)
    assert "received" not in shown.text and "opa_timeout" not in shown.text


@pytest.mark.parametrize("piped", ["neither", "log", "records"])
def test_why_a_request_that_an_earlier_answer_let_through(logs, tmp_path, piped):
    event, = (e for e in logs.events if e["decision_id"] == logs.allowed.decision_id)
    record = json.dumps({
        "ts": "2026-11-27T06:30:01Z", "seq": 1, "level": "info", "event": "decision", "decision": "allow",
        "code": "allowed", "reused": True, "decision_id": event["decision_id"], "request_id": "later", "status": 200,
    }).encode() + b"\n"
    records = tmp_path / "warder.log"
    records.write_bytes(record)
    stdin = {"neither": None, "log": b"".join(logs.raw), "records": record}[piped]
    shown = says(
        "why", "later", "--records", "-" if piped == "records" else records, "-" if piped == "log" else logs.opa,
        stdin=stdin,
    )
    assert titled(shown.text)["decision"] == event["decision_id"]
    assert f"by the answer to an earlier question, {event['decision_id']}" in shown.text


def test_why_a_tunnel_was_closed_that_was_decided_again_many_times(logs, tmp_path):
    record = {
        "ts": "2026-11-27T06:30:01Z", "seq": 1, "level": "info", "event": "decision", "decision": "allow",
        "code": "reauthorized", "request_id": "long",
    }
    lines = [{**record, "decision_id": f"d{n}"} for n in range(40)]
    lines.append({**record, "decision": "deny", "code": "revoked", "reason": "not any more", "decision_id": "last"})
    lines.append({"ts": "t", "seq": 2, "event": "tunnel", "request_id": "long", "close_reason": "revoked"})
    records = tmp_path / "warder.log"
    records.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for command in (["why"], ["decisions", "show"]):
        shown = says(*command, "long", "--records", records)
        assert "the last of 40 alike since 2026-11-27T06:30:01Z" in shown.text
        assert re.search(r"^why +not any more$", shown.text, re.MULTILINE)
        assert re.search(r"^closed by +revoked$", shown.text, re.MULTILINE)
    told = objects(says("why", "--json", "long", "--records", records))
    assert told == [{"record": lines[39], "count": 40}, {"record": lines[40]}, {"record": lines[41]}]


def test_logs_named_by_the_environment(logs):
    environment = {"WARDER_DECISION_LOG": str(logs.opa), "WARDER_RECORDS": str(logs.records)}
    shown = says("why", logs.denied.decision_id, environment=environment)
    assert "outcome" in shown.text and "answered" in shown.text


def test_show_has_every_process(logs):
    shown = says("decisions", "show", logs.allowed.decision_id, "--records", logs.records, logs.opa)
    event, = (e for e in logs.events if e["decision_id"] == logs.allowed.decision_id)
    for process in event["input"]["identity"]["processes"]:
        assert f"pid {process['pid']} uid {process['uid']}" in shown.text
    assert re.search(r"^closed by ", shown.text, re.MULTILINE)


def test_top_and_stats(logs):
    top = objects(says("decisions", "top", "denied", "--json", logs.opa))
    assert {entry["text"]: entry["count"] for entry in top} == {
        f"{PYTHON} -> denied.test:{ECHO}": 1,
        next(e for e in logs.events if e["input"]["binary"] != PYTHON)["input"]["binary"] + f" -> v4.test:{ECHO}": 1,
    }
    stats, = objects(says("decisions", "stats", "--json", "--records", logs.records, logs.opa))
    assert (stats["decisions"], stats["allow"], stats["deny"]) == (4, 2, 2)
    assert stats["codes"] == {"allowed": 1, "denied": 2, "address_blocked": 1, "bad_authority": 1}
    handler = sorted(event["metrics"]["timer_server_handler_ns"] for event in logs.events)
    assert stats["handler_ns"]["most"] == handler[-1]
    assert handler[1] <= stats["handler_ns"]["p50"] <= handler[1] * 17 / 16


def test_logs_that_agree(logs):
    compared = says("decisions", "compare", "--json", "--records", logs.records, logs.opa)
    assert compared.code == 0, compared.text
    summary, = objects(compared)
    assert summary["summary"]["in_both"] == 4
    assert summary["summary"]["never_asked"] == 1


def test_a_decision_as_long_as_opa_accepts_them(logs, tmp_path):
    """OPA's console has six bytes for each '<' of a question."""
    event = logs.events[0]
    longer = {**event, "input": {**event["input"], "ancestors": ["/" + "<" * 1_000_000]}}
    text = json.dumps(longer).replace("<", "\\u003c").encode() + b"\n"
    log = tmp_path / "opa.log"
    log.write_bytes(b"".join(text if line == line_of(logs, event) else line for line in logs.raw))
    compared = says("decisions", "compare", "--records", logs.records, log)
    assert compared.code == 0, compared.text
    assert "not proven" not in compared.errors
    assert re.search(r"^outcome ", says("why", event["decision_id"], log).text, re.MULTILINE)


def test_what_a_log_lacks_is_not_proven_where_a_line_was_too_long(logs, tmp_path):
    log = tmp_path / "opa.log"
    log.write_bytes(b"".join(logs.raw[:1]) + b"x" * (14 << 20) + b"\n")
    compared = says("decisions", "compare", "--json", "--records", logs.records, log)
    assert compared.code == 1
    assert objects(compared)[-1]["summary"]["lines_too_long"] == 1
    assert "1 lines of the log were too long to be read" in compared.errors and "not proven" in compared.errors
    assert "lines of the records were too long" not in compared.errors


class Terminal:
    """A program's standard output and standard error, on one terminal; its standard input is a pipe."""

    def __init__(self, *arguments):
        self._screen, side = os.openpty()
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=side, stderr=side)
        os.close(side)
        self.raw = b""

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def look(self, seconds=0.0):
        """False once everything was read and nobody writes any more."""
        try:
            while select.select([self._screen], [], [], seconds)[0]:
                self.raw += os.read(self._screen, 65536)
        except OSError:
            return False
        return True

    def lines(self):
        """What is left to see of it."""
        shown = [""]
        column = 0
        for part in re.findall(r"\x1b\[K|[^\x1b]", self.raw.decode("ascii")):
            if part == "\n":
                shown.append("")
            elif part == "\r":
                column = 0
            elif part == "\x1b[K":
                shown[-1] = shown[-1][:column]
            else:
                shown[-1] = shown[-1][:column] + part + shown[-1][column + 1:]
                column += 1
        return shown

    def end(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE)
        while self.look():
            pass

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._screen)


@pytest.mark.parametrize("command", ["query", "compare"])
def test_progress_and_rows_on_one_terminal(logs, command):
    """Progress is shown on a line that is erased before rows and at the end."""
    arguments = ["decisions", command, *(["--records", logs.records] if command == "compare" else []), "-"]
    line = line_of(logs, logs.events[0])
    for known in (logs.events[0]["decision_id"], logs.events[0]["input"]["request_id"]):
        line = line.replace(known.encode(), b"unknown" + known[7:].encode())
    terminal = Terminal(*arguments)
    try:
        def progress():
            before = len(terminal.raw)

            def shown():
                terminal.write(b"noise\n" * 1024)
                assert terminal.look()
                return b" MB" in terminal.raw[before:]
            eventually(shown, "progress")

        def row():
            return terminal.look() and b"unknown" in terminal.raw
        progress()
        terminal.write(line)
        eventually(row, "the row")
        progress()
        terminal.end()
        rows = [text for text in terminal.lines() if not text.startswith("warder: ")]
    finally:
        terminal.close()
    assert rows == [*says(*arguments, stdin=line).text.splitlines(), ""]


def test_tail_follows_through_rotation(logs, tmp_path):
    events = [json.dumps(event).encode() + b"\n" for event in logs.events]
    log = tmp_path / "opa.log"
    log.write_bytes(events[0])
    process = subprocess.Popen(
        [PROGRAM, "decisions", "tail", "--json", "--from-start", log], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        shown = JsonLines(process.stdout, "tail")
        shown.wait(lambda e: e == logs.events[0], "the first decision")
        with open(log, "ab") as out:
            out.write(events[1][:100])
            out.flush()
            out.write(events[1][100:])
        shown.wait(lambda e: e == logs.events[1], "what was appended")
        log.rename(tmp_path / "opa.log.1")
        log.write_bytes(events[2])
        shown.wait(lambda e: e == logs.events[2], "what the new file has")
        # Cut off in place, and longer than before when it is looked at next.
        with open(log, "r+b") as out:
            out.write(b"begun anew\n" * (len(events[2]) // 10) + events[3])
        shown.wait(lambda e: e == logs.events[3], "what came after it was cut off")
        mark = shown.mark()
        log.write_bytes(events[0])
        shown.wait(lambda e: e == logs.events[0], "what is shorter than what was there", mark)
        assert shown.since() == [*logs.events, logs.events[0]]
    finally:
        process.terminate()
        process.wait(DEADLINE)


def commands_of(document):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield line.split(" #")[0].strip()


def test_every_command_of_the_documentation(logs, tmp_path):
    """In a folder with logs of the names it uses, with the ids of a decision in them."""
    (tmp_path / "opa.log").symlink_to(logs.opa)
    (tmp_path / "warder.log").symlink_to(logs.records)
    (tmp_path / "opa.log.1.gz").write_bytes(gzip.compress(b"".join(logs.raw)))
    (tmp_path / "container-json.log").write_bytes(b"".join(in_docker(logs.raw)))
    (tmp_path / "journal.json").write_bytes(b"".join(in_journal(logs.raw)))
    environment = {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "ID": logs.denied.request_id}
    commands = list(commands_of("docs/decisions.md"))
    assert len(commands) > 10
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=DEADLINE, check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout, command


class Load:
    """Requests from several threads until stopped, each for a name of its own, so that none is summed up."""

    def __init__(self, world, warder, threads=8):
        self._end = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._run, world, warder, n) for n in range(threads)]

    def _run(self, world, warder, thread):
        count = 0
        while not self._end.is_set():
            name = "v4.test" if count % 2 else "nobody.test"
            ask(world, warder, f"n{thread}-{count}.{name}")
            count += 1
        return count

    def stop(self):
        self._end.set()
        return sum(run.result(DEADLINE) for run in self._running)


def held_back(opa, collector):
    """How many decisions OPA said on its console that have not reached the collector."""
    said = {e["decision_id"] for e in opa.log.since() if "decision_id" in e}
    return len(said - {e["decision_id"] for e in collector.events()})


# While OPA is gone: the first ones find out, the others are spared that.
NO_ANSWER = ("opa_unreachable", "opa_breaker_open")


def killed_under_load(world, policies, collector):
    """A Warder whose OPA was killed while it was asked, and begun anew. Its records, and both consoles."""
    opa = Opa(world, policies, name="killed-opa", settings=collector.settings)
    warder = Warder(world, opa.url, log={"level": "info"})
    try:
        load = Load(world, warder)
        eventually(lambda: len(collector.events()) > 100, "some of the log was uploaded")
        eventually(lambda: held_back(opa, collector) > 20, "some more decisions")
        opa.stop()
        opa.log.join()
        first = opa.log.raw
        eventually(lambda: sum(warder.decisions().get(code, 0) for code in NO_ANSWER) > 10, "no decisions")
        opa.start()
        answered = warder.mark()
        eventually(
            lambda: sum(r.get("code") == "allowed" for r in warder.records.since(answered)) > 50, "decisions again"
        )
        assert load.stop() > 100
        eventually(lambda: held_back(opa, collector) == 0, "the second OPA's log is uploaded")
        warder.stop()
    finally:
        warder.kill()
        opa.stop()
    opa.log.join()
    return warder.records.raw, first + opa.log.raw


def test_decisions_that_a_killed_opa_took_along_are_named(world, dns, origins, policies, tmp_path):
    collector = LogCollector(world, tmp_path / "collected.log")
    try:
        records, console = killed_under_load(world, policies, collector)
    finally:
        collector.close()
    (tmp_path / "warder.log").write_bytes(b"".join(records))
    (tmp_path / "console.log").write_bytes(b"".join(console))
    recorded = [json.loads(line) for line in records]
    proven = {r["decision_id"] for r in recorded if r["event"] == "decision" and not r["reused"]} - {None}
    assert not [r for r in recorded if r["event"] == "dropped"]
    sums = [r for r in recorded if r["event"] == "repeated"]
    assert {r["code"] for r in sums} <= {"opa_breaker_open"}  # of which OPA was not asked

    lost = proven - {e["decision_id"] for e in collector.events()}
    assert lost, "the killed OPA held nothing back"
    compared = says(
        "decisions", "compare", "--json", "--records", tmp_path / "warder.log", collector.path,
    )
    assert compared.code == 1
    *rows, summary = objects(compared)
    named = [row["record"]["decision_id"] for row in rows if row["only_in"] == "records"]
    assert len(named) == len(set(named))
    assert set(named) == lost
    # What OPA decided and could not tell Warder any more is nobody's loss.
    assert [row for row in rows if row["only_in"] == "opa_log"] == []
    assert summary["summary"]["in_both"] == len(proven - lost)
    assert summary["summary"]["unanswered"] + summary["summary"]["not_received"] > 10

    # The console had them all: it is written before the answer is.
    complete = says("decisions", "compare", "--records", tmp_path / "warder.log", tmp_path / "console.log")
    assert complete.code == 0, complete.text
