"""ingress_attacks.py - HTTP/2 that makes work for others, answers of our own while a body is pending, certificates of another
host, and HTTP/2 upstreams that lie.
"""
import base64
import hashlib
import itertools
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

import tap
from h2_frames import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH, RST, SETTINGS,
                       fields, frame, frames_of, headers, hpack, literal, rst, settings, window)
from proxy_kit import DEADLINE, WORK, Folder, Listener, Proxy, Recorder, any_certificate, certificate, free_port
from tap import Raw, check, responses, section, soon

FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
LINE = re.compile(rb"[A-Z_-]+ [\x21-\x7e]+ HTTP/1\.1")
RESETS_MAX = 1000  # H2_RESETS_BURST, and what was under way


def swallow(s, _):
    while s.recv(65536):
        pass


def side_by_side(work, one, at_once=32):
    """one(item) for all of them, some at a time."""
    work, lock = list(work), threading.Lock()

    def run():
        while True:
            with lock:
                if not work:
                    return
                item = work.pop()
            one(item)
    threads = [threading.Thread(target=run) for _ in range(at_once)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


folder = Folder()
good, prefixed, silent = Recorder(), Recorder(), Listener(swallow)
allows = Recorder(lambda r: b"HTTP/1.1 200 OK\r\nX-User: me\r\nContent-Length: 0\r\n\r\n")


def refuses_late(r):
    time.sleep(0.1)
    return b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"


refuses, mirrored = Recorder(refuses_late), Recorder()
fails = Recorder(lambda r: b"HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nerr")
page = Recorder(lambda r: b"HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\npage")
for name, l in (("good", good), ("prefixed", prefixed), ("silent", silent), ("fails", fails), ("page", page)):
    folder.service(name, l.port)
folder.service("none")
folder.service("closed", free_port())
folder.service("second", fails.port, good.port)
folder.ingress("good", "ok.example", "good")
folder.ingress("silent", "silent.example", "silent", proxy_request_buffering="off")
folder.ingress("waits", "waits.example", "good", auth_url=f"http://127.0.0.1:{silent.port}/")
folder.ingress("regex", "regex.example", "good", paths=("/(.*)",), kind="ImplementationSpecific", use_regex="true", rewrite_target="/r/$1")
folder.ingress("prefixed", "prefixed.example", "prefixed", paths=("/(.*)",), kind="ImplementationSpecific", use_regex="true", rewrite_target="/$1", x_forwarded_prefix="/ours")
folder.ingress("asked", "asked.example", "prefixed", auth_url=f"http://127.0.0.1:{allows.port}/", auth_response_headers="X-User", proxy_request_buffering="off")


# ---- answers of our own ----
def auth(port):
    return {"auth_url": f"http://127.0.0.1:{port}/a"}


WAF = 'SecRuleEngine On\nSecRequestBodyAccess On\nSecRule REQUEST_URI "@contains orig" "id:1,phase:1,deny,status:403"'
LATE_WAF = 'SecRuleEngine On\nSecRequestBodyAccess On\nSecRule REQUEST_BODY "@contains smuggled" "id:1,phase:2,deny,status:403"'
OWN = {
    "moved": {"permanent_redirect": "http://x.example/"}, "secure": {"force_ssl_redirect": "true"}, "root": {"app_root": "/app"}, "cors": {"enable_cors": "true"},
    "forbidden": {"whitelist_source_range": "10.0.0.0/8"}, "small": {"proxy_body_size": "3"}, "rate": {"limit_rps": "1", "limit_burst_multiplier": "1"}, "many": {"limit_connections": "1"},
    "basic": {"auth_type": "basic", "auth_secret": "users"}, "digest": {"auth_type": "digest", "auth_secret": "digests"}, "auth": auth(refuses.port), "authdead": auth(free_port()),
    "signin": {**auth(refuses.port), "auth_signin": "http://x.example/s"}, "mirror": {"mirror_target": f"http://127.0.0.1:{mirrored.port}"},
    "mirrorauth": {"mirror_target": f"http://127.0.0.1:{mirrored.port}", **auth(refuses.port)}, "return": {"configuration_snippet": "return 200 hello;"}, "deny": {"configuration_snippet": "deny all;"},
    "waf": {"enable_modsecurity": "true", "modsecurity_snippet": WAF}, "waflate": {"enable_modsecurity": "true", "modsecurity_snippet": LATE_WAF}, "pages": {"custom_http_errors": "503,413,401", "default_backend": "page"},
    "pagelarge": {"custom_http_errors": "413", "default_backend": "page", "proxy_body_size": "3"}, "pageauth": {"custom_http_errors": "401", "default_backend": "page", **auth(refuses.port)},
    "stream": {"proxy_request_buffering": "off"}, "old": {"proxy_http_version": "1.0"}, "retry": {"proxy_next_upstream": "error timeout http_503 non_idempotent"}, "none": {}, "closed": {},
}
for name, annotations in OWN.items():
    folder.ingress(name, f"{name}.example", {"pages": "fails", "none": "none", "closed": "closed", "retry": "second"}.get(name, "good"), **annotations)


def secret(name, **data):
    folder.put(f"secret-{name}", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {k.replace("_", "."): base64.b64encode(v).decode() for k, v in data.items()}})


