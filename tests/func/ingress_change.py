"""ingress_change.py - nothing is lost while things change.

Under constant load: hundreds of changes of Ingresses, endpoints, certificates and the ConfigMap, two takeovers by a new
process, and orderly ends. Every request is answered, by the backend that is right.
"""
import asyncio
import collections
import random
import signal
import socket
import ssl
import statistics
import sys
import threading
import time

import tap
from proxy_kit import DEADLINE, Folder, Listener, Proxy, Recorder, any_certificate, body_end, certificate
from tap import check, section, soon

CHANGES = 300
CLIENTS = 12          # kept connections
CLOSERS = 3           # a connection for each request
SECURE = 3            # over TLS
random.seed(1)


# ---- backends: asyncio in a thread of its own; each says its name ----

class Backends:
    def __init__(self):
        self.loop, self.ports = asyncio.new_event_loop(), {}
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def add(self, name):
        async def serve(reader, writer):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    n = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                    if n:
                        await reader.readexactly(n[0])
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name.encode()))
            except (asyncio.IncompleteReadError, OSError):
                writer.close()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), self.loop).result()
        self.ports[name] = server.sockets[0].getsockname()[1]
        return self.ports[name]


# ---- load ----

class Load:
    """Clients that ask without a pause; whatever is not 200 and the expected body is a failure."""

    def __init__(self, proxy, host, bodies):
        self.http, self.https, self.host, self.bodies = proxy.http, proxy.https, host, bodies
        self.count, self.failures, self.running = 0, [], True
        self.tls = any_certificate()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.all()))
        self.thread.start()

    async def all(self):
        await asyncio.gather(*[self.client(True, False) for _ in range(CLIENTS)], *[self.client(False, False) for _ in range(CLOSERS)],
                             *[self.client(True, True) for _ in range(SECURE)], *[self.client(False, True) for _ in range(1)])

    async def open(self, tls):
        if tls:
            return await asyncio.open_connection("127.0.0.1", self.https, ssl=self.tls, server_hostname=self.host)
        return await asyncio.open_connection("127.0.0.1", self.http)

    async def client(self, kept, tls):
        n, connection = 0, None
        while self.running:
            n += 1
            body = b"x" * (n % 7 * 100)
            method = "POST" if body else "GET"
            head = f"{method} /{n} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n" + ("" if kept else "Connection: close\r\n") + "\r\n"
            try:
                connection = connection or await self.open(tls)
                connection[1].write(head.encode() + body)
                got = await asyncio.wait_for(connection[0].readuntil(b"\r\n\r\n"), DEADLINE)
                low = got.lower()
                length = int(low.partition(b"content-length: ")[2].split(b"\r\n")[0])
                text = await asyncio.wait_for(connection[0].readexactly(length), DEADLINE)
                self.count += 1
                if not got.startswith(b"HTTP/1.1 200") or text.decode() not in self.bodies:
                    self.failures.append((time.monotonic(), got[:80], text[:80]))
                if not kept or b"connection: close" in low:
                    connection[1].close()
                    connection = None
            except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as e:
                self.failures.append((time.monotonic(), n, "tls" if tls else "plain", "kept" if kept else "new", repr(e)[:120]))
                connection = None
        if connection:
            connection[1].close()

    def stop(self, name):
        self.running = False
        self.thread.join()
        check(f"{name}: none of {self.count} requests failed", self.count > 200 and not self.failures, f"{len(self.failures)} failed\n" + "\n".join(map(str, self.failures[:8])))


# ---- WebSockets and long requests, as bytes ----

def websocket_backend(s, _):
    data = b""
    while body_end(data) is None:
        data += s.recv(4096)
    if b"upgrade: websocket" not in data.lower():
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        return
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    while part := s.recv(4096):
        s.sendall(part)


