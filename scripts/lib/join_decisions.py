"""Joins Warder's decision records to OPA's decision log by decision id, and prints each pair.

usage: join_decisions.py WARDER_RECORDS OPA_LOG BINARY=HOST:PORT=(allow|deny)...
Exit status 0 only if Warder has exactly one record for every expectation, in that order and with
that outcome, and OPA's log has the entry of the same decision id saying the same.
"""

import json
import sys
import time


def lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def allowed(result):
    return result is True or (isinstance(result, dict) and result.get("allow") is True)


def compare(record, entry, expected):
    """What is wrong with this pair, as sentences."""
    binary, target, outcome = expected
    got = f"{record.get('host')}:{record.get('port')}"
    if record.get("binary") != binary:
        yield f"Warder says the caller is {record.get('binary')}, it was {binary}"
    if got != target:
        yield f"Warder says the target is {got}, it was {target}"
    if record.get("decision") != outcome:
        yield f"Warder's outcome is {record.get('decision')} ({record.get('code')}), expected {outcome}"
    if outcome == "deny" and record.get("status") != 403:
        yield f"the client's status was {record.get('status')}, expected 403"
    if entry is None:
        yield f"OPA's log has no entry with decision id {record.get('decision_id')}"
        return
    question = entry.get("input", {})
    if question.get("request_id") != record.get("request_id"):
        yield f"OPA was asked for request {question.get('request_id')}, Warder's is {record.get('request_id')}"
    if question.get("binary") != binary:
        yield f"OPA was asked about {question.get('binary')}"
    if allowed(entry.get("result")) != (outcome == "allow"):
        yield f"OPA's result is {json.dumps(entry.get('result'))}"


def show(record, entry):
    print(f"  decision {record.get('decision_id')}")
    print(f"    warder  {str(record.get('decision')).upper():5} {record.get('binary')} (pid {record.get('pid')}, "
          f"uid {record.get('uid')}) -> {record.get('host')}:{record.get('port')}  status {record.get('status')}, "
          f"{record.get('grade')}, scope {record.get('scope')}")
    print(f"            code {record.get('code')}: {record.get('reason')}")
    if entry is None:
        print("    opa     no such entry")
        return
    question = entry.get("input", {})
    result = entry.get("result")
    said = result.get("reason") if isinstance(result, dict) else result
    print(f"    opa     {'ALLOW' if allowed(result) else 'DENY':5} {question.get('binary')} -> "
          f"{question.get('host')}:{question.get('port')}  path {entry.get('path')}, request {question.get('request_id')}")
    print(f"            says: {said}")


def read(records_path, log_path, wanted):
    """Both logs are written by programs that are still running: waits for them, but not for ever."""
    deadline = time.monotonic() + 20
    while True:
        records = [r for r in lines(records_path) if r.get("event") == "decision"]
        entries = {e["decision_id"]: e for e in lines(log_path) if e.get("decision_id") and "input" in e}
        if (len(records) >= wanted and all(r.get("decision_id") in entries for r in records)) or time.monotonic() > deadline:
            return records, entries
        time.sleep(0.1)


def main():
    records_path, log_path, *expectations = sys.argv[1:]
    expected = [tuple(e.split("=")) for e in expectations]
    records, entries = read(records_path, log_path, len(expected))
    problems = []
    if len(records) != len(expected):
        problems.append(f"Warder has {len(records)} decision records, {len(expected)} expected")
    for record, want in zip(records, expected):
        entry = entries.get(record.get("decision_id"))
        show(record, entry)
        problems += compare(record, entry, want)
    for problem in problems:
        print(f"  WRONG: {problem}")
    return 1 if problems else 0


sys.exit(main())
