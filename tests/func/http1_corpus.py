"""http1_corpus.py - requests that two readers may read differently, and what only looks like HTTP. Rows of
(name, bytes, statuses that are right); 400 unless said. A request for /smuggled hides behind each when it is sent.
"""
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

# What ends a request differently for those who are forgiving, in more spellings; for the proxy, where 501 is an answer too.
CODINGS = [
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: Chunked, gzip", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunk", b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked", b"Transfer-Encoding:", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: \x0cchunked", b"Transfer-Encoding: \xa0chunked", b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked",
    b"Transfer-Encoding\x0b: chunked", b"Transfer-Encoding: chunked\r", b"Transfer-Encoding: x\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"\x00Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: x", b"Transfer-Encoding:\r\n\tchunked", b"Transfer-Encoding: \r\n chunked",
]
LENGTHS = [
    b"Content-Length: 5, 5", b"Content-Length: 5,", b"Content-Length: ,5", b"Content-Length: 5;", b"Content-Length: 5\x0b", b"Content-Length: 5\x00",
    b"Content-Length: 0x5", b"Content-Length: 5e0", b"Content-Length: 5.0", b"Content-Length: -0", b"Content-Length: +5", b"Content-Length: 5 0",
    b"Content-Length: \xb5", b"Content-Length: 99999999999999999999", b"Content-Length: 9223372036854775808", b"Content-Length: 4294967301\r\nContent-Length: 5",
    b"Content-Length: 0\r\nContent-Length: 5", b"Content-Length: 5\r\ncontent-length: 5", b"Content-Length : 5", b"Content-Length\t: 5",
    b" Content-Length: 5", b"Content-Length: 5\nContent-Length: 0", b"Content-Length: \r\n 5", b"Content-Length: \"5\"",
]


def hidden_behind(fields, body=b"0\r\n\r\n"):
    return request(fields + b"\r\n", body=body)


