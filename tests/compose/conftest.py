"""compose.yaml with the override beside this file, on the engine that scripts/compose-test started."""

import os

import pytest
from stack import Stack


def pytest_collection_modifyitems():
    if "COMPOSE_TEST_WORK" not in os.environ:
        raise pytest.UsageError("run scripts/compose-test: it starts the engine and makes the images")


def pytest_sessionfinish(session):
    """A skipped test is a test that did not do its work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def stack():
    """Up as shipped. A test that starts another variant puts this one back."""
    stack = Stack()
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
