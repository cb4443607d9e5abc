"""The ways of passing for another program, and what each has to come to. A case prepares its trick and
yields the program that reads the answer, which has its descriptor back after the order `stage.back`."""

import itertools
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

from conftest import ECHO
from rig.program import Program
from rig.world import GATE

NAMESPACE_OF_ONES_OWN = ("unshare", "--user", "--map-root-user")


@dataclass
class Outcome:
    """What the kernel's own records make of it. `binary`: the attribute of `natives` that is named."""

    grade: str
    assurance: str = "proven"
    causes: tuple = ()
    binary: str | None = None
    reason: str | None = None
    # Whether procfs alone is taken in: it names who it sees, and says that it could not check.
    procfs_is_taken_in: bool = False


@dataclass
class Case:
    name: str
    run: object
    outcome: Outcome
    races: bool
    statuses: bool


CASES = {}
_numbers = itertools.count(1)


def case(name, grade, assurance="proven", *causes, races=True, statuses=True, **more):
    def add(function):
        run = contextmanager(function)
        CASES[name] = Case(name, run, Outcome(grade, assurance, causes, **more), races, statuses)
        return function

    return add


@dataclass
class Stage:
    world: object
    natives: object
    warder: object
    # Between the connection and the trick, in microseconds.
    delay: int = 0
    count: int = 1
    ports: list = field(default_factory=list)
    back: str | None = None
    opener: str | None = None  # the program that connected

    def __post_init__(self):
        # Refusals that are alike are not all told one by one.
        self.host = f"n{next(_numbers)}.v4.test"

    def program(self, path, **more):
        return Program(self.world, more.pop("space", self.world.box), path, **more)

    def open(self, program, *then):
        """`count` connections and their CONNECT heads, and then, as fast as it can, these orders."""
        pause = [f"spin {self.delay}"] if self.delay else []
        self.opener = program.path
        self.ports = program.open(self.warder.address, self.host, ECHO, self.count, then=[*pause, *then])

    def connect(self, program, *then):
        self.opener = program.path
        program.tell(f"connect {GATE} {self.warder.port} {self.count}", *then)
        self.ports = list(map(int, program.hear()[0]))

    def channel(self, taker):
        """Where it takes descriptors from anybody."""
        name = f"channel-{taker.pid}"
        taker.ask(f"wait-at {name}")
        return name


# Copies of the descriptor.


@case("fork without exec", "shared", binary="denied")
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, "fork")
        yield attacker


@case("inherited over exec", "ambiguous")
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, f"fork {stage.natives.allowed}")
        yield attacker


@case("inherited by an unknown program", "ambiguous")
def _(stage):
    with stage.program(stage.natives.allowed) as victim:
        stage.open(victim, f"fork {stage.natives.denied}")
        yield victim


def _given(stage, keep, user=65534):
    with stage.program(stage.natives.denied) as attacker, \
            stage.program(stage.natives.allowed, user=user) as taker:
        path = stage.channel(taker)
        stage.open(attacker, f"give {path} {keep}")
        assert taker.ask("take") == [str(stage.count)]
        yield taker


@case("sent, and kept", "ambiguous")
def _(stage):
    yield from _given(stage, "keep")


@case("sent, and given up", "ambiguous", procfs_is_taken_in=True)
def _(stage):
    yield from _given(stage, "close")


@case("sent to another user", "ambiguous", procfs_is_taken_in=True)
def _(stage):
    yield from _given(stage, "close", user=65533)


@case("copied by pidfd_getfd", "ambiguous", races=False)
def _(stage):
    with stage.program(stage.natives.allowed) as victim, stage.program(stage.natives.denied) as thief:
        stage.open(victim)
        descriptor, = victim.ask("descriptors")
        thief.ask(f"steal {victim.pid} {descriptor}")
        yield victim


# Where no descriptor shows it.


@case("parked", "ambiguous", "suspect", "hidden_holder", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, f"fork {stage.natives.allowed}", "park")
        stage.back = "unpark"
        yield attacker


@case("parked, and nobody else", "unresolved", "suspect", "hidden_holder", reason="owner_not_found")
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, "park")
        stage.back = "unpark"
        yield attacker


@case("a copy parked", "exact", "suspect", "hidden_holder", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.allowed) as victim:
        stage.open(victim, "park-copy")
        yield victim


@case("a copy parked, and a thread that says it polls", "exact", "suspect", "hidden_holder",
      procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.allowed) as victim:
        stage.open(victim, "park-copy", "lie-in-poll")
        yield victim


@case("parked, and io_uring", "ambiguous", "suspect", "hidden_holder", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, f"fork {stage.natives.allowed}", "io_uring close")
        stage.back = "io_uring-back"
        yield attacker


@case("io_uring, and nobody else", "unresolved", "suspect", "hidden_holder", reason="owner_not_found")
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, "io_uring close")
        stage.back = "io_uring-back"
        yield attacker


@case("io_uring beside the descriptor", "exact", "suspect", "hidden_holder", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.allowed) as victim:
        stage.open(victim, "io_uring keep")
        yield victim


# Another program in the same process.


