"""SIGKILL at random moments; the long version is tests/benchmarks/session_kills.py."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_killed_at_random_moments_loses_nothing(pytestconfig):
    """In a process of its own: the victims are forks, and pytest's other threads would come along."""
    script = pytestconfig.rootpath / "tests/benchmarks/session_kills.py"
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "5", "--seed", "7"],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 losses" in done.stdout