class WebSocket:
    def __init__(self, port, tls=None):
        self.s = socket.create_connection(("127.0.0.1", port), DEADLINE)
        if tls:
            self.s = tls.wrap_socket(self.s, server_hostname="ws.example")
        self.s.sendall(b"GET / HTTP/1.1\r\nHost: ws.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            part = self.s.recv(1)
            if not part:
                break
            self.head += part

    def echoes(self, data=b"\x82\x05hello"):
        try:
            self.s.sendall(data)
            got = b""
            while len(got) < len(data):
                part = self.s.recv(100)
                if not part:
                    return False
                got += part
            return got == data
        except OSError:
            return False

    def close(self):
        self.s.close()


release = threading.Event()


def long_backend(s, _):
    data = b""
    while body_end(data) is None:
        data += s.recv(4096)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
    release.wait(30)
    s.sendall(b"-last")


backends = Backends()
folder = Folder()
a, b, c = (backends.add(n) for n in ("a", "b", "c"))
ws, long = Listener(websocket_backend), Listener(long_backend)
folder.service("app", a, b)
folder.service("ws", ws.port)
folder.service("long", long.port)
certificates = [certificate("app.example", f"n{i}.example") for i in range(4)]
folder.secret("app", *certificates[0])
folder.ingress("app", "app.example", "app", secret="app", ssl_redirect="false")
folder.ingress("ws", "ws.example", "ws", secret="app", ssl_redirect="false")
folder.ingress("long", "long.example", "long")
folder.globals()
proxy = Proxy(folder, "--handover", f"portico-test-{time.monotonic_ns()}")
proxy.ready()
handover = proxy.process.args[-2:]


def change(i):
    """One of the kinds of change; what the load asks for stays right through all of them."""
    kind = i % 10
    if kind == 0:
        folder.service("app", *random.sample([a, b, c], 2))
    elif kind == 1:
        folder.secret("app", *certificates[i // 10 % 4])
    elif kind == 2:
        folder.ingress("app", "app.example", "app", secret="app", ssl_redirect="false", proxy_read_timeout=30 + i)
    elif kind == 3:
        folder.globals(keep_alive_requests=1000 + i, proxy_body_size=f"{1 + i % 3}m")
    elif kind == 4:
        folder.ingress(f"more-{i % 50}", f"m{i}.example", "app")
    elif kind == 5:
        folder.service("app", *random.sample([a, b, c], 1 + i // 10 % 3))
    elif kind == 6:
        folder.ingress("app", "app.example", "app", paths=("/", f"/p{i}"), secret="app", ssl_redirect="false", enable_cors="true")
    elif kind == 7:
        folder.secret("bad", b"junk", b"junk")
        folder.ingress("bad", f"bad{i}.example", "nowhere", secret="bad", proxy_read_timeout="x", whitelist_source_range="no/address")
    elif kind == 8:
        folder.put("broken", {"kind": "Ingress"}, {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": f"b{i}"}, "spec": {"rules": [{"http": 3}]}})
    else:
        folder.ingress(f"canary-{i % 30}", "app.example", "app", canary="true", canary_weight=str(i % 100))


def changes():
    section(f"{CHANGES} changes under load")
    sockets = [WebSocket(proxy.http), WebSocket(proxy.https, any_certificate())]
    check("WebSockets are open", all(w.echoes() for w in sockets), [w.head for w in sockets])
    load = Load(proxy, "app.example", {"a", "b", "c"})
    for i in range(CHANGES):
        change(i)
        time.sleep(0.03)
    with open(f"{folder.path}/torn.yaml", "w") as f:
        f.write("apiVersion: v1\nkind: [")
    time.sleep(0.3)
    load.stop(f"{CHANGES} changes")
    check("the WebSockets opened before are still open", all(w.echoes() for w in sockets), "")
    for w in sockets:
        w.close()
    soon("a bad Secret has been told", lambda: proxy.metric("portico_ingress_problem") > 0)
    soon("nothing is in flight", lambda: proxy.in_flight() == 0)


def one(port, host, path="/"):
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while part := s.recv(4096):
            data += part
    return int(data[9:12]) if len(data) > 12 else 0


def latency():
    section("from a file's rename to the first request that it routes")
    took = []
    for i in range(60):
        started = time.monotonic()
        folder.ingress("late", f"late{i}.example", "app")
        while one(proxy.http, f"late{i}.example") != 200:
            if time.monotonic() - started > DEADLINE:
                break
        took.append((time.monotonic() - started) * 1000)
    took.sort()
    check("each is there in time", took[-1] < DEADLINE * 1000, took)
    print(f"# rename to routed: p50 {statistics.median(took):.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms")
    started = time.monotonic()
    folder.drop("ingress-late")
    soon("a file that is taken away takes its host along", lambda: one(proxy.http, "late59.example") == 404)
    print(f"# taken away in {(time.monotonic() - started) * 1000:.1f} ms")


def start_long(port):
    s = socket.create_connection(("127.0.0.1", port), DEADLINE)
    s.sendall(b"GET / HTTP/1.1\r\nHost: long.example\r\n\r\n")
    s.settimeout(DEADLINE)
    got = b""
    while not got.endswith(b"first"):
        part = s.recv(4096)
        if not part:
            break
        got += part
    return s, got


def end_long(s):
    got = b""
    while len(got) < 5:
        part = s.recv(4096)
        if not part:
            break
        got += part
    s.close()
    return got == b"-last"


def takeovers():
    global proxy
    section("takeovers under load")
    load = Load(proxy, "app.example", {"a", "b", "c"})
    time.sleep(0.5)
    for turn in ("first", "second"):
        old = proxy
        release.clear()
        w, (s, began) = WebSocket(old.http), start_long(old.http)
        check(f"{turn}: a long request and a WebSocket are under way", w.echoes() and began.endswith(b"first"), (w.head, began))
        proxy = Proxy(folder, *handover, like=old)
        proxy.ready()
        soon(f"{turn}: the old process knows", lambda: "taken over" in old.log())
        time.sleep(0.5)
        check(f"{turn}: it goes on with what it has", old.process.poll() is None and w.echoes(), old.log())
        release.set()
        check(f"{turn}: the long request is finished", end_long(s), "")
        time.sleep(0.2)
        check(f"{turn}: and waits for the WebSocket", old.process.poll() is None and w.echoes(), old.log())
        w.close()
        check(f"{turn}: then it ends, in order", old.ended() == 0, (old.process.poll(), old.log()))
    time.sleep(0.3)
    load.stop("two takeovers")


def ends():
    global proxy
    section("SIGQUIT and SIGTERM")
    release.clear()
    s, began = start_long(proxy.http)
    idle = socket.create_connection(("127.0.0.1", proxy.http), DEADLINE)
    proxy.signal(signal.SIGQUIT)
    soon("SIGQUIT: no new connections", lambda: refused(proxy.http))
    check("the request under way goes on", proxy.process.poll() is None and began.endswith(b"first"), "")
    release.set()
    check("and is finished", end_long(s), "")
    check("then the process ends, in order", proxy.ended() == 0, (proxy.process.poll(), proxy.log()))
    idle.close()
    proxy = Proxy(folder)
    proxy.ready()
    release.clear()
    s, _ = start_long(proxy.http)
    w = WebSocket(proxy.http)
    started = time.monotonic()
    proxy.signal(signal.SIGTERM)
    check("SIGTERM ends it at once", proxy.ended(3) is not None and time.monotonic() - started < 2, proxy.log())
    release.set()
    s.close()
    w.close()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except ConnectionRefusedError:
        return True


for part in (changes, latency, takeovers, ends):
    started = time.monotonic()
    part()
    print(f"# {time.monotonic() - started:.1f} s", flush=True)
sys.stdout.flush()
tap.finish()
