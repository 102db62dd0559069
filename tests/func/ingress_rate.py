"""ingress_rate.py - limit-rate and limit-rate-after: how fast an answer's body comes.

Compared with nginx 1.22's (limit_rate 50k, 200 KiB: the last byte after four seconds, counting whole ones): never more at any time
than the second ahead that it grants, and not much later. A busy machine only makes bytes late, so only the end has a generous bound.
"""
import os
import re
import signal
import struct
import threading
import time

import tap
from h2_frames import DATA, END_STREAM, H2, fields, headers, settings, window
from proxy_kit import Folder, Listener, Proxy, any_certificate
from tap import Raw, check, responses, section, soon

KIB = 1024
RATE, SIZE = 50 * KIB, 200 * KIB
FILL = bytes(33 + b % 90 for b in os.urandom(1 << 20))  # text that does not get much smaller
sent = {}  # by connection: how much of its answer went


def push(s, number, data, left):
    while left > 0:
        part = data[:min(left, 1 << 16)]
        s.sendall(part)
        sent[number] = sent.get(number, 0) + len(part)
        left -= len(part)


def talk(s, number):
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            part = s.recv(65536)
            if not part:
                return
            data += part
        head, _, data = data.partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        size = int(m.group(1)) if (m := re.search(r"size=(\d+)", path)) else SIZE
        more = (m.group(1).replace("+", " ") + "\r\n").encode() if (m := re.search(r"set=([^&]*)", path)) else b""
        more += b"Content-Type: text/plain\r\n"
        if path.startswith("/chunked"):
            s.sendall(b"HTTP/1.1 200 OK\r\n" + more + b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, size, 10000):
                n = min(10000, size - at)
                s.sendall(b"%x\r\n" % n + FILL[at:at + n] + b"\r\n")
            s.sendall(b"0\r\nX-Sum: 7\r\n\r\n")
            continue
        s.sendall(b"HTTP/1.1 200 OK\r\n" + more + b"Content-Length: %d\r\n\r\n" % (size + (1 if path.startswith("/dies") else 0)))
        push(s, number, FILL, size)
        if path.startswith("/dies"):
            return


def program(s, _number):
    """FastCGI: the request up to the end of its body, then SIZE bytes."""
    got = b""
    while not got.endswith(struct.pack(">BBHHBB", 1, 5, 1, 0, 0, 0)):
        part = s.recv(65536)
        if not part:
            return
        got += part
    out = b"Content-Type: text/plain\r\n\r\n" + FILL[:SIZE]
    s.sendall(b"".join(struct.pack(">BBHHBB", 1, 6, 1, len(out[i:i + 60000]), 0, 0) + out[i:i + 60000] for i in range(0, len(out), 60000)) +
              struct.pack(">BBHHBB", 1, 3, 1, 8, 0, 0) + b"\0" * 8)
    while s.recv(65536):
        pass


web, fcgi = Listener(talk), Listener(program)
folder = Folder()
folder.service("web", web.port)
folder.service("fcgi", fcgi.port)
folder.ingress("paced", "paced.test", "web", limit_rate=50, proxy_buffering="on")
folder.ingress("after", "after.test", "web", limit_rate=50, limit_rate_after=1000, proxy_buffering="on")
folder.ingress("hasty", "hasty.test", "web", limit_rate=50, proxy_buffering="on", proxy_read_timeout=1, proxy_send_timeout=1)
folder.ingress("ahead", "ahead.test", "web", limit_rate=50, proxy_buffering="on", proxy_buffer_size="1m", proxy_buffers_number=32)
folder.ingress("total", "total.test", "web", limit_rate=50, proxy_buffering="on", **{"portico.io/request-timeout": "1s"})
folder.ingress("free", "free.test", "web", limit_rate=0, proxy_buffering="on")
folder.ingress("unbuffered", "unbuffered.test", "web", limit_rate=50)
folder.ingress("global", "global.test", "web", proxy_buffering="on")
folder.ingress("fcgi", "fcgi.test", "fcgi", limit_rate=50, backend_protocol="FCGI")
folder.globals(limit_rate=100, use_gzip="true", gzip_min_length=1)
proxy = Proxy(folder)
proxy.ready()


