"""Servers on the loopback interface in place of the real services, for the unmodified official clients."""
