"""What tests say for everybody to read is printed at the end, whichever process ran them."""

import pytest

import engine.folding  # first of all: a command under test must not leave the fold uncompiled

assert engine.folding


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "says":
                terminalreporter.write_line(value)


@pytest.fixture
def say(record_property):
    """A function that notes a line for the summary."""
    return lambda line: record_property("says", line)
