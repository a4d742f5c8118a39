"""The host and the process: files, signals, logs, terminal, text."""
