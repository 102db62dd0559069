"""bad_input.py - runs every driver against roles that bad_input.sh has started."""
import os
import re

import bad_dns
import bad_http
import bad_http2
import bad_ingress
import bad_objects
import kit
import tap

DESCRIPTORS_MORE = 8  # kept-alive connections among the roles
PEAK_MIB = 600        # the sanitizers' share included
LOG_LINES = 100
OWN_LINE = re.compile(r"(?m)^\S+Z +(?:debug|info|warn|error) ")  # not the access log, which has one for each by its nature
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


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def peak_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s*(\d+)", f.read()).group(1))


before = {pid: descriptors(pid) for _, pid in roles()}
for driver in DRIVERS:
    driver.run()
kit.section("afterwards")
for name, pid in roles():
    if not kit.check(f"{name} is the process it was", lives(pid), open(f"{kit.WORK}/{name}.log").read()[-2000:]):
        continue
    kit.soon(f"{name} keeps no descriptor of those who left", lambda: descriptors(pid) <= before[pid] + DESCRIPTORS_MORE)
    kit.check(f"{name} has never needed more than {PEAK_MIB} MiB", peak_kib(pid) < PEAK_MIB << 10, peak_kib(pid))
    # One line for each bad request would let anybody fill the disk.
    kit.check(f"{name} has not logged each of them", len(OWN_LINE.findall(open(f"{kit.WORK}/{name}.log", errors="replace").read())) < LOG_LINES)
tap.finish()
