"""The ingress proxy: malformed HTTP, a backend that must never see what was smuggled, a Secret with a broken
certificate, a Service without endpoints, backends that answer nonsense. Words and statuses are nginx's."""
import http.server
import json
import socketserver
import ssl
import threading

import bad_http
import kit
from kit import HTTP, HTTPS, NODE, api, check, http1, section, soon

GOOD_PORT, ODD_PORT, CLOSED_PORT = 9001, 9002, 9003
PAGE = (b"<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n"
        b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")
seen = []
JSON = {"Content-Type": "application/json"}


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        while chunked and (size := int(self.rfile.readline() or b"0", 16)):
            self.rfile.read(size + 2)
        if chunked:
            self.rfile.readline()
        seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


ODD_ANSWERS = {
    b"/junk": b"hello\r\n\r\n",
    b"/nothing": b"",
    b"/cl-te": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"/folded": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n",
    b"/lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"/status": b"HTTP/1.1 9999 Huh\r\n\r\n",
    b"/version": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"/long": b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"y" * 200000 + b"\r\n\r\n",
    b"/many": b"HTTP/1.1 200 OK\r\n" + b"X-A: y\r\n" * 5000 + b"\r\n",
}


class Odd(socketserver.BaseRequestHandler):
    """Answers a path with the bytes above, then closes."""

    def handle(self):
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.request.recv(65536)
            if not part:
                return
            data += part
        self.request.sendall(ODD_ANSWERS.get(data.split(b" ")[1], b""))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, *_):
        """The proxy cuts a request whose client turns out to be malformed: no news."""


def serve(port, handler):
    server = Server((NODE, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def create(path, obj):
    status, _, data = api("POST", path, json.dumps(obj), JSON)
    check(f"create {obj['kind']} {obj['metadata']['name']}", status == 201, data)


def service(name, port):
    base = "/api/v1/namespaces/default/services"
    create(base, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
    if port:
        create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}], "ports": [{"name": "", "port": port, "protocol": "TCP"}]})


def ingress(name, host, backend, secret=None):
    spec = {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}]}}]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    create("/apis/networking.k8s.io/v1/namespaces/default/ingresses", {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec})