class Fetch:
    """An answer over HTTP/1.1: when how much of it was here, and whether that was ever too much."""

    def __init__(self, host, path="/", more=b"", rate=RATE, after=0, tls=False, name=None, pause=0):
        self.name, self.rate, self.after = name or host, rate, after
        self.raw = Raw(proxy.https if tls else proxy.http, any_certificate() if tls else None, host)
        self.started = time.monotonic()
        self.raw.send(b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path.encode(), host.encode(), more))
        self.too_much, self.head, self.whole, self.at = None, None, False, {}
        self.pause = pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def body(self):
        return len(self.raw.got) - len(self.head) - 4 if self.head is not None else 0

    def run(self):
        end = self.started + 30
        while time.monotonic() < end and not self.whole:
            if self.pause and self.body():
                time.sleep(self.pause)
                self.pause = 0
            if not self.raw.read(1) and self.raw.ended:
                break
            now = time.monotonic() - self.started
            if self.head is None and b"\r\n\r\n" in self.raw.got:
                self.head = self.raw.got.partition(b"\r\n\r\n")[0]
            n = self.body()
            self.at[round(now, 1)] = n
            # chunks have heads; a tick of the timer comes up to a millisecond early by the client's clock
            if self.rate and n > (self.after + self.rate * (now + 1.01)) * 1.01 + 100:
                self.too_much = self.too_much or (now, n)
            if self.head:
                chunked = b"chunked" in self.head.lower()
                self.whole = re.search(rb"\r\n0\r\n(X-Sum: 7\r\n)?\r\n$", self.raw.got[-100:]) if chunked else n == int(re.search(rb"(?i)content-length: (\d+)", self.head).group(1))
        self.seconds = time.monotonic() - self.started

    def done(self, least, most=None):
        self.thread.join()
        check(f"{self.name}: whole", self.whole, (self.seconds, self.raw.got[:300], self.body()))
        check(f"{self.name}: {least} s or more", self.seconds >= least, self.seconds)
        check(f"{self.name}: not much longer", self.seconds < (most or least + 8), self.seconds)
        if self.rate:
            check(f"{self.name}: at no time too much", not self.too_much, self.too_much)
        return self


def paces():
    section("paces")
    LEAST = SIZE / RATE - 1 - 0.05  # a second ahead
    x = Fetch("global.test", "/?set=X-Accel-Limit-Rate:51200", name="what the upstream says")
    all_of = [
        (Fetch("paced.test", name="a length"), LEAST),
        (Fetch("paced.test", "/chunked", more=b"TE: trailers\r\n", name="chunks"), LEAST),
        (Fetch("paced.test", name="TLS", tls=True), LEAST),
        (Fetch("paced.test", name="a client that stops for two seconds", pause=2), LEAST),
        (Fetch("paced.test", "/?size=400000", more=b"Accept-Encoding: gzip\r\n", name="compressed"), 1.5),
        (Fetch("fcgi.test", name="FastCGI"), LEAST),
        (Fetch("hasty.test", name="proxy-read-timeout and proxy-send-timeout of a second"), LEAST),
        (Fetch("global.test", "/?size=409600", rate=2 * RATE, name="the ConfigMap's"), LEAST),
        (Fetch("paced.test", "/?set=X-Accel-Limit-Rate:50k", name="what the upstream says, but no number"), LEAST),
        (x, LEAST),
    ]
    one = [Fetch("paced.test", f"/?size={50 * KIB}", name="a second's worth goes at once"),
           Fetch("free.test", rate=0, name="limit-rate 0"), Fetch("unbuffered.test", rate=0, name="without proxy-buffering, as in nginx"),
           Fetch("paced.test", "/?set=X-Accel-Limit-Rate:0", rate=0, name="the upstream lifts it"),
           Fetch("after.test", "/?size=1000000", after=1000 * KIB, name="all of it is before limit-rate-after")]
    for f in one:  # at 50 KiB/s 1,000,000 bytes would take 18 seconds
        f.done(0, 3 if f.rate == 0 or f.after == 0 else 9)
    for f, least in all_of:
        f.done(least)
        f.raw.close()
    check("chunks: their trailer is behind them", all_of[1][0].raw.got.endswith(b"\r\n0\r\nX-Sum: 7\r\n\r\n"), all_of[1][0].raw.got[-50:])
    check("nobody is told X-Accel-Limit-Rate", b"accel" not in x.head.lower(), x.head)
    check("compressed it was", b"gzip" in all_of[4][0].head, all_of[4][0].head)
    f = Fetch("after.test", f"/?size={1100 * KIB}", after=1000 * KIB, name="a part is before limit-rate-after").done(1 - 0.05)
    f.raw.got = b""
    f.raw.send(b"GET /?size=10 HTTP/1.1\r\nHost: after.test\r\n\r\n")
    f.raw.until(lambda got: responses(got)[0])
    check("the next request of the same connection is answered", [len(a[2]) for a in responses(f.raw.got)[0]] == [10], f.raw.got[-100:])
    for f in one + [f]:
        f.raw.close()
    soon("nothing is in flight", lambda: proxy.in_flight() == 0)


