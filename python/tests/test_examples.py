"""What the documentation shows, run as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_readme_runs() -> None:
    text = (REPOSITORY / "python/README.md").read_text()
    block = text.split("```python\n", 1)[1].split("```", 1)[0]
    assert block in (REPOSITORY / "examples/python/first_steps.py").read_text()
    run = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert 0.5 < float(lines[1]) < 1.0 and lines[-1] == "(2, 1, 16, 16)"


def test_the_import_is_quick() -> None:
    script = "import numpy, time; began = time.perf_counter(); import lapidary; print(time.perf_counter() - began)"

    def seconds() -> float:
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return float(run.stdout)

    # The best of some: the first reads the file from disk.
    assert min(seconds() for _ in range(5)) < 0.3
