"""`python -m exporter` is the command `axis-ntp-exporter`."""

from exporter.cli import main

if __name__ == "__main__":
    main()
