"""Putting devices right: what is to change, the change, what is told and kept of it.

The only code that changes a device. The daemon never imports it.
"""
