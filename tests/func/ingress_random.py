"""ingress_random.py - clients and upstreams that lie at random, at once, while the rules change.

    BUILD=build python3 -B tests/func/ingress_random.py [SECONDS [SEED]]

Whole messages, HTTP/1 and HTTP/2, TLS, PROXY headers: cut, doubled, mixed, with bytes changed, split anywhere, ended anyhow. What is
checked is what must hold whatever comes: the role lives (its sanitizers say nothing), one backend that believes nobody sees
only requests that cannot be read in two ways, and afterwards nothing is left. The seed is printed; threads make no run
quite like another.
"""
import os
import random
import re
import shutil
import socket
import ssl
import struct
import sys
import threading
import time

import http1_corpus
import tap
from h2_frames import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, WITH_PRIORITY, fields, frame, frames_of,
                       headers, hpack, literal, rst, settings, window)
from proxy_kit import WORK, Folder, Listener, Proxy, Recorder, any_certificate, certificate
from tap import check, section, soon

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 20
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
CLIENTS = 16
PAUSES = (0, 0, 0, 0.001, 0.01)
LINE = re.compile(rb"[A-Z_-]+ [\x21-\x7e]+ HTTP/1\.[01]")
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: h2.example\r\n",
          b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"TE: trailers\r\n", b"Range: bytes=0-1\r\n",
          b"ffffffff\r\n", b"HTTP/1.1 ", b"GET / HTTP/1.1\r\n", b"\xff\xff", PREFACE, frame(PING, 0, 0, b"12345678")]


# ---- bytes ----

def mutate(r, data, others):
    for _ in range(r.choice((0, 0, 1, 1, 2, 4))):
        at, to = sorted((r.randrange(len(data) + 1), r.randrange(len(data) + 1)))
        how = r.randrange(7)
        if how == 0:
            data = data[:at] + bytes([r.randrange(256)]) + data[at + 1:]
        elif how == 1:
            data = data[:at] + data[to:]
        elif how == 2 and to - at < 4096:
            data = data[:at] + data[at:to] * 2 + data[to:]
        elif how == 3:
            data = data[:at] + r.choice(TOKENS) + data[at:]
        elif how == 4:
            other = r.choice(others)
            data = data[:at] + other[r.randrange(len(other) + 1):]
        elif how == 5:
            data = data[:at]
        else:
            data = data[:at] + bytes([data[at] ^ 1 << r.randrange(8)]) + data[at + 1:] if at < len(data) else data
    return data


def pieces(r, data):
    if r.random() < 0.3:
        return [data]
    cuts = sorted(r.randrange(len(data) + 1) for _ in range(r.choice((1, 2, 5, 20))))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)]) if a < b]


def say(r, s, data):
    for piece in pieces(r, data):
        s.sendall(piece)
        pause = r.choice(PAUSES)
        if pause:
            time.sleep(pause)


def hear(r, s, seconds):
    """Reads for a while, in gulps of any size; True: it ended."""
    end = time.monotonic() + seconds
    s.settimeout(0.02)
    while time.monotonic() < end:
        try:
            if not s.recv(r.choice((1, 100, 65536))):
                return True
        except TimeoutError:
            pass
    return False


def leave(r, s):
    how = r.randrange(4)
    if how == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how == 1:
        try:
            s.shutdown(socket.SHUT_WR)
            hear(r, s, 0.05)
        except OSError:
            pass
    s.close()


# ---- upstreams ----

def answers():
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    yield from [body] * 6
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 70000\r\nSet-Cookie: a=b\r\nETag: \"x\"\r\n\r\n" + b"x" * 70000
    yield b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    for rate in (b"1", b"30000", b"9223372036854775807", b"-1"):
        yield (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Accel-Limit-Rate: " + rate + b"\r\nVary: Accept, X-Original-Method\r\nContent-Type: text/html\r\n"
               b"Set-Cookie: a; =;Path;Domain=.UP.example; path = / ;;domain=\r\nSet-Cookie: =\r\nRefresh: 0;URL=\r\n\r\nea60\r\n" + b"z" * 60000 + b"\r\n0\r\nX-T: 2\r\n\r\n")
    yield b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + body
    yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nbytes"
    yield b"HTTP/1.1 204 No Content\r\n\r\n"
    yield b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
    for status in (301, 401, 404, 413, 429, 500, 502, 503, 504):
        yield b"HTTP/1.1 %d X\r\nLocation: http://up/x\r\nContent-Length: 3\r\nWWW-Authenticate: Basic\r\n\r\nerr" % status
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
    yield body + body
    yield b""


