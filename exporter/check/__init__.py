"""One look at a device, for a person: everything that a single poll shows, and what to do."""
