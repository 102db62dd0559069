"""ingress_upstreams.py - backends that hang, reset, lie, talk too early or too much.

A client gets the documented status, or half an answer that is visibly cut; never a wrong body as if it were complete; and
no connection on which something went wrong is used for another request. Afterwards memory, descriptors and what is in
flight are where they were.
"""
import os
import socket
import struct
import threading
import time

import tap
from proxy_kit import DEADLINE, Folder, Listener, Proxy, Recorder, any_certificate, body_end, free_port
from tap import Raw, check, section, soon

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
FILL = os.urandom(1 << 16).replace(b"HTTP", b"http")
MUCH = 1 << 19  # what is sent and thrown away in the cases of long bodies


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_request(s, data=b""):
    """One request: (head, what follows it); None at the end."""
    while (end := body_end(data)) is None:
        part = s.recv(65536)
        if not part:
            return None
        data += part
    return data[:end[0]], data[end[0]:]


def waits_for_end(s):
    while s.recv(65536):
        pass


# ---- what backends do, by the first word of the path ----
used = {}  # path: how many requests have come for it
DOES = {}


def does(f):
    DOES[f.__name__.replace("_", "-")] = f
    return f


@does
def never(s):
    waits_for_end(s)


@does
def ends(s):
    pass


@does
def resets(s):
    reset(s)