ANSWERS = list(answers())


def h1_upstream(seed):
    r = random.Random(seed)

    def talk(s, number):
        s.settimeout(5)
        try:
            while True:
                data = b""
                while b"\r\n\r\n" not in data:
                    part = s.recv(65536)
                    if not part:
                        return
                    data += part
                if r.random() < 0.1:
                    time.sleep(r.choice((0.01, 0.3)))
                say(r, s, mutate(r, r.choice(ANSWERS), ANSWERS) if r.random() < 0.4 else r.choice(ANSWERS))
                if r.random() < 0.2:
                    leave(r, s)
                    return
        except TimeoutError:
            pass
    return talk


def h2_frames_of_server(r, i):
    ok = literal(b":status", r.choice((b"200", b"200", b"204", b"401", b"503", b"103", b"304")))
    yield headers(i, ok, r.random() < 0.2)
    for _ in range(r.randrange(4)):
        yield r.choice((frame(DATA, 0, i, b"x" * r.choice((0, 10, 16000))), window(0, 1000), settings(window=r.choice((0, 1, 65535))), rst(i, r.choice((0, 7, 8))),
                        frame(GOAWAY, 0, 0, struct.pack(">II", i, 0)), frame(PING, 0, 0, b"abcdefgh"), headers(i, literal(b":status", b"103"), False), headers(i + 2, ok)))
    yield frame(DATA, END_STREAM, i, b"end") if r.random() < 0.7 else headers(i, [(b"grpc-status", b"0")])


def h2_upstream(seed):
    r = random.Random(seed)

    def talk(s, number):
        data, others = s.recv(65536)[24:], [PREFACE]
        s.settimeout(5)
        s.sendall(settings())
        try:
            while True:
                list_, used = frames_of(data)
                data = data[used:]
                for f in list_:
                    if f[0] == HEADERS:
                        out = b"".join(h2_frames_of_server(r, f[2]))
                        others.append(out)
                        say(r, s, mutate(r, out, others[-20:]) if r.random() < 0.4 else out)
                part = s.recv(65536)
                if not part:
                    return
                data += part
        except TimeoutError:
            pass
    return talk


# ---- rules ----

