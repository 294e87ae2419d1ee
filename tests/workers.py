"""How ``pytest -n auto`` shares the tests between processes."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

BROWSER = "tests/browser/"
#: The browser tests keep one process busy nearly to the end, so more than three for the others gain nothing.
MOST = 4


class ByFile(LoadScopeScheduling):
    """Every file is run by one process, which makes shared fixtures once; all browser tests are run by the same.

    Two browsers and two kernels on two processors would make every click late.
    """

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else nodeid.partition("::")[0]

    def remove_node(self, node: Any) -> str | None:
        """Return the test that ended the process, which has failed: tried again, it would end the next process too."""
        given = self.assigned_work[node]
        left = [(scope, test) for scope, unit in given.items() for test, done in unit.items() if not done]
        for scope, test in left[:1]:
            given[scope][test] = True
        self.assigned_work[node] = {scope: given[scope] for scope, _ in left[1:]}
        super().remove_node(node)
        return left[0][1] if left else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # it would begin with the file of the most tests
    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """At least two: browser tests wait half of the time, and the others run meanwhile."""
    return max(2, min(MOST, os.cpu_count() or 1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser tests take longest, so they begin."""
    items.sort(key=lambda item: not item.nodeid.startswith(BROWSER))