secret("users", auth=b"u:{SHA}" + base64.b64encode(hashlib.sha1(b"p").digest()) + b"\n")
secret("digests", auth=b"u:r:" + hashlib.md5(b"u:r:p").hexdigest().encode() + b"\n")


# ---- certificates ----
def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
for n in "12":
    openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN=ca{n}", "-keyout", f"{WORK}/ca{n}.key", "-out", f"{WORK}/ca{n}.crt")
    openssl("req", *KEY, "-subj", f"/CN=c{n}", "-keyout", f"{WORK}/c{n}.key", "-out", f"{WORK}/c{n}.csr")
    openssl("x509", "-req", "-in", f"{WORK}/c{n}.csr", "-CA", f"{WORK}/ca{n}.crt", "-CAkey", f"{WORK}/ca{n}.key", "-CAcreateserial", "-days", "2", "-out", f"{WORK}/c{n}.crt")
    with open(f"{WORK}/ca{n}.crt", "rb") as f:
        secret(f"ca{n}", ca_crt=f.read())
secured = Recorder()
folder.service("secured", secured.port)
folder.secret("tls", *certificate("open.example", "m1.example", "m2.example", "opt.example", "alias.example", "*.wild.example"))
folder.ingress("open", "open.example", "good", secret="tls", ssl_redirect="false")
MUTUAL = {"secret": "tls", "ssl_redirect": "false"}
folder.ingress("m1", "m1.example", "secured", auth_tls_secret="default/ca1", server_alias="alias.example", **MUTUAL)
folder.ingress("m2", "m2.example", "secured", auth_tls_secret="default/ca2", **MUTUAL)
folder.ingress("opt", "opt.example", "secured", auth_tls_secret="default/ca1", auth_tls_verify_client="optional", **MUTUAL)
folder.ingress("wild", "*.wild.example", "secured", auth_tls_secret="default/ca1", **MUTUAL)

# ---- HTTP/2 upstreams that lie: what they send for a request; the answer's status ----
OK = literal(b":status", b"200")
END = 1 << 26


def head(i, block=OK, end=False, flags=END_HEADERS):
    return headers(i, block, end, flags)


def body(i):
    return frame(DATA, END_STREAM, i, b"OK")


def status(text):
    return literal(b":status", text)


