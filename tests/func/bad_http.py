"""Malformed HTTP/1, to the API server over TLS and to the ingress proxy: both families of request smuggling
(messages whose end two readers may see at different places), and what only looks like HTTP.

Every refusal must also end the connection: what follows on it cannot be told from the attack. A request for
/smuggled hides behind each; it must never be answered, nor reach a backend.
"""
import kit
from kit import API, CONTEXT, HTTP, HTTPS, check, http1, section

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: ok.example\r\n\r\n"
HOST = b"Host: ok.example\r\n"


def request(headers=b"", line=b"POST /echo HTTP/1.1", host=HOST, body=b""):
    return line + b"\r\n" + host + headers + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
# name, bytes, statuses. 400 unless said.
CASES = [
    ("CL.TE", request(b"Content-Length: 6\r\n" + CHUNKED, body=END + b"G")),
    ("TE.CL", request(CHUNKED + b"Content-Length: 4\r\n", body=b"5c\r\nGPOST / HTTP/1.1\r\n\r\n")),
    ("two Content-Length", request(b"Content-Length: 3\r\nContent-Length: 4\r\n", body=b"abcd")),
    ("two equal Content-Length", request(b"Content-Length: 3\r\nContent-Length: 3\r\n", body=b"abc")),
    ("a list of Content-Length", request(b"Content-Length: 3, 3\r\n", body=b"abc")),
    ("Content-Length +3", request(b"Content-Length: +3\r\n", body=b"abc")),
    ("Content-Length -3", request(b"Content-Length: -3\r\n", body=b"abc")),
    ("Content-Length 0x3", request(b"Content-Length: 0x3\r\n", body=b"abc")),
    ("Content-Length 3 3", request(b"Content-Length: 3 3\r\n", body=b"abc")),
    ("Content-Length past 64 bits", request(b"Content-Length: 18446744073709551617\r\n", body=b"a")),
    ("an empty Content-Length", request(b"Content-Length: \r\n", body=b"abc")),
    ("two Transfer-Encoding", request(CHUNKED + CHUNKED, body=END)),
    ("Transfer-Encoding: chunked, identity", request(b"Transfer-Encoding: chunked, identity\r\n", body=END), 400, 501),
    ("Transfer-Encoding: identity, chunked", request(b"Transfer-Encoding: identity, chunked\r\n", body=END), 400, 501),
    ("Transfer-Encoding: xchunked", request(b"Transfer-Encoding: xchunked\r\n", body=END), 400, 501),
    ("Transfer-Encoding: x and chunked", request(b"Transfer-Encoding: x\r\n" + CHUNKED, body=END), 400, 501),
    ("Transfer-Encoding behind a vertical tab", request(b"Transfer-Encoding:\x0bchunked\r\n", body=END)),
    ("Transfer-Encoding, folded", request(b"Transfer-Encoding:\r\n chunked\r\n", body=END), 400, 501),
    ("a blank before the colon", request(b"Content-Length : 3\r\n", body=b"abc")),
    ("a tab before the colon", request(b"Transfer-Encoding\t: chunked\r\n", body=END)),
    ("a folded header", request(b"X-A: b\r\n c\r\n")),
    ("a blank before the first header", request(host=b" Host: ok.example\r\n")),
    ("a bare LF behind a header", b"GET / HTTP/1.1\nHost: ok.example\r\n\r\n"),
    ("bare LFs everywhere", b"GET / HTTP/1.1\nHost: ok.example\n\n"),
    ("a bare LF in a value", request(b"X-A: b\nX-B: c\r\n")),
    ("a bare CR in a value", request(b"X-A: b\rX-B: c\r\n")),
    ("a bare CR behind the request line", b"GET / HTTP/1.1\rHost: ok.example\r\n\r\n"),
    ("a NUL in a value", request(b"X-A: b\0c\r\n")),
    ("a NUL in a name", request(b"X\0A: b\r\n")),
    ("a NUL in the target", request(line=b"GET /a\0b HTTP/1.1")),
    ("a DEL in a value", request(b"X-A: \x7f\r\n")),
    ("a header without a colon", request(b"junk\r\n")),
    ("an empty header name", request(b": a\r\n")),
    ("parentheses in a name", request(b"X(A): b\r\n")),
    ("no Host", request(host=b"")),
    ("two Host", request(host=HOST + b"Host: other.example\r\n")),
    ("two equal Host", request(host=HOST + HOST)),
    ("an empty Host", request(host=b"Host: \r\n")),
    ("a Host with a path", request(host=b"Host: ok.example/x\r\n")),
    ("a Host with a user", request(host=b"Host: a@ok.example\r\n")),
    ("a Host with two ports", request(host=b"Host: ok.example:80:80\r\n")),
    ("a Host with a port past 65535", request(host=b"Host: ok.example:65536\r\n")),
    ("a Host that differs from the URL", request(line=b"GET http://other.example/ HTTP/1.1")),
    ("two blanks in the request line", request(line=b"GET  / HTTP/1.1")),
    ("a blank in the target", request(line=b"GET /a b HTTP/1.1")),
    ("a tab in the request line", request(line=b"GET\t/ HTTP/1.1")),
    ("no version", b"GET /\r\n\r\n"),
    ("a version that is none", request(line=b"GET / HTTP/x.y")),
    ("HTTP/1.2", request(line=b"GET / HTTP/1.2"), 400, 505),
    ("HTTP/2.0 in a request line", request(line=b"GET / HTTP/2.0"), 400, 505),
    ("http/1.1 in small letters", request(line=b"GET / http/1.1")),
    ("a target that is neither path nor URL", request(line=b"GET index.html HTTP/1.1")),
    ("a fragment in the target", request(line=b"GET /a#b HTTP/1.1")),
    ("a method of a comma", request(line=b"G,T / HTTP/1.1")),
    ("a method of 1,000 letters", request(line=b"A" * 1000 + b" / HTTP/1.1"), 400, 405, 501),
    ("an empty line and junk", b"\r\n\r\n\0\0\0\r\n\r\n"),
    ("bytes of a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n"),
]
CHUNKS = [
    ("a chunk size that is none", b"zz\r\nabc\r\n"),
    ("a negative chunk size", b"-3\r\nabc\r\n"),
    ("a chunk size with 0x", b"0x3\r\nabc\r\n"),
    ("a chunk size of 2^64", b"10000000000000000\r\nabc\r\n"),
    ("a chunk size of 2^64 - 1", b"ffffffffffffffff\r\nabc\r\n"),
    ("a chunk size behind a blank", b" 3\r\nabc\r\n"),
    ("a chunk size ended by LF", b"3\nabc\r\n"),
    ("a chunk longer than its size", b"3\r\nabcd\r\n"),
    ("a chunk without its end", b"3\r\nabc0\r\n\r\n"),
    ("an extension of 10,000 bytes", b"3;" + b"a" * 10000 + b"\r\nabc\r\n"),
    ("an extension with a LF", b"3;a\nb\r\nabc\r\n"),
    ("a trailer that is none", b"0\r\nX A: b\r\n\r\n"),
    ("a trailer ended by LF", b"0\r\nX-A: b\n\r\n"),
]
CASES += [(name, request(CHUNKED, body=body)) for name, body in CHUNKS]
LONG = [
    ("200 headers", request(b"".join(b"X-%d: y\r\n" % i for i in range(200)), line=b"GET / HTTP/1.1")),
    ("a header of 100,000 bytes", request(b"X-A: " + b"y" * 100000 + b"\r\n", line=b"GET / HTTP/1.1")),
    ("a target of 100,000 bytes", request(line=b"GET /" + b"a" * 100000 + b" HTTP/1.1")),
    ("a head that does not end", request(line=b"GET / HTTP/1.1")[:-2] + b"X-B: c\r\n" * 20000),
]


