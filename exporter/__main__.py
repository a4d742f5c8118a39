"""`python -m exporter` is the command `axis-ntp-exporter`."""

from axis_ntp_exporter import main

if __name__ == "__main__":
    main()
