"""Simulated Axis devices for `simulate`, `demo` and the tests.

Written from the vendor's reference and the field facts, never from `exporter.vapix`: a misreading
of the protocol must not pass on both sides. The pure parts take the time as a value; sockets live
in `server` alone.
"""
