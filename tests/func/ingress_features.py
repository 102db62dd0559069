#!/usr/bin/env python3
"""ingress_features.py - manifests written for ingress-nginx, given to the proxy as they are: does each annotation do what it did?

	tests/func/ingress_features.py BUILD-DIR [NAME…]        names: only these rows, and no others

Starts `portico ingress --from` on loopback ports with backends of its own; needs curl and openssl. Rows: ingress_rows.py.
Prints TAP and "N passed, N failed".
"""
import base64
import crypt
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import ingress_backends as backends
import ingress_kit as kit
import ingress_rows as table
from ingress_kit import ask, check, wait_for
from ports import free_port

CLASSES = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: nginx
spec:
  controller: k8s.io/ingress-nginx
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: nginx-internal
spec:
  controller: k8s.io/ingress-nginx
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: haproxy
spec:
  controller: haproxy.org/ingress-controller
"""


def service(name, *ports, extra="", ns="default"):
    """A Service whose endpoints are these ports of 127.0.0.1."""
    slices = "".join(f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{i}
  namespace: {ns}
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
endpoints:
- addresses: ["127.0.0.1"]
ports:
- name: http
  port: {port}
""" for i, port in enumerate(ports))
    return f"""
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {ns}
spec:
  {extra}
  ports:
  - name: http
    port: 80
    targetPort: http
{slices}"""


def ingress(name, annotations, options):
    head = f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  creationTimestamp: "2025-01-01T00:00:00Z"
  annotations: {'{}' if not annotations.strip() else annotations.rstrip()}
spec:
  ingressClassName: nginx
"""
    if "tls" in options:
        head += f"  tls: {options['tls']}\n"
    return head + f"  rules:\n  - host: {options.get('host', name + '.test')}\n    http:\n      paths:\n" + \
        options.get("paths", table.PLAIN).strip("\n") + "\n"


def manifest_of(name, annotations, options):
    docs = [] if annotations is None else [ingress(name, annotations, options)]
    return "\n---\n".join(docs + [options["more"]] if "more" in options else docs)


# ---- certificates, hashes, tokens ----

def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def certificate(work, name, subject, names="", ca=None):
    """work/NAME.crt and .key; signed by `ca`, else by itself."""
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", subject,
            "-keyout", f"{work}/{name}.key", "-out", f"{work}/{name}.crt"]
    if names:
        args += ["-addext", f"subjectAltName={names}"]
    if ca:
        args += ["-CA", f"{work}/{ca}.crt", "-CAkey", f"{work}/{ca}.key", "-addext", "basicConstraints=critical,CA:false"]
        if not has_req_ca():
            return sign_in_two_steps(work, name, subject, names, ca)
    openssl(*args)
    return None


def has_req_ca():
    return b"-CA " in subprocess.run(["openssl", "req", "-help"], capture_output=True).stderr


def sign_in_two_steps(work, name, subject, names, ca):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
            "-keyout", f"{work}/{name}.key", "-out", f"{work}/{name}.csr")
    with open(f"{work}/{name}.ext", "w") as f:
        f.write(f"subjectAltName={names}\n" if names else "basicConstraints=CA:false\n")
    openssl("x509", "-req", "-in", f"{work}/{name}.csr", "-CA", f"{work}/{ca}.crt", "-CAkey", f"{work}/{ca}.key",
            "-CAcreateserial", "-days", "30", "-extfile", f"{work}/{name}.ext", "-out", f"{work}/{name}.crt")


def revoke(work, ca, *names):
    """The authority's list of revoked certificates, as PEM."""
    with open(f"{work}/ca.cnf", "w") as f:
        f.write(f"[ca]\ndefault_ca = a\n[a]\ndatabase = {work}/index\ndefault_md = sha256\ndefault_crl_days = 30\n")
    open(f"{work}/index", "w").close()
    signer = ["-config", f"{work}/ca.cnf", "-cert", f"{work}/{ca}.crt", "-keyfile", f"{work}/{ca}.key"]
    for name in names:
        openssl("ca", *signer, "-revoke", f"{work}/{name}.crt")
    return openssl("ca", *signer, "-gencrl").decode()


def base64_file(path):
    with open(path, "rb") as f:
        return base64.b64encode(f.read()).decode()


def secret(name, ns="default", kind="Opaque", **data):
    rows = "".join(f"  {k.replace('_', '.')}: {base64.b64encode(v.encode()).decode() if kind == 'Opaque' else v}\n"
                   for k, v in data.items())
    return f"\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {ns}\ntype: {kind}\ndata:\n{rows}"


def tls_secret(work, name, cert, ca=None):
    data = {"tls_crt": base64_file(f"{work}/{cert}.crt"), "tls_key": base64_file(f"{work}/{cert}.key")}
    if ca:
        data["ca_crt"] = base64_file(f"{work}/{ca}.crt")
    return secret(name, kind="kubernetes.io/tls", **data)


def configmap(name, data, ns="default"):
    return f"\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {ns}\ndata: {json.dumps(data)}\n"


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(work, seconds):
    claims = {"iss": "https://issuer.test", "aud": ["shop"], "sub": "jane", "email": "jane@example.com", "exp": int(time.time()) + seconds}
    text = url64(json.dumps({"alg": "RS256", "kid": "k1"}).encode()) + "." + url64(json.dumps(claims).encode())
    return text + "." + url64(openssl("dgst", "-sha256", "-sign", f"{work}/jwt.key", data=text.encode()))


def key_set(work, make=True):
    if make:
        openssl("genrsa", "-out", f"{work}/jwt.key", "2048")
    modulus = openssl("rsa", "-in", f"{work}/jwt.key", "-noout", "-modulus").decode().strip().split("=")[1]
    return json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "n": url64(bytes.fromhex(modulus)), "e": "AQAB"}]})


def make_pki(work):
    certificate(work, "ca", "/CN=test authority")
    certificate(work, "other-ca", "/CN=other authority")
    certificate(work, "site", "/CN=site", "DNS:site.test,DNS:san.test")
    certificate(work, "wild", "/CN=wild", "DNS:*.tls.test")
    certificate(work, "secure", "/CN=secure.internal", "DNS:secure.internal", ca="ca")
    certificate(work, "jane", "/CN=jane", ca="ca")
    certificate(work, "mallory", "/CN=mallory", ca="ca")
    certificate(work, "stranger", "/CN=jane", ca="other-ca")


def users():
    sha = "{SHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    apr1 = openssl("passwd", "-apr1", "-salt", "saltsalt", "secret").decode().strip()
    hashes = {"apr1": apr1, "sha": sha, "crypt-sha512": crypt.crypt("secret", crypt.mksalt(crypt.METHOD_SHA512)),
              "bcrypt": crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}
    return "".join(secret(f"users-{kind}", auth=f"jane:{value}\n") for kind, value in hashes.items()) + \
        secret("users-digest", auth=f"jane:a realm:{hashlib.md5(b'jane:a realm:secret').hexdigest()}\n"
               f"joe:a realm:{hashlib.sha256(b'joe:a realm:secret').hexdigest()}\n") + \
        secret("users-map", jane=apr1) + secret("users", ns="other", auth=f"jane:{apr1}\n")


# ---- the stage ----