def again(data):
    """For ever, as far as anybody listens."""
    return itertools.repeat(data * 1000, END // (len(data) * 1000))


GREET = struct.pack(">II", 0, 0)
LIARS = {
    "goaway-before": (502, lambda i: [frame(GOAWAY, 0, 0, GREET)]), "goaway-after": (200, lambda i: [frame(GOAWAY, 0, 0, struct.pack(">II", i, 0)), head(i), body(i)]),
    "goaway-storm": ((502, 504), lambda i: again(frame(GOAWAY, 0, 0, struct.pack(">II", i, 0)))), "goaway-grows": (502, lambda i: [frame(GOAWAY, 0, 0, struct.pack(">II", 1 + 2 * k, 0)) for k in range(1000)]),
    "refused": (502, lambda i: [rst(i, 7)]), "pushes": (502, lambda i: [frame(PUSH, END_HEADERS, i, struct.pack(">I", 2) + hpack(fields(b"/p"))), head(2), body(2), head(i), body(i)]),
    "another-stream": (502, lambda i: [head(i + 200), frame(DATA, END_STREAM, i + 200, b"poison"), head(i), body(i)]), "even-stream": (502, lambda i: [head(2), frame(DATA, END_STREAM, 2, b"poison")]),
    "floods-103": ((502, 504), lambda i: again(head(i, status(b"103")))), "many-103": (200, lambda i: [head(i, status(b"103")) * 60, head(i), body(i)]), "huge-103": (502, lambda i: [head(i, status(b"103") + literal(b"link", b"a" * 15000)) * 100, head(i), body(i)]),
    "switches": (502, lambda i: [head(i, status(b"101")), head(i), body(i)]), "ends-with-103": (502, lambda i: [head(i, status(b"103"), True)]),
    "floods-ping": (502, lambda i: again(frame(PING, 0, 0, b"12345678"))), "floods-settings": (502, lambda i: again(settings(window=100))), "floods-window": ((502, 504), lambda i: again(window(0, 1))),
    "no-streams": (200, lambda i: [settings(streams=0), head(i), body(i)]), "small-settings": (200, lambda i: [settings(frame=16384, window=1, list=1, table=0), head(i), body(i)]), "table": (200, lambda i: [settings(table=0xffffffff), head(i), body(i)]),
    "window-overflow": (502, lambda i: [window(0, 0x7fffffff) * 2]), "stream-window-overflow": (502, lambda i: [window(i, 0x7fffffff) * 2]), "floods-continuation": (502, lambda i: itertools.chain([head(i, OK, flags=0)], again(frame(CONTINUATION, 0, i, literal(b"x", b"y" * 100))))),
    "empty-continuation": (502, lambda i: itertools.chain([head(i, OK, flags=0)], again(frame(CONTINUATION, 0, i)))), "bomb": (502, lambda i: [head(i, OK + literal(b"x", b"y" * 4000, 0x40) + b"\xbe" * 12000), body(i)]), "bad-hpack": (502, lambda i: [head(i, b"\xff" * 50)]),
    "data-first": (502, lambda i: [body(i)]), "length-twice": (502, lambda i: [head(i, OK + literal(b"content-length", b"2") + literal(b"content-length", b"3")), body(i)]), "crlf-value": (502, lambda i: [head(i, OK + literal(b"x", b"a\r\nevil: 1")), body(i)]),
    "crlf-name": (502, lambda i: [head(i, OK + literal(b"x\r\nevil: 1", b"a")), body(i)]), "connection": (502, lambda i: [head(i, OK + literal(b"transfer-encoding", b"chunked")), body(i)]), "no-status": (502, lambda i: [head(i, literal(b"x", b"2")), body(i)]),
    "status-2x0": (502, lambda i: [head(i, status(b"2x0")), body(i)]), "status-9999": (502, lambda i: [head(i, status(b"9999")), body(i)]), "status-000": (502, lambda i: [head(i, status(b"000")), body(i)]), "status-099": (502, lambda i: [head(i, status(b"099")), body(i)]),
    "head-cut-by-data": (502, lambda i: [head(i, OK, flags=0), body(i)]), "http1": (502, lambda i: [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"]), "garbage": (502, lambda i: [bytes(range(256)) * 300]), "padded": (200, lambda i: [head(i), frame(DATA, PADDED, i, b"\xff" + b"\0" * 255) * 3000, body(i)]),
    "forbidden-trailers": (200, lambda i: [head(i), frame(DATA, 0, i, b"OK"), headers(i, [(b"content-length", b"2"), (b"host", b"x")])]), "two-heads": (0, lambda i: [head(i), head(i), body(i)]), "wrong-length": (0, lambda i: [head(i, OK + literal(b"content-length", b"5")), body(i)]),
    "bad-trailers": (0, lambda i: [head(i), frame(DATA, 0, i, b"OK"), headers(i, [(b":status", b"200")])]), "fine": (200, lambda i: [head(i), body(i)]),
}


def lies(what):
    def talk(s, _):
        data = b""
        while len(data) < len(PREFACE):
            data += s.recv(65536) or b"\0" * 99
        data = data[len(PREFACE):]
        s.sendall(settings())
        while True:
            list_, used = frames_of(data)
            data = data[used:]
            for f in list_:
                if f[0] == SETTINGS and not f[1] & ACK:
                    s.sendall(frame(SETTINGS, ACK))
                s.settimeout(4)
                for out in what(f[2]) if f[0] == HEADERS else ():
                    s.sendall(out)
            part = s.recv(65536)
            if not part:
                return
            data += part
    return talk


liars = {name: Listener(lies(row[1])) for name, row in LIARS.items()}
for name, l in liars.items():
    folder.service(name, l.port)
    folder.ingress(f"liar-{name}", f"{name}.liar", name, backend_protocol="GRPC", proxy_read_timeout="1", proxy_connect_timeout="1", proxy_next_upstream_tries="2")

folder.globals(client_header_timeout=2, client_body_timeout=2, allow_snippet_annotations="true", annotations_risk_level="Critical")
proxy = Proxy(folder)
proxy.ready()


def requests_total():
    return proxy.metric("nginx_ingress_controller_nginx_process_requests_total")


def resets():
    section("streams that end before they are answered, whoever ends them")
    host = b"silent.example"

    def get(i, **more):
        return headers(i, fields(host=host, **more))

    def post(i, *more):
        return headers(i, fields(host=host, method=b"POST", more=more), end=False)
    rows = {
        "RST_STREAM with CANCEL": lambda i: get(i) + rst(i, 8), "with NO_ERROR": lambda i: get(i) + rst(i, 0), "of an open request, with NO_ERROR": lambda i: post(i) + rst(i, 0),
        "a window of 0": lambda i: get(i) + window(i, 0), "a window past 2^31": lambda i: get(i) + window(i, 0x7fffffff), "by SETTINGS": lambda i: get(i) + window(i, 0x7fff0000) + settings(window=0x7fffffff) + settings(window=65535),
        "DATA behind the end": lambda i: get(i) + frame(DATA, 0, i, b"x"), "an empty end behind the end": lambda i: get(i) + frame(DATA, END_STREAM, i), "HEADERS behind the end": lambda i: get(i) + get(i),
        "PRIORITY of itself": lambda i: get(i) + frame(PRIORITY, 0, i, struct.pack(">IB", i, 1)), "PRIORITY of 4 bytes": lambda i: get(i) + frame(PRIORITY, 0, i, b"1234"),
        "a body past its length": lambda i: post(i, (b"content-length", b"1")) + frame(DATA, 0, i, b"xyz"), "a body short of it": lambda i: post(i, (b"content-length", b"9")) + frame(DATA, END_STREAM, i, b"xyz"),
        "trailers that do not end": lambda i: post(i) + headers(i, [(b"a", b"b")], end=False), "a pseudo-header as a trailer": lambda i: post(i) + headers(i, [(b":path", b"/x")]),
        "a trailer in capitals": lambda i: post(i) + headers(i, [(b"X", b"b")]), "600 trailers": lambda i, many=hpack([(b"x%d" % k, b"b") for k in range(600)]): post(i) + headers(i, many),
        "a tunnel's bytes before its answer": lambda i: headers(i, [(b":protocol", b"websocket")] + fields(host=host, method=b"CONNECT"), end=False) + frame(DATA, 0, i, b"x"),
    }
    for name, make in rows.items():
        before, n = requests_total(), 0
        with H2(proxy.http) as c:
            while n < 4000 and not c.ended:
                c.send(b"".join(make(1 + 2 * (n + k)) for k in range(50)))
                n += 50
                c.read(0.001)
            c.until(lambda _: False, 3)
            check(f"{name}: the connection ends", c.ended and c.goaway(), (c.goaway(), c.frames()[-2:]))
            check(f"{name}: before much was asked", requests_total() - before <= RESETS_MAX, requests_total() - before)
        silent.cut()


def slow_heads():
    section("heads that do not end")
    whole = headers(3, fields())
    rows = {"without END_HEADERS": headers(3, fields(), flags=0), "half a frame": whole[:20], "a frame's head": whole[:9], "half of one": whole[:5]}
    connections = {}
    for first in (False, True):
        for name, data in rows.items():
            c = connections[f"{'the second' if first else 'the first'} head: {name}"] = H2(proxy.http)
            if first:
                c.send(headers(1, fields()))
                c.answered(1)
            c.send(data)
    kept = [n for n in connections if "second" in n and "half of" in n]  # to be taken for an idle connection's: keep-alive
    for name, c in connections.items():
        c.until(lambda _: False, 0.1 if name in kept else DEADLINE)
        check(f"{name}: the connection ends in time", c.ended or name in kept, c.frames()[-2:])
        c.close()


def leaving():
    section("clients that leave before the answer")
    all_ = []
    get, post = b"GET / HTTP/1.1\r\nHost: silent.example\r\n", b"POST / HTTP/1.1\r\nHost: silent.example\r\nContent-Length: 3\r\n"
    for data in (get + b"\r\n", get + b"Connection: close\r\n\r\n", post + b"\r\nabc", get.replace(b"silent", b"waits") + b"\r\n"):
        clients = [Raw(proxy.http) for _ in range(20)]
        for c in clients:
            c.send(data)
        all_ += clients
    soon("all are asked", lambda: len(silent.open) >= 80)
    for c in all_:
        c.close()
    soon("nobody is asked for them any more, long before the upstream's time is over", lambda: not silent.open, 15)
    silent.cut()


def why_two_readings(r):
    line, *rest = r.head.split(b"\r\n")
    names = [f.partition(b":")[0].lower() for f in rest]
    bad = [f for f in [line] if not LINE.fullmatch(f)] + [f for f in rest if not FIELD.fullmatch(f)]
    if names.count(b"host") != 1 or names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        bad.append(names)
    return bad or (None if r.complete else "not complete")


BYTES = [b"\r", b"\n", b"\0", b"\r\n", b"\x01", b"\x0b", b"\x7f", b"\x85", b"\xff", b" ", b"\t", b":", b"/", b"#", b"?", b"\\", b"%0d%0a", b"@", b",", b";", b"[", b"%00", b"\"", b"|", b"`"]
NAMES = [(b"transfer-encoding", b"chunked"), (b"connection", b"x-a"), (b"upgrade", b"h2c"), (b"keep-alive", b"x"), (b"te", b"gzip"), (b"te", b"trailers"), (b"host", b"other.example"), (b"host", b"ok.example"), (b":authority", b"ok.example"),
         (b":path", b"/x"), (b":status", b"200"), (b":foo", b"x"), (b"", b"x"), (b"content-length", b"5"), (b"content-length", b"+5"), (b"content-length", b""), (b"http2-settings", b"AAMA"), (b"expect", b"100-continue"),
         (b"transfer_encoding", b"chunked"), (b"x:y", b"z"), (b"get / http/1.1\r\nx", b"y"), (b"proxy", b"http://evil"), (b"x-forwarded-for", b"6.6.6.6"), (b"trailer", b"x")]


def smuggling_rows():
    for b, where in itertools.product(BYTES, range(3)):
        def with_it(v):
            at = (0, 2, len(v))[where]
            return v[:at] + b + v[at:]
        for name, list_ in (("path", fields(with_it(b"/abc"))), ("query", fields(b"/abc?" + with_it(b"def"))), ("method", fields(method=with_it(b"GETX"))), ("authority", fields(host=with_it(b"ok.example"))),
                            ("scheme", fields(scheme=with_it(b"http"))), ("name", fields(more=[(with_it(b"x-name"), b"v")])), ("value", fields(more=[(b"x-name", with_it(b"value"))])), ("cookie", fields(more=[(b"cookie", with_it(b"a=b")), (b"cookie", b"c")])),
                            ("host", [f for f in fields() if f[0] != b":authority"] + [(b"host", with_it(b"ok.example"))]), ("length", fields(more=[(b"content-length", with_it(b"0000"))])), ("rewritten", fields(with_it(b"/xyz"), b"regex.example"))):
            yield f"{name} {b} {where}", headers(1, list_)
    for f in NAMES:
        yield f"{f}", headers(1, fields(more=[f]))
        yield f"{f} twice", headers(1, fields(more=[f, f]))
        yield f"{f} first", headers(1, [f] + fields())
        yield f"{f} with a body", headers(1, fields(method=b"POST", more=[f]), end=False) + frame(DATA, 0, 1, b"ab") + frame(DATA, END_STREAM, 1, b"cde")
        yield f"{f} as a trailer", headers(1, fields(method=b"POST"), end=False) + frame(DATA, 0, 1, b"ab") + headers(1, [f])
    for name, list_ in (("CONNECT", [(b":method", b"CONNECT"), (b":authority", b"ok.example:80")]), ("a protocol for GET", [(b":protocol", b"websocket")] + fields()), ("an unknown protocol", [(b":protocol", b"h2c")] + fields(method=b"CONNECT")),
                        ("an asterisk", fields(b"*")), ("a URL", fields(b"http://other.example/x")), ("no authority", fields()[:2] + fields()[3:]), ("a long method", fields(method=b"A" * 500)), ("PRI", fields(b"*", method=b"PRI"))):
        yield name, headers(1, list_)
    yield "a tunnel with a length", headers(1, [(b":protocol", b"websocket")] + fields(method=b"CONNECT", more=[(b"content-length", b"5")]), end=False)


def smuggling():
    section("HTTP/2 fields to an HTTP/1 upstream")
    rows, unanswered = list(smuggling_rows()), []
    before = len(good.seen)

    def one(row):
        with H2(proxy.http) as c:
            c.send(row[1])
            if not c.answered(1, 5):
                unanswered.append(row[0])
    side_by_side(rows, one)
    new = good.seen[before:]
    bad = [(why_two_readings(r), r.raw[:300]) for r in new if why_two_readings(r)]
    check(f"{len(rows)} requests, {len(new)} passed on: none can be read in two ways", not bad and new, bad[:8])
    check("each is answered", not unanswered, unanswered[:20])


def told():
    section("what only the proxy says")
    def heads(host, more, trailers=None):
        with Raw(proxy.http) as r:
            framing = b"Transfer-Encoding: chunked\r\n" if trailers is not None else b""
            r.send(b"POST /x HTTP/1.1\r\nHost: %s\r\n%s%s\r\n" % (host, more, framing) + (b"1\r\nx\r\n" if trailers is not None else b""))
            r.until(lambda got: responses(got)[0], DEADLINE if trailers is None else 0.3)
            r.send(b"0\r\n" + trailers + b"\r\n" if trailers is not None else b"")
            r.until(lambda got: responses(got)[0])
        return prefixed.seen[-1]
    r = heads(b"prefixed.example", b"X-Forwarded-Prefix: /evil\r\nX-Forwarded-Prefix: /evil2\r\n")
    check("X-Forwarded-Prefix is ours alone", re.findall(rb"(?im)^x-forwarded-prefix: (.*?)\r", r.raw) == [b"/ours"], r.raw)
    evil = [b"Authorization", b"Cookie", b"X-User", b"Host", b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For", b"X_Forwarded_For", b"X-Real-IP", b"ssl-client-verify", b"SSL-Client-Cert", b"Content-Type", b"Range", b"Proxy", b"Trailer"]
    r = heads(b"asked.example", b"X-A: head\r\n", trailers=b"".join(n + b": evil\r\n" for n in evil) + b"X-A: evil\r\nX-Checksum: fine\r\n")
    trailers = r.raw.rpartition(b"0\r\n")[2]
    check("trailers that could speak for the head are dropped, others pass", trailers == b"X-Checksum: fine\r\n\r\n" and b"X-User: me" in r.head, r.raw)


HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: stream.example\r\n\r\n"
BODIES = {
    "a body": (b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN, True), "half a body": (b"Content-Length: %d\r\n" % (len(HIDDEN) + 50), HIDDEN, False), "a body in chunks": (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n", True),
    "half a chunk": (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % (len(HIDDEN) + 9) + HIDDEN, False), "a bad chunk": (b"Transfer-Encoding: chunked\r\n", b"zz\r\n" + HIDDEN, False), "Expect and a body": (b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(HIDDEN), HIDDEN, True),
    "Expect and half": (b"Expect: 100-continue\r\nContent-Length: %d\r\n" % (2 * len(HIDDEN)), HIDDEN, False), "an upgrade with a body": (b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n" % len(HIDDEN), HIDDEN, True),
}


def own_answers():
    section("answers of our own while a body is pending (CL.0)")
    wrong = []

    def one(case):
        host, method, (name, (more, data, whole)), when = case
        first = method + b" /orig HTTP/1.1\r\nHost: " + host.encode() + b".example\r\nOrigin: http://o.example\r\n" + more + b"\r\n"
        with Raw(proxy.http) as r:
            r.send(first + (data if when == "at once" else b""))
            if when != "at once":
                r.until(lambda got: b"\r\n\r\n" in got, 0.3)
                r.send(data)
            r.until(lambda got: [s for s in re.findall(rb"HTTP/1\.1 (\d\d\d)", got) if s != b"100"], 1)
            r.read(0.1)
            close = b"connection: close" in r.got.lower()
            if close:
                r.until(lambda _: False, 3)
            got = [s for s in re.findall(rb"HTTP/1\.1 (\d\d\d)", r.got) if s != b"100"]
            if len(got) > 1 or (whole and not got) or close != r.ended or (got and not whole and not close):
                wrong.append((*case[:2], name, when, got, r.ended, r.got[:200]))
    cases = list(itertools.product([*OWN, "nobody"], (b"POST", b"OPTIONS"), BODIES.items(), ("at once", "after the answer")))
    side_by_side(cases, one)
    check(f"{len(cases)} requests: one answer each, and the end where the body was not read", not wrong, "\n".join(map(str, wrong[:8])))
    for name, l in (("the upstream", good), ("the mirror", mirrored), ("who authenticates", refuses), ("who answers with an error", fails), ("the page", page)):
        bad = [r.raw[:200] for r in l.seen if b"/smuggled" in r.head.split(b"\r\n")[0]]
        check(f"{name} saw no body as a request", not bad and l.seen, bad[:3])


def tls_context(client=None, alpn=(), version=None):
    c = any_certificate(*alpn)
    if client:
        c.load_cert_chain(f"{WORK}/{client}.crt", f"{WORK}/{client}.key")
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def certificates():
    section("a host that wants certificates, by a connection made for another")
    hosts = {b"m1.example": ("m1.example", "c1"), b"M1.Example.:443": ("m1.example", "c1"), b"alias.example": ("alias.example", "c1"), b"m2.example": ("m2.example", "c2"), b"x.wild.example": ("*.wild.example", "c1")}
    wrong, reached = [], []

    def one(case):
        (version, sni, client), (host, (name, need)) = case
        path = b"/%d" % id(case)
        try:
            with Raw(proxy.https, tls_context(client, version=version), sni) as r:
                r.send(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
                r.until(lambda got: responses(got)[0])
                got = responses(r.got)[0]
        except OSError:
            got = []
        mine = (sni or "").lower() == name or name[0] == "*" and (sni or "").endswith(name[1:])
        passed = any(path + b" " in r.head for r in list(secured.seen))
        reached.extend([case] if passed else [])
        if passed != (mine and client == need) or (got and not passed and got[0][0] not in (400, 421)):
            wrong.append((*case, got[:1]))
    ways = itertools.product((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), ("open.example", None, "m1.example", "M1.EXAMPLE", "m2.example", "alias.example", "opt.example", "q.wild.example", "nobody.example"), (None, "c1", "c2"))
    side_by_side(itertools.product(ways, hosts.items()), one, 8)
    check(f"only with the certificate it wants, by its own name ({len(reached)} times)", not wrong and reached, wrong[:8])
    with H2(proxy.https, tls_context("c1", ("h2",)), "open.example") as c:
        for i, host in enumerate(hosts):
            c.send(headers(2 * i + 1, fields(host=host, scheme=b"https")))
            c.answered(2 * i + 1)
        check("coalesced: 421", [c.status(2 * i + 1) for i in range(len(hosts))] == [421] * len(hosts), c.frames())

    section("sessions of one host for another")
    wrong = []
    for version, first, second, client in itertools.product((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), ("open.example", "m1.example", "opt.example"), ("m1.example", "m2.example", "alias.example"), (None, "c1", "c2")):
        context, session = tls_context(client, version=version), None
        for name in (first, second):
            before = len(secured.seen)
            try:
                with context.wrap_socket(socket.create_connection(("127.0.0.1", proxy.https), DEADLINE), server_hostname=name, session=session) as s:
                    s.settimeout(DEADLINE)
                    s.sendall(b"GET / HTTP/1.1\r\nHost: " + name.encode() + b"\r\nConnection: close\r\n\r\n")
                    while s.recv(4096):
                        pass
                    session, resumed = s.session, s.session_reused
            except (OSError, ValueError):
                break
        passed = len(secured.seen) > before
        need = {"m2.example": "c2"}.get(second, "c1")
        if name == second and passed and (client != need or resumed and first != second):
            wrong.append((version, first, second, client, resumed))
    check("none is believed for another host", not wrong, wrong)


def splits():
    section("PROXY and TLS, cut at each byte")
    one = Folder()
    one.service("good", good.port)
    one.ingress("good", "ok.example", "good")
    one.globals(use_proxy_protocol="true", client_header_timeout=3)
    p = Proxy(one)
    soon("it serves", lambda: "routing " in p.log())
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = any_certificate().wrap_bio(inward, outward, server_hostname="ok.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    v1, v2 = b"PROXY TCP4 10.1.2.3 10.0.0.1 1234 80\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\1\2\3\x0a\0\0\1\x04\xd2\0\x50"
    plain, hello = b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", outward.read()
    wrong = []

    def at(case):
        name, port, data, want, cut = case
        with Raw(port) as r:
            r.send(data[:cut])
            time.sleep(0.01)
            r.send(data[cut:])
            r.until(lambda got: got.startswith(want))
            if not r.got.startswith(want):
                wrong.append((name, cut, r.got[:80]))
    cases = [(f"{n} {kind}", port, h + d, want, cut) for n, h in (("1", v1), ("2", v2)) for kind, port, d, want in (("plain", p.http, plain, b"HTTP/1.1 200"), ("TLS", p.https, hello, b"\x16\x03"))
             for cut in range(1, len(h) + min(len(d), 60))]
    side_by_side(cases, at, 16)
    check(f"{len(cases)} cuts: each is answered", not wrong, wrong[:5])
    p.kill()


def upstreams():
    section("HTTP/2 upstreams that lie")
    out = {}

    def ask(case):
        name, how = case
        if how == "HTTP/2":
            with H2(proxy.http) as c:
                c.send(headers(1, fields(host=name.encode() + b".liar")))
                c.answered(1, 8)
                finals = [f for f in c.frames() if f[0] in (DATA, RST) and f[2] == 1]
                cut, text = any(f[0] == RST for f in finals), b"".join(f[3] for f in c.frames() if f[0] in (DATA, HEADERS))
                codes = re.findall(rb"<title>(\d\d\d)", text)
                out[case] = 0 if cut else int(codes[0]) if codes else 200, text
        else:
            with Raw(proxy.http) as r:
                r.send(how.encode() + b" / HTTP/1.1\r\nHost: " + name.encode() + b".liar\r\n" + (b"Content-Length: 3\r\n\r\nabc" if how == "POST" else b"\r\n"))
                r.until(lambda got: responses(got)[0], 8)
                got = responses(r.got)[0]
                out[case] = got[0][0] if got else 0 if r.ended else -1, r.got
    side_by_side(LIARS, lambda name: [ask((name, how)) for how in ("GET", "POST", "HTTP/2")], 8)
    for (name, how), (got, text) in sorted(out.items()):
        want = LIARS[name][0]
        check(f"{name}: {how}: {want or 'cut'}", got in (want if isinstance(want, tuple) else (want,)) and len(text) < 1 << 20, (got, text[:200]))
        check(f"{name}: {how}: nothing of its making", not re.search(rb"(?m)^evil|poison", text), text[:300])
    for l in liars.values():
        l.cut()


tap.http1(proxy.http, b"GET / HTTP/1.1\r\nHost: ok.example\r\nConnection: close\r\n\r\n")
before = proxy.descriptors()
for part in (resets, slow_heads, leaving, smuggling, told, own_answers, certificates, splits, upstreams):
    started = time.monotonic()
    part()
    print(f"# {time.monotonic() - started:.1f} s", flush=True)
section("afterwards")
check("the proxy lives", proxy.process.poll() is None, proxy.log()[-3000:])
check("nothing to report by a sanitizer", not re.search(r"Sanitizer|runtime error", proxy.log()), proxy.log()[-3000:])
silent.cut()
soon("nothing is in flight", lambda: proxy.in_flight() == 0)
for l in (good, prefixed, allows, refuses, mirrored, fails, page, secured, *liars.values()):
    l.close()
soon("descriptors are back", lambda: proxy.descriptors() <= before + 32, 20)
tap.finish()