SMUGGLING = [(c.decode("latin-1").strip(), hidden_behind(c), 400, 501) for c in CODINGS]
SMUGGLING += [(c.decode("latin-1").strip() + " with a length", hidden_behind(c + b"\r\nContent-Length: 5"), 400, 501) for c in CODINGS]
SMUGGLING += [(c.decode("latin-1").strip(), hidden_behind(c)) for c in LENGTHS]
SMUGGLING += [
    ("chunked in HTTP/1.0", b"POST /echo HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + END),
    ("chunked in HTTP/1.0, kept alive", b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + CHUNKED + b"\r\n" + END),
    ("a length in a GET that is none", request(b"Content-Length: x\r\n", line=b"GET /echo HTTP/1.1")),
    ("CL.TE in a GET", request(b"Content-Length: 5\r\n" + CHUNKED, line=b"GET /echo HTTP/1.1", body=END)),
    ("an upgrade with both", request(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n" + CHUNKED, line=b"GET /echo HTTP/1.1", body=END)),
]
SMUGGLING += [(name, request(CHUNKED, body=body)) for name, body in [
    ("a chunk size ended by CR", b"3\rabc\r\n"), ("a chunk ended by LF", b"3\r\nabc\n0\r\n\r\n"), ("a chunk ended by CR", b"3\r\nabc\r0\r\n\r\n"),
    ("a blank behind a chunk size", b"3 \r\nabc\r\n0\r\n\r\n"), ("a tab before an extension", b"3\t;a=b\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size of 17 digits", b"00000000000000003\r\nabc\r\n0\r\n\r\n"), ("an underscore in a chunk size", b"0_3\r\nabc\r\n0\r\n\r\n"),
    ("a plus before a chunk size", b"+3\r\nabc\r\n0\r\n\r\n"), ("two chunk sizes", b"3,3\r\nabc\r\n0\r\n\r\n"), ("no chunk size", b"\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size of 2^63", b"8000000000000000\r\nabc\r\n"), ("a NUL in an extension", b"3;\0\r\nabc\r\n0\r\n\r\n"),
    ("a CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"), ("the last chunk ended by LFs", b"0\n\n"), ("the last chunk's line ended by LF", b"0\r\n\n"),
    ("a trailer folded", b"0\r\nX-A: b\r\n c\r\n\r\n"), ("a trailer with a blank before the colon", b"0\r\nX-A : b\r\n\r\n"),
    ("a NUL in a trailer", b"0\r\nX-A: \0\r\n\r\n"), ("a CR in a trailer", b"0\r\nX-A: b\rc\r\n\r\n"), ("trailers of 100,000 bytes", b"0\r\n" + b"X-A: bcdef\r\n" * 10000 + b"\r\n"),
]]

# Ends of lines around chunks and their extensions, as servers of 2024 to 2026 misread them: TERM.EXT, EXT.TERM, TERM.SPILL, SPILL.TERM, ONE.TWO.
SMUGGLING += [(name, request(CHUNKED, body=body)) for name, body in [
    ("TERM.EXT by LF", b"3;\nx\r\nabc\r\n0\r\n\r\n"), ("TERM.EXT by CR", b"3;\rx\r\nabc\r\n0\r\n\r\n"), ("EXT.TERM", b"3;a\n\r\nabc\r\n0\r\n\r\n"),
    ("an extension ended by CR CR LF", b"3;a\r\r\nabc\r\n0\r\n\r\n"), ("a size ended by LF CR", b"3\n\rabc\r\n0\r\n\r\n"), ("a size ended by CR CR LF", b"3\r\r\nabc\r\n0\r\n\r\n"),
    ("TERM.SPILL by one byte", b"3\r\nabcX\n0\r\n\r\n"), ("TERM.SPILL by two", b"3\r\nabcXX0\r\n\r\n"), ("ONE.TWO by LF", b"3\r\nabc\n0\r\n\r\n"), ("ONE.TWO by CR", b"3\r\nabc\rX0\r\n\r\n"),
    ("a chunk ended by CR CR LF", b"3\r\nabc\r\r\n0\r\n\r\n"), ("the last chunk with an extension by LF", b"3\r\nabc\r\n0;a\n\r\n"), ("trailers ended by LF LF", b"0\r\nX-A: b\n\n"),
    ("trailers ended by CR", b"0\r\nX-A: b\r\r\n"), ("a size ended by NEL", b"3\x85\nabc\r\n0\r\n\r\n"),
    ("digits that are letters elsewhere", b"\xef\xbc\x93\r\nabc\r\n0\r\n\r\n"), ("a size ended by a vertical tab", b"3\x0b\r\nabc\r\n0\r\n\r\n"), ("a size with h", b"3h\r\nabc\r\n0\r\n\r\n"),
]]
# 0.CL, TE.0, and first lines.
SMUGGLING += [(name, data, 400, 501, 505) for name, data in [
    ("a length folded under its name", request(b"Content-Length:\r\n 5\r\n", body=END)), ("a length behind a line of blanks", request(b" \r\nContent-Length: 5\r\n", body=END)),
    ("a length's name cut", request(b"Content-\r\n Length: 5\r\n", body=END)), ("a length named in Latin", request(b"Content-L\xc3\xa9ngth: 5\r\n", body=END)),
    ("a length of 5 behind a NEL", request(b"Content-Length:\x855\r\n", body=END)), ("a length with an underscore", request(b"Content-Length: 0_5\r\n", body=END)),
    ("a coding's name with a soft hyphen", request(b"Transfer\xad-Encoding: chunked\r\n", body=END)), ("a coding with a long s", request(b"Transfer-Encoding: \xc5\xbfchunked\r\n", body=END)),
    ("OPTIONS with TE.0", request(b"Transfer-Encoding: chunked, \r\n", line=b"OPTIONS /echo HTTP/1.1", body=END)), ("a blank behind the version", request(line=b"GET /echo HTTP/1.1 ")),
    ("CR CR LF behind the version", request(line=b"GET /echo HTTP/1.1\r")), ("HTTP/01.1", request(line=b"GET /echo HTTP/01.1")), ("HTTP/1.1.", request(line=b"GET /echo HTTP/1.1.")),
    ("a NUL before the method", b"\0" + request(line=b"GET /echo HTTP/1.1")), ("a blank before the method", b" " + request(line=b"GET /echo HTTP/1.1")), ("a CR before the method", b"\r" + request(line=b"GET /echo HTTP/1.1")),
    ("Host with a blank before the colon, and Host", request(b"Host : other.example\r\n", line=b"GET /echo HTTP/1.1")), ("Host folded", request(host=b"Host:\r\n ok.example\r\n", line=b"GET /echo HTTP/1.1")),
    ("a URL of the other scheme and Host", request(line=b"GET https://other.example/echo HTTP/1.1")), ("a URL with another port", request(line=b"GET http://ok.example:81/echo HTTP/1.1")),
    ("a URL with a user", request(line=b"GET http://ok.example@other.example/echo HTTP/1.1")), ("a URL with a backslash", request(line=b"GET http://ok.example\\other.example/echo HTTP/1.1")),
    ("a URL of one slash", request(line=b"GET http:/ok.example/echo HTTP/1.1")), ("a URL without a scheme", request(line=b"GET ok.example/echo HTTP/1.1")), ("an asterisk for GET", request(line=b"GET * HTTP/1.1")),
]]