class Stage:
    def __init__(self, program):
        self.work = work = kit.work_folder("ingress-features")
        make_pki(work)
        b = self.backends = {name: backends.Server(name) for name in ("web", "v2", "v3", "root", "auth", "mirror", "vip")}
        b["errors"] = backends.Server("errors", status=418)
        b["failing"] = backends.Server("failing", status=503)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{work}/secure.crt", f"{work}/secure.key")
        context.load_verify_locations(f"{work}/ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.sni_callback = backends.remember_name
        b["secure"] = backends.Server("secure", context=context)
        b["grpc"] = backends.Server("grpc", backends.Grpc)
        b["bytes"] = backends.Server("bytes", backends.Bytes)
        b["first"] = backends.Server("first", backends.FirstBytes)
        b["udp"] = backends.Udp("udp")
        b["unconnectable"] = backends.Unconnectable()
        self.port = {name: s.port for name, s in b.items()}
        self.closed = free_port()
        self.tcp, self.tcp_proxy, self.udp = free_port(), free_port(), free_port()
        self.words = {name: str(port) for name, port in self.port.items()}
        keys = key_set(work)
        self.words.update({"jwt": token(work, 300), "jwt-late": token(work, -300), "hash-a": "", "hash-b": ""})
        self.proxy = p = kit.Proxy(program, work)
        self.words["http"] = str(p.http)
        p.put("classes", CLASSES)
        p.put("services", self.services())
        p.put("secrets", users() + secret("keys", jwks=keys) + tls_secret(work, "site", "site") + tls_secret(work, "wild", "wild") +
              tls_secret(work, "upstream-mtls", "jane", "ca") + secret("clients", ca_crt=open(f"{work}/ca.crt").read()) +
              "\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: broken\ntype: kubernetes.io/tls\n"
              "data: {tls.crt: bm9uc2Vuc2U=, tls.key: bm9uc2Vuc2U=}\n" +
              configmap("answers", {"X-Custom": "from-configmap", "X-Literal": "$remote_addr"}) +
              configmap("told", {"X-Told": "something", "X-Who": "$namespace"}))
        p.put("l4", configmap("tcp-services", {str(self.tcp): "default/bytes:80", str(self.tcp_proxy): "default/web:80:PROXY"},
                              "ingress-nginx") + configmap("udp-services", {str(self.udp): "default/udp:80"}, "ingress-nginx"))
        self.globals({})

    def services(self):
        p = self.port
        one = [service(n, p[n]) for n in ("web", "v2", "v3", "root", "errors", "secure", "grpc", "bytes", "first", "unconnectable")]
        return "\n---\n".join(one + [
            service("empty"), service("pair", p["web"], p["v2"]), service("broken", self.closed, p["web"]),
            service("half", p["failing"], p["web"]), service("udp", p["udp"]).replace("port: 80\n", "port: 80\n    protocol: UDP\n")
            .replace(f"  port: {p['udp']}\n", f"  port: {p['udp']}\n  protocol: UDP\n"),
            f"apiVersion: v1\nkind: Service\nmetadata:\n  name: external\nspec:\n  type: ExternalName\n  externalName: localhost\n"
            f"  ports:\n  - port: {p['web']}\n",
            f"apiVersion: v1\nkind: Service\nmetadata:\n  name: external-named\nspec:\n  type: ExternalName\n"
            f"  externalName: {socket.gethostname()}\n  ports:\n  - port: {p['web']}\n",
            service("cluster-ip", p["web"], extra="clusterIP: 127.0.0.1").replace("port: 80\n", f"port: {p['vip']}\n")])

    def fill(self, text):
        return re.sub(r"<<([\w-]+)>>", lambda m: self.words[m[1]], text)

    def globals(self, data):
        """The ConfigMap; returns when it is in force: when a host that comes with it is known."""
        self.turn = getattr(self, "turn", 0) + 1
        data = {"global-allowed-response-headers": "X-Custom,X-Literal", **data}
        marker = ingress(f"turn-{self.turn}", "", {"paths": table.paths(("/", "Prefix", "missing"))})
        self.proxy.put("globals", self.fill(configmap("ingress-nginx-controller", data, "ingress-nginx")) + "---" + marker)
        if self.proxy.process:
            wait_for(lambda: self.ask("/", f"turn-{self.turn}.test").status != 404)

    def ask(self, target, host, method="GET", headers=(), **more):
        return ask(self.proxy, method, target, host, headers, **more)

    def curl(self, *words):
        """curl with what is given: (status line and headers, body)."""
        r = subprocess.run(["curl", "-sS", "-i", "-k", "--max-time", "5", *words], capture_output=True, timeout=15)
        head, _, body = r.stdout.partition(b"\r\n\r\n")
        return head.decode(errors="replace").lower() + r.stderr.decode(), body


SPECIAL = []


def special(fn):
    SPECIAL.append(fn)
    return fn


def manifests(stage, name, text):
    stage.proxy.put(name, stage.fill(text))


# ---- what needs more than a row ----

@special
def ignored_is_told_once(s):
    lines = [line for line in s.proxy.log().splitlines() if "Ingress/default/ignored " in line]
    check("tier C: one warning", len(lines) == 1, "\n".join(lines))
    names = re.findall(r"io/([\w-]+):", table.IGNORED)
    missing = [n for n in names if not any(n in line for line in lines)]
    check("tier C: it names each annotation", set(missing) <= {"auth-keepalive"}, missing)
    check("a resource backend is told", "resource-backend" in s.proxy.log(), s.proxy.log()[-2000:])


@special
def external_name_unknown(s):
    manifests(s, "external-unknown", """
apiVersion: v1
kind: Service
metadata: {name: external-unknown}
spec: {type: ExternalName, externalName: does-not-exist.invalid}
---""" + ingress("external-unknown", "", {"paths": table.paths(("/", "Prefix", "external-unknown"))}))
    check("ExternalName: a name that nobody has is told", wait_for(lambda: "externalName does-not-exist.invalid: " in s.proxy.log(), 15),
          s.proxy.log()[-500:])
    check("ExternalName: … and its Ingress is in the metrics", re.search(
        r'nginx_ingress_controller_orphan_ingress\{[^}]*ingress="external-unknown",type="no-endpoint"\} 1', s.proxy.metrics()))


@special
def external_name(s):
    """A name of this machine that is not refused as a name for loopback, if it has one."""
    try:
        good = socket.gethostbyname(socket.gethostname()).startswith("127.")
    except OSError:
        good = False
    if not good:
        check("ExternalName # SKIP the host's name does not lead to loopback", True)
        return
    manifests(s, "external-name", ingress("external-name", "", {
        "paths": table.paths(("/", "Prefix", "external-named", f"number: {s.port['web']}"))}))
    wait_for(lambda: s.ask("/", "external-name.test").status == 200)
    check("ExternalName", s.ask("/", "external-name.test").by == "web", s.ask("/", "external-name.test"))


@special
def affinity_sticks(s):
    first = s.ask("/", "affinity.test")
    cookie = [v for k, v in first.headers if k == "Set-Cookie"][0].split(";")[0]
    again = [s.ask("/", "affinity.test", headers=[("Cookie", cookie)]) for _ in range(8)]
    check("affinity: the cookie's endpoint answers", all(a.by == first.by for a in again), [a.by for a in again])
    check("affinity: no second cookie", not any(k == "Set-Cookie" for a in again for k, _ in a.headers))
    forged = s.ask("/", "affinity.test", headers=[("Cookie", "INGRESSCOOKIE=junk|0000")])
    check("affinity: an invented cookie", forged.status == 200, forged)


@special
def connections_are_limited(s):
    manifests(s, "limit-connections", ingress("limit-connections", """
    nginx.ingress.kubernetes.io/limit-connections: "2"
""", {}))
    wait_for(lambda: s.ask("/", "limit-connections.test").status == 200)
    answers = []
    slow = [threading.Thread(target=lambda: answers.append(s.ask("/sleep/1", "limit-connections.test").status)) for _ in range(2)]
    mark = len(backends.seen)
    for t in slow:
        t.start()
    wait_for(lambda: len(backends.seen) >= mark + 2)
    third = s.ask("/", "limit-connections.test")
    for t in slow:
        t.join()
    check("limit-connections: the third gets 503, the first two their answers", (third.status, answers) == (503, [200, 200]),
          (third, answers))
    check("limit-connections: and then the next one does", s.ask("/", "limit-connections.test").status == 200)


def half_a_request(s, host, body):
    sock = socket.create_connection(("127.0.0.1", s.proxy.http))
    sock.sendall(f"POST /half HTTP/1.1\r\nHost: {host}\r\nContent-Length: {2 * len(body)}\r\n\r\n".encode() + body)
    return sock


@special
def bodies_are_buffered_as_told(s):
    for value, arrives in (("on", False), ("off", True)):
        name = f"request-buffering-{value}"
        manifests(s, name, ingress(name, f'\n    nginx.ingress.kubernetes.io/proxy-request-buffering: "{value}"\n', {}))
        wait_for(lambda: s.ask("/", f"{name}.test").status == 200)
        mark = len(backends.seen)
        with half_a_request(s, f"{name}.test", b"x" * 100) as sock:
            came = bool(wait_for(lambda: any(t.get("target") == "/half" for _, t in backends.seen[mark:]), 5 if arrives else 0.3))
            sock.sendall(b"x" * 100)
            sock.settimeout(5)
            check(f"proxy-request-buffering: {value}", came == arrives and sock.recv(20).startswith(b"HTTP/1.1 200"), came)


@special
def trailers_of_requests(s):
    """They come with the body's end, with the head, or while the upstream reads."""
    head = b"POST /t HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n"
    for host in (b"plain.test", b"request-buffering-off.test"):
        for parts in ((b"3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-Real-IP: forged\r\n\r\n",), (b"3\r\nabc\r\n", b"0\r\nX-Sum: 6\r\n\r\n")):
            with socket.create_connection(("127.0.0.1", s.proxy.http), timeout=5) as sock:
                sock.sendall(head % host + (parts[0] if len(parts) == 1 else b""))
                for part in parts if len(parts) > 1 else ():
                    time.sleep(0.1)
                    sock.sendall(part)
                answer = read_until(sock, b'"trailers": [')
                answer += read_until(sock, b"]") if b"]}" not in answer else b""
            check(f"trailers of a request: {host.decode()}, in {len(parts)} parts", b'"trailers": ["X-Sum: 6"]' in answer, answer)


@special
def answers_are_buffered_as_told(s):
    # Kernels since 6.16 take 32 MiB into a socket's receive buffer by themselves.
    for value, ends, size in (("on", True, 20000000), ("off", False, 90000000)):
        name = f"proxy-buffering-{value}"
        manifests(s, name, ingress(name, f"""
    nginx.ingress.kubernetes.io/proxy-buffering: "{value}"
    nginx.ingress.kubernetes.io/proxy-buffer-size: 64k
    nginx.ingress.kubernetes.io/proxy-buffers-number: "400"
""", {}))
        wait_for(lambda: s.ask("/", f"{name}.test").status == 200)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect(("127.0.0.1", s.proxy.http))
            sock.sendall(f"GET /bytes/{size}?{name} HTTP/1.1\r\nHost: {name}.test\r\n\r\n".encode())
            ended = bool(wait_for(lambda: f"/bytes/{size}?{name}" in backends.finished, 5 if ends else 0.5))
        check(f"proxy-buffering: {value}", ended == ends, ended)


@special
def tls_certificates(s):
    manifests(s, "tls", ingress("tls", "", {"host": "site.test", "tls": "[{hosts: [site.test], secretName: site}]"}) + "---" +
              ingress("tls-wild", "", {"host": '"*.tls.test"', "tls": '[{hosts: ["*.tls.test"], secretName: wild}]'}) + "---" +
              ingress("tls-san", "", {"host": "san.test", "tls": "[{secretName: site}]"}) + "---" +
              ingress("tls-broken", "", {"host": "broken.test", "tls": "[{hosts: [broken.test], secretName: broken}]"}) + "---" +
              ingress("tls-missing", "", {"host": "missing.test", "tls": "[{hosts: [missing.test], secretName: nothing}]"}))

    def subject(name):
        with socket.create_connection(("127.0.0.1", s.proxy.https), timeout=5) as raw, \
                kit.tls_context().wrap_socket(raw, server_hostname=name) as sock:
            return openssl("x509", "-inform", "DER", "-noout", "-subject", "-ext", "subjectAltName", data=sock.getpeercert(True)).decode()
    wait_for(lambda: "CN = site" in subject("site.test") and "CN = site" in subject("san.test"))
    fake = r"O = Acme Co, CN = Kubernetes Ingress Controller Fake Certificate\n[^\n]*\n\s*DNS:ingress.local"
    for name, wanted in (("site.test", "CN = site\n"), ("a.tls.test", "CN = wild\n"), ("san.test", "CN = site\n"),
                         ("a.b.tls.test", fake), ("unknown.test", fake), (None, fake), ("broken.test", fake), ("missing.test", fake)):
        check(f"TLS: the certificate for {name}", re.search(wanted, subject(name)), subject(name))
    check("TLS: a bad Secret does not stop its host", s.ask("/", "broken.test", tls=True).status == 200)
    check("TLS: a bad Secret is told", "tls-broken" in s.proxy.log() and "tls-missing" in s.proxy.log())
    for version, good in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        a = s.ask("/", "site.test", tls=True, context=kit.tls_context(version=version))
        check(f"TLS: {version.name} is {'spoken' if good else 'refused'}", (a.status == 200) == good, a)
    with socket.create_connection(("127.0.0.1", s.proxy.https), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
        answer = read_until(sock, b"</html>")
        check("plain HTTP to the TLS port: nginx's page", answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and
              b"<title>400 The plain HTTP request was sent to HTTPS port</title>" in answer and b"\r\nConnection: close\r\n" in answer, answer)


@special
def host_ciphers(s):
    """Expected: what nginx's server blocks with these ssl_ciphers and ssl_prefer_server_ciphers do."""
    a128, chacha, cbc = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"
    docs = {"ciphers-own": f"ssl-ciphers: {cbc}", "ciphers-order": 'ssl-prefer-server-ciphers: "false"',
            "ciphers-bad": "ssl-ciphers: NO-SUCH-CIPHER", "ciphers-none": "enable-cors: \"false\""}
    manifests(s, "ciphers", "---".join(ingress(k, f"\n    nginx.ingress.kubernetes.io/{v}\n",
                                               {"tls": f"[{{hosts: [{k}.test], secretName: site}}]"}) for k, v in docs.items()))

    def cipher(name, offered, session=None, version=ssl.TLSVersion.TLSv1_2):
        context = session[1] if session else kit.tls_context(version=version)
        if not session:
            context.set_ciphers(offered)
        try:
            with socket.create_connection(("127.0.0.1", s.proxy.https), timeout=5) as raw, \
                    context.wrap_socket(raw, server_hostname=name, session=session and session[0]) as sock:
                return sock.cipher()[0], sock.session_reused, (sock.session, context)
        except ssl.SSLError:
            return None, False, None
    wait_for(lambda: cipher("ciphers-own.test", cbc)[0])
    for name, offered, wanted in (("own", cbc, cbc), ("own", a128, None), ("own", f"{a128}:{cbc}", cbc), ("none", cbc, None),
                                  ("none", f"{cbc}:{chacha}:{a128}", a128), ("order", f"{chacha}:{a128}", chacha),
                                  ("order", f"{cbc}:{chacha}:{a128}", chacha), ("order", cbc, None), ("bad", cbc, None),
                                  ("bad", a128, a128), ("unknown", cbc, None), ("unknown", a128, a128)):
        got = cipher(f"ciphers-{name}.test", offered)[0]
        check(f"ssl-ciphers: {name} of {offered}", got == wanted, got)
    check("ssl-ciphers: TLS 1.3 has its own", (cipher("ciphers-own.test", a128, version=ssl.TLSVersion.TLSv1_3)[0] or "").startswith("TLS_"))
    check("ssl-ciphers: a bad list is told", re.search(r"ciphers-bad .*ssl-ciphers: .*it has no effect", s.proxy.log()))
    first = cipher("ciphers-own.test", f"{cbc}:{a128}")
    same, other = cipher("ciphers-own.test", "", first[2]), cipher("ciphers-none.test", "", first[2])
    check("ssl-ciphers: a session resumes on the host", same[:2] == (cbc, True), same)
    check("ssl-ciphers: and not on another with its cipher", other[:2] == (a128, False), other)


@special
def client_certificates(s):
    docs = {"on": "", "optional": "\n    nginx.ingress.kubernetes.io/auth-tls-verify-client: optional",
            "noca": "\n    nginx.ingress.kubernetes.io/auth-tls-verify-client: optional_no_ca",
            "pass": '\n    nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream: "true"',
            "cn": '\n    nginx.ingress.kubernetes.io/auth-tls-match-cn: "CN=ja.e"',
            "page": '\n    nginx.ingress.kubernetes.io/auth-tls-error-page: "https://help.test/cert"'}
    text = [ingress(f"mtls-{k}", f"""
    nginx.ingress.kubernetes.io/auth-tls-secret: default/clients
    nginx.ingress.kubernetes.io/auth-tls-verify-depth: "2"{v}
""", {"tls": f"[{{hosts: [mtls-{k}.test], secretName: site}}]"}) for k, v in docs.items()]
    text.append(ingress("mtls-missing", "\n    nginx.ingress.kubernetes.io/auth-tls-secret: default/nobody\n",
                        {"tls": "[{hosts: [mtls-missing.test], secretName: site}]"}))
    text += [ingress(f"mtls-{k}", f"""
    nginx.ingress.kubernetes.io/auth-tls-secret: default/clients-{k}
""", {"tls": f"[{{hosts: [mtls-{k}.test], secretName: site}}]"}) for k in ("revoked", "badlist")]
    ca = open(f"{s.work}/ca.crt").read()
    s.proxy.put("revoked", secret("clients-revoked", ca_crt=ca, ca_crl=revoke(s.work, "ca", "mallory")) +
                secret("clients-badlist", ca_crt=ca, ca_crl="nobody"))
    manifests(s, "mtls", "---".join(text))

    def get(kind, who=None, headers=()):
        context = kit.tls_context(*[f"{s.work}/{who}.{e}" for e in ("crt", "key")] if who else [])
        return s.ask("/", f"mtls-{kind}.test", tls=True, context=context, headers=headers)
    wait_for(lambda: get("missing").status == 403)
    rows = [("on", None, 400, "No required SSL certificate was sent"), ("on", "stranger", 400, "The SSL certificate error"),
            ("on", "jane", 200, ""), ("optional", None, 200, ""), ("optional", "stranger", 400, "The SSL certificate error"),
            ("noca", "stranger", 200, ""), ("cn", "jane", 200, ""), ("cn", "mallory", 403, ""), ("page", None, 302, ""),
            ("missing", None, 403, ""), ("revoked", "jane", 200, ""), ("revoked", "mallory", 400, "The SSL certificate error"),
            ("badlist", "jane", 403, "")]
    for kind, who, status, text in rows:
        a = get(kind, who)
        check(f"client certificates: {kind}, {who}: {status}", a.status == status and text in a.body.decode(), a)
    a = get("on", "jane", [("ssl-client-verify", "forged"), ("ssl-client-cert", "forged")])
    told = {k.lower(): v for k, v in a.echo.get("headers", [])}
    check("client certificates: the upstream is told", (told.get("ssl-client-verify"), told.get("ssl-client-subject-dn"),
          told.get("ssl-client-issuer-dn"), told.get("ssl-client-cert")) == ("SUCCESS", "CN=jane", "CN=test authority", None), told)
    told = {k.lower(): v for k, v in get("pass", "jane").echo.get("headers", [])}
    check("auth-tls-pass-certificate-to-upstream", told.get("ssl-client-cert", "").startswith("-----BEGIN%20CERTIFICATE-----%0A"), told)
    told = {k.lower(): v for k, v in get("optional").echo.get("headers", [])}
    check("client certificates: NONE", told.get("ssl-client-verify") == "NONE", told)
    page = get("page")
    check("auth-tls-error-page", ("Location", "https://help.test/cert") in page.headers, page)


@special
def passthrough(s):
    manifests(s, "passthrough", ingress("passthrough", """
    nginx.ingress.kubernetes.io/ssl-passthrough: "true"
    nginx.ingress.kubernetes.io/permanent-redirect: "https://never.test"
""", {"host": "secure.internal", "paths": table.paths(("/", "Prefix", "secure", "name: http"))}))
    context = kit.tls_context(f"{s.work}/jane.crt", f"{s.work}/jane.key")
    wait_for(lambda: s.ask("/", "secure.internal", tls=True, context=context).by == "secure")
    a = s.ask("/", "secure.internal", tls=True, context=context)
    check("ssl-passthrough: client and Service speak TLS with each other", (a.echo.get("client"), a.echo.get("sni")) ==
          ("jane", "secure.internal"), a)


@special
def http2_and_grpc(s):
    manifests(s, "grpc", ingress("grpc", '\n    nginx.ingress.kubernetes.io/backend-protocol: "GRPC"\n', {
        "paths": table.paths(("/pkg.Service/", "Prefix", "grpc")), "tls": "[{hosts: [grpc.test], secretName: site}]"}))
    http, https = s.proxy.http, s.proxy.https
    head, _ = s.curl("--http2", "-H", "Host: plain.test", f"https://127.0.0.1:{https}/")
    check("HTTP/2 by ALPN", head.startswith("http/2 200"), head)
    head, body = s.curl("--http2-prior-knowledge", "-H", "Host: plain.test", f"http://127.0.0.1:{http}/")
    check("h2c with prior knowledge", head.startswith("http/2 200") and json.loads(body)["by"] == "web", head)
    head, _ = s.curl("--http2-prior-knowledge", "-H", "Host: proxy-redirect.test",
                     f"http://127.0.0.1:{http}/status/302?set=Location:http://up.test:8080/app/x")
    check("HTTP/2: Location rewritten", re.search(r"location: http://proxy-redirect.test/x\r?$", head, re.M), head)
    head, _ = s.curl("--http1.1", "-H", "Host: plain.test", f"https://127.0.0.1:{https}/")
    check("HTTP/1.1 by ALPN", head.startswith("http/1.1 200"), head)
    with open(f"{s.work}/body", "w") as f:
        f.write("x" * 200000)
    head, body = s.curl("--http2", "-H", "Host: plain.test", "-d", f"@{s.work}/body", f"https://127.0.0.1:{https}/")
    check("HTTP/2: a body", json.loads(body or b"{}").get("body") == "x" * 200000, head)
    message = b"\x00\x00\x00\x00\x05hello"
    with open(f"{s.work}/message", "wb") as f:
        f.write(message)
    wait_for(lambda: s.ask("/pkg.Service/M", "grpc.test", tls=True).status != 404)
    dump = f"{s.work}/heads"
    r = subprocess.run(["curl", "-sSk", "--max-time", "5", "--http2", "-D", dump, "--resolve", f"grpc.test:{https}:127.0.0.1",
                        "-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", f"@{s.work}/message",
                        f"https://grpc.test:{https}/pkg.Service/Method"], capture_output=True)
    head = open(dump, errors="replace").read()
    check("gRPC: message and trailers", r.stdout == message and head.startswith("HTTP/2 200") and "grpc-status: 0" in head, (r, head))
    r = subprocess.run(["curl", "-sSk", "--max-time", "5", "--http2-prior-knowledge", "-D", dump, "-H", "Host: grpc.test", "-H",
                        "X-Forwarded-Proto: https", "-H", "Content-Type: application/grpc", "--data-binary", f"@{s.work}/message",
                        f"http://127.0.0.1:{http}/pkg.Service/Method"], capture_output=True)
    check("gRPC over h2c: redirected as any request without TLS", open(dump).read().startswith("HTTP/2 308"), open(dump).read())


def ws_frame(text):
    mask = b"abcd"
    return bytes([0x81, 0x80 | len(text)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text))


def read_until(sock, wanted, seconds=5):
    got, end = b"", time.monotonic() + seconds
    sock.settimeout(seconds)
    while wanted not in got and time.monotonic() < end:
        try:
            part = sock.recv(65536)
        except TimeoutError:
            break
        if not part:
            break
        got += part
    return got


@special
def websockets(s):
    with socket.create_connection(("127.0.0.1", s.proxy.http)) as sock:
        sock.sendall(b"GET /chat HTTP/1.1\r\nHost: plain.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = read_until(sock, b"\r\n\r\n")
        sock.sendall(ws_frame(b"hello"))
        check("WebSocket: no annotation needed", head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head and
              read_until(sock, b"\x81\x05hello"), head)
        manifests(s, "change", ingress("change", "", {}))
        wait_for(lambda: s.ask("/", "change.test").status == 200)
        sock.sendall(ws_frame(b"still"))
        check("WebSocket: still open after a change", read_until(sock, b"\x81\x05still"))
    context = kit.tls_context(alpn=["h2"])
    with socket.create_connection(("127.0.0.1", s.proxy.https)) as raw, context.wrap_socket(raw, server_hostname="plain.test") as sock:
        head = b"".join(backends.literal(k, v) for k, v in (
            (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"), (b":path", b"/chat"),
            (b":authority", b"plain.test"), (b"sec-websocket-version", b"13")))
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + backends.frame(4, 0, 0, b""))
        settings = read_until(sock, struct.pack(">HI", 8, 1))
        sock.sendall(backends.frame(4, 1, 0, b"") + backends.frame(1, 4, 1, head))
        answer = read_until(sock, b"\x88")
        sock.sendall(backends.frame(0, 0, 1, ws_frame(b"hello")))
        check("WebSocket over HTTP/2 (RFC 8441)", struct.pack(">HI", 8, 1) in settings and read_until(sock, b"\x81\x05hello"), answer)


@special
def digest(s):
    """curl knows MD5 everywhere, SHA-256 where OpenSSL does it; the upstream hears nothing of it."""
    def get(user, *words):
        head, rest = s.curl("--digest", "-u", user, "-H", "Host: auth-digest.test", *words, f"http://127.0.0.1:{s.proxy.http}/p?q=1,2")
        return head, rest.decode().lower()  # of the refusal; the answer to the second request
    head, _ = s.curl("-H", "Host: auth-digest.test", f"http://127.0.0.1:{s.proxy.http}/")
    offers = re.findall(r'(?m)^www-authenticate: digest realm="a realm", qop="auth", algorithm=([\w-]+), nonce="[0-9a-f]{48}"\r?$', head)
    check("digest: SHA-256 is offered before MD5", " 401 " in head and offers == ["sha-256", "md5"], head)
    head, body = get("joe:secret")
    check("digest: SHA-256", " 401 " in head and " 200 ok" in body and '"authorization"' not in body, (head, body))
    check("digest: a wrong password", " 200 ok" not in get("joe:wrong")[1])
    check("digest: a body is sent with it", " 200 ok" in get("joe:secret", "-d", "x" * 1000)[1])

    def answer(user, password, uri, nonce, algorithm="MD5", nc="00000001"):
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        response = md5(f"{md5(f'{user}:a realm:{password}')}:{nonce}:{nc}:abc:auth:{md5(f'GET:{uri}')}")
        return s.ask("/p", "auth-digest.test", headers=[("Authorization", f'Digest username="{user}", realm="a realm", nonce="{nonce}", '
                     f'uri="{uri}", qop=auth, nc={nc}, cnonce="abc", response="{response}", algorithm={algorithm}')])

    def nonce_of(a):
        return re.search(r'nonce="(\w+)"', dict(a.headers)["WWW-Authenticate"])[1]
    nonce = nonce_of(s.ask("/p", "auth-digest.test"))
    check("digest: MD5", answer("jane", "secret", "/p", nonce).status == 200)
    check("digest: MD5, a wrong password", answer("jane", "wrong", "/p", nonce).status == 401)
    check("digest: another URI than the request's", answer("jane", "secret", "/q", nonce).status == 401)
    old = answer("jane", "secret", "/p", "0" * 48)
    check("digest: an old nonce is stale", old.status == 401 and any("stale=true" in v for _, v in old.headers), old)
    check("digest: a wrong password is not stale", not any("stale" in v for _, v in answer("jane", "no", "/p", "0" * 48).headers))


@special
def keys_by_url(s):
    """jwt-jwks-url: nobody is let in before the keys have come, and they are asked for until then."""
    state = {"ok": False, "asked": 0}

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["asked"] += 1
            self.send_response(200 if state["ok"] and self.path == "/keys?v=1" else 500)
            self.end_headers()
            self.wfile.write(key_set(s.work, make=False).encode())

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/keys?v=1"
    manifests(s, "jwt-url", "---".join(ingress(name, f"\n    portico.io/jwt-jwks-url: {url}\n    portico.io/jwt-issuer: https://issuer.test\n", {})
                                       for name in ("jwt-url", "jwt-url-too")))
    wait_for(lambda: state["asked"] and s.ask("/", "jwt-url.test").status == 503)
    check("jwt-jwks-url: 503 while no keys have come", s.ask("/", "jwt-url.test").status == 503)
    state["ok"] = True
    bearer = [("Authorization", "Bearer " + s.words["jwt"])]
    wait_for(lambda: s.ask("/", "jwt-url.test", headers=bearer).status == 200)
    for name in ("jwt-url", "jwt-url-too"):
        statuses = [s.ask("/", f"{name}.test", headers=h).status for h in (bearer, [], [("Authorization", bearer[0][1] + "x")])]
        check(f"jwt-jwks-url: {name}", statuses == [200, 401, 401], statuses)
    check("jwt-jwks-url: asked once for both", state["asked"] < 10, state)
    status, text = s.proxy.tool("ingress", "check", f"{s.proxy.folder}/jwt-url.yaml")
    check("jwt-jwks-url: portico ingress check does not fetch", status == 0 and "works" in text, (status, text))
    server.shutdown()


@special
def layer_4(s):
    with socket.create_connection(("127.0.0.1", s.tcp), timeout=5) as sock:
        sock.sendall(b"ping")
        check("tcp-services", read_until(sock, b"ping") == b"bytes:ping")
    with socket.create_connection(("127.0.0.1", s.tcp_proxy), timeout=5) as sock:
        sock.sendall(b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        check("tcp-services: PROXY is taken off", b'"by": "web"' in read_until(sock, b"}"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(b"ping", ("127.0.0.1", s.udp))
        try:
            got = sock.recv(100)
        except OSError as e:
            got = e
        check("udp-services", got == b"udp:ping", got)


@special
def proxy_protocol(s):
    manifests(s, "proxy-protocol", ingress("proxy-protocol", '\n    portico.io/proxy-protocol: "true"\n',
                                           {"paths": table.paths(("/", "Prefix", "first"))}))
    wait_for(lambda: s.ask("/", "proxy-protocol.test").status == 204)
    first = [t["bytes"] for by, t in backends.seen if by == "first"]
    check("portico.io/proxy-protocol: v2 to the upstream", first and first[0].startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"), first)
    backends.seen.clear()
    manifests(s, "proxy-protocol-tls", ingress("proxy-protocol-tls", """
    portico.io/proxy-protocol: "true"
    nginx.ingress.kubernetes.io/backend-protocol: HTTPS
    nginx.ingress.kubernetes.io/proxy-connect-timeout: "1"
""", {"paths": table.paths(("/", "Prefix", "first"))}))

    def tls_bytes():
        return [t["bytes"] for by, t in backends.seen if by == "first" and b"\x16\x03" in t["bytes"]]
    wait_for(lambda: s.ask("/", "proxy-protocol-tls.test").status in (502, 504) and tls_bytes())  # it speaks no TLS
    first = tls_bytes()
    check("portico.io/proxy-protocol: ahead of TLS", first and re.match(rb"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c.{12}\x16\x03", first[0], re.S), first)
    s.globals({"use-proxy-protocol": "true"})
    v1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n"
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([4, 3, 2, 1, 5, 6, 7, 8]) + struct.pack(">HH", 1000, 80)

    def real_ip(before, **more):
        told = dict(s.ask("/", "plain.test", before=before, **more).echo.get("headers", []))
        return told.get("X-Real-IP"), told.get("X-Forwarded-For")
    wait_for(lambda: real_ip(v1)[0] == "1.2.3.4")
    check("use-proxy-protocol: v1", real_ip(v1) == ("1.2.3.4", "1.2.3.4"), real_ip(v1))
    check("use-proxy-protocol: v2", real_ip(v2)[0] == "4.3.2.1", real_ip(v2))
    check("use-proxy-protocol: before TLS", real_ip(v1, tls=True)[0] == "1.2.3.4")

    def front(port):
        told = dict(s.ask("/", "plain.test", before=b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 %d\r\n" % port).echo.get("headers", []))
        return told.get("X-Forwarded-Port"), told.get("X-Forwarded-Proto")
    check("use-proxy-protocol: the port in front", front(1234) == ("1234", "http"), front(1234))
    check("use-proxy-protocol: TLS that ended in front", front(443) == ("443", "https"), front(443))
    looped = s.ask("/", "force-ssl-redirect.test", before=b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n")
    check("use-proxy-protocol: it is not redirected again", looped.status == 200, looped)
    check("use-proxy-protocol: without one the connection ends", s.ask("/", "plain.test").status in (0, 400))
    s.globals({})
    wait_for(lambda: s.ask("/", "plain.test").status == 200)


@special
def compression(s):
    s.globals({"use-gzip": "true", "enable-brotli": "true", "enable-zstd": "true", "gzip-min-length": "100"})
    target = "/bytes/5000?set=Content-Type:text/plain"

    def coding(accept, target=target):
        a = s.ask(target, "plain.test", headers=[("Accept-Encoding", accept)])
        return dict(a.headers).get("Content-Encoding"), dict(a.headers).get("Vary")
    wait_for(lambda: coding("gzip")[0] == "gzip")
    for accept, wanted in (("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("identity", None), ("gzip;q=0", None), ("", None)):
        got = coding(accept)
        check(f"compression: {accept or 'nothing'}: {wanted}", got[0] == wanted and (not wanted or got[1] == "Accept-Encoding"), got)
    check("compression: too short", coding("gzip", "/bytes/50?set=Content-Type:text/plain")[0] is None)
    check("compression: not this type", coding("gzip", "/bytes/5000?set=Content-Type:image/png")[0] is None)
    for name in ("gzip", "br", "zstd"):
        _, body = s.curl("-H", "Host: plain.test", "-H", f"Accept-Encoding: {name}", "--compressed", f"http://127.0.0.1:{s.proxy.http}{target}")
        check(f"compression: curl reads {name}", body == b"x" * 5000, body[:50])
    s.globals({})


@special
def logs(s):
    s.globals({"log-format-upstream": "MINE $host $status $proxy_upstream_name $proxy_alternative_upstream_name $upstream_addr",
               "skip-access-log-urls": "/quiet"})
    manifests(s, "enable-access-log", ingress("enable-access-log", '\n    nginx.ingress.kubernetes.io/enable-access-log: "false"\n', {}))
    wait_for(lambda: s.ask("/", "enable-access-log.test").status == 200)
    line = f"MINE plain.test 200 default-web-80 - 127.0.0.1:{s.port['web']}\n".replace(" - ", "  ")
    good = wait_for(lambda: s.ask("/quiet", "plain.test") and s.ask("/", "plain.test") and line.split() ==
                    next((x.split() for x in s.proxy.access_log().splitlines() if x.startswith("MINE plain.test")), None), 3)
    check("log-format-upstream", good, s.proxy.access_log()[-500:])
    check("enable-access-log: false", "MINE enable-access-log.test 200" not in s.proxy.access_log())
    default = [x for x in s.proxy.access_log().splitlines() if "/some/path" in x]
    check("the access log's default format", default and re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /some/path HTTP/1\.1" 418 \d+ "-" "-" \d+ \d+\.\d{3} '
        r'\[default-\S*\] \[\] 127\.0\.0\.1:\d+ \d+ \d+\.\d{3} 418 [0-9a-f]{32}', default[0]), default)
    s.globals({"disable-access-log": "true"})
    s.globals({})


@special
def snippets_on(s):
    s.globals({"allow-snippet-annotations": "true"})
    good, _, bad = table.SNIPPETS.partition("    nginx.ingress.kubernetes.io/server-snippet")
    manifests(s, "snippets", ingress("snippets", good, {}) + "---" + ingress(
        "snippets-bad", "\n    nginx.ingress.kubernetes.io/server-snippet" + bad, {}) + "---" + ingress("snippets-lua", """
    nginx.ingress.kubernetes.io/configuration-snippet: |
      content_by_lua_block { os.execute("id") }
""", {}))
    kit.run_cases("snippets", s.proxy, "snippets.test", """
        GET /?a
        = X-Frame-Options: DENY
        = X-Request: GET
        = X-Added: some thing
        = up X-Up: snippets.test
        = up X-Branch: main
        GET /
        + X-Branch: dev-blue
        = up X-Branch: blue
        GET /gone
        = 410
        = body ~ gone for good
        GET /old/thing
        = 301
        = Location: http://snippets.test/new/thing
        GET /
        + Host: snippets-lua.test
        = 200
    """, patient=True)
    check("snippets: what is not supported is told, with its line", wait_for(lambda: re.search(
        r"snippets-lua .*content_by_lua_block", s.proxy.log())), s.proxy.log()[-1500:])
    s.globals({})


@special
def default_backends(s):
    manifests(s, "catch-all", """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: catch-all
spec:
  ingressClassName: nginx
  defaultBackend:
    service:
      name: v3
      port:
        number: 80
""")
    wait_for(lambda: s.ask("/", "nobody.test").by == "v3")
    check("/healthz of a balancer: ahead of a default backend", s.ask("/healthz", "nobody.test").by is None)
    check("defaultBackend: unknown hosts", s.ask("/any", "nobody.test").by == "v3")
    check("defaultBackend: HTTPS", s.ask("/any", "nobody.test", tls=True).by == "v3")
    s.proxy.remove("catch-all")
    check("… and without it again 404", wait_for(lambda: s.ask("/", "nobody.test").status == 404))


METRICS = """nginx_ingress_controller_requests nginx_ingress_controller_request_duration_seconds_bucket
nginx_ingress_controller_response_duration_seconds_bucket nginx_ingress_controller_header_duration_seconds_bucket
nginx_ingress_controller_connect_duration_seconds_bucket nginx_ingress_controller_request_size_sum
nginx_ingress_controller_response_size_sum nginx_ingress_controller_bytes_sent_count
nginx_ingress_controller_nginx_process_connections nginx_ingress_controller_nginx_process_requests_total
nginx_ingress_controller_config_last_reload_successful nginx_ingress_controller_success nginx_ingress_controller_config_hash
nginx_ingress_controller_build_info
nginx_ingress_controller_ssl_expire_time_seconds nginx_ingress_controller_orphan_ingress portico_ingress_problem
portico_route_duration_seconds_bucket""".split()


@special
def seeing(s):
    text = s.proxy.metrics()
    names = {re.split(r"[ {]", line)[0] for line in text.splitlines() if line[:1] != "#"}
    check("/metrics: ingress-nginx's names", set(METRICS) <= names, sorted(set(METRICS) - names))
    sample = [x for x in text.splitlines() if x.startswith("nginx_ingress_controller_requests{") and 'ingress="canary-header"' in x]
    labels = set(re.findall(r'(\w+)="', sample[0])) if sample else set()
    wanted = {"controller_class", "controller_namespace", "controller_pod", "canary", "host", "ingress", "method", "namespace", "path",
              "service", "status"}
    check("/metrics: ingress-nginx's labels", wanted <= labels and
          'controller_pod=""' not in sample[0], sample[:3])
    status, text = s.proxy.tell("explain", "http://canary-header.test/x", "-H", "X-Canary: always")
    check("portico explain: the canary", status == 0 and "default/canary-header" in text and "header" in text and
          f"127.0.0.1:{s.port['v2']}" in text, text)
    status, text = s.proxy.tell("explain", "http://ssl-redirect.test/x", "--output", "json")
    check("portico explain: a redirect, as JSON", status == 0 and "308" in text and json.loads(text), text)
    status, text = s.proxy.tool("explain", "--from", s.proxy.folder, "http://canary-header.test/x", "-H", "X-Canary: always")
    check("portico explain --from", status == 0 and "default/canary-header" in text and f"127.0.0.1:{s.port['v2']}" in text, text)
    status, text = s.proxy.tool("explain", "--from", "/nonexistent", "http://x.test/")
    check("portico explain --from: no such folder", status == 1 and "/nonexistent" in text, (status, text))
    status, text = s.proxy.tell("explain", "http://nobody.test/")
    check("portico explain: nothing matches", "404" in text, text)
    status, text = s.proxy.tell("top", "ingress", "--once", "--output", "json")
    top = json.loads(text) if status == 0 else {}
    check("portico top ingress", any(r["host"] == "plain.test" for r in top.get("routes", [])) and
          any(e["address"] == f"127.0.0.1:{s.port['web']}" for e in top.get("endpoints", [])), text[:500])
    health = s.ask("/healthz", "10.0.0.1")
    check("/healthz of a balancer, on the port itself", (health.status, health.body) == (200, b""), health)
    check("/healthz of a host is the host's", s.ask("/healthz", "plain.test").by == "web")
    check("/healthz of a balancer is not logged", not re.search(r'"GET /healthz [^"]*" 200 0 ', s.proxy.access_log()))
    check("/healthz", subprocess.run(["curl", "-sf", f"http://127.0.0.1:{s.proxy.admin}/healthz"], capture_output=True).returncode == 0)


@special
def remembered_auth(s):
    """auth-cache-key: of a dozen requests one asks, whichever of the two workers has them."""
    def manifest(name, status, more, path="/"):
        return ingress(name, f"""
    nginx.ingress.kubernetes.io/auth-url: "http://127.0.0.1:<<auth>>/status/{status}?{name}{more}"
    nginx.ingress.kubernetes.io/auth-response-headers: X-Auth-User
    nginx.ingress.kubernetes.io/auth-cache-key: $remote_user$http_authorization
    nginx.ingress.kubernetes.io/auth-cache-duration: 200 10m, 401 5m
""", {"host": "remembered.test", "paths": table.paths((path, "Prefix", "web"))})

    def dozen(path, word, n=12):
        """How many of them asked, and all that came of it."""
        before = len(backends.seen)
        answers = [s.ask(path, "remembered.test", headers=[("Authorization", word)]) for _ in range(n)]
        asked = sum(1 for name, told in backends.seen[before:] if name == "auth")
        return asked, {(a.status, next((v for k, v in a.echo.get("headers", []) if k.lower() == "x-auth-user"), None)) for a in answers}

    yes = "&set=X-Auth-User:jane"
    manifests(s, "remembered", manifest("remembered", 200, yes) + "---" + manifest("remembered-cookie", 200, yes + "&set=Set-Cookie:a=b", "/cookie") +
              "---" + manifest("remembered-no", 401, "&set=WWW-Authenticate:Bearer", "/no") + "---" + manifest("remembered-403", 403, "", "/403"))
    check("auth-cache-key: it is in force", wait_for(lambda: s.ask("/no", "remembered.test").status == 401))
    rows = [("a verdict and its headers are remembered", "/", "a", 1, (200, "jane")), ("… not for others", "/", "b", 1, (200, "jane")),
            ("… and for those no more", "/", "a", 0, (200, "jane")), ("no answer with a cookie", "/cookie", "a", 12, (200, "jane")),
            ("a 401", "/no", "a", 1, (401, None)), ("no status without a time", "/403", "a", 12, (403, None))]
    for name, path, word, want_asked, want in rows:
        asked, got = dozen(path, word)
        check(f"auth-cache-key: {name}", asked == want_asked and got == {want}, (asked, got))
    a = s.ask("/no", "remembered.test", headers=[("Authorization", "a")])
    check("auth-cache-key: a remembered challenge", ("WWW-Authenticate", "Bearer") in a.headers, a)
    manifests(s, "remembered", manifest("remembered", 200, "&set=X-Auth-User:joan"))
    check("auth-cache-key: with the settings goes what was remembered",
          wait_for(lambda: dozen("/", "a", 1)[1] == {(200, "joan")}) and dozen("/", "a")[1] == {(200, "joan")})
    s.globals({"global-auth-url": "http://127.0.0.1:<<auth>>/status/200?global", "global-auth-cache-key": "$http_authorization:$host"})
    manifests(s, "remembered", ingress("remembered", "", {"host": "remembered.test"}))
    wait_for(lambda: dozen("/", "other", 1)[1] == {(200, None)})
    asked, got = dozen("/", "a")
    check("global-auth-cache-key", asked == 1 and got == {(200, None)}, (asked, got))
    s.globals({})
    s.proxy.remove("remembered")


@special
def command_line(s):
    """ingress-nginx's arguments, with a second proxy over the same folder."""
    s.proxy.put("args", service("fallback", s.port["v3"]) + configmap("own", {"add-headers": "default/answers"}) + """
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: second
spec:
  controller: example.com/second
---""" + ingress("of-second", "", {}).replace("ingressClassName: nginx", "ingressClassName: second"))
    other = kit.Proxy(s.proxy.program, s.work + "/other", "--controller-class=example.com/second", "--ingress-class", "second",
                      "--watch-ingress-without-class=false", "--configmap", "default/own", "--default-backend-service",
                      "default/fallback", "--default-ssl-certificate=default/wild", "--election-id=x", "--enable-metrics=false",
                      "--validating-webhook", ":8443", "--enable-ssl-passthrough")
    other.folder = s.proxy.folder
    # What the first one listens on for tcp-services is taken.
    try:
        check("arguments of ingress-nginx: it starts", other.start(), other.log()[-500:])
        a = ask(other, "GET", "/", "of-second.test")
        check("arguments without effect are told", "--election-id has no effect" in other.log() and "--enable-metrics has" in other.log(),
              other.log()[:500])
        check("--controller-class, --configmap", a.by == "web" and ("X-Custom", "from-configmap") in a.headers, a)
        check("--default-backend-service, --watch-ingress-without-class", ask(other, "GET", "/", "none.classes.test").by == "v3")
        with socket.create_connection(("127.0.0.1", other.https), timeout=5) as raw, \
                kit.tls_context().wrap_socket(raw, server_hostname="unknown.test") as sock:
            subject = openssl("x509", "-inform", "DER", "-noout", "-subject", data=sock.getpeercert(True)).decode()
        check("--default-ssl-certificate", "CN = wild" in subject, subject)
        check("… and the first proxy leaves that class alone", s.ask("/", "of-second.test").status == 404)
    finally:
        other.stop()
        s.proxy.remove("args")


@special
def checking(s):
    status, text = s.proxy.tool("ingress", "check", s.proxy.folder, "--output", "json")
    report = json.loads(text) if text[:1] in "[{" else {}
    by_name = {i.get("name"): i for i in report.get("ingresses", [])}
    verdicts = {name: by_name.get(f"{name}", by_name.get(f"default/{name}", {})).get("verdict") for name in
                ("plain", "ignored", "whitelist-bad", "auth-secret-missing", "no-service", "tls-missing")}
    check("portico ingress check", status == 2 and verdicts == {
        "plain": "works", "ignored": "ignored", "whitelist-bad": "wrong", "auth-secret-missing": "wrong", "no-service": "wrong",
        "tls-missing": "wrong"}, (status, verdicts, text[:600]))
    clean = f"{s.work}/clean.yaml"
    with open(clean, "w") as f:
        f.write(s.fill(ingress("clean", '\n    nginx.ingress.kubernetes.io/rewrite-target: /\n', {})))
    status, text = s.proxy.tool("ingress", "check", clean)
    check("portico ingress check: all works", status == 0 and "works" in text, (status, text))
    status, text = s.proxy.tool("ingress", "annotations", "proxy-body-size")
    check("portico ingress annotations NAME", status == 0 and "413" in text, text)


@special
def one_namespace(s):
    """What options name is found outside the namespace that is watched; a third proxy over the same folder."""
    tcp = free_port()
    s.proxy.put("elsewhere", service("there", s.port["v2"], ns="elsewhere") + configmap("ports", {str(tcp): "elsewhere/there:80"}) +
                configmap("settings", {"add-headers": "default/answers"}) + "\n---" + service("nowhere", s.port["v3"]) + """
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: third
spec:
  controller: example.com/third
---""" + ingress("watched", "", {"paths": table.paths(("/", "Prefix", "there"))}).replace("ingressClassName: nginx", "ingressClassName: third")
                .replace("  name: watched\n", "  name: watched\n  namespace: elsewhere\n") + "---" +
                ingress("unwatched", "", {}).replace("ingressClassName: nginx", "ingressClassName: third"))
    other = kit.Proxy(s.proxy.program, s.work + "/third", "--controller-class=example.com/third", "--watch-namespace=elsewhere",
                      "--configmap=default/settings", "--tcp-services-configmap=default/ports", "--default-backend-service",
                      "default/nowhere", "--default-ssl-certificate=default/wild")
    other.folder = s.proxy.folder
    try:
        check("--watch-namespace: it starts", other.start(), other.log()[-500:])
        a = ask(other, "GET", "/", "watched.test")
        check("--watch-namespace: its Ingress, and settings from elsewhere", a.by == "v2" and ("X-Custom", "from-configmap") in a.headers, a)
        check("--watch-namespace: no other namespace's Ingress; the default backend is elsewhere",
              ask(other, "GET", "/", "unwatched.test").by == "v3")
        with socket.create_connection(("127.0.0.1", other.https), timeout=5) as raw, \
                kit.tls_context().wrap_socket(raw, server_hostname="unknown.test") as sock:
            subject = openssl("x509", "-inform", "DER", "-noout", "-subject", data=sock.getpeercert(True)).decode()
        check("--watch-namespace: the default certificate is elsewhere", "CN = wild" in subject, subject)
        with socket.create_connection(("127.0.0.1", tcp), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            check("--tcp-services-configmap", b'"by": "v2"' in read_until(sock, b"}"))
    finally:
        other.stop()


@special
def low_ports(s):
    """80 and 443 by hand or in a pod, and a ConfigMap's port: the role is no longer root when it opens them."""
    if os.geteuid() != 0:
        check("ports below 1024 # SKIP needs root", True)
        return
    manifests(s, "low-ports", configmap("low-ports", {"997": "default/v2:80"}))
    other = kit.Proxy(s.proxy.program, s.work + "/low", "--http", "127.0.0.1:998", "--https", "127.0.0.1:999",
                      "--tcp-services-configmap=default/low-ports")
    other.folder = s.proxy.folder
    try:
        if not check("ports below 1024: it starts as root, of which it keeps little", other.start(), other.log()[-500:]):
            return
        with open(f"/proc/{other.process.pid}/status", encoding="utf-8") as f:
            status = dict(line.split(":", 1) for line in f)
        check("ports below 1024: by CAP_NET_BIND_SERVICE alone", int(status["CapEff"], 16) == 1 << 10 and
              int(status["Uid"].split()[1]) != 0, (status["CapEff"], status["Uid"]))
        for port in 998, 997:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                check(f"ports below 1024: {port} answers", read_until(sock, b"\r\n").startswith(b"HTTP/1.1 "))
    finally:
        other.stop()
        s.proxy.remove("low-ports")


ARGUMENTS = [  # flags in place of the stage's, what standard error must say, status
    (["--from", "/nonexistent"], r"/nonexistent.*No such file or directory", 1),
    (["--from", "/etc/passwd"], r"/etc/passwd.*Not a directory", 1),
    (["--from", "FOLDER", "--watch-namespace-selector=a=b"], r"unknown argument '--watch-namespace-selector=a=b'", 2),
    (["--form", "x"], r"unknown argument '--form'\n.*--help", 2),
    (["--from"], r"--from needs a value", 1),
    (["--from", "FOLDER", "--http", "8080"], r"http: address '8080' must be IP:PORT", 1),
    (["--from", "FOLDER", "--http", "127.0.0.1:HTTP"], r"http: listen on 127.0.0.1:\d+: Address already in use", 1),
    (["--from", "FOLDER", "--workers", "many"], r"--workers 'many' must be a number", 1),
    (["--from", "FOLDER", "--kubeconfig", "x"], r"--from and --kubeconfig are two sources", 1),
    (["--run-dir", "FOLDER"], r"--kubeconfig FILE.*, or --from DIR", 1),
    (["--from", "FOLDER", "--configmap", "x"], r"--configmap 'x' must be NAMESPACE/NAME", 1),
]


@special
def arguments(s):
    for words, pattern, status in ARGUMENTS:
        words = [w.replace("FOLDER", s.proxy.folder).replace("HTTP", str(s.proxy.http)) for w in words]
        r = subprocess.run([s.proxy.program, "ingress", *words], capture_output=True, text=True, timeout=10)
        check(f"portico ingress {' '.join(words)[:60]}", r.returncode == status and re.search(pattern, r.stderr), (r.returncode, r.stderr))


# ---- all of it ----

def hash_owners(s):
    """Which endpoint a key belongs to is only known by asking; that it stays there is what the row tells."""
    for name in "ab":
        s.words[f"hash-{name}"] = s.ask(f"/?user={name}", "upstream-hash-by.test").by or "nobody"


def main():
    program, only = os.path.realpath(sys.argv[1]) + "/portico", set(sys.argv[2:])
    s = Stage(program)
    try:
        for name, annotations, _, options in table.ROWS:
            manifests(s, f"row-{name}", manifest_of(name, annotations, options))
        if not check("the proxy starts with every manifest", s.proxy.start(), s.proxy.log()[-2000:]):
            return
        hash_owners(s)
        for name, _, cases, options in table.ROWS:
            if not only or name in only:
                kit.run_cases(name, s.proxy, options.get("host", f"{name}.test").strip('"'), s.fill(cases))
        for name, data, host, cases in table.GLOBALS:
            if not only or f"configmap:{name}" in only:
                s.globals(data)
                # What it names (a Secret of another namespace) is fetched after it is in force.
                kit.run_cases(f"ConfigMap {name}", s.proxy, host, s.fill(cases), patient=True)
        s.globals({})
        for fn in SPECIAL:
            if not only or fn.__name__ in only:
                try:
                    fn(s)
                except Exception as e:  # one of them must not hide the rest
                    check(fn.__name__, False, repr(e))
        check("the proxy is still the same process", s.proxy.process.poll() is None, s.proxy.log()[-2000:])
    finally:
        s.proxy.stop()
        if kit.failed and os.environ.get("KEEP"):
            print(f"# kept: {s.work}")
        else:
            kit.remove_folder(s.work)


main()
print(f"1..{kit.passed + kit.failed}\n{kit.passed} passed, {kit.failed} failed")
sys.exit(kit.failed != 0)
