"""ports.py - ports for servers that are started later.

Not of those that the kernel gives to whoever binds port 0 or connects: until the server listens, any other socket of the machine
could get it.
"""
import itertools
import random
import socket

FIRST, END = 20000, 30000  # below net.ipv4.ip_local_port_range, and below NodePorts
PORTS = itertools.cycle(random.sample(range(FIRST, END), END - FIRST))


def is_free(port, kind):
    with socket.socket(socket.AF_INET, kind) as s:
        try:
            s.bind(("", port))  # in the way of [::], too
        except OSError:
            return False
    return True


def free_port():
    """For TCP and UDP, on any address; another one each time."""
    return next(p for p in PORTS if is_free(p, socket.SOCK_STREAM) and is_free(p, socket.SOCK_DGRAM))