def annotations(r):
    rows = [{}, {}, dict(proxy_buffering="on"), dict(proxy_request_buffering="off"), dict(enable_cors="true"), dict(limit_rps=1000), dict(limit_connections=50),
            dict(auth_url=f"http://127.0.0.1:{liar.port}/auth", auth_response_headers="X-User"), dict(auth_url=f"http://127.0.0.1:{liar.port}/auth", auth_signin="http://x.example/s"),
            dict(mirror_target=f"http://127.0.0.1:{liar.port}"), dict(custom_http_errors="404,503,401,413", default_backend="liar"), dict(proxy_body_size="10"),
            dict(affinity="cookie"), dict(upstream_hash_by="$request_uri"), dict(proxy_next_upstream="error timeout http_503 http_500 invalid_header non_idempotent", proxy_next_upstream_tries=4),
            dict(proxy_http_version="1.0"), dict(enable_modsecurity="true", modsecurity_snippet='SecRuleEngine On\nSecRequestBodyAccess On\nSecRule ARGS "@contains evil" "id:1,phase:2,deny,status:403"'),
            dict(configuration_snippet='if ($arg_x ~ "(a+)+$") { return 403; }\nadd_header X-U $request_uri always;\nrewrite "^/r/(.*)$" /$1 break;'), dict(app_root="/app"),
            dict(use_regex="true", rewrite_target="/$1"), dict(proxy_redirect_from="http://up/", proxy_redirect_to="/"), dict(satisfy="any", whitelist_source_range="10.0.0.0/8"),
            dict(limit_rate=1, limit_rate_after=1, proxy_buffering="on"), dict(limit_rate=20, proxy_buffering="on", proxy_buffer_size="1k", proxy_buffers_number=2),
            dict(auth_url=f"http://127.0.0.1:{liar.port}/auth", auth_response_headers="X-User", auth_cache_key="$remote_user$http_authorization", auth_cache_duration="any 1s"),
            dict(proxy_cookie_domain="up.example down.example", proxy_cookie_path="/ /x/"), dict(ssl_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384", ssl_prefer_server_ciphers="false"),
            dict(backend_protocol="GRPC"), dict(proxy_cookie_path="/ /x"), dict(proxy_connect_timeout=1, proxy_read_timeout=1), dict(temporal_redirect="http://x.example$request_uri")]
    out = {}
    for _ in range(r.choice((1, 1, 2, 3))):
        out.update(r.choice(rows))
    return out


def set_rules(r, names):
    for name in names:
        a = annotations(r)
        service = "h2" if a.get("backend_protocol") == "GRPC" else r.choice(("liar", "liar", "mixed", "none"))
        regex = a.get("use_regex")
        folder.ingress(name, f"{name}.example", service, secret="tls", paths=("/(.*)",) if regex else ("/", "/deep/er"),
                       kind="ImplementationSpecific" if regex else "Prefix", **{"ssl_redirect": "false", "proxy_read_timeout": 2, **a})


HOSTS = [f"r{i}" for i in range(12)]

# ---- clients ----


def plain_requests(r):
    host = r.choice(HOSTS + ["judge", "judge", "judge", "h2", "nobody"]).encode() + b".example"
    target = r.choice((b"/", b"/a?x=evil", b"/r/x", b"/deep/er/x", b"/%2e%2e/x", b"/?x=" + b"a" * 200, b"http://" + host + b"/u", b"/" + bytes(r.choices(range(33, 127), k=9)), b"/\xff"))
    line = r.choice((b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"X")) + b" " + target + r.choice((b" HTTP/1.1", b" HTTP/1.1", b" HTTP/1.1", b" HTTP/1.0")) + b"\r\n"
    more = b"".join(r.sample((b"Cookie: a=b\r\n", b"Origin: http://o.example\r\n", b"Accept-Encoding: gzip, br\r\n", b"X-Forwarded-For: 6.6.6.6\r\n", b"Authorization: Basic dTpw\r\n", b"TE: trailers\r\n",
                              b"Connection: keep-alive, x-a\r\nX-A: b\r\n", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Range: bytes=0-4\r\n"), r.randrange(4)))
    kind = r.randrange(4)
    if kind == 0:
        body = b"x=evil&y=z" * r.choice((1, 1, 500, 20000))
        return line + b"Host: " + host + b"\r\n" + more + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if kind == 1 and b"HTTP/1.1" in line:
        parts = b"".join(b"%x%s\r\n%s\r\n" % (len(p), r.choice((b"", b";a=b")), p) for p in [b"y" * r.choice((1, 5, 9000)) for _ in range(r.randrange(5))])
        return line + b"Host: " + host + b"\r\n" + more + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n" + r.choice((b"", b"X-T: 1\r\n", b"Authorization: x\r\nHost: y\r\n")) + b"\r\n"
    return line + b"Host: " + host + b"\r\n" + more + b"\r\n"


CORPUS = [data for _, data, *_ in http1_corpus.CASES + http1_corpus.SMUGGLING if len(data) < 20000]


def h1_bytes(r):
    data = b"".join(plain_requests(r) if r.random() < 0.8 else r.choice(CORPUS) for _ in range(r.choice((1, 1, 2, 5))))
    return mutate(r, data, CORPUS) if r.random() < 0.6 else data


def h2_bytes(r):
    out, i = PREFACE + settings(**r.choice(({}, dict(window=0), dict(window=10, table=0), dict(frame=16384, list=100)))), 1
    for _ in range(r.choice((1, 3, 10, 40))):
        host = r.choice(HOSTS + ["judge", "h2"]).encode() + b".example"
        end = r.random() < 0.6
        list_ = fields(r.choice((b"/", b"/a?x=evil", b"/r/y", b"*")), host, b"GET" if end else b"POST", b"https", r.sample([(b"cookie", b"a=b"), (b"te", b"trailers"), (b"x-a", b"b"), (b"content-length", b"3"), (b"x-b", b"c" * 3000), (b"expect", b"100-continue")], r.randrange(3)))
        if r.random() < 0.1:
            list_ = [(b":protocol", b"websocket")] + fields(host=host, method=b"CONNECT")
        if r.random() < 0.2:
            r.shuffle(list_)
        block = hpack(list_)
        out += headers(i, block, end) if r.random() < 0.9 else frame(HEADERS, END_HEADERS | WITH_PRIORITY, i, struct.pack(">IB", r.choice((0, i, 1)), 9) + block)
        for _ in range(0 if end else r.randrange(4)):
            out += r.choice((frame(DATA, 0, i, b"x" * r.choice((0, 3, 9000))), frame(DATA, END_STREAM, i, b"abc"), headers(i, [(b"x-t", b"1")]), rst(i, r.choice((0, 8))), window(i, r.choice((0, 1, 1 << 20, 0x7fffffff))),
                             frame(PRIORITY, 0, i, struct.pack(">IB", 0, 1)), frame(PING, 0, 0, b"abcdefgh"), settings(window=r.choice((0, 100, 1 << 20))), window(0, r.choice((1, 1 << 20)))))
        i += 2
    return mutate(r, out, [out, PREFACE]) if r.random() < 0.5 else out


def proxy_head(r):
    head = r.choice((b"PROXY TCP4 10.1.2.3 10.0.0.1 1234 80\r\n", b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\1\2\3\x0a\0\0\1\x04\xd2\0\x50", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"))
    return mutate(r, head, [head]) if r.random() < 0.3 else head


class Bio:
    """TLS whose records are cut and changed on their way."""

    def __init__(self, r, sock, context, name, before):
        self.r, self.sock, self.before = r, sock, before
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname=name)
        self.spoil = r.random() < 0.15

    def flush(self):
        data, self.before = self.before + self.outward.read(), b""
        if data:
            say(self.r, self.sock, mutate(self.r, data, [data]) if self.spoil else data)

    def run(self, data):
        self.sock.settimeout(1)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                part = self.sock.recv(65536)
                if not part:
                    return
                self.inward.write(part)
        for piece in pieces(self.r, data):
            self.tls.write(piece)
            self.flush()


def client(seed, until):
    global rounds
    r = random.Random(seed)
    contexts = [any_certificate(), any_certificate("h2"), any_certificate("h2", "http/1.1")]
    while time.monotonic() < until and proxy.process.poll() is None:
        p = r.choice((proxy, proxy, proxied))
        before = proxy_head(r) if p is proxied else b""
        h2 = r.random() < 0.4
        data = h2_bytes(r) if h2 else h1_bytes(r)
        try:
            if r.random() < 0.35:
                s = socket.create_connection(("127.0.0.1", p.https), 5)
                Bio(r, s, r.choice(contexts[1:]) if h2 else contexts[0], r.choice(HOSTS + ["judge", "nobody"]) + ".example", before).run(data)
            else:
                s = socket.create_connection(("127.0.0.1", p.http), 5)
                say(r, s, before + data)
            hear(r, s, r.choice((0, 0.01, 0.05, 0.3)))
            leave(r, s)
        except (OSError, ssl.SSLError):
            s.close()
        rounds += 1


def judge_reason(q):
    line, *rest = q.head.split(b"\r\n")
    names = [f.partition(b":")[0].lower() for f in rest]
    if not q.complete:
        return None if b"\r\n\r\n" in q.raw else "half a head"
    if not LINE.fullmatch(line):
        return line
    bad = [f for f in rest if not FIELD.fullmatch(f)]
    if bad:
        return bad
    if names.count(b"host") != 1 or names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        return names
    return None if all(names.count(n) == 1 for n in (b"x-real-ip", b"x-forwarded-for", b"x-request-id")) else names


print(f"# seed {SEED}, {SECONDS:.0f} s, {WORK}", flush=True)
rounds = 0
chance = random.Random(SEED)
liar, h2liar, judge = Listener(h1_upstream(SEED + 1)), Listener(h2_upstream(SEED + 2)), Recorder()
folder = Folder()
folder.secret("tls", *certificate("judge.example", "*.example"))
folder.service("liar", liar.port)
folder.service("h2", h2liar.port)
folder.service("judge", judge.port)
folder.service("mixed", liar.port, 1, judge.port)
folder.service("none")
folder.ingress("judge", "judge.example", "judge", secret="tls", ssl_redirect="false")
folder.ingress("h2", "h2.example", "h2", secret="tls", ssl_redirect="false", backend_protocol="GRPC", proxy_read_timeout=1)
set_rules(chance, HOSTS)
GLOBALS = dict(allow_snippet_annotations="true", annotations_risk_level="Critical", client_header_timeout=2, client_body_timeout=2, use_gzip="true", gzip_min_length=1, upstream_keepalive_timeout=2, keep_alive=5)
folder.globals(**GLOBALS)
proxy = Proxy(folder)
proxy.ready()
# One that believes PROXY headers, by the same files but for its settings.
believing = Folder()
for name in os.listdir(folder.path):
    if name != "configmap.yaml":
        shutil.copy(f"{folder.path}/{name}", believing.path)
believing.globals(use_proxy_protocol="true", **GLOBALS)
proxied = Proxy(believing)
soon("the one that wants PROXY headers serves", lambda: "routing " in proxied.log())
before = [p.descriptors() for p in (proxy, proxied)]
end = time.monotonic() + SECONDS
threads = [threading.Thread(target=client, args=(SEED * 1000 + i, end)) for i in range(CLIENTS)]
for t in threads:
    t.start()
changes = 0
while time.monotonic() < end:
    time.sleep(chance.choice((0.05, 0.3, 1)))
    set_rules(chance, chance.sample(HOSTS, 2))
    folder.service("mixed", *chance.sample([liar.port, judge.port, 1], chance.randrange(1, 4)))
    changes += 1
for t in threads:
    t.join()
section("afterwards")
print(f"# {rounds} connections, {changes} changes of rules, {judge.connections} + {liar.connections} + {h2liar.connections} connections to upstreams, {len(judge.seen)} requests judged")
for name, p, was in (("plain", proxy, before[0]), ("with PROXY headers", proxied, before[1])):
    check(f"{name}: it lives", p.process.poll() is None, p.log()[-3000:])
    check(f"{name}: nothing to report by a sanitizer", not re.search(r"Sanitizer|runtime error", p.log()), p.log()[-6000:])
if proxy.process.poll() is None:
    ask = lambda: tap.http1(proxy.http, b"GET /last HTTP/1.1\r\nHost: judge.example\r\nConnection: close\r\n\r\n")[0]
    check("an ordinary request is answered", [a[0] for a in ask()] == [200], "")
    liar.close(), h2liar.close()
    soon("nothing is in flight", lambda: proxy.in_flight() == 0, 20)
    soon("nobody is connected", lambda: proxy.metric("nginx_ingress_controller_nginx_process_connections") <= 2, 20)
    soon("descriptors are back", lambda: proxy.descriptors() <= before[0] + 24, 20)
    print(f"# descriptors {before[0]} -> {proxy.descriptors()}, memory {proxy.rss_kib()} KiB")
bad = [(judge_reason(q), q.raw[:300]) for q in judge.seen if judge_reason(q)]
check(f"{len(judge.seen)} requests that cannot be read in two ways", judge.seen and not bad, bad[:5])
tap.finish()
