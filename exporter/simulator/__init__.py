"""Simulated Axis devices for `simulate`, `demo` and the tests.

Written from the vendor's reference and from observed devices, never from `exporter.vapix`: the
same misreading of the protocol must not hide in both. The protocol code gets the time as a value;
only `server` opens sockets.
"""
