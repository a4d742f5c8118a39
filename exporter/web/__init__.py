"""Everything the exporter serves over HTTP."""