@case("exec after the head", "ambiguous", "suspect", "image_changed", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, f"exec {stage.natives.allowed}")
        yield attacker


@case("exec before the head", "ambiguous", "suspect", "image_changed", procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.connect(attacker, f"exec {stage.natives.allowed}")
        attacker.ask(f"head {stage.host} {ECHO}")
        yield attacker


@case("traced", "exact", "suspect", "traced", binary="allowed", races=False, procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.allowed) as victim, stage.program(stage.natives.denied) as tracer:
        victim.ask("pid")
        tracer.ask(f"trace {victim.pid}")
        stage.open(victim)
        yield victim


# Gone, and somebody else in the place.


@case("client gone", "unresolved", "observed", reason="client_gone", statuses=False)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        stage.open(attacker, "close")
        yield attacker


# Names that are not what they seem.


def _mounted(stage, over, under):
    script = f'mount --bind "{under}" "{over}" && exec "$@"'
    return stage.program(over, wrap=(*NAMESPACE_OF_ONES_OWN, "--mount", "sh", "-c", script, "sh"))


@case("bind mount", "exact", "suspect", "image_exchanged", "alien_path", races=False)
def _(stage):
    with _mounted(stage, stage.natives.allowed, stage.natives.denied) as attacker:
        stage.open(attacker)
        yield attacker


@case("executable set before connecting", "exact", "suspect", "image_exchanged", races=False,
      procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied, wrap=NAMESPACE_OF_ONES_OWN) as attacker:
        attacker.ask(f"set-executable {stage.natives.allowed}")
        assert os.readlink(f"/proc/{attacker.pid}/exe") == stage.natives.allowed
        stage.open(attacker)
        yield attacker


@case("executable set after connecting", "ambiguous", "suspect", "image_changed", "image_exchanged",
      procfs_is_taken_in=True)
def _(stage):
    with stage.program(stage.natives.denied, wrap=NAMESPACE_OF_ONES_OWN) as attacker:
        stage.open(attacker, f"set-executable {stage.natives.allowed}")
        yield attacker


@case("deleted", "exact", "suspect", "image_replaced", races=False)
def _(stage):
    shutil.copy(stage.natives.allowed, stage.natives.replaced)
    with stage.program(stage.natives.replaced) as caller:
        caller.ask("spin 1")
        os.unlink(stage.natives.replaced)
        stage.open(caller)
        yield caller


@case("replaced while it runs", "exact", "suspect", "image_replaced", races=False)
def _(stage):
    shutil.copy(stage.natives.denied, stage.natives.replaced)
    with stage.program(stage.natives.replaced) as attacker:
        attacker.ask("spin 1")
        shutil.copy(stage.natives.allowed, stage.natives.replaced + ".new")
        os.rename(stage.natives.replaced + ".new", stage.natives.replaced)
        stage.open(attacker)
        yield attacker
    os.unlink(stage.natives.replaced)


@case("really named (deleted)", "exact", races=False, binary="named_deleted")
def _(stage):
    stage.natives.named_deleted = stage.natives.allowed + " (deleted)"
    shutil.copy(stage.natives.denied, stage.natives.named_deleted)
    with stage.program(stage.natives.named_deleted) as attacker:
        stage.open(attacker)
        yield attacker
    os.unlink(stage.natives.named_deleted)


@case("file in memory", "exact", "suspect", "image_replaced", races=False)
def _(stage):
    with stage.program(stage.natives.denied) as attacker:
        attacker.ask(f"exec-memory {stage.natives.denied} {stage.natives.allowed}")
        stage.open(attacker)
        yield attacker


@case("name that is not UTF-8", "exact", races=False, binary="odd")
def _(stage):
    path = os.fsencode(stage.natives.allowed) + b"\xff"
    # As it is shown: README of the records.
    stage.natives.odd = stage.natives.allowed + "\\xff"
    shutil.copy(stage.natives.denied, path)
    with stage.program(path) as attacker:
        stage.open(attacker)
        yield attacker
    os.unlink(path)


# No attack: the answer is right all the same, and complete.


@case("first thread has ended", "exact", races=False, binary="allowed")
def _(stage):
    with stage.program(stage.natives.allowed) as caller:
        caller.ask("leave-first-thread")
        stage.open(caller)
        yield caller


@case("thread with a table of its own", "exact", races=False, binary="allowed")
def _(stage):
    with stage.program(stage.natives.allowed) as caller:
        caller.ask("apart")
        stage.open(caller)
        yield caller


@case("half closed", "exact", races=False, binary="allowed")
def _(stage):
    with stage.program(stage.natives.allowed) as caller:
        stage.open(caller, "shutdown")
        yield caller


@case("mapped", "exact", races=False, binary="allowed")
def _(stage):
    with stage.program(stage.natives.allowed) as caller:
        stage.ports = caller.open((f"::ffff:{GATE}", stage.warder.port), stage.host, ECHO)
        yield caller


@case("19,000 descriptors", "exact", races=False, binary="allowed")
def _(stage):
    with stage.program(stage.natives.allowed) as caller, stage.program(stage.natives.denied) as other:
        for program in (caller, other):
            program.ask("fill 19000")
        stage.open(caller)
        yield caller
