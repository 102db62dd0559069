"""ingress_hostile.py - what nobody should send to the ingress proxy, and that its backends never see it.

Each row has the answer that is right. Two backends keep the bytes they get: every request among them must be one that
cannot be read in two ways, whatever the client sent.
"""
import re

import http1_corpus
import tap
from proxy_kit import Folder, Proxy, Recorder
from tap import check, http1, section

HOST = b"Host: ok.example\r\n"
OURS = [b"x-request-id", b"x-real-ip", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto",
        b"x-forwarded-scheme", b"x-scheme"]
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
LINE = re.compile(rb"[A-Z]+ [\x21-\x7e]+ HTTP/1\.1")

folder = Folder()
public, admin = Recorder(), Recorder()
refuses = Recorder(lambda r: b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
folder.service("public", public.port)
folder.service("admin", admin.port)
folder.ingress("public", "ok.example", "public")
folder.ingress("admin", "ok.example", "admin", paths=("/admin",))
folder.ingress("six", "", "public", paths=("/everyone",))
folder.globals(client_header_timeout=3, allow_snippet_annotations="false")
proxy = Proxy(folder)
proxy.ready()


def seen():
    return public.seen + admin.seen


def whole(recorder):
    return [r for r in recorder.seen if r.complete]


def fields(head):
    return [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]


def unambiguous(r):
    """None, or why this request could be read differently."""
    line, *rest = r.head.split(b"\r\n")
    names = fields(r.head)
    if not r.complete:
        return None if b"\r\n\r\n" in r.raw else "half a head"  # a body that was cut, and its connection with it
    if not LINE.fullmatch(line):
        return f"request line {line}"
    for f in rest:
        if not FIELD.fullmatch(f):
            return f"field {f}"
    if names.count(b"host") != 1 or names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        return f"framing or Host: {names}"
    twice = [n for n in OURS if names.count(n) != 1]
    return f"not exactly once: {twice}" if twice else None


def all_clean(name):
    bad = [(unambiguous(r), r.raw[:300]) for r in seen() if unambiguous(r)]
    check(f"{name}: backends saw nothing that could be read in two ways", not bad, bad)
    check(f"{name}: nothing was smuggled", not [r for r in seen() if b"/smuggled" in r.head], "")


def refusals():
    section("requests with two readings")
    for name, data, *statuses in http1_corpus.CASES + http1_corpus.SMUGGLING:
        answers, ended = http1(proxy.http, data + http1_corpus.HIDDEN)
        got = [a[0] for a in answers]
        check(name.replace("#", "no. "), len(got) == 1 and got[0] in (statuses or [400]) and ended,
              f"want {statuses or 400} and the end; got {got}, {'ended' if ended else 'open'}: {data[:200]}")
    all_clean("refusals")


def oversized():
    section("oversized")
    get = b"GET /size HTTP/1.1\r\n" + HOST
    rows = [
        ("a target of 9,000 bytes", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
        ("a target of 10 MB", b"GET /" + b"a" * 10_000_000, {414}),
        ("a query of 100,000 bytes", b"GET /?" + b"a" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
        ("a header of 9,000 bytes", get + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", {400}),
        ("a header of 10 MB", get + b"X-A: " + b"a" * 10_000_000, {400}),
        ("a name of 9,000 bytes", get + b"a" * 9000 + b": b\r\n\r\n", {400}),
        ("a Cookie of 40,000 bytes", get + b"Cookie: " + b"a" * 40000 + b"\r\n\r\n", {400}),
        ("129 headers", get + b"X-A: b\r\n" * 129 + b"\r\n", {400}),
        ("5,000 headers", get + b"a:b\r\n" * 5000 + b"\r\n", {400}),
        ("40,000 bytes of headers", get + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 500) for i in range(80)) + b"\r\n", {400}),
        ("a method of 100 letters", b"A" * 100 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", {400, 501}),
        ("a Host of 300 bytes", b"GET / HTTP/1.1\r\nHost: " + b"a" * 300 + b"\r\n\r\n", {404, 400}),
        ("a Host of 63-byte labels past 255", b"GET / HTTP/1.1\r\nHost: " + b".".join([b"a" * 63] * 8) + b"\r\n\r\n", {404, 400}),
        ("a Content-Length past the limit", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n", {413}),
        ("a Content-Length of 2^63 - 1", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9223372036854775807\r\n\r\n", {413}),
        ("chunks past the limit", b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 17, {413}),
    ]
    for name, data, statuses in rows:
        answers, ended = http1(proxy.http, data)
        check(name, [a[0] for a in answers] and answers[0][0] in statuses and len(answers) == 1, (statuses, [a[0] for a in answers], ended))
    answers, _ = http1(proxy.http, get + b"X-A: " + b"a" * 7000 + b"\r\n\r\n")
    check("a header of 7,000 bytes is passed", [a[0] for a in answers] == [200], answers)
    answers, _ = http1(proxy.http, get + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n")
    check("100 headers are passed", [a[0] for a in answers] == [200], answers)
    all_clean("oversized")


# What arrives, or the status; target, backend, what it gets ("" = the same).
PATHS = [
    (b"/admin", admin, b""), (b"/admin/", admin, b""), (b"/administrator", public, b""), (b"/ADMIN", public, b""),
    (b"//admin", admin, b""), (b"/./admin", admin, b""), (b"/x/../admin", admin, b""), (b"/admin/../x", public, b""),
    (b"/%61dmin", admin, b""), (b"/%2e/admin", admin, b""), (b"/x/%2e%2e/admin", admin, b""), (b"/x/%2E./admin", admin, b""),
    (b"/%2fadmin", admin, b""), (b"/x%2f..%2fadmin", admin, b""), (b"/admin%2f..%2fx", public, b""), (b"/admin%2fx", admin, b""),
    (b"/admin;x=1", public, b""), (b"/admin/;x=1", admin, b""), (b"/admin\\x", public, b""), (b"/x\\..\\admin", public, b""),
    (b"/%5cadmin", public, b""), (b"/admin?/../x", admin, b""), (b"/?/admin", public, b""), (b"/x?..%2fadmin", public, b""),
    (b"/admin%20", public, b""), (b"/admin%3f", public, b""), (b"/admin%23", public, b""), (b"/admin%2523", public, b""),
    (b"/%252e%252e/admin", public, b""), (b"/%c0%ae%c0%ae/admin", public, b""), (b"/%c0%af/admin", public, b""), (b"/\xc0\xae\xc0\xae/admin?\xff", public, b"/%C0%AE%C0%AE/admin?%FF"),
    (b"/admin/..", public, b""), (b"/admin/.", admin, b""), (b"/admin/...", admin, b""), (b"/x/.../admin", public, b""),
    (b"/admin%0d%0aX-Evil:%20y", public, b""), (b"/%0aadmin", public, b""),
    (b"http://ok.example/admin", admin, b"/admin"), (b"http://ok.example", public, b"/"), (b"http://ok.example?x", public, b"/?x"),
    (b"HTTP://OK.EXAMPLE/admin?q", admin, b"/admin?q"), (b"http://ok.example:80/x//y", public, b"/x//y"),
    (b"/..", 400, b""), (b"/../admin", 400, b""), (b"/%2e%2e/admin", 400, b""), (b"/x/../../admin", 400, b""), (b"/%2e%2e%2fadmin", 400, b""),
    (b"/%00", 400, b""), (b"/admin%00", 400, b""), (b"/admin%00.html", 400, b""), (b"/%", 400, b""), (b"/%4", 400, b""), (b"/%zz", 400, b""),
    (b"/%u0061dmin", 400, b""), (b"/a#b", 400, b""), (b"admin", 400, b""), (b"*", 400, b""), (b"//", public, b""), (b"/a\tb", 400, b""), (b"/\x7f", 400, b""),
    (b"http:///admin", 400, b""), (b"ftp://ok.example/", 400, b""), (b"http://a@ok.example/", 400, b""), (b"http://ok.example:99999/", 400, b""),
]


def paths():
    section("path confusion")
    for target, want, passed in PATHS:
        before = len(whole(public)), len(whole(admin))
        host = b"Host: ok.example:80\r\n" if b":80" in target else HOST
        answers, _ = http1(proxy.http, b"GET " + target + b" HTTP/1.1\r\n" + host + b"\r\n")
        got = answers[0][0] if answers else 0
        new = whole(public)[before[0]:] + whole(admin)[before[1]:]
        who = "nobody" if not new else "public" if len(whole(public)) > before[0] else "admin"
        shown = target.decode("latin-1").encode("unicode_escape").decode().replace("#", "<hash>")
        if isinstance(want, int):
            check(f"{shown}: {want}", got == want and not new, (got, who))
        else:
            right = got == 200 and len(new) == 1 and len(whole(want)) > before[want is admin] and new[0].head.split(b" ")[1] == (passed or target)
            check(f"{shown}: to {'admin' if want is admin else 'public'}", right, (got, who, [r.head[:100] for r in new]))
    all_clean("paths")


# Host, status.
HOSTS = [
    (b"ok.example", 200), (b"OK.Example", 200), (b"ok.example:80", 200), (b"ok.example:8080", 200), (b"ok.example.", 200), (b"ok.example.:80", 200),
    (b"ok.example:", 200), (b"ok.example..", 404), (b".ok.example", 404), (b"x.ok.example", 404), (b"ok.example:x", 400), (b"ok.example:-1", 400),
    (b"ok.example:65536", 400), (b"ok.example:80:80", 400), (b"a@ok.example", 400), (b"a:b@ok.example", 400), (b"ok.example/", 400), (b"ok.example#", 400),
    (b"ok.example?x", 400), (b"ok.example x", 400), (b"ok.example,other.example", 404), (b"http://ok.example", 400), (b"[::1]", 404), (b"[::1]:80", 404),
    (b"[::1", 400), (b"::1", 400), (b"[ok.example]", 400), (b"[::1]x", 400), (b"127.0.0.1", 404), (b"", 400), (b" ", 400), (b"\\ok.example", 400), (b"ok%2eexample", 404),
    (b"ok.example\xe3\x80\x82", 400), (b"_", 404), (b"*", 404), (b"*.example", 404),
]


def hosts():
    section("host confusion")
    for host, want in HOSTS:
        answers, _ = http1(proxy.http, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        check(f"Host: {host.decode('latin-1').encode('unicode_escape').decode().replace('#', '<hash>')}: {want}", [a[0] for a in answers][:1] == [want], answers[:1])
    rows = [
        ("a URL and another Host", b"GET http://ok.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n", 400),
        ("a URL of another host and ours", b"GET http://other.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("a URL and no Host", b"GET http://ok.example/ HTTP/1.1\r\n\r\n", 400),
        ("a URL and no Host, HTTP/1.0", b"GET http://ok.example/ HTTP/1.0\r\n\r\n", 200),
        ("no Host, HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 404),
        ("CONNECT", b"CONNECT ok.example:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("CONNECT to itself", b"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example:80\r\n\r\n", (400, 405)),
        ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        ("HTTP/0.9", b"GET /\r\n", 400), ("HTTP/1.9", b"GET / HTTP/1.9\r\n" + HOST + b"\r\n", 505), ("HTTP/11.1", b"GET / HTTP/11.1\r\n" + HOST + b"\r\n", 400),
        ("HTTP/1.10", b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400), ("a method in small letters", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("an HTTP/2 preface and junk", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", (400, 505)),
    ]
    for name, data, want in rows:
        answers, ended = http1(proxy.http, data)
        want = want if isinstance(want, tuple) else (want,)
        check(f"{name}: {want}", answers and answers[0][0] in want, (answers[:1], ended))
    all_clean("hosts")


def passed_on(headers, line=b"GET /told HTTP/1.1"):
    """The fields that the backend got: {name: [values]}."""
    before = len(public.seen)
    answers, _ = http1(proxy.http, line + b"\r\n" + HOST + headers + b"\r\n")
    if [a[0] for a in answers] != [200] or len(public.seen) != before + 1:
        return {"answer": answers}
    out = {}
    for f in public.seen[-1].head.split(b"\r\n")[1:]:
        name, _, value = f.partition(b": ")
        out.setdefault(name.lower().decode("latin-1"), []).append(value.decode("latin-1"))
    return out


def spoofing():
    section("headers that the proxy writes itself")
    spoof = b"".join(b"%s: spoofed.example\r\n" % n for n in OURS if n != b"x-request-id") + b"X-Original-Forwarded-For: 6.6.6.6\r\n"
    for name, headers in (("once", spoof), ("twice", spoof + spoof), ("in capitals", spoof.upper())):
        got = passed_on(headers)
        bad = {n: v for n, v in got.items() if n.encode() in OURS and any("spoof" in x.lower() for x in v)}
        check(f"{name}: none is believed", not bad and got.get("x-forwarded-for") == ["127.0.0.1"] and got.get("x-real-ip") == ["127.0.0.1"], got)
        check(f"{name}: X-Original-Forwarded-For is what came as X-Forwarded-For",
              [v.lower() for v in got.get("x-original-forwarded-for", [])] == ["spoofed.example"], got.get("x-original-forwarded-for"))
    got = passed_on(b"X_Forwarded_For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nX.Forwarded.For: 1\r\n")
    check("names that CGI reads as ours are dropped", not [n for n in got if "_" in n or "." in n], got)
    got = passed_on(b"Proxy: http://evil.example\r\n")
    check("Proxy (httpoxy) is dropped", "proxy" not in got, got)
    got = passed_on(b"X-Request-ID: a\tb\r\nX-Request-ID: c\r\n")
    check("two X-Request-ID become one", len(got.get("x-request-id", [])) == 1, got)

    section("fields of one hop")
    got = passed_on(b"Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip\r\nTrailer: X-T\r\n")
    check("what Connection names goes no further", not {"x-secret", "keep-alive", "proxy-connection", "connection", "te"} & set(got), got)
    got = passed_on(b"Connection: X-One\r\nConnection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\n")
    check("nor what a second Connection names", not {"x-one", "x-two"} & set(got), got)
    got = passed_on(b"Connection: X-Real-IP, X-Forwarded-For, Host, X-Request-ID\r\n")
    check("Connection does not take away ours", all(len(got.get(n.decode(), [])) == 1 for n in OURS + [b"host"]), got)
    got = passed_on(b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
    check("no upgrade to h2c is passed", "upgrade" not in got, got)
    got = passed_on(b"Expect: 100-continue\r\nX-A: b\r\n")
    check("Expect without a body is not passed", "expect" not in got, got)
    got = passed_on(b"X-A:\tb \t\r\nX-Empty:\r\nX-B: \xff\xfe\r\n")
    check("blanks around a value, an empty one, bytes past ASCII", (got.get("x-a"), got.get("x-empty"), got.get("x-b")) == (["b"], [""], ["\xff\xfe"]), got)
    all_clean("headers")


def sequences():
    section("several on one connection")
    inside = b"GET /not-a-request HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(inside) + inside
    answers, _ = http1(proxy.http, body * 3 + b"GET /last HTTP/1.1\r\n" + HOST + b"\r\n", want=4)
    check("bodies that look like requests", [a[0] for a in answers] == [200] * 4 and not [r for r in seen() if b"/not-a-request" in r.head], answers)
    chunked = b"POST /p HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\nTransfer-Encoding: x\r\nContent-Length: 9\r\n\r\n"
    answers, _ = http1(proxy.http, chunked * 2 + b"GET /last HTTP/1.1\r\n" + HOST + b"\r\n", want=3)
    sent = [r for r in public.seen if r.head.startswith(b"POST /p ") and b"chunked" in r.head.lower()]
    check("chunks, extensions and trailers", [a[0] for a in answers] == [200] * 3 and [r.body for r in sent] == [b"abc0123456789"] * 2, (answers, sent))
    check("neither extensions nor trailers of framing are passed", not [r for r in sent if b"x=y" in r.raw or b"Content-Length: 9" in r.raw], sent)
    answers, ended = http1(proxy.http, b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\nGET /after-close HTTP/1.1\r\n" + HOST + b"\r\n")
    check("nothing is answered behind Connection: close", len(answers) == 1 and ended and not [r for r in seen() if b"/after-close" in r.head], answers)
    answers, ended = http1(proxy.http, b"GET / HTTP/1.0\r\n" + HOST + b"\r\nGET /after-close HTTP/1.1\r\n" + HOST + b"\r\n")
    check("nor behind HTTP/1.0", len(answers) == 1 and not [r for r in seen() if b"/after-close" in r.head], answers)
    answers, _ = http1(proxy.http, b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n")
    check("blank lines before a request are forgiven", [a[0] for a in answers] == [200], answers)
    with tap.Raw(proxy.http) as r:
        r.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" * 3)
        r.until(lambda got: tap.responses(got)[0])
        check("and behind one", [a[0] for a in tap.responses(r.got)[0]] == [200], r.got)
    all_clean("sequences")


def injection():
    section("values of a request in headers")
    rows = {
        "vhost": {"upstream_vhost": "$uri"}, "prefix": {"rewrite_target": "/$1", "x_forwarded_prefix": "/p$uri", "use_regex": "true"},
        "moved": {"temporal_redirect": "http://x.example$uri"}, "there": {"permanent_redirect": "http://x.example$uri"},
        "root": {"app_root": "/app"}, "www": {"from_to_www_redirect": "true"}, "tls": {"force_ssl_redirect": "true"},
        "signin": {"auth_url": f"http://127.0.0.1:{refuses.port}/auth?u=$uri", "auth_signin": "http://x.example/start?rd=$uri"},
        "snippet": {"configuration_snippet": "add_header X-Told $uri; more_set_headers \"X-More: $uri\"; proxy_set_header X-Sent $uri;"},
        "return": {"configuration_snippet": "return 302 http://x.example$uri;"}, "cookie": {"affinity": "cookie", "session_cookie_path": "/$uri"},
        "cors": {"enable_cors": "true", "cors_allow_origin": "*", "cors_allow_credentials": "true"},
    }
    folder.globals(client_header_timeout=3, allow_snippet_annotations="true", annotations_risk_level="Critical")
    for name, annotations in rows.items():
        folder.ingress(f"inject-{name}", f"{name}.example", "public", paths=("/(.*)",) if "use_regex" in annotations else ("/",),
                       kind="ImplementationSpecific" if "use_regex" in annotations else "Prefix", **annotations)
    tap.soon("the rules are there", lambda: http1(proxy.http, b"GET / HTTP/1.1\r\nHost: moved.example\r\n\r\n")[0][0][0] == 302)
    for name in rows:
        for path in (b"/%0d%0aX-Evil:%20y%0d%0a%0d%0aGET%20/evil%20HTTP/1.1", b"/%0aX-Evil:%20y", b"/a%20HTTP/1.1%0d%0aHost:%20x", b"/?q=%0d%0aX-Evil:%20y"):
            answers, _ = http1(proxy.http, b"GET " + path + b" HTTP/1.1\r\nHost: " + name.encode() + b".example\r\nOrigin: http://a.example\r\n\r\n")
            bad = [a for a in answers if re.search(rb"(?im)^x-evil|[\r\n](?!\n)[^\r\n:]*\r\n|(?<!\r)\n", a[1].partition(b"\r\n")[2])]
            check(f"{name}: {path.decode()}: no header of the client's making", len(answers) == 1 and not bad, answers)
    evil = [r.raw for r in seen() + refuses.seen if "x-evil" in str(fields(r.head)).lower()]
    check("nor in what backends get", not evil, evil)
    check("nor in what the authenticator gets", all(LINE.fullmatch(r.head.split(b"\r\n")[0]) for r in refuses.seen) and refuses.seen, refuses.seen)
    all_clean("injection")


before = proxy.descriptors()
for part in (refusals, oversized, paths, hosts, spoofing, sequences, injection):
    part()
section("afterwards")
tap.soon("nothing is in flight", lambda: proxy.in_flight() == 0)
tap.soon("descriptors are back", lambda: proxy.descriptors() <= before + 16)
check("the proxy has logged nothing but its start", proxy.log().count("\n") < 10, proxy.log())
tap.finish()
