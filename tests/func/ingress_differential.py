"""ingress_differential.py - the same bytes to nginx, HAProxy, Envoy (ENVOY=/path, if there is one) and to us.

A payload that two of them read differently - one sees a request where another sees none, or a body of another length -
must be refused by us, or passed on in a form that all of them read as we did: what our backend got is sent to each of
them once more. Prints a table of the readings; DIFFERENTIAL_TABLE=FILE writes all of it.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import http1_corpus
import tap
from proxy_kit import WORK, Folder, Proxy, Recorder, free_port
from tap import Raw, check, section

QUIET_S = 0.25  # nothing has come for so long: the proxy waits for more, or is done
ROUND_S = 3.0   # at most for one payload
AT_ONCE = 24
ENVOY = os.environ.get("ENVOY") or shutil.which("envoy")


def marked(data, number):
    """The payload's own requests, and the hidden one, carry its number."""
    hidden = http1_corpus.HIDDEN.replace(b"/smuggled", b"/smuggled-%d." % number)
    return re.sub(rb"/echo\b", b"/echo-%d." % number, data).replace(b"/smuggled", b"/smuggled-%d." % number), hidden


class Peer:
    def __init__(self, name, port, backend, process=None):
        self.name, self.port, self.backend, self.process = name, port, backend, process

    def reading(self, number):
        """What its backend saw of this payload: [(method, path, length of the body)]."""
        out = []
        for r in list(self.backend.seen):
            line = r.head.split(b"\r\n")[0]
            if b"-%d." % number in line and r.complete:
                method, _, rest = line.partition(b" ")
                out.append((method.decode("latin-1"), rest.split(b" ")[0].decode("latin-1"), len(r.body)))
        return out

    def raw(self, number):
        return [r.raw for r in list(self.backend.seen) if b"-%d." % number in r.head.split(b"\r\n")[0] and r.complete]


def send(port, data):
    """Sends, and reads until nothing comes any more: the statuses."""
    try:
        with Raw(port) as r:
            r.send(data)
            end = time.monotonic() + ROUND_S
            while not r.ended and time.monotonic() < end and r.read(QUIET_S):
                pass
            return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d\d\d)", r.got)]
    except OSError:
        return []