@does
def half_a_head(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


@does
def half_a_head_reset(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    reset(s)


@does
def half_a_head_and_silence(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    waits_for_end(s)


@does
def short(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + FILL[:50000])


@does
def short_reset(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + FILL[:50000])
    reset(s)


@does
def short_megabytes(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(50):
        s.sendall(FILL)


@does
def short_silence(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    waits_for_end(s)


@does
def short_chunks(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")


@does
def short_chunk(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nabcde")


@does
def bad_chunks(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n")
    waits_for_end(s)


@does
def long_chunk(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n")
    waits_for_end(s)


@does
def until_reset(s):
    s.sendall(b"HTTP/1.1 200 OK\r\n\r\nabcde")
    time.sleep(0.05)  # or the reset would take the head with it
    reset(s)


@does
def garbage(s):
    s.sendall(b"\0\1\2 what is this\r\n\r\n")


@does
def both_framings(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@does
def switches(s):
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc")


@does
def huge_head(s):
    s.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 300000 + b"\r\n\r\n")


@does
def endless_head(s):
    s.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        s.sendall(b"X-A: abcdefgh\r\n" * 1000)


@does
def floods_100(s):
    while True:
        s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@does
def floods_103(s):
    while True:
        s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000)


@does
def too_much(s):
    s.sendall(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    waits_for_end(s)


@does
def too_much_later(s):
    s.sendall(OK)
    time.sleep(0.05)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    waits_for_end(s)


@does
def no_content_with_body(s):
    s.sendall(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    waits_for_end(s)


@does
def head_with_body(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    waits_for_end(s)


@does
def hints_that_lie(s):
    s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 40\r\nConnection: close\r\n\r\n" + OK)


@does
def fine(s):
    s.sendall(OK)


def talk(s, number):
    rest = b""
    while True:
        r = read_request(s, rest)
        if r is None:
            return
        what = r[0].split(b" ")[1].split(b"?")[0].strip(b"/").decode()
        used.setdefault(what, []).append(number)
        rest = r[1]
        DOES[what](s)
        if what not in ("fine", "hints-that-lie"):
            return


def early(s, number):
    """Answers when it has the head, and reads no body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = s.recv(4096)
        if not part:
            return
        data += part
    used.setdefault("early", []).append(number)
    s.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nearly")
    if b"/early-ends" in data:
        return
    if b"/early-resets" in data:
        reset(s)
        return
    time.sleep(3 if b"/early-waits" in data else 0)
    waits_for_end(s)


def endless(s, _):
    read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 99999999999\r\n\r\n"))
    while True:
        s.sendall(FILL)


def endless_chunks(s, _):
    read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        s.sendall(b"10000\r\n" + FILL + b"\r\n")


stale_seen = []


def closes_after(s, _):
    """Serves one request; takes a second, and closes without a word, as if it had died of it."""
    r = read_request(s)
    stale_seen.append(r[0].split(b" ")[0])
    s.sendall(OK)
    r = read_request(s, r[1])
    if r:
        stale_seen.append(r[0].split(b" ")[0])


folder = Folder()
listeners = {"bad": Listener(talk), "early": Listener(early), "endless": Listener(endless), "endless-chunks": Listener(endless_chunks),
             "stale": Listener(closes_after), "good": Recorder()}
full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
fillers = [socket.socket() for _ in range(4)]
for f in fillers:  # the queue is full: nobody answers to a SYN
    f.setblocking(False)
    f.connect_ex(full.getsockname())
LIMITS = {"proxy_read_timeout": 1, "proxy_connect_timeout": 1, "proxy_send_timeout": 1, "proxy_next_upstream": "off"}
for name, l in listeners.items():
    folder.service(name, l.port)
    folder.ingress(name, f"{name}.example", name, proxy_body_size="0", **LIMITS)
folder.service("refused", free_port())
folder.service("silent", full.getsockname()[1])
folder.service("mixed", listeners["bad"].port, listeners["bad"].port)
for name in ("refused", "silent"):
    folder.ingress(name, f"{name}.example", name, **LIMITS)
folder.globals()
proxy = Proxy(folder)
proxy.ready()


def ask(host, path="/", method="GET", version="1.1", seconds=DEADLINE, more=b"", body=b"", tls=False):
    """The bytes of everything that came until the answer was complete or the connection ended, and whether it ended."""
    with Raw(proxy.https if tls else proxy.http, any_certificate() if tls else None) as r:
        r.send(f"{method} {path} HTTP/{version}\r\nHost: {host}\r\n".encode() + more + b"\r\n" + body)
        r.until(lambda got: complete(got, method), seconds)
        return r.got, r.ended, r.reset if hasattr(r, "reset") else None


def final(got):
    """(status, head, body) behind any 1xx."""
    while True:
        head, sep, rest = got.partition(b"\r\n\r\n")
        if not sep:
            return 0, got, b""
        status = int(head.split(b" ", 2)[1])
        if status >= 200 or status == 101:
            return status, head.lower(), rest
        got = rest


def complete(got, method="GET"):
    status, head, body = final(got)
    if not status:
        return False
    if method == "HEAD" or status in (204, 304):
        return True
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def statuses():
    section("documented statuses")
    rows = [("never", 504), ("ends", 502), ("resets", 502), ("half-a-head", 502), ("half-a-head-reset", 502), ("half-a-head-and-silence", 504),
            ("garbage", 502), ("both-framings", 502), ("switches", 502), ("huge-head", 502), ("endless-head", 502), ("floods-100", (502, 504)), ("floods-103", (502, 504))]
    for what, want in rows:
        for method in ("GET", "POST"):
            got, ended, _ = ask("bad.example", f"/{what}", method, more=b"Content-Length: 0\r\n" if method == "POST" else b"")
            status = final(got)[0]
            check(f"{method}: a backend that {what}: {want}", status in (want if isinstance(want, tuple) else (want,)) and complete(got) and len(got) < 1 << 20, (status, ended, len(got), got[:200]))
    check("a backend that refuses: 502", final(ask("refused.example")[0])[0] == 502, "")
    started = time.monotonic()
    check("a backend that does not accept: 504", final(ask("silent.example")[0])[0] == 504, "")
    check("after proxy-connect-timeout", 0.9 < time.monotonic() - started < 3, time.monotonic() - started)


def cuts():
    section("half an answer is seen to be half")
    for what in ("short", "short-reset", "short-megabytes", "short-silence", "short-chunks", "short-chunk", "bad-chunks", "until-reset"):
        for version, tls in (("1.1", False), ("1.0", False), ("1.1", True)):
            got, ended, _ = ask("bad.example", f"/{what}", version=version, tls=tls)
            status, head, body = final(got)
            check(f"{what}, HTTP/{version}{' over TLS' if tls else ''}: cut", status in (0, 200) and ended and not complete(got), (status, ended, head, len(body)))
    got, ended, _ = ask("bad.example", "/long-chunk")
    check("a chunk that is longer than it says: cut", ended and not complete(got), got)
    r = Raw(proxy.http)
    r.send(b"GET /until-reset HTTP/1.0\r\nHost: bad.example\r\n\r\n")
    try:
        while r.sock.recv(4096):
            pass
        clean = True
    except ConnectionResetError:
        clean = False
    check("without a length, to HTTP/1.0: by a reset", not clean, "the end looks like that of a complete body")
    r.close()


def poison():
    section("a connection on which something went wrong serves nobody else")
    for what, method in (("too-much", "GET"), ("too-much-later", "GET"), ("no-content-with-body", "GET"), ("head-with-body", "HEAD"), ("hints-that-lie", "GET")):
        got, _, _ = ask("bad.example", f"/{what}", method)
        # The next requests, on connections of their own and of any worker; "later" needs the time that the backend takes.
        time.sleep(0.15)
        nexts = [final(ask("bad.example", "/fine")[0])[2] for _ in range(12)]
        check(f"{what}: the next twelve get their own answers", nexts == [b"OK"] * 12, (got[:200], nexts))
    got, _, _ = ask("bad.example", "/hints-that-lie")
    hints = got.partition(b"\r\n\r\n")[0].lower()
    check("early hints carry no framing", b"content-length" not in hints and b"transfer-encoding" not in hints and b"connection" not in hints and b"link" in hints, hints)

    section("a request that may have been seen is not sent again")
    for method in ("POST", "GET"):
        stale_seen.clear()
        more = b"Content-Length: 0\r\n" if method == "POST" else b""
        got = [final(ask("stale.example", "/", method, more=more)[0])[0] for _ in range(6)]
        # Each connection takes two and answers one: a POST that was taken must be answered with an error.
        if method == "POST":
            check("POST on a kept connection that ends without an answer: 502, and not sent again", len(stale_seen) == 6 and set(got) == {200, 502}, (got, stale_seen))
        else:
            check("GET is sent again", got == [200] * 6, (got, stale_seen))


def early_answers():
    section("answers before the body was read")
    for what in ("early", "early-ends", "early-resets", "early-waits"):
        for framing in ("length", "chunked"):
            with Raw(proxy.http) as r:
                head = f"POST /{what} HTTP/1.1\r\nHost: early.example\r\n" + (f"Content-Length: {MUCH * 8}\r\n\r\n" if framing == "length" else "Transfer-Encoding: chunked\r\n\r\n")
                r.send(head.encode())

                def push():
                    for _ in range(MUCH * 8 // len(FILL)):
                        try:
                            r.sock.sendall(FILL if framing == "length" else b"10000\r\n" + FILL + b"\r\n")
                        except OSError:
                            return
                t = threading.Thread(target=push)
                t.start()
                r.until(lambda got: complete(got), 6)
                status, answer, body = final(r.got)
                check(f"{what}, {framing}: the answer comes", status in (403, 502) and complete(r.got), (status, answer, body[:100]))
                t.join()
                r.until(lambda got: False, 1)
                # Where the body went out as a whole before the answer came, the connection may go on.
                check(f"{what}, {framing}: and the connection ends as it says", r.ended == (b"connection: close" in answer) and len(tap.responses(r.got)[0]) == 1, (r.ended, r.got[:300]))
    check("no connection of these served twice", len(used["early"]) == len(set(used["early"])), used["early"])


def leaving_clients():
    section("clients that leave")
    for host in ("endless", "endless-chunks"):
        for tls in (False, True):
            for i in range(6):
                with Raw(proxy.https if tls else proxy.http, any_certificate() if tls else None) as r:
                    r.send(f"GET / HTTP/1.1\r\nHost: {host}.example\r\n\r\n".encode())
                    r.until(lambda got: len(got) > 100000)
                    if i % 2:
                        reset(r.sock)
        soon(f"{host}: the backend is let go", lambda: not listeners[host].open)
    for i in range(6):
        with Raw(proxy.http) as r:
            r.send(b"POST /never HTTP/1.1\r\nHost: bad.example\r\nContent-Length: 100000\r\n\r\nabc")
            if i % 2:
                reset(r.sock)
    soon("uploads that are given up end", lambda: proxy.in_flight() == 0)


def slow_reader_pool():
    section("a slow reader does not leave a connection that nobody reads")
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + FILL[:1024] + b"\r\n") * 6144 + b"0\r\n\r\n"
    big = Recorder(lambda r: whole)
    folder.service("big", big.port)
    folder.ingress("big", "big.example", "big", proxy_read_timeout=1)
    soon("the rule is there", lambda: final(ask("big.example")[0])[0] == 200)
    for tls in (True, False):
        for size in (1 << 12, 1 << 16):
            wrong = []
            for i in range(8):
                raw = socket.socket()
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.settimeout(DEADLINE)
                raw.connect(("127.0.0.1", proxy.https if tls else proxy.http))
                s = any_certificate().wrap_socket(raw, server_hostname="big.example") if tls else raw
                s.sendall(b"GET / HTTP/1.1\r\nHost: big.example\r\nConnection: close\r\n\r\n")
                time.sleep(0.05)
                n = 0
                while part := s.recv(size):
                    n += len(part)
                s.close()
                if n < 6 << 20:
                    wrong.append(n)
            check(f"{'TLS' if tls else 'plain'}, {size} bytes at a time: whole, each time", not wrong, wrong)
    quick = [final(ask("big.example", seconds=DEADLINE)[0])[2] for _ in range(12)]
    def slowly(wrong):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(DEADLINE)
        raw.connect(("127.0.0.1", proxy.http))
        raw.sendall(b"GET / HTTP/1.1\r\nHost: big.example\r\nConnection: close\r\n\r\n")
        n, end = 0, time.monotonic() + 4
        while part := raw.recv(1 << 16):
            n += len(part)
            if time.monotonic() < end:
                time.sleep(0.005)
        raw.close()
        wrong.append(n)
    wrong = []
    threads = [threading.Thread(target=slowly, args=(wrong,)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("who reads slowly for four times the read time-out gets all of it", len(wrong) == 4 and min(wrong) >= 6 << 20, wrong)
    check("and the next twelve are served", all(len(b) >= 6 << 20 for b in quick), [len(b) for b in quick])


for _ in range(20):
    ask("good.example")
before = proxy.descriptors(), proxy.rss_kib()
for part in (statuses, cuts, poison, early_answers, leaving_clients, slow_reader_pool):
    started = time.monotonic()
    part()
    print(f"# {time.monotonic() - started:.1f} s")
section("afterwards")
soon("nothing is in flight", lambda: proxy.in_flight() == 0)
soon("nobody is connected", lambda: proxy.metric("nginx_ingress_controller_nginx_process_connections") <= 2)
for l in listeners.values():
    l.cut()
soon("descriptors are back", lambda: proxy.descriptors() <= before[0] + 40)
print(f"# descriptors {before[0]} -> {proxy.descriptors()}, memory {before[1]} -> {proxy.rss_kib()} KiB")
check("memory is back, but for what threads keep", proxy.rss_kib() < before[1] + (16 << 10), (before[1], proxy.rss_kib()))
check("an ordinary request is answered", final(ask("good.example")[0])[2] == b"OK", "")
check("one line of log at most for each kind", proxy.log().count("\n") < 20, proxy.log())
tap.finish()
