"""What every test needs: one torch thread, so that parallel tests do not fight over two cores; and no silent skips."""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from paretosearch.testing.surgery import relative_change


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say by how much surgery changed the outputs of any network."""
    changes: dict[str, list[float]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name.startswith("surgery "):
                changes.setdefault(name, []).append(value)
    for name, values in sorted(changes.items()):
        said = f"outputs changed by at most {max(values):.1e} of the largest, in {len(values)} cases"
        terminalreporter.write_line(f"{name.replace('torch.', '')}: {said}")
