"""What MkDocs does beside reading `docs/`.

The charts and the changelog come from where the project keeps them. Docstrings announce code with two colons, which
Markdown shows.
"""

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


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001 MkDocs names them
    """Show one colon where a docstring has two before its code."""
    return html.replace("<p>::</p>\n", "").replace("::</p>", ":</p>")