def streams():
    section("HTTP/2: each stream for itself")
    c = H2(proxy.http)
    started = time.monotonic()
    c.send(window(0, 1 << 28) + settings(window=1 << 28))
    c.send(b"".join(headers(i, fields(host=b"paced.test", path=b"/?size=%d" % (150 * KIB))) for i in (1, 3, 5)))
    got, ended, too_much, seen = {}, {}, None, 0
    while len(ended) < 3 and time.monotonic() < started + 30:
        c.read(1)
        now = time.monotonic() - started
        new, seen = c.frames()[seen:], len(c.frames())
        for kind, flags, stream, payload in new:
            if kind == DATA:
                got[stream] = got.get(stream, 0) + len(payload)
                if flags & END_STREAM:
                    ended[stream] = now
                if got[stream] > RATE * (now + 1.01) * 1.01:
                    too_much = (stream, now, got)
    check("each is whole", got == {1: 150 * KIB, 3: 150 * KIB, 5: 150 * KIB}, got)
    check("each takes its time, and not that of the others", ended and min(ended.values()) > 1.95 and max(ended.values()) < 6, ended)
    check("at no time too much", not too_much, too_much)
    c.close()


def pressure():
    section("an endless answer: what it costs, and its end")
    before, base = dict(sent), proxy.rss_kib()
    f = [Fetch("paced.test", f"/?size={256 << 20}", name="long") for _ in range(8)]
    end = time.monotonic() + 3
    while time.monotonic() < end:
        time.sleep(0.1)
    new = {n: sent[n] - before.get(n, 0) for n in sent if sent[n] != before.get(n, 0)}
    check("the upstreams wait", len(new) == 8 and max(new.values()) < 64 << 20, new)  # of 256 MiB; what there is is in sockets
    check("memory is bounded", proxy.rss_kib() - base < 8 * 2048, (base, proxy.rss_kib()))
    for one in f:
        one.raw.sock.shutdown(2)
        one.raw.close()
    soon("clients that leave are forgotten", lambda: proxy.in_flight() == 0)
    for one in f:
        one.thread.join()
        check("at no time too much", not one.too_much, one.too_much)
    for i in range(5):
        if i == 2:
            base = proxy.rss_kib()
        all_of = [Raw(proxy.http) for _ in range(64)]
        for r in all_of:
            r.send(b"GET /?size=4000000 HTTP/1.1\r\nHost: paced.test\r\n\r\n")
        for r in all_of:
            r.until(lambda got: len(got) > RATE)
            r.close()
        soon(f"64 more, {i}", lambda: proxy.in_flight() == 0)
    check("what was held for them is freed", proxy.rss_kib() - base < 16 << 10, (base, proxy.rss_kib()))  # some 16 MiB each time
    for size, what in ((SIZE, "let go"), (64 << 20, "stopped")):
        f = Fetch("total.test", f"/?size={size}")
        f.thread.join()
        check(f"request-timeout, the upstream {what}: cut all the same", not f.whole and f.raw.ended and 0.9 < f.seconds < 3, (f.whole, f.seconds))
    f = Fetch("paced.test", "/dies", name="an upstream that dies")
    f.thread.join()
    check("an upstream that ends before its answer does: no whole answer", not f.whole and f.raw.ended, (f.whole, f.body()))


def crowd():
    section("many streams of one connection, each of which may be read ahead far")
    base, c, n = proxy.rss_kib(), H2(proxy.http), 100
    c.send(window(0, (1 << 31) - 65536) + settings(window=(1 << 31) - 1))
    before = sum(sent.values())
    c.send(b"".join(headers(1 + 2 * i, fields(host=b"ahead.test", path=b"/?size=%d" % (32 << 20))) for i in range(n)))
    soon("all have begun", lambda: proxy.in_flight() == n)
    still = [0]

    def quiet():
        still.append(sum(sent.values()))
        c.read(0.5)
        return still[-1] > before and still[-5:] == still[-1:] * 5
    soon("their upstreams wait", quiet)
    check("memory is bounded", proxy.rss_kib() - base < 128 << 10, (base, proxy.rss_kib()))
    c.close()
    soon("all of it is forgotten", lambda: proxy.in_flight() == 0)


def end():
    section("the end of the proxy")
    f = Fetch("paced.test", name="under way when the proxy is told to end")
    soon("it has begun", lambda: f.head)
    at = time.monotonic()
    proxy.signal(signal.SIGQUIT)
    f.done(2.95)
    f.raw.close()
    check("then it ends", proxy.ended() == 0, time.monotonic() - at)


for part in (paces, streams, pressure, crowd, end):
    started = time.monotonic()
    part()
    print(f"# {part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
tap.finish()
