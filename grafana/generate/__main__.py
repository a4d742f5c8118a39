"""Write the dashboards' files, and the objects for Kubernetes."""

from __future__ import annotations

from grafana.generate import files, kubernetes

for file, text in (files() | kubernetes.files()).items():
    file.write_text(text, "utf-8")
