"""ingress_slow.py - clients that take their time, and very many that say nothing.

A slow head and a slow body end with 408, one that makes progress does not; a slow reader costs a bounded amount of
memory; as many idle connections as descriptors allow leave room for those who ask.
"""
import os
import resource
import shutil
import socket
import struct
import subprocess
import time

import tap
from proxy_kit import DEADLINE, WORK, Folder, Proxy, Recorder, any_certificate, free_port
from tap import Raw, check, responses, section, soon

HERE = os.path.dirname(os.path.abspath(__file__))
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
PROXY_DESCRIPTORS = min(4096, HARD // 2)
BIG = 64 << 20  # of an answer that is read slowly
HEADER_S = BODY_S = 2

folder = Folder()
good = Recorder()
big = Recorder(lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + b"x" * BIG)
folder.service("good", good.port)
folder.service("big", big.port)
folder.ingress("good", "ok.example", "good", proxy_body_size="10m")
folder.ingress("big", "big.example", "big")
folder.ingress("hasty", "hasty.example", "big", proxy_read_timeout=1)
folder.globals(client_header_timeout=HEADER_S, client_body_timeout=BODY_S, keep_alive=60, keep_alive_requests=10000000)
proxy = Proxy(folder, descriptors=PROXY_DESCRIPTORS)
proxy.ready()
GET = b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n"


def get():
    with Raw(proxy.http) as r:
        r.send(GET)
        r.until(lambda got: responses(got)[0])
        return [a[0] for a in responses(r.got)[0]] == [200]


def slow_heads_and_bodies():
    section("slow heads and bodies")
    heads = [Raw(proxy.http) for _ in range(200)]
    bodies = [Raw(proxy.http) for _ in range(50)]
    chunks = [Raw(proxy.http) for _ in range(50)]
    steady, tls = Raw(proxy.http), Raw(proxy.https, any_certificate())
    handshake = socket.create_connection(("127.0.0.1", proxy.https))
    handshake.sendall(b"\x16\x03\x01")
    silent = socket.create_connection(("127.0.0.1", proxy.http))
    started = time.monotonic()
    for r in heads:
        r.send(b"GET / HTTP/1.1\r\nHost: ok.exa")
    tls.send(b"GET / HTTP/1.1\r\n")
    for r in bodies:
        r.send(b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 100\r\n\r\nabc")
    for r in chunks:
        r.send(b"POST / HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    steady.send(b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 7\r\n\r\n")
    worst = 0.0
    for i in range(7):  # those who drip a header go on with it; a body that goes on in time is not late
        for r in heads:
            r.send(b"X-%d: y\r\n" % i if i else b"mple\r\n")
        steady.send(b"x")
        at = time.monotonic()
        check(f"another is answered beside 300 slow ones, {i}", get(), "")
        worst = max(worst, time.monotonic() - at)
        time.sleep(0.6)
    print(f"# the slowest of those took {worst * 1000:.0f} ms")
    for name, all_of in (("heads that drip", heads + [tls]), ("bodies that stop", bodies), ("chunks that stop", chunks)):
        for r in all_of:
            r.until(lambda got: False, 0.5)
        check(f"{name}: 408 and the end, each", all(r.ended and [a[0] for a in responses(r.got)[0]] == [408] for r in all_of), [(r.ended, r.got[:60]) for r in all_of[:3]])
    steady.until(lambda got: responses(got)[0])
    check("a body of a byte each 0.6 s, four seconds long, is no slow one", [a[0] for a in responses(steady.got)[0]] == [200], steady.got[:100])
    for name, s in (("half a TLS hello", handshake), ("a connection without a word", silent)):
        s.settimeout(DEADLINE)
        try:
            ended = s.recv(100) == b""
        except OSError:
            ended = True
        check(f"{name}: is ended", ended, "")
        s.close()
    print(f"# {time.monotonic() - started:.1f} s")
    for r in heads + bodies + chunks + [steady, tls]:
        r.close()


def half_close():
    section("half-close")
    for name, data in (("GET", GET), ("POST", b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 3\r\n\r\nabc"), ("two", GET + GET)):
        with Raw(proxy.http) as r:
            r.send(data)
            r.sock.shutdown(socket.SHUT_WR)
            r.until(lambda got: False, 3)
            check(f"{name}, then the client's end: answered all the same, then the end", [a[0] for a in responses(r.got)[0]] == [200] * data.count(b"Host") and r.ended, (r.ended, r.got[:300]))
    lost = 0
    for _ in range(300):  # its end and its answer meet in one turn of the loop now and then
        with Raw(proxy.http) as r:
            r.send(GET + GET)
            r.sock.shutdown(socket.SHUT_WR)
            r.until(lambda got: False, 3)
            lost += len(responses(r.got)[0]) != 2
    check("three hundred times", lost == 0, lost)
    before = len(good.seen)
    with Raw(proxy.http) as r:
        r.send(b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 100\r\n\r\nabc")
        r.sock.shutdown(socket.SHUT_WR)
        r.until(lambda got: False, 3)
        check("an end within a body: no answer as if it were whole, and the end", r.ended and [a[0] for a in responses(r.got)[0]] in ([], [400]) and not [s for s in good.seen[before:] if s.complete], r.got[:300])


def slow_readers():
    section("slow readers of a long answer")
    before = proxy.rss_kib()
    readers = []
    for i in range(16):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", proxy.https if i % 2 else proxy.http))
        s = any_certificate().wrap_socket(raw, server_hostname="big.example") if i % 2 else raw
        s.sendall(b"GET / HTTP/1.1\r\nHost: big.example\r\n\r\n")
        readers.append(s)
    end = time.monotonic() + 2
    times, peak = [], 0
    while time.monotonic() < end:
        for s in readers:
            s.recv(512)
        at = time.monotonic()
        ok = get()
        times.append(time.monotonic() - at if ok else DEADLINE)
        peak = max(peak, proxy.rss_kib())
    check("others are served meanwhile", max(times) < 1, max(times))
    check(f"16 readers of {BIG >> 20} MB cost less than 2 MB each", peak - before < 16 * 2048, (before, peak))
    print(f"# memory {before} -> {peak} KiB; the slowest of {len(times)} others took {max(times) * 1000:.0f} ms")
    for s in readers:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    soon("they are forgotten", lambda: proxy.in_flight() == 0)


def stalled_readers():
    """proxy-read-timeout is the upstream's: it has sent all it could."""
    section("readers that stop for longer than proxy-read-timeout")
    for tls in (False, True):
        for _ in range(20):  # the upstream is in this process: on a busy machine it may be late itself
            raw = socket.create_connection(("127.0.0.1", proxy.https if tls else proxy.http))
            s = any_certificate().wrap_socket(raw, server_hostname="hasty.example") if tls else raw
            s.settimeout(DEADLINE)
            s.sendall(b"GET / HTTP/1.1\r\nHost: hasty.example\r\nConnection: close\r\n\r\n")
            head = s.recv(1000)
            if b" 504 " not in head[:20]:
                break
            s.close()
        got = len(head)
        for pause in (3.5, 2.5):
            time.sleep(pause)
            got += len(s.recv(100000))
        while part := s.recv(1 << 20):
            got += len(part)
        check(f"{'TLS' if tls else 'plain'}: the whole answer", got > BIG, got)
        s.close()


def used():
    """CPU seconds of the proxy so far."""
    with open(f"/proc/{proxy.pid}/stat") as f:
        v = f.read().rsplit(") ", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def idle():
    section(f"idle connections up to the limit of {PROXY_DESCRIPTORS} descriptors")
    held, kept = [], 0
    memory = proxy.rss_kib()
    count = PROXY_DESCRIPTORS * 7 // 8 - 100
    for i in range(count):
        s = socket.create_connection(("127.0.0.1", proxy.http))
        s.sendall(GET)
        held.append(s)
        if i % 64 == 63 or i == count - 1:
            for t in held[kept:]:
                t.settimeout(DEADLINE)
                kept += b" 200 " in t.recv(4096)
    check(f"{len(held)} connections, each with its answer", kept == len(held), kept)
    print(f"# {len(held)} idle connections: {(proxy.rss_kib() - memory) * 1024 // len(held)} bytes each")
    check("one more is answered", get(), "")
    busy = [Raw(proxy.http) for _ in range(20)]
    for r in busy:  # half a request each: they are not idle
        r.send(b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 82\r\n\r\n")
    over, wrong = [], 0
    for i in range(800):  # far past the limit
        for r in busy if i % 10 == 0 else ():  # or their bodies would be late
            r.send(b"x")
        s = socket.create_connection(("127.0.0.1", proxy.http), DEADLINE)
        s.sendall(GET)
        wrong += b" 200 " not in s.recv(4096)
        over.append(s)
    check("past the limit, those who ask are served: idle ones make room", wrong == 0, wrong)
    check("the proxy stays within it", proxy.descriptors() < PROXY_DESCRIPTORS, proxy.descriptors())
    for r in busy:
        r.send(b"yz")
        r.until(lambda got: responses(got)[0])
    check("who has a request under way is not the one to go", all([a[0] for a in responses(r.got)[0]] == [200] for r in busy), [r.got[:80] for r in busy])
    at = used()
    time.sleep(1)
    check("at the limit it does not spin", used() - at < 0.5, used() - at)
    for s in held + over + busy:
        s.close()
    soon("afterwards new ones are served", get)
    soon("and all descriptors are back", lambda: proxy.descriptors() < 200)


def many():
    section("a connection for each request, as fast as it goes")
    if not shutil.which("wrk"):
        print("# skipped: no wrk (tools/setup.sh --tests)")
        return
    backend = f"{WORK}/backend"
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", backend, f"{HERE}/../../bench/ingress/backend.c"], check=True)
    port = free_port()
    p = subprocess.Popen([backend, str(port), "100"])
    try:
        folder.service("fast", port)
        folder.ingress("fast", "fast.example", "fast")
        memory, descriptors = proxy.rss_kib(), proxy.descriptors()

        def there():
            with Raw(proxy.http) as r:
                r.send(b"GET / HTTP/1.1\r\nHost: fast.example\r\n\r\n")
                r.until(lambda got: responses(got)[0])
                return b" 200 " in r.got[:20]
        soon("the rule is there", there)
        out = subprocess.run(["wrk", "-t1", "-c64", "-d5s", "-H", "Host: fast.example", "-H", "Connection: close", f"http://127.0.0.1:{proxy.http}/"],
                             capture_output=True, text=True).stdout
        bad = [line for line in out.splitlines() if "Non-2xx" in line or "Socket errors" in line]
        check("no error", not bad and "requests in" in out, out)
        print("# " + "; ".join(line.strip() for line in out.splitlines() if "Requests/sec" in line or "requests in" in line))
        soon("descriptors are back", lambda: proxy.descriptors() <= descriptors + 150)
        check("memory is bounded", proxy.rss_kib() < memory + (8 << 10), (memory, proxy.rss_kib()))
        if shutil.which("h2load"):
            out = subprocess.run(["h2load", "-t1", "-c8", "-m16", "-n20000", "--connect-to", f"127.0.0.1:{proxy.https}", "https://fast.example/"], capture_output=True, text=True).stdout
            check("HTTP/2: 20,000 requests, all answered", "20000 succeeded, 0 failed, 0 errored" in out, out)
        if shutil.which("curl"):
            got = subprocess.run(["curl", "-sk", "--http2", "--connect-to", f"fast.example:443:127.0.0.1:{proxy.https}", "-w", "%{http_version} %{http_code}", "-o", "/dev/null", "https://fast.example/"], capture_output=True, text=True).stdout
            check("curl speaks HTTP/2", got == "2 200", got)
    finally:
        p.kill()
        p.wait()


for part in (slow_heads_and_bodies, half_close, slow_readers, stalled_readers, idle, many):
    started = time.monotonic()
    part()
    print(f"# {part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
tap.finish()
