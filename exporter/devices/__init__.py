"""What is known about one device."""
