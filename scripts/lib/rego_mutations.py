"""Removes one condition of one rule of the policy package after the other, and one clause of several, and runs
the package's tests: whatever can go without a test that breaks is not tested.

What is said to be there for speed alone (a comment above it) may go.

usage: rego_mutations.py [--sample N] [--seed N] [--jobs N] [FILE…]     (all of rego/egress without FILE)
"""

import argparse
import base64
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "rego"
Mutant = collections.namedtuple("Mutant", "file start end row text kind")


def parsed(path):
    text = subprocess.run(
        ["opa", "parse", "--format", "json", "--json-include", "locations", path], check=True, capture_output=True
    ).stdout
    return json.loads(text)


def expressions(node):
    """Every condition below `node`, those of comprehensions and of `every` too."""
    if isinstance(node, dict):
        if "terms" in node and "index" in node:
            yield node
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def mutants_of(path):
    source = path.read_bytes()
    lines, rows = [0], source.split(b"\n")
    for line in rows:
        lines.append(lines[-1] + len(line) + 1)

    def place(location):
        start = lines[location["row"] - 1] + location["col"] - 1
        text = base64.b64decode(location["text"])
        return start, text if source.startswith(text, start) else b""

    tree = parsed(path)
    found = {}
    for expression in expressions(tree.get("rules", [])):
        start, text = place(expression["location"])
        row = expression["location"]["row"]
        if text and text != b"true" and b"# For speed alone." not in rows[row - 2]:
            found[start, len(text)] = Mutant(path.name, start, start + len(text), row, text.decode(), "condition")
    names = collections.Counter(rule["head"].get("name") or json.dumps(rule["head"]["ref"]) for rule in tree["rules"])
    for rule in tree["rules"]:
        start, text = place(rule["location"])
        if b"# For speed alone." in rows[rule["location"]["row"] - 2]:
            continue
        if names[rule["head"].get("name") or json.dumps(rule["head"]["ref"])] > 1 and text:
            found[start, len(text), "clause"] = Mutant(path.name, start, start + len(text), rule["location"]["row"], text.decode(), "clause")
    return list(found.values())


# Which tests are likely to break, where they are not in <file>_test.rego: they are run first.
LIKELY = {"mistakes.rego": "problems", "index.rego": "problems", "overlaps.rego": "problems", "candidates.rego": "problems"}


def likely_tests(file):
    path = PACKAGE / "egress" / f"{LIKELY.get(file, Path(file).stem)}_test.rego"
    return "|".join(re.findall(r"^test_\w+", path.read_text(), re.MULTILINE))


def outcome(mutant):
    """"killed" by a test, "needed" where the package doesn't compile without it, or "survived"."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rego"
        shutil.copytree(PACKAGE, copy)
        path = copy / "egress" / mutant.file
        source = path.read_bytes()
        instead = b"true" if mutant.kind == "condition" else b""
        path.write_bytes(source[:mutant.start] + instead + source[mutant.end:])
        for tests in (f"[.]({likely_tests(mutant.file)})$", "."):
            run = subprocess.run(["opa", "test", "--timeout", "120s", "--run", tests, copy], capture_output=True, text=True)
            if run.returncode != 0:
                return "killed" if "FAIL: " in run.stdout or "ERROR: " in run.stdout else "needed"
    return "survived"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sample", type=int)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("files", nargs="*", type=Path)
    options = arguments.parse_args()
    files = options.files or sorted(path for path in (PACKAGE / "egress").glob("*.rego") if not path.stem.endswith("_test"))
    mutants = [mutant for path in files for mutant in mutants_of(path)]
    total = len(mutants)
    if options.sample and options.sample < total:
        mutants = random.Random(options.seed).sample(mutants, options.sample)
        print(f"{len(mutants)} of {total} mutants, --seed {options.seed}", flush=True)
    counts = collections.Counter()
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, result in zip(mutants, pool.map(outcome, mutants)):
            counts[result] += 1
            if result == "survived":
                print(f"survived: {mutant.file}:{mutant.row}: without the {mutant.kind} {mutant.text!r}", flush=True)
    print(f"mutations: {len(mutants)} of {total} tried, {counts['killed']} broke a test, "
          f"{counts['needed']} don't compile, {counts['survived']} survived")
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
