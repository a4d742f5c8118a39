"""VAPIX: the vendor API of Axis devices, as far as it concerns NTP."""
