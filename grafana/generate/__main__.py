"""Write the dashboards' files."""

from __future__ import annotations

from grafana.generate import files

for file, text in files().items():
    file.write_text(text, "utf-8")
