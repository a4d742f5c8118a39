"""Hostile devices, visitors and files: none of them stops the rest."""
