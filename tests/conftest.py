"""What every test needs: one torch thread, so that parallel tests do not fight over two cores; and no silent skips."""

import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped something where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("PARETOSEARCH_NOTHING_SKIPPED") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("Something was skipped, and nothing may be: see the reasons below.", red=True)
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