def everywhere(peers, payloads):
    """Sends each payload (number, bytes) to each peer, some at once: {(peer, number): statuses}."""
    work = [(p, n, data) for n, data in payloads for p in peers]
    out, lock = {}, threading.Lock()

    def worker():
        while True:
            with lock:
                if not work:
                    return
                p, n, data = work.pop()
            out[p.name, n] = send(p.port, data)
    threads = [threading.Thread(target=worker) for _ in range(AT_ONCE)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


# ---- the peers, configured as people do: kept connections to the backend, HTTP/1.1 ----

def nginx(port, backend):
    d = f"{WORK}/nginx"
    os.mkdir(d)
    temporary = " ".join(f"{k}_temp_path {d}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{d}/conf", "w") as f:
        f.write(f"""user root; worker_processes 1; daemon off; error_log {d}/error; pid {d}/pid; events {{ worker_connections 512; }}
http {{ access_log off; {temporary} proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; ignore_invalid_headers on;
upstream b {{ server 127.0.0.1:{backend}; keepalive 32; }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://b; }} }} }}
""")
    return ["nginx", "-p", d, "-c", f"{d}/conf"]


def haproxy(port, backend):
    with open(f"{WORK}/haproxy.cfg", "w") as f:
        f.write(f"""global
 nbthread 1
defaults
 mode http
 timeout client 5s
 timeout server 5s
 timeout connect 5s
 option forwardfor
frontend f
 bind 127.0.0.1:{port}
 default_backend b
backend b
 http-reuse safe
 server s 127.0.0.1:{backend}
""")
    return ["haproxy", "-f", f"{WORK}/haproxy.cfg"]


def envoy(port, backend):
    with open(f"{WORK}/envoy.yaml", "w") as f:
        f.write(f"""static_resources:
  clusters:
  - {{name: b, connect_timeout: 5s, load_assignment: {{cluster_name: b, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {backend}}}}}}}}}]}}]}}}}
  listeners:
  - name: l
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: i
          route_config: {{virtual_hosts: [{{name: a, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: b}}}}]}}]}}
          http_filters: [{{name: envoy.filters.http.router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
""")
    return [ENVOY, "-c", f"{WORK}/envoy.yaml", "--concurrency", "1", "--log-level", "critical", "--disable-hot-restart", "--service-node", "b", "--service-cluster", "b"]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def start(name, command):
    backend, port = Recorder(), free_port()
    process = subprocess.Popen(command(port, backend.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tap.soon(f"{name} serves", lambda: answers(port), 20) and Peer(name, port, backend, process)


def ours():
    folder, backend = Folder(), Recorder()
    folder.service("b", backend.port)
    folder.ingress("b", "ok.example", "b")
    folder.globals()
    p = Proxy(folder)
    p.ready()
    return Peer("portico", p.http, backend)


# ---- payloads that are none of the refusals: odd, and right for somebody ----
REQ = http1_corpus.request
MORE = [
    ("an ordinary GET", REQ(line=b"GET /echo HTTP/1.1")), ("an ordinary POST", REQ(b"Content-Length: 3\r\n", body=b"abc")),
    ("ordinary chunks", REQ(http1_corpus.CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")), ("Chunked", REQ(b"Transfer-Encoding: Chunked\r\n", body=b"3\r\nabc\r\n0\r\n\r\n")),
    ("a tab before chunked", REQ(b"Transfer-Encoding:\tchunked\r\n", body=b"3\r\nabc\r\n0\r\n\r\n")), ("a blank behind chunked", REQ(b"Transfer-Encoding: chunked \r\n", body=b"0\r\n\r\n")),
    ("a chunk size with zeros", REQ(http1_corpus.CHUNKED, body=b"0003\r\nabc\r\n000\r\n\r\n")), ("a chunk extension", REQ(http1_corpus.CHUNKED, body=b"3;a=\"b;c\"\r\nabc\r\n0;x\r\n\r\n")),
    ("a chunk extension that looks like a chunk", REQ(http1_corpus.CHUNKED, body=b"3;\"0\"\r\nabc\r\n0\r\n\r\n")),
    ("trailers", REQ(http1_corpus.CHUNKED, body=b"3\r\nabc\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nX: y\r\n\r\n")),
    ("a length with zeros", REQ(b"Content-Length: 0000003\r\n", body=b"abc")), ("a GET with a body", REQ(b"Content-Length: 3\r\n", line=b"GET /echo HTTP/1.1", body=b"abc")),
    ("a GET with chunks", REQ(http1_corpus.CHUNKED, line=b"GET /echo HTTP/1.1", body=b"3\r\nabc\r\n0\r\n\r\n")), ("a HEAD with a body", REQ(b"Content-Length: 3\r\n", line=b"HEAD /echo HTTP/1.1", body=b"abc")),
    ("a DELETE with a body", REQ(b"Content-Length: 3\r\n", line=b"DELETE /echo HTTP/1.1", body=b"abc")), ("a method of one's own", REQ(line=b"ECHO /echo HTTP/1.1")),
    ("a method in small letters", REQ(line=b"get /echo HTTP/1.1")), ("blank lines before", b"\r\n\r\n" + REQ(line=b"GET /echo HTTP/1.1")), ("LFs before", b"\n\n" + REQ(line=b"GET /echo HTTP/1.1")),
    ("HTTP/1.0", REQ(line=b"GET /echo HTTP/1.0")), ("HTTP/1.0 kept alive with a length", REQ(b"Connection: keep-alive\r\nContent-Length: 3\r\n", line=b"POST /echo HTTP/1.0", body=b"abc")),
    ("Connection: content-length", REQ(b"Connection: content-length\r\nContent-Length: 3\r\n", body=b"abc")), ("Connection: transfer-encoding", REQ(b"Connection: transfer-encoding\r\n" + http1_corpus.CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")),
    ("Connection: host", REQ(b"Connection: host\r\n", line=b"GET /echo HTTP/1.1")), ("Content_Length", REQ(b"Content_Length: 3\r\n", line=b"GET /echo HTTP/1.1")),
    ("Transfer_Encoding", REQ(b"Transfer_Encoding: chunked\r\n", line=b"GET /echo HTTP/1.1")), ("Content-Length in the query", REQ(line=b"GET /echo?%0d%0aContent-Length:%203 HTTP/1.1")),
    ("a line break in the path, encoded", REQ(line=b"GET /echo%0d%0a%0d%0aGET%20/smuggled HTTP/1.1")), ("bytes past ASCII in the target", REQ(line=b"GET /echo\xff\xfe HTTP/1.1")),
    ("quotes and brackets in the target", REQ(line=b"GET /echo\"<>{}|^` HTTP/1.1")), ("a URL", REQ(line=b"GET http://ok.example/echo HTTP/1.1")),
    ("a name with every token byte", REQ(b"!#$%&'*+-.^_`|~09AZaz: b\r\n", line=b"GET /echo HTTP/1.1")), ("an upgrade nobody knows", REQ(b"Connection: upgrade\r\nUpgrade: foo\r\n", line=b"GET /echo HTTP/1.1")),
    ("TE.0 with OPTIONS", REQ(http1_corpus.CHUNKED, line=b"OPTIONS /echo HTTP/1.1", body=b"3\r\nabc\r\n0\r\n\r\n")), ("a length for OPTIONS", REQ(b"Content-Length: 3\r\n", line=b"OPTIONS /echo HTTP/1.1", body=b"abc")),
    ("Expect of two", REQ(b"Expect: 100-continue, x\r\nContent-Length: 3\r\n", body=b"abc")), ("Expect behind a letter", REQ(b"Expect: y 100-continue\r\nContent-Length: 3\r\n", body=b"abc")),
    ("Expect twice", REQ(b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n", body=b"abc")), ("Expect of a GET", REQ(b"Expect: 100-continue\r\n", line=b"GET /echo HTTP/1.1")),
    ("Expect with chunks", REQ(b"Expect: 100-continue\r\n" + http1_corpus.CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")), ("an empty Expect", REQ(b"Expect:\r\nContent-Length: 3\r\n", body=b"abc")),
    ("an extension of blanks", REQ(http1_corpus.CHUNKED, body=b"3; \t \r\nabc\r\n0; \r\n\r\n")), ("an empty extension", REQ(http1_corpus.CHUNKED, body=b"3;\r\nabc\r\n0;\r\n\r\n")),
    ("an upgrade to h2c with a length", REQ(b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n", body=b"abc")),
    ("two upgrades", REQ(b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", line=b"GET /echo HTTP/1.1")), ("an upgrade with a length", REQ(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", body=b"abc")),
    ("a URL in capitals", REQ(line=b"GET HTTP://OK.example/echo HTTP/1.1")), ("a URL with the port", b"GET http://ok.example:80/echo HTTP/1.1\r\nHost: ok.example:80\r\n\r\n"),
    ("Connection: close, keep-alive", REQ(b"Connection: close, keep-alive\r\n", line=b"GET /echo HTTP/1.1")), ("a length behind a tab", REQ(b"Content-Length:\t3\t\r\n", body=b"abc")),
    ("trailers that frame", REQ(http1_corpus.CHUNKED, body=b"3\r\nabc\r\n0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 50\r\nAuthorization: x\r\n\r\n")),
    ("Expect", REQ(b"Expect: 100-continue\r\nContent-Length: 3\r\n", body=b"abc")), ("Expect of something else", REQ(b"Expect: 200-ok\r\nContent-Length: 3\r\n", body=b"abc")),
]


# What a peer refuses because it does not want it, not because it reads it differently.
POLICY = {("a method of one's own", "envoy"), ("an upgrade nobody knows", "envoy"), ("two upgrades", "envoy"), ("two upgrades", "haproxy"), ("an upgrade with a length", "envoy")}


def shown(reading, statuses):
    if not reading:
        return f"refuses {statuses[0]}" if statuses else "silence"
    return " + ".join(f"{m} {'hidden ' if 'smuggled-' in p else ''}{n}" for m, p, n in reading)


def kind(reading):
    return [(m, n) for m, _, n in reading]


section("peers")
portico = ours()
peers = [p for p in (start("nginx", nginx) if shutil.which("nginx") else None, start("haproxy", haproxy) if shutil.which("haproxy") else None,
                     start("envoy", envoy) if ENVOY else None) if p]
try:
    check("two peers at least (tools/setup.sh --tests)", len(peers) >= 2, [p.name for p in peers])
    corpus = [(name, data) for name, data, *_ in http1_corpus.CASES + http1_corpus.SMUGGLING + MORE if b"/echo" in data]
    payloads = []
    for number, (_, data) in enumerate(corpus):
        data, hidden = marked(data, number)
        payloads.append((number, data + hidden))
    everyone = peers + [portico]
    statuses = everywhere(everyone, payloads)

    section(f"what our backend got of {len(corpus)} payloads, to the peers once more")
    again = []
    for number, _ in payloads:
        again += [(number, i, raw) for i, raw in enumerate(portico.raw(number))]
    first = {(p.name, n): p.reading(n) for p in everyone for n, _ in payloads}
    replays = [(10000 + at, raw.replace(b"-%d." % n, b"-%d." % (10000 + at))) for at, (n, _, raw) in enumerate(again)]
    everywhere(peers, replays)
    unlike = []
    for at, (n, i, raw) in enumerate(again):
        want = kind(first["portico", n])[i]
        for p in peers:
            got = kind(p.reading(10000 + at))
            if got != [want] and (got or (corpus[n][0], p.name) not in POLICY):
                unlike.append((corpus[n][0], p.name, "wants", want, "got", got, raw))
    check(f"all {len(again)} requests are read as we read them", not unlike, "\n".join(map(str, unlike)))

    section("differences")
    table, differ, refused, agreed = [], 0, 0, 0
    for number, (name, _) in enumerate(corpus):
        readings = [kind(first[p.name, number]) for p in peers]
        different = any(r != readings[0] for r in readings)
        mine = first["portico", number]
        differ += different
        refused += different and not mine
        agreed += different and bool(mine)
        what = "refused" if not mine else "passed anew" if different else "as all" if kind(mine) == readings[0] else "passed, they refuse"
        table.append([name.encode("unicode_escape").decode().replace("#", "<hash>")] + [shown(first[p.name, number], statuses.get((p.name, number))) for p in everyone] + [("differ: " if different else "") + what])
        # What all of them refuse may be passed by us only in the form checked above; what all take as one must not become two.
        check(f"{table[-1][0]}: not more requests than any peer sees", len(mine) <= max(2, max(map(len, readings))), (mine, readings))
    print(f"# {differ} of {len(corpus)} payloads are read differently: we refuse {refused}, and pass {agreed} in a form that all read alike")
    lines = ["| payload | " + " | ".join(p.name for p in everyone) + " | verdict |", "|---|" + "---|" * (len(everyone) + 1)]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in table]
    if os.environ.get("DIFFERENTIAL_TABLE"):
        with open(os.environ["DIFFERENTIAL_TABLE"], "w") as f:
            f.write("\n".join(lines) + "\n")
    for line, row in zip(lines, [["", "differ"]] * 2 + table):
        if row[-1].startswith("differ"):
            print("# " + line)
    section("no smuggling by us")
    bad = [(corpus[n][0], first["portico", n]) for n, _ in payloads if len(first["portico", n]) > 1 and not all(len(first[p.name, n]) > 1 for p in peers)]
    # Where we see two requests and a peer does not, the first must have been whole for us: an ordinary request and its successor.
    check("a second request only behind one that is complete by the RFC", not [b for b in bad if b[0] not in {name for name, *_ in MORE}], bad)
finally:
    for p in peers:
        p.process.terminate()
        try:
            p.process.wait(5)
        except subprocess.TimeoutExpired:
            p.process.kill()
            p.process.wait()
sys.stdout.flush()
tap.finish()
