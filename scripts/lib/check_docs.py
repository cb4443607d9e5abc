"""Checks the documents: links inside the tree lead somewhere, and the README's commands are run by a test."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"build", ".git", "node_modules"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Run by the stage of the same name, or by whoever reads this line.
RUN_BY_CI = {"./scripts/setup", "./scripts/demo", "./scripts/test", "./scripts/test quick"}


def documents():
    for path in sorted(ROOT.rglob("*.md")):
        if not SKIPPED.intersection(path.relative_to(ROOT).parts):
            yield path


def dead_links(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        if not (path.parent / target.split("#")[0]).exists():
            yield f"{path.relative_to(ROOT)}: link to {target}, which does not exist"


def commands(path):
    for language, body in FENCE.findall(path.read_text(encoding="utf-8")):
        if language in ("sh", "bash", "shell"):
            for line in body.splitlines():
                command = line.split(" #")[0].strip()
                if command:
                    yield command


def untested_commands(path):
    tested = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("scripts/stages", "tests/system")
        for file in sorted((ROOT / folder).rglob("*"))
        if file.is_file() and file.suffix in ("", ".py", ".sh")
    )
    for command in commands(path):
        if command not in RUN_BY_CI and command not in tested:
            yield f"{path.name}: no stage or system test runs: {command}"


def first_column(section):
    """The words in the first column of docs/codes.md's table that begins with `section`."""
    text = (ROOT / "docs/codes.md").read_text(encoding="utf-8")
    table = re.search(rf"^\| {section} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return set(re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE)) if table else set()


def codes_out_of_step():
    """docs/codes.md names the codes that the sources answer with: no more, no fewer."""
    documented = first_column("code")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "proxy").glob("*.cc"), ROOT / "net/error.cc"])
    for code in sorted(documented - set(re.findall(r'"(\w+)"', sources))):
        yield f"docs/codes.md: {code} is in no source file"
    answered = re.findall(r'(?:refuse\(Verdict::\w+, |refuse_request\(\d+, |code = |return leave\()"(\w+)"', sources)
    for code in sorted(set(answered) - documented):
        yield f"docs/codes.md: {code} is missing"


def words_out_of_step():
    """Likewise the words an identity is told in."""
    names = (ROOT / "identity/identity.cc").read_text(encoding="utf-8")
    for word in ("Grade", "Assurance", "Cause", "Reason"):
        known = set(re.findall(rf'case {word}::\w+: return "(\w+)"', names))
        documented = first_column(word.lower())
        for name in sorted(known ^ documented):
            yield f"docs/codes.md: {word.lower()} {name} is {'missing' if name in known else 'in no source file'}"


def main():
    readme = ROOT / "README.md"
    problems = [problem for path in documents() for problem in dead_links(path)]
    problems += untested_commands(readme)
    problems += codes_out_of_step()
    problems += words_out_of_step()
    for needed in ("./scripts/demo", "./scripts/test"):
        if needed not in set(commands(readme)):
            problems.append(f"README.md: does not say how to run {needed}")
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
