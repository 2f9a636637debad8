"""What many tests need: a demo market, made once for all of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

pytest_plugins = ["tests.postgres"]  # postgres_server, postgres_url

Governance = Callable[..., subprocess.CompletedProcess[str]]


def run_governance(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in a process of its own."""
    command = Path(sys.executable).with_name("governance")
    return subprocess.run(
        [str(command), "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a whole demo; nobody may write to it."""
    return _demo(tmp_path_factory)


@pytest.fixture
def own_demo(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """The home of a whole demo, to write to."""
    # Copied from a twin that nobody opens: a reader's lock and log files come and go meanwhile.
    twin = _demo(tmp_path_factory).with_suffix(".twin")
    return Path(shutil.copytree(twin, tmp_path / "home", symlinks=True))


def _demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Workers of one run share a parent folder; a run without workers is alone in its own.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-demo"
    with FileLock(f"{shared}.lock"):
        done = shared.with_suffix(".done")
        if not done.exists():
            made = run_governance(shared, "demo")
            assert made.returncode == 0, made.stderr
            shutil.copytree(shared, shared.with_suffix(".twin"), symlinks=True)
            done.write_text(made.stdout)
    return shared
