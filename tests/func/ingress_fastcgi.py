"""ingress_fastcgi.py - FastCGI programs behind the proxy: what they are told, and programs that lie, stop, flood or die.

A client gets what the program said, a documented status, or an answer that is visibly cut; never a wrong one as if it were
whole. Afterwards nothing is in flight, and memory and descriptors are where they were.
"""
import os
import socket
import struct
import threading
import time

import tap
from proxy_kit import Folder, Listener, Proxy, any_certificate
from tap import Raw, check, section, soon

BEGIN, END, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7
HEAD = b"Content-Type: text/plain\r\n\r\n"
FILL = os.urandom(1 << 15)


def record(kind, data=b"", padding=0, version=1, request=1):
    return struct.pack(">BBHHBB", version, kind, request, len(data), padding, 0) + data + b"\0" * padding


def end(status=0, app=0):
    return record(END, struct.pack(">IB3x", app, status))


def out(data, padding=0):
    return b"".join(record(STDOUT, data[i:i + 65535], padding) for i in range(0, len(data), 65535))


# ---- the program ----

def read_n(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise OSError("ended")
        data += part
    return data


def length(data, at):
    if data[at] < 128:
        return data[at], at + 1
    return struct.unpack(">I", data[at:at + 4])[0] & 0x7fffffff, at + 4


def pairs(data):
    env, at = [], 0
    while at < len(data):
        n, at = length(data, at)
        v, at = length(data, at)
        env.append((data[at:at + n].decode("latin-1"), data[at + n:at + n + v].decode("latin-1")))
        at += n + v
    return env


class Request:
    """What the proxy sends, checked record by record."""

    def __init__(self, s):
        self.socket, self.params, self.wrong = s, b"", []
        self.expect(read_n(s, 16) == record(BEGIN, b"\0\1\0" + b"\0" * 5), "BEGIN_REQUEST of a responder, connection not kept")
        while data := self.one(PARAMS):
            self.params += data
        self.env = pairs(self.params)
        self.vars = dict(self.env)

    def expect(self, good, what):
        if not good:
            self.wrong.append(what)

    def one(self, kind):
        version, got, request, n, padding, _ = struct.unpack(">BBHHBB", read_n(self.socket, 8))
        self.expect((version, got, request) == (1, kind, 1), f"a record {version} {got} {request} instead of {kind}")
        return read_n(self.socket, n + padding)[:n]

    def body(self):
        data = bytearray()
        while part := self.one(STDIN):
            data += part
        return bytes(data)


seen, wrong = {}, []
DOES = {}


def does(f):
    DOES["/" + f.__name__.replace("_", "-")] = f
    return f


def talk(s, number):
    q = Request(s)
    wrong.extend(q.wrong)
    path = q.vars["REQUEST_URI"].split("?")[0]
    seen[path] = q
    DOES.get(path, plain)(s, q)
    s.shutdown(socket.SHUT_WR)
    rest(s)  # as PHP does: what is left unread would reset the connection, and take the answer's end with it


def rest(s):
    while s.recv(65536):
        pass


@does
def plain(s, q):
    q.data = q.body()
    s.sendall(out(HEAD + b"hello") + record(STDOUT) + end())


@does
def size(s, q):
    q.data = q.body()
    s.sendall(out(HEAD + b"%d bytes" % len(q.data)) + end())


@does
def early(s, q):
    s.sendall(out(b"Status: 403 No\r\n\r\nno") + record(STDOUT) + end())


@does
def bytewise(s, q):
    for b in out(b"X-A: 1\r\nX-B: 2\r\n\r\nhello", 200) + end():
        s.sendall(bytes([b]))


@does
def single_bytes(s, q):
    s.sendall(b"".join(out(bytes([b]), 3) for b in HEAD + b"hello") + end())


@does
def big(s, q):
    s.sendall(out(HEAD))
    for _ in range(256):
        s.sendall(record(STDOUT, FILL))
    s.sendall(end())


@does
def chatty(s, q):
    q.body()
    for i in range(3000):
        s.sendall(record(STDERR, b"PHP Warning: number %d\n" % i))
    s.sendall(out(HEAD + b"hello") + end())


@does
def chatty_for_long(s, q):
    for i in range(8):
        s.sendall(record(STDERR, b"still here"))
        time.sleep(0.25)  # the proxy's time-out is a second: this is what the case is about
    s.sendall(out(HEAD + b"hello") + end())


@does
def works_on(s, q):
    s.sendall(out(b"Content-Length: 5\r\n\r\nhello"))
    q.cut = not s.recv(1) if q.one(STDIN) is None else False
    time.sleep(0.4)
    s.sendall(end())


@does
def injects(s, q):
    s.sendall(out(b"Status: 200 OK\r\nX-A: a\rX-Evil: 1\r\n\r\n") + end())


@does
def smuggles(s, q):
    s.sendall(out(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") + end())


LIES = {  # what is sent at once, and then the connection ends; status, or "cut"
    "/nothing": (b"", 502),
    "/http": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 502),
    "/version-0": (record(STDOUT, HEAD, version=0) + end(), 502),
    "/request-2": (record(STDOUT, HEAD, request=2) + end(), 502),
    "/request-257": (record(STDOUT, HEAD, request=257) + end(), 502),
    "/type-10": (record(10, b"\0" * 8) + out(HEAD) + end(), 502),
    "/begin": (record(BEGIN, b"\0" * 8), 502),
    "/truncated-header": (b"\1\6\0", 502),
    "/truncated-record": (record(STDOUT, HEAD)[:-3], 502),
    "/no-head": (record(STDOUT) + end(), 502),
    "/end-only": (end(), 502),
    "/end-short": (record(END, b"\0" * 7), 502),
    "/overloaded": (end(2), 502),
    "/unknown-role": (end(3), 502),
    "/no-such-status": (end(77), 502),
    "/half-a-head": (out(b"Content-Type: text") + end(), 502),
    "/not-cgi": (out(b"<html>hello</html>\n\n") + end(), 502),
    "/status-word": (out(b"Status: fine\r\n\r\n") + end(), 502),
    "/status-100": (out(b"Status: 100 Continue\r\n\r\n") + end(), 502),
    "/status-101": (out(b"Status: 101 Switching\r\nUpgrade: x\r\n\r\n") + end(), 502),
    "/two-lengths": (out(b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab") + end(), 502),
    "/negative": (out(b"Content-Length: -1\r\n\r\nab") + end(), 502),
    "/header-name": (out(b"Bad Name: 1\r\n\r\n") + end(), 502),
    "/nul": (out(b"X: a\0b\r\n\r\n") + end(), 502),
    "/300-headers": (out(b"X: y\r\n" * 300 + b"\r\n") + end(), 502),
    "/200-KiB-header": (out(b"X: " + b"y" * 200000 + b"\r\n\r\n") + end(), 502),
    "/endless-head": (out(b"X: y\r\n" * 200000), 502),
    "/empty-records": (record(STDERR) * 100000 + out(HEAD) + end(), 502),
    "/dies": (out(HEAD + b"half of it"), "cut"),
    "/dies-in-record": (out(HEAD) + record(STDOUT, b"half of it")[:-3], "cut"),
    "/short": (out(b"Content-Length: 100\r\n\r\nhalf of it") + end(), "cut"),
    "/then-garbage": (out(HEAD + b"half of it") + b"garbage!garbage!", "cut"),
    "/then-http": (out(HEAD) + b"HTTP/1.1 200 OK\r\n\r\n", "cut"),
    "/then-overloaded": (out(HEAD + b"half") + end(2), "cut"),
    "/after-the-end": (out(HEAD + b"hello") + record(STDOUT) + out(b"more"), 200),
    "/more-than-said": (out(b"Content-Length: 5\r\n\r\nhello and more") + end(), 200),
    "/padding-only": (record(STDOUT, HEAD + b"hello", 255) + record(STDERR, b"", 255) + end(), 200),
    "/no-fields": (out(b"\r\nhello") + end(), 200),
}
for path, (data, _) in LIES.items():
    DOES[path] = lambda s, q, data=data: (q.body(), s.sendall(data))


@does
def never(s, q):
    rest(s)


@does
def never_head(s, q):
    s.sendall(out(b"Content-Type: text"))
    rest(s)


@does
def never_end(s, q):
    s.sendall(out(HEAD + b"half of it"))
    rest(s)


@does
def endless(s, q):
    s.sendall(out(HEAD))
    while True:
        s.sendall(record(STDOUT, FILL))


@does
def resets(s, q):
    q.body()
    s.sendall(out(HEAD + b"half of it"))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


@does
def deaf(s, q):
    time.sleep(3)


program = Listener(talk)
tired = Listener(lambda s, number: (Request(s).body(), s.sendall(end(2))))

# ---- the proxy ----

folder = Folder()
folder.globals()
folder.service("php", program.port)
folder.service("two", program.port, tired.port)
folder.put("params", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "params"}, "data": {
    "SCRIPT_FILENAME": "/srv$fastcgi_script_name", "APP": "one", "HTTP_X_GONE": "", "SERVER_NAME": "mine"}})
FCGI = {"backend_protocol": "FCGI", "fastcgi_index": "index.php", "fastcgi_params_configmap": "params", "proxy_next_upstream_tries": 1}
folder.ingress("php", "php.example", "php", proxy_body_size="64m", **FCGI)
folder.ingress("quick", "quick.example", "php", proxy_read_timeout=1, proxy_send_timeout=1, proxy_body_size="64m", **FCGI)
folder.ingress("two", "two.example", "two", **{**FCGI, "proxy_next_upstream_tries": 3})
folder.ingress("rewrite", "rewrite.example", "php", paths=("/app(/|$)(.*)",), kind="ImplementationSpecific", rewrite_target="/$2", **FCGI)
folder.ingress("missing", "missing.example", "php", backend_protocol="FCGI", fastcgi_params_configmap="is-not-there")
proxy = Proxy(folder)
proxy.ready()


def unchunk(head, data):
    if b"chunked" not in head.lower():
        return data
    body, at = bytearray(), 0
    while 0 < (line := data.find(b"\r\n", at)) and (n := int(data[at:line], 16)):
        body += data[line + 2:line + 2 + n]
        at = line + 4 + n
    return bytes(body)


def ask(host, path, method="GET", more=b"", body=b"", tls=False, seconds=tap.DEADLINE):
    """(status, head, body, complete)"""
    with Raw(proxy.https if tls else proxy.http, any_certificate() if tls else None) as r:
        sized = b"Content-Length: %d\r\n" % len(body) if body and b"Transfer-Encoding" not in more else b""
        r.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + sized + more + b"\r\n" + body)
        r.until(lambda got: tap.responses(got)[0], seconds)
        done = tap.responses(r.got)[0]
        if done:
            return done[0][0], done[0][1], unchunk(*done[0][1:]), True
        head, _, part = r.got.partition(b"\r\n\r\n")
        return (int(head.split()[1]) if head else 0), head, part, False


def told():
    section("what a program is told")
    ask("php.example", "/told/?a=b%20c", more=b"X-Gone: 1\r\nProxy: http://evil\r\nX-One: 1\r\nx-one: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX-Forwarded-For: 9.9.9.9\r\n")
    q = seen["/told/"]
    for name, value in {"QUERY_STRING": "a=b%20c", "REQUEST_METHOD": "GET", "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "SCRIPT_NAME": "/told/index.php",
                        "REQUEST_URI": "/told/?a=b%20c", "DOCUMENT_URI": "/told/", "DOCUMENT_ROOT": "/usr/local/nginx/html",
                        "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "nginx/1.27.1",
                        "REMOTE_ADDR": "127.0.0.1", "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "80", "SERVER_NAME": "mine", "REDIRECT_STATUS": "200",
                        "SCRIPT_FILENAME": "/srv/told/index.php", "APP": "one", "HTTP_HOST": "php.example", "HTTP_X_ONE": "1, 2",
                        "HTTP_COOKIE": "a=1; b=2", "HTTP_X_FORWARDED_FOR": "9.9.9.9"}.items():
        check(f"{name} is {value!r}", q.vars.get(name) == value, q.vars.get(name))
    for name in ("HTTPS", "HTTP_X_GONE", "HTTP_PROXY", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID"):
        check(f"{name} is not there", name not in q.vars, q.vars.get(name))
    check("SERVER_NAME is told twice, the ConfigMap's last", [v for n, v in q.env if n == "SERVER_NAME"] == ["php.example", "mine"], q.env)
    ask("php.example", "/tls", tls=True)
    check("over TLS: HTTPS, the scheme and the port", [seen["/tls"].vars.get(n) for n in ("HTTPS", "REQUEST_SCHEME", "SERVER_PORT")] == ["on", "https", "443"], seen["/tls"].vars)
    ask("rewrite.example", "/app/a%20b/?x=1")
    v = seen["/app/a%20b/"].vars
    check("rewritten: the script's name and file are, the request's URI is not", [v[n] for n in ("SCRIPT_NAME", "SCRIPT_FILENAME", "DOCUMENT_URI", "REQUEST_URI", "QUERY_STRING")] ==
          ["/a b/index.php", "/srv/a b/index.php", "/a b/", "/app/a%20b/?x=1", "x=1"], v)
    check("a ConfigMap that is missing: 503", ask("missing.example", "/")[0] == 503)


def bodies():
    section("bodies of requests")
    for n in (0, 1, 65528, 65529, 200000, 20 << 20):
        got = ask("php.example", "/size", "POST", body=b"x" * n, more=b"Content-Type: a/b\r\n" if n else b"Content-Length: 0\r\n", seconds=30)
        check(f"{n} bytes arrive", got[0] == 200 and b"%d bytes" % n in got[2], got)
        check(f"{n} bytes: CONTENT_LENGTH says so", seen["/size"].vars["CONTENT_LENGTH"] == str(n), seen["/size"].vars)
    for n, want in ((5, 200), (300000, 200), (900000, 411)):
        got = ask("php.example", "/size", "POST", more=b"Transfer-Encoding: chunked\r\n", body=b"%x\r\n" % n + b"x" * n + b"\r\n0\r\n\r\n")
        check(f"{n} bytes in chunks: {want}", got[0] == want, got)
        if want == 200:
            check(f"{n} bytes in chunks: CONTENT_LENGTH is theirs", seen["/size"].vars["CONTENT_LENGTH"] == str(n) and b"%d bytes" % n in got[2], seen["/size"].vars)
    got = ask("php.example", "/early", "POST", body=b"x" * 100000)
    check("an answer before the body was read", got[0] == 403, got)
    got = ask("quick.example", "/deaf", "POST", body=b"x" * (30 << 20), seconds=8)
    check("a program that reads nothing: 504", got[0] == 504, got)


def answers():
    section("answers")
    for path in ("/plain", "/bytewise", "/single-bytes"):
        got = ask("php.example", path)
        check(f"{path}: is whole", got[0] == 200 and b"hello" in got[2] and got[3], got)
    check("HEAD has no body", ask("php.example", "/plain", "HEAD", more=b"Connection: close\r\n")[2] == b"")
    started = time.monotonic()
    with Raw(proxy.http) as r:
        r.send(b"GET /big HTTP/1.1\r\nHost: php.example\r\nConnection: close\r\n\r\n")
        r.until(lambda got: False, 30)
    check("8 MiB are whole", unchunk(*r.got.split(b"\r\n\r\n", 1)) == FILL * 256 and r.got.endswith(b"0\r\n\r\n"), (len(r.got), time.monotonic() - started))
    got = ask("quick.example", "/chatty-for-long")
    check("standard error is a sign of life", got[0] == 200, got)
    with Raw(proxy.http) as r:
        r.send(b"GET /works-on HTTP/1.1\r\nHost: php.example\r\n\r\n")
        r.until(lambda got: b"hello" in got)
        check("a body with a length is there before the program has ended", r.got.endswith(b"hello"), r.got)
    soon("and nothing hangs", lambda: proxy.in_flight() == 0)
    before = proxy.log().count("\n")
    got = ask("php.example", "/chatty")
    check("3000 lines of standard error: the answer comes", got[0] == 200 and b"hello" in got[2], got)
    check("they are counted", proxy.metric("portico_fastcgi_stderr_total") >= 3000, proxy.metric("portico_fastcgi_stderr_total"))
    lines = proxy.log().count("\n") - before
    check("and a few are logged", 0 < lines <= 60 and "PHP Warning: number 0" in proxy.log(), lines)


def lies():
    section("programs that lie")
    for path, (_, want) in LIES.items():
        status, head, body, whole = ask("php.example", path)
        if want == "cut":
            check(f"{path}: is cut", not whole and status in (0, 200), (status, head, body[:100], whole))
        else:
            check(f"{path}: {want}", status == want and whole, (status, head, body[:100], whole))
        if want == 200:
            check(f"{path}: what was said before", body == b"hello", body[:100])
    for path in ("/injects", "/smuggles"):
        status, head, body, _ = ask("php.example", path)
        check(f"{path}: 502", status == 502 and b"Evil" not in head, (status, head))
    got = ask("php.example", "/resets")
    check("/resets: is cut", not got[3] and got[0] in (0, 200), got)
    for path, want in (("/never", 504), ("/never-head", 504)):
        got = ask("quick.example", path)
        check(f"{path}: {want}", got[0] == want, got)
    got = ask("quick.example", "/never-end")
    check("/never-end: is cut", got[0] == 200 and not got[3], got)
    got = [ask("two.example", "/plain", "POST", body=b"abc")[0] for _ in range(6)]
    check("one that is overloaded has not begun: POST goes to the other", got == [200] * 6, got)


def leaving():
    section("clients that leave, and slow ones")
    for i in range(10):
        with Raw(proxy.http) as r:
            r.send(b"GET /endless HTTP/1.1\r\nHost: php.example\r\n\r\n")
            r.until(lambda got: len(got) > 100000)
    for i in range(10):
        with Raw(proxy.http) as r:
            r.send(b"POST /size HTTP/1.1\r\nHost: php.example\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200000)
    soon("the programs are let go", lambda: not program.open)
    before = proxy.rss_kib()
    with Raw(proxy.http) as r:
        r.send(b"GET /endless HTTP/1.1\r\nHost: php.example\r\n\r\n")
        r.until(lambda got: len(got) > 1000)
        time.sleep(1)  # nothing is read: what the program sends must not pile up here
        check("a client that does not read stops the program", proxy.rss_kib() < before + (8 << 10), (before, proxy.rss_kib()))
    soon("nothing is in flight", lambda: proxy.in_flight() == 0)


ask("php.example", "/plain")
before = proxy.descriptors(), proxy.rss_kib()
for part in (told, bodies, answers, lies, leaving):
    started = time.monotonic()
    part()
    print(f"# {time.monotonic() - started:.1f} s")
section("afterwards")
check("every request was as FastCGI wants it", not wrong, wrong[:5])
soon("nobody is connected", lambda: not program.open)
soon("descriptors are back", lambda: proxy.descriptors() <= before[0] + 10)
check("memory is back, but for what threads keep", proxy.rss_kib() < before[1] + (16 << 10), (before[1], proxy.rss_kib()))
check("an ordinary request is answered", ask("php.example", "/plain")[0] == 200)
tap.finish()
