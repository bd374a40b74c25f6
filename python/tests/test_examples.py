"""Runs the Python examples of the README, docs/python.md and the notebook unchanged, and measures the package's import time."""

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


def test_the_pages_blocks_run(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs/python.md").read_text()
    blocks = [part.split("```", 1)[0] for part in text.split("```python\n")[1:]]
    assert len(blocks) >= 2
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr


def test_the_notebook_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(REPOSITORY / "examples/lapidary.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    # Devices, the attack's table, counterfactuals, samples, the run's report.
    assert len(pages) == 5
    assert all("<table>" in page or "<img" in page or "<iframe" in page for page in pages)


def test_the_import_is_quick() -> None:
    script = "import numpy, time; began = time.perf_counter(); import lapidary; print(time.perf_counter() - began)"

    def seconds() -> float:
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return float(run.stdout)

    # The best of some: the first reads the file from disk.
    assert min(seconds() for _ in range(5)) < 0.3
