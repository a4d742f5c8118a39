"""Explain one poll of a device to a person: everything that it shows, and what to do."""
