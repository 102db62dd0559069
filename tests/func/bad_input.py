"""bad_input.py - runs every driver against roles that bad_input.sh has started."""
import os
import re
import sys

import bad_dns
import bad_http
import bad_http2
import bad_ingress
import bad_objects
import kit

DRIVERS = (bad_objects, bad_http, bad_http2, bad_ingress, bad_dns)


def roles():
    """[(name, pid)] as they were started."""
    with open(f"{kit.WORK}/pids") as f:
        return re.findall(r'\[(\w+)\]="(\d+)"', f.read())


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except FileNotFoundError:
        return False


for driver in DRIVERS:
    driver.run()
kit.section("afterwards")
for name, pid in roles():
    kit.check(f"{name} is the process it was", lives(pid), open(f"{kit.WORK}/{name}.log").read()[-2000:])
print(f"1..{kit.passed + kit.failed}")
print(f"{kit.passed} passed, {kit.failed} failed")
sys.exit(kit.failed > 0)