def get(host, path=b"/", context=None, port=HTTP):
    answers, _ = http1(port, b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n", context)
    return answers[0] if answers else (0, b"", b"")


def any_certificate():
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def presented(name):
    with kit.Raw(HTTPS, any_certificate(), name) as r:
        der = r.sock.getpeercert(binary_form=True)
    return der or b""


def backends():
    section("ingress: backends")
    for name, port in (("good", GOOD_PORT), ("odd", ODD_PORT), ("closed", CLOSED_PORT), ("empty", 0)):
        service(name, port)
        ingress(name, {"good": "ok.example"}.get(name, f"{name}.example"), name)
    ingress("missing", "missing.example", "missing")
    soon("ingress: a request is answered", lambda: get(b"ok.example")[0] == 200)
    soon("ingress: a Service without endpoints: 503", lambda: get(b"empty.example")[0] == 503)
    page = PAGE % ((b"503 Service Temporarily Unavailable",) * 2)
    check("ingress: in nginx's words", get(b"empty.example")[2] == page, get(b"empty.example"))
    soon("ingress: a missing Service: 503", lambda: get(b"missing.example")[0] == 503)
    soon("ingress: an endpoint that refuses: 502", lambda: get(b"closed.example")[0] == 502)
    check("ingress: another host: 404", get(b"other.example")[0] == 404, get(b"other.example"))
    soon("ingress: the odd backend is there", lambda: get(b"odd.example", b"/junk")[0] == 502)
    for path in ODD_ANSWERS:
        got = get(b"odd.example", path)
        check(f"ingress: a backend that answers {path.decode()}: 502", got[0] == 502, got)
    check("ingress: and others are not affected", get(b"ok.example")[2] == b"OK", get(b"ok.example"))


def certificates():
    section("ingress: certificates")
    for name, crt, key in (("junk", "junk", "junk"), ("empty-pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "x"),
                           ("mismatch", open(f"{kit.WORK}/data/pki/admin.crt").read(), open(f"{kit.WORK}/data/pki/dns.key").read()),
                           ("nul", "a\0b", "\0" * 10)):
        create("/api/v1/namespaces/default/secrets", {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
               "metadata": {"name": f"tls-{name}"}, "stringData": {"tls.crt": crt, "tls.key": key}})
        ingress(f"tls-{name}", f"{name}.tls.example", "good", f"tls-{name}")
        host = f"{name}.tls.example".encode()
        soon(f"ingress: {name}: https is answered", lambda: get(host, context=any_certificate(), port=HTTPS)[2] == b"OK")
        check(f"ingress: {name}: with the default certificate", b"Fake Certificate" in presented(host.decode()), "")

    def told():
        events = json.loads(api("GET", "/api/v1/namespaces/default/events")[2])["items"]
        return {e["involvedObject"]["name"] for e in events if e["reason"] == "BadCertificate"} >= {"tls-junk", "tls-empty-pem", "tls-mismatch"}
    soon("ingress: an event on each Ingress says so", told)
    check("ingress: a name that nobody has", b"Fake Certificate" in presented("x" * 60 + ".example"), "")
    with kit.Raw(HTTPS) as r:
        r.send(b"\x16\x03\x01\xff\xff" + b"\xff" * 3000)
        r.until(lambda got: False)
        check("ingress: a TLS hello of garbage ends the connection", r.ended, r.got)


def words():
    section("ingress: words and limits")
    rows = [
        ("400", b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", b"400 Bad Request"),
        ("413", b"POST / HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 2000000\r\n\r\n", b"413 Request Entity Too Large"),
        ("501", b"POST / HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: x\r\n\r\n", b"501 Not Implemented"),
        ("505", b"GET / HTTP/1.7\r\nHost: ok.example\r\n\r\n", b"505 HTTP Version Not Supported"),
        ("414", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: ok.example\r\n\r\n", b"414 Request-URI Too Large"),
        ("404", b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n", b"404 Not Found"),
    ]
    for name, data, text in rows:
        answers, _ = http1(HTTP, data)
        check(f"ingress: {name} in nginx's words", answers and answers[0][2] == PAGE % (text, text), answers)
    answers, _ = http1(HTTP, b"GET / HTTP/1.1\r\nHost: ok.example\r\nCookie: " + b"a" * 100000 + b"\r\n\r\n")
    check("ingress: a long Cookie in nginx's words", answers and answers[0][0] == 400 and
          b"<title>400 Request Header Or Cookie Too Large</title>" in answers[0][2], answers)
    for name, path in (("bad percent-encoding", b"/%zz"), ("an encoded NUL", b"/%00"), ("out of the root", b"/../../etc"), ("out of the root, encoded", b"/%2e%2e/%2e%2e/x")):
        answers, _ = http1(HTTP, b"GET " + path + b" HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        check(f"ingress: {name}: 400", answers and answers[0][0] == 400, answers)
    big = b"POST / HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\n\r\n" + b"20000\r\n" + b"a" * 0x20000 + b"\r\n"
    with kit.Raw(HTTP) as r:
        r.send(big + (b"20000\r\n" + b"a" * 0x20000 + b"\r\n") * 12)
        r.until(lambda got: kit.responses(got)[0])
        check("ingress: a chunked body past 1 MiB: 413", [a[0] for a in kit.responses(r.got)[0]] == [413], r.got[:200])


def run():
    serve(GOOD_PORT, Backend)
    serve(ODD_PORT, Odd)
    backends()
    certificates()
    words()
    bad_http.everything("ingress", HTTP, None, b"<hr><center>nginx</center>")
    bad_http.slices("ingress", HTTP, None, b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", lambda a: a and a[0][0] == 200)
    bad_http.slices("ingress", HTTP, None, bad_http.CASES[0][1], lambda a: a and a[0][0] == 400)
    answers, _ = http1(HTTP, b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n" * 20, want=20)
    check("ingress: 20 requests at once are answered in order", [a[0] for a in answers] == [200] * 20, answers)
    check("ingress: nothing was smuggled to the backend", "/smuggled" not in seen, seen)
    check("ingress: an ordinary request is answered", get(b"ok.example")[2] == b"OK", "")