def refused(where, port, context, name, data, statuses):
    answers, ended = http1(port, data + HIDDEN, context, want=1)
    got = [a[0] for a in answers]
    check(f"{where}: {name}", len(got) == 1 and got[0] in statuses and ended,
          f"want one of {statuses}, then the end\ngot  {got}, {'ended' if ended else 'open'}\n{answers[:1]}")


def everything(where, port, context, words):
    section(f"{where}: HTTP/1")
    for name, data, *statuses in CASES:
        refused(where, port, context, name, data, statuses or [400])
    for name, data in LONG:
        refused(where, port, context, name, data, [400, 414, 431])
    answers, _ = http1(port, CASES[0][1], context)
    check(f"{where}: a refusal's words", answers and words in answers[0][1] + b"\r\n\r\n" + answers[0][2], answers)


def slices(where, port, context, data, good):
    """The same bytes in pieces of every size mean the same."""
    bad = []
    for size in (1, 2, 3, 7, 64):
        with kit.Raw(port, context) as r:
            for at in range(0, len(data), size):
                r.send(data[at:at + size])
            r.until(lambda got: kit.responses(got)[0])
            if not good(kit.responses(r.got)[0]):
                bad.append((size, r.got[:200]))
    check(f"{where}: the same in pieces", not bad, bad)


def api_server():
    ctx = kit.tls_context(["http/1.1"])
    everything("API server", API, ctx, b'"kind":"Status"')
    slices("API server", API, ctx, b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n", lambda a: a and a[0][0] == 200)
    slices("API server", API, ctx, CASES[0][1], lambda a: a and a[0][0] == 400)
    answers, _ = http1(API, b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n" * 20, ctx, want=20)
    check("API server: 20 requests at once are answered in order", [a[0] for a in answers] == [200] * 20, answers)
    answers, _ = http1(API, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    check("API server: HTTP without TLS ends, and harms nobody", True, answers)
    with kit.Raw(API) as r:
        r.send(b"\x16\x03\x01\xff\xff" + b"\xff" * 3000)
        r.until(lambda got: False)
        check("API server: a TLS hello of garbage ends the connection", r.ended, r.got)
    idle = [kit.Raw(API) for _ in range(200)]
    kit.api_still_answers("API server: beside 200 connections that say nothing")
    for r in idle:
        r.close()
    kit.api_still_answers("API server: an ordinary request is answered")


def run():
    api_server()
