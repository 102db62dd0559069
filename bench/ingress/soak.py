"""soak.py - what soak.sh runs."""
import os
import re
import socket
import subprocess
import sys
import time

from proxy_kit import DEADLINE, WORK, Folder, Proxy, certificate, free_port

MINUTES, IDLE, CLIENTS = float(os.environ["MINUTES"]), int(os.environ["IDLE"]), int(os.environ["CLIENTS"])
SAMPLE_S = 10
CHANGE_S = 0.1
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

folder = Folder()
ports = [free_port() for _ in range(3)]
subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", f"{WORK}/backend", f"{os.environ['HERE']}/backend.c"], check=True)
backends = [subprocess.Popen([f"{WORK}/backend", str(p), "100"]) for p in ports]
certificates = [certificate("a.example", f"n{i}.example") for i in range(3)]
folder.secret("a", *certificates[0])
folder.service("a", *ports)
folder.ingress("a", "a.example", "a", secret="a", ssl_redirect="false")
folder.globals(keep_alive=3600, upstream_keepalive_timeout=5)
proxy = Proxy(folder)
proxy.ready()


def change(i):
    if i % 4 == 0:
        folder.service("a", *[ports[(i // 4 + k) % 3] for k in range(2)])
    elif i % 4 == 1:
        folder.secret("a", *certificates[i // 4 % 3])
    elif i % 4 == 2:
        folder.ingress("a", "a.example", "a", secret="a", ssl_redirect="false", proxy_read_timeout=60 + i % 100)
    else:
        folder.ingress(f"more{i % 100}", f"m{i % 1000}.example", "a")


def cpu_s():
    with open(f"/proc/{proxy.pid}/stat") as f:
        v = f.read().rsplit(") ", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def hold():
    s = socket.create_connection(("127.0.0.1", proxy.http), DEADLINE)
    s.sendall(GET)
    if b" 200 " not in s.recv(4096):
        raise RuntimeError("an idle connection got no answer")
    return s


def sample(what):
    top = proxy.top()
    print(f"| {what} | {proxy.rss_kib() / 1024:.1f} | {proxy.descriptors()} | {sum(e['inFlight'] for e in top['endpoints'])} | {top['totals']['requests']:,} | {cpu_s():.1f} |", flush=True)


def load(seconds):
    return subprocess.Popen(["wrk", "-t1", f"-c{CLIENTS}", f"-d{int(seconds)}s", "-H", "Host: a.example", "-H", "Connection: close",
                             f"http://127.0.0.1:{proxy.http}/"], stdout=subprocess.PIPE, text=True)


failed = []
try:
    load(3).wait()
    time.sleep(12)  # until those to the backends have gone
    before = proxy.rss_kib(), proxy.descriptors() + 8
    print("| at | MiB | descriptors | in flight | requests | CPU s |\n|---|--:|--:|--:|--:|--:|")
    sample("start, warm")
    idle = [hold() for _ in range(IDLE)]
    sample(f"{IDLE} idle")
    started = time.monotonic()
    wrk, n, at = load(MINUTES * 60), 0, time.monotonic() + SAMPLE_S
    rss = []
    while wrk.poll() is None:
        change(n)
        n += 1
        time.sleep(CHANGE_S)
        if time.monotonic() >= at:
            at += SAMPLE_S
            rss.append(proxy.rss_kib())
            if len(rss) % max(1, int(MINUTES)) == 0:
                sample(f"{time.monotonic() - started:.0f} s")
    out = wrk.stdout.read()
    lost = 0
    for s in idle:
        s.sendall(GET)
        lost += b" 200 " not in s.recv(4096)
    for s in idle:
        s.close()
    end = time.monotonic() + 3 * DEADLINE  # kept connections to backends have to go, too
    while time.monotonic() < end and (proxy.descriptors() > before[1] or proxy.in_flight()):
        time.sleep(0.05)
    sample("after")
    requests = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec: *(\S+)", out)
    print(f"{n} changes; {requests.group(1)} requests on connections of their own, {rate.group(1)} a second; {lost} of {IDLE} idle connections lost")
    failed += [line.strip() for line in out.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    failed += [f"{lost} idle connections were lost"] * bool(lost)
    failed += [f"descriptors: {before[1]} before, {proxy.descriptors()} after"] * (proxy.descriptors() > before[1])
    failed += [f"memory: {before[0]} KiB before, {proxy.rss_kib()} after"] * (proxy.rss_kib() > before[0] + (16 << 10))
    failed += ["something is in flight"] * bool(proxy.in_flight())
finally:
    for b in backends:
        b.kill()
    proxy.kill()
print("\n".join(f"FAILED: {f}" for f in failed) or "nothing failed")
sys.exit(bool(failed))
