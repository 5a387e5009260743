"""What every test needs: one torch thread, so that parallel tests do not fight over two cores; and no silent skips."""

import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from paretosearch.testing.surgery import relative_change

pytest.register_assert_rewrite("paretosearch.testing.store")  # before anything imports it


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make faults` is asked: which moments, and how many."""
    parser.addoption("--seed", type=int, default=1, help="seed of the moments at which something is killed")
    parser.addoption("--kills", type=int, default=40, help="how many Workers and Launchers are killed in a search")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped something where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("PARETOSEARCH_NOTHING_SKIPPED") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("Something was skipped, and nothing may be: see the reasons below.", red=True)
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def note_change(record_property: Callable[[str, object], None]) -> Callable[[Tensor, Tensor], float]:
    """Measure how far surgery changed a network's outputs, for the test and for the line at the end of a run."""

    def note(before: Tensor, after: Tensor) -> float:
        change = relative_change(before, after)
        record_property(f"surgery {before.dtype}", change)
        return change

    return note


@pytest.fixture
def note_difference(record_property: Callable[[str, object], None]) -> Callable[[str, float], float]:
    """Note how far two ways of computing are apart, for the test and for the line at the end of a run."""

    def note(name: str, difference: float) -> float:
        record_property(f"difference {name}", difference)
        return difference

    return note


@pytest.fixture
def note_fault(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Note what a fault of the fault matrix has cost, for the lines at the end of a run: its row, and the figure."""

    def note(row: str, figure: str) -> None:
        record_property(f"fault {row}", figure)

    return note


#: How many attacks had an effect, of how many: what comes of it is a line of the security matrix.
NoteAttacks = Callable[[int, str, int, int, str], None]


@pytest.fixture
def note_attacks(record_property: Callable[[str, object], None]) -> NoteAttacks:
    """Note figures of the security matrix, for the lines at the end of a run."""

    def note(row: int, effect: str, count: int, of: int, things: str) -> None:
        record_property(f"security {row:02}", [effect, count, of, things])

    return note


#: What is said at the end of a run about all values of a property whose name begins so.
SAID = {
    "surgery ": "outputs changed by at most {most:.1e} of the largest, in {count} cases",
    "difference ": "at most {most:.2g}, in {count} cases",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say by how much surgery changed outputs, how far ways of computing are apart, and what faults have cost."""
    found: dict[str, list[float]] = {}
    faults: list[tuple[str, str]] = []
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name.startswith("fault "):
                faults.append((name.removeprefix("fault "), value))
            elif name.startswith(tuple(SAID)):
                found.setdefault(name, []).append(value)
    for name, values in sorted(found.items()):
        said = next(line for start, line in SAID.items() if name.startswith(start))
        shown = name.removeprefix("difference ").replace("torch.", "")
        terminalreporter.write_line(f"{shown}: {said.format(most=max(values), count=len(values))}")
    for row, figure in sorted(faults, key=lambda fault: (fault[0][0], int(fault[0][1:]))):
        terminalreporter.write_line(f"{row:4}{figure}")
    for line in _security_lines(terminalreporter.stats.get("passed", [])):
        terminalreporter.write_line(line)


def _security_lines(reports: list[pytest.TestReport]) -> Iterator[str]:
    """Give the figures of the security matrix, each added up over its tests."""
    counts: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[tuple[str, str, str]] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name.startswith("security "):
                effect, count, of, things = value
                key = name.removeprefix("security "), effect, things
                counts[key] += count
                totals[key] += of
    for key in sorted(totals):
        row, effect, things = key
        yield f"S{int(row)}: {effect} {counts[key]} of {totals[key]} {things}"
