"""What holds for every test: no skip on a CI machine but for a reason that is true there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Generator

import pytest
from hypothesis import settings

CI = os.environ.get("CI") == "true"

if not CI:  # there Hypothesis loads its own profile, which says this and draws the same examples
    # Two busy cores, or Wine, make a wall clock say nothing about the code.
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")


def _is_wine() -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.windll.ntdll, "wine_get_version")


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _has_peers() -> bool:
    # Debian keeps nginx where only root's shell looks.
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    peers = ("nginx", "curl", "openssl", "rsync", "zsync", "casync", "xdelta3", "zstd")
    return all(shutil.which(peer, path=path) for peer in peers)


# How a skip's reason may begin, and when that is true. Any other skip is a hole in the run.
REASONS: dict[str, Callable[[], bool]] = {
    "only on Windows": lambda: sys.platform != "win32",
    "only on POSIX": lambda: sys.platform == "win32",
    "only on Linux": lambda: sys.platform != "linux",
    "only on macOS": lambda: sys.platform != "darwin",
    "not under Wine": _is_wine,
    "not as root": _is_root,
    "needs a GPU": lambda: shutil.which("nvidia-smi") is None,
    "needs the bench's peers": lambda: not _has_peers(),
    "needs PowerShell": lambda: shutil.which("pwsh") is None and shutil.which("powershell") is None,
    # The test itself has just tried, on the volume it was given.
    "needs reflinks": lambda: True,
    "needs IPv6": lambda: True,
    "needs mounts": lambda: True,
    "needs a volume that can be mounted": lambda: True,
    "needs a case-sensitive volume": lambda: sys.platform in ("win32", "darwin"),
}


def _is_allowed(reason: str) -> bool:
    return any(reason.startswith(start) and true() for start, true in REASONS.items())


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that should have run into a failure."""
    if not (CI and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not _is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"skipped, but should have run here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skipped."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file that skipped, for example by importorskip."""
    report = yield
    _judge(report)
    return report
