import subprocess
import sys
from pathlib import Path

import pytest

from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.errors import LockedError
from governance_pipeline.paths import Paths

OTHER = """
import sys
from pathlib import Path
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.paths import Paths
with writer_lock(Paths(Path(sys.argv[1])), "the nightly run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        said = rf"the nightly run, process {other.pid}, since"
        with pytest.raises(LockedError, match=said), writer_lock(Paths(tmp_path), "me"):
            pass
        other.communicate()
    with writer_lock(Paths(tmp_path), "me"):
        pass


def test_a_command_may_hold_the_lock_around_its_own_runs(tmp_path: Path) -> None:
    with writer_lock(Paths(tmp_path), "outer"):
        with writer_lock(Paths(tmp_path), "inner"):
            pass
        assert "outer" in (tmp_path / "writer.holder").read_text()
    assert not (tmp_path / "writer.holder").exists()


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
    with writer_lock(Paths(tmp_path), "me", wait_seconds=5):
        pass
