"""What MkDocs does beside reading `docs/`: the charts and the changelog come from where the project keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    """Add the charts of the benchmarks, and the changelog as a page."""
    for chart in sorted((ROOT / "benchmarks" / "charts").iterdir()):
        files.append(File.generated(config, f"charts/{chart.name}", abs_src_path=str(chart)))
    changelog = (ROOT / "CHANGELOG.md").read_text()
    files.append(File.generated(config, "changelog.md", content=changelog))
    return files
