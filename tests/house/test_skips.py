"""The judge of skips in tests/conftest.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
ELSEWHERE = "only on POSIX" if sys.platform == "win32" else "only on Windows"
HERE = "only on Windows" if sys.platform == "win32" else "only on POSIX"
TESTS = f"""
import pytest

@pytest.mark.skip(reason="{ELSEWHERE}: locks")
def test_true_reason(): pass

@pytest.mark.xfail(strict=True)
def test_expected_failure(): assert False

@pytest.mark.skip(reason="no time")
def test_unknown_reason(): pass

def test_unknown_reason_inside(): pytest.skip("no time")

@pytest.mark.skip(reason="{HERE}: locks")
def test_reason_untrue_here(): pass
"""


@pytest.fixture(params=["true", ""], ids=["on CI", "at home"])
def run(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[bool, subprocess.CompletedProcess[str]]:
    """What pytest says of those tests, and of a file that skips as a whole, under our conftest."""
    (tmp_path / "conftest.py").write_bytes(CONFTEST.read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (tmp_path / "test_tests.py").write_text(TESTS, "utf-8")
    (tmp_path / "test_file.py").write_text(
        "import pytest\npytest.importorskip('no_such_module')\n", "utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-rfE", "--continue-on-collection-errors"]
    command += ["-p", "no:cacheprovider"]
    environment = {**os.environ, "CI": request.param}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    return request.param == "true", ran


def test_only_a_true_and_listed_reason_skips_on_ci(
    run: tuple[bool, subprocess.CompletedProcess[str]],
) -> None:
    on_ci, ran = run
    named = set(re.findall(r"^(?:ERROR|FAILED) test_\w+\.py(?:::(\w+))?", ran.stdout, re.MULTILINE))
    holes = {"", "test_unknown_reason", "test_unknown_reason_inside", "test_reason_untrue_here"}
    assert named == (holes if on_ci else set()), ran.stdout
    assert (ran.returncode != 0) == on_ci
