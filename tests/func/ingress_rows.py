"""ingress_rows.py - what each annotation and ConfigMap key of tiers A, B and C does: (name, annotations, cases, options).

The annotations are written as users write them. Ports of backends stand as <<name>>. Options: host, paths (YAML), tls (YAML),
more (further documents), ns. A row without a host gets NAME.test. Cases: see ingress_kit.py.
"""

ROWS = []


def row(name, annotations, cases, **options):
    ROWS.append((name, annotations, cases, options))


PLAIN = """
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port:
              number: 80
"""


def paths(*rows):
    """(path, pathType, service[, port])"""
    return "".join(f"      - path: {r[0]}\n" + (f"        pathType: {r[1]}\n" if r[1] else "") +
                   f"        backend: {{service: {{name: {r[2]}, port: {{{r[3] if len(r) > 3 else 'number: 80'}}}}}}}\n"
                   for r in rows)


# ---- what every request gets ----

row("plain", "", """
    GET /a/b?c=d
    = 200
    = by web
    = up target=/a/b?c=d
    = up Host: plain.test
    = up X-Real-IP: 127.0.0.1
    = up X-Forwarded-For: 127.0.0.1
    = up X-Forwarded-Host: plain.test
    = up X-Forwarded-Port: <<http>>
    = up X-Forwarded-Proto: http
    = up X-Forwarded-Scheme: http
    = up X-Scheme: http
    = up X-Request-ID ~ ^[0-9a-f]{32}$
    = -Strict-Transport-Security
    = -Server
    = Date ~ ^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$
    GET /?set=Date:Mon,+01+Jan+2024+00:00:00+GMT
    = Date: Mon, 01 Jan 2024 00:00:00 GMT
    GET /
    + X-Forwarded-For: 9.9.9.9
    + X-Forwarded-Host: other.test
    + X-Original-Forwarded-For: forged
    + X-Forwarded-Proto: https
    + X-Request-ID: mine
    + Proxy: evil
    = up X-Forwarded-Host: plain.test
    = up X-Original-Forwarded-Host: other.test
    = up X-Forwarded-For: 127.0.0.1
    = up X-Original-Forwarded-For: 9.9.9.9
    = up X-Forwarded-Proto: http
    = up X-Request-ID: mine
    = up -Proxy
    GET /
    + Host: nobody.test
    = 404
    = body ~ <center>nginx</center>
    GET /
    + Host: PLAIN.test:8080
    = 200
    = up Host: PLAIN.test:8080
""")

# ---- §1.3: which rule ----

row("paths", "", """
    GET /aaa
    = by web
    = 200
    GET /aaa/
    = by web
    GET /aaa/x
    = by web
    GET /aaaccc
    = by root
    GET /slash
    = by v2
    GET /slash/x
    = by v2
    GET /slashx
    = by root
    GET /exact
    = by v3
    GET /exact/
    = by root
    GET /EXACT
    = by root
    GET /aaa/longer/x
    = by v3
    GET /impl
    = by v2
    GET /implicit
    = by v2
    GET /both
    = by v3
    GET /both/x
    = by v2
    GET /x/../aaa
    = by web
    GET /%61aa
    = by web
""", paths=paths(("/aaa", "Prefix", "web"), ("/", "Prefix", "root"), ("/slash/", "Prefix", "v2"), ("/exact", "Exact", "v3"),
                 ("/aaa/longer", "Prefix", "v3"), ("/impl", "ImplementationSpecific", "v2"), ("/both", "Exact", "v3"),
                 ("/both", "Prefix", "v2")))
row("wildcard", "", """
    GET /
    + Host: one.wild.test
    = by web
    GET /
    + Host: exact.wild.test
    = by v2
    GET /
    + Host: two.one.wild.test
    = 404
    GET /
    + Host: wild.test
    = 404
""", host='"*.wild.test"', more="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: wildcard-exact
spec:
  ingressClassName: nginx
  rules:
  - host: exact.wild.test
    http:
      paths:
""" + paths(("/", "Prefix", "v2")))
row("regex-order", """
    nginx.ingress.kubernetes.io/use-regex: "true"
""", """
    GET /foo/bar/1
    = by v2
    GET /FOO/bar/x
    = by v3
    GET /foo/other
    = by v3
    GET /exact/and/more
    = by web
    GET /nothing
    = 404
""", paths=paths((r'"/foo/bar/[0-9]+"', "ImplementationSpecific", "v2"), (r'"/foo/.*"', "ImplementationSpecific", "v3"),
                 ("/exact", "Exact", "web")))
row("oldest-wins", "", """
    GET /
    = by web
""", more="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: oldest-wins-younger
  creationTimestamp: "2026-01-01T00:00:00Z"
spec:
  ingressClassName: nginx
  rules:
  - host: oldest-wins.test
    http:
      paths:
""" + paths(("/", "Prefix", "v2")))
row("same-second", "", """
    GET /
    = by v2
""", more="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: same-second-z
  creationTimestamp: "2025-01-01T00:00:00Z"
spec:
  ingressClassName: nginx
  rules:
  - host: same-second.test
    http:
      paths:
""" + paths(("/", "Prefix", "v2")))
row("v1beta1", None, """
    GET /old/x
    = by web
    = up target=/x
    GET /elsewhere
    = 404
""", more="""
apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata:
  name: old-school
  annotations:
    kubernetes.io/ingress.class: nginx
    nginx.ingress.kubernetes.io/rewrite-target: /$2
spec:
  rules:
  - host: v1beta1.test
    http:
      paths:
      - path: /old(/|$)(.*)
        backend:
          serviceName: web
          servicePort: 80
""")
row("strict-path-type", """
    nginx.ingress.kubernetes.io/use-regex: "true"
""", """
    GET /ok
    = 200
    GET /other/x
    = 200
    GET /old/x
    = 404
""", paths=paths(("/ok", "Prefix", "web"), ('"/other(/|$)(.*)"', "Prefix", "web")))
row("classes", None, "".join(f"""
    GET /
    + Host: {name}.classes.test
    = {status}
""" for name, status in (("second", 200), ("other", 404), ("annotation", 200), ("annotation-other", 404), ("none", 200))), more="\n---\n".join(
    f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: class-{name}
  annotations: {{{annotation}}}
spec:
  {field}
  rules:
  - host: {name}.classes.test
    http:
      paths:
{paths(("/", "Prefix", "web"))}""" for name, annotation, field in (
        ("second", "", "ingressClassName: nginx-internal"), ("other", "", "ingressClassName: haproxy"),
        ("annotation", "kubernetes.io/ingress.class: nginx", ""),
        ("annotation-other", "kubernetes.io/ingress.class: traefik", ""), ("none", "", ""))))

# ---- Services ----

row("named-port", "", "GET /\n= by web\n= 200", paths=paths(("/", "Prefix", "web", "name: http")))
row("no-endpoints", "", "GET /\n= 503\n= body ~ 503 Service Temporarily Unavailable", paths=paths(("/", "Prefix", "empty")))
row("no-service", "", "GET /\n= 503", paths=paths(("/", "Prefix", "missing")))
row("external-name-localhost", "", "GET /\n= 503", paths=paths(("/", "Prefix", "external", "number: <<web>>")))
row("resource-backend", "", """
    GET /ok
    = 200
    GET /bucket
    = 503
""", paths=paths(("/ok", "Prefix", "web")) + """
      - path: /bucket
        pathType: Prefix
        backend:
          resource: {apiGroup: k8s.example.com, kind: StorageBucket, name: static}
""")
row("service-upstream", """
    nginx.ingress.kubernetes.io/service-upstream: "true"
""", "GET /\n= by vip\n= 200", paths=paths(("/", "Prefix", "cluster-ip", "number: <<vip>>")))
row("default-backend", """
    nginx.ingress.kubernetes.io/default-backend: errors
""", """
    GET /some/path
    + Accept: text/html
    + X-Service-Name: mine
    = by errors
    = up target=/some/path
    = up X-Code: 503
    = up X-Format: text/html
    = up X-Namespace: default
    = up X-Ingress-Name: default-backend
    = up X-Service-Name: empty
    = up X-Service-Port: 80
    = up X-Request-ID ~ .
""", paths=paths(("/", "Prefix", "empty")))
row("disable-proxy-intercept-errors", """
    nginx.ingress.kubernetes.io/custom-http-errors: "404,403"
    nginx.ingress.kubernetes.io/disable-proxy-intercept-errors: "true"
    nginx.ingress.kubernetes.io/denylist-source-range: "127.0.0.9/32"
    nginx.ingress.kubernetes.io/default-backend: errors
""", "GET /status/404\n= 404\n= by web")
row("disable-proxy-intercept-errors-own", """
    nginx.ingress.kubernetes.io/custom-http-errors: "403"
    nginx.ingress.kubernetes.io/disable-proxy-intercept-errors: "true"
    nginx.ingress.kubernetes.io/denylist-source-range: "127.0.0.0/8"
    nginx.ingress.kubernetes.io/default-backend: errors
""", "GET /\n= by errors\n= up X-Code: 403")
row("custom-http-errors", """
    nginx.ingress.kubernetes.io/custom-http-errors: "404,415"
    nginx.ingress.kubernetes.io/default-backend: errors
""", """
    GET /status/404?a=b
    + Accept: text/html
    = by errors
    = 418
    = up target=/
    = up X-Code: 404
    = up X-Format: text/html
    = up X-Original-URI: /status/404?a=b
    = up X-Namespace: default
    = up X-Ingress-Name: custom-http-errors
    = up X-Service-Name: web
    = up X-Service-Port: 80
    = up X-Request-ID ~ .
    GET /status/500
    = 500
    = by web
    POST /status/415
    @ body
    = by errors
    = up X-Code: 415
""")

# ---- rewriting ----

row("rewrite-target", """
    nginx.ingress.kubernetes.io/rewrite-target: /$2
""", """
    GET /something
    = up target=/
    GET /something/
    = up target=/
    GET /something/new?q=1
    = up target=/new?q=1
    GET /SOMETHING/new
    = up target=/new
    GET /somethingelse
    = 404
""", paths=paths(("/something(/|$)(.*)", "ImplementationSpecific", "web")))
row("cors-one-bad", """
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "*.foo.test, http://a.test, "
""", """
    GET /
    + Origin: http://a.test
    = Access-Control-Allow-Origin: http://a.test
    GET /
    + Origin: http://b.foo.test
    = -Access-Control-Allow-Origin
""")
row("server-alias-some-bad", """
    nginx.ingress.kubernetes.io/server-alias: '~^www\d+\.alias\.test$, other-alias.test'
""", """
    GET /
    + Host: other-alias.test
    = 200
""")
row("rewrite-away", """
    nginx.ingress.kubernetes.io/rewrite-target: https://other.test/new/$1
""", """
    GET /old/a%20b?q=1
    = 302
    = Location: https://other.test/new/a%20b?q=1
""", paths=paths(("/old/(.*)", "ImplementationSpecific", "web")))
row("trace", "", "TRACE /\n= 405\n= -X-By")
row("rewrite-whole", """
    nginx.ingress.kubernetes.io/rewrite-target: /
    nginx.ingress.kubernetes.io/x-forwarded-prefix: /app
""", """
    GET /app/deep/path?x=y
    = up target=/?x=y
    = up X-Forwarded-Prefix: /app
""", paths=paths(("/app", "Prefix", "web")))
row("rewrite-host-wide", """
    nginx.ingress.kubernetes.io/rewrite-target: /new
""", """
    GET /PLAINPATHANDMORE
    = by v2
    = up target=/PLAINPATHANDMORE
""", paths=paths(("/app", "Prefix", "web")), more="""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: rewrite-host-wide-other
spec:
  ingressClassName: nginx
  rules:
  - host: rewrite-host-wide.test
    http:
      paths:
""" + paths(("/plainpath", "Exact", "v2")))
row("x-forwarded-prefix-alone", """
    nginx.ingress.kubernetes.io/x-forwarded-prefix: /app
""", "GET /\n= 200\n= up -X-Forwarded-Prefix")
row("app-root", """
    nginx.ingress.kubernetes.io/app-root: /console
""", """
    GET /
    = 302
    = Location: http://app-root.test/console
    GET /other
    = 200
""")
row("upstream-vhost", """
    nginx.ingress.kubernetes.io/upstream-vhost: internal.example.com
""", "GET /\n= up Host: internal.example.com\n= up X-Forwarded-Host: upstream-vhost.test")
row("server-alias", """
    nginx.ingress.kubernetes.io/server-alias: "alias-a.test, alias-b.test,plain.test"
""", """
    GET /
    + Host: alias-a.test
    = by v2
    GET /
    + Host: alias-b.test
    = by v2
    GET /
    + Host: plain.test
    = by web
""", paths=paths(("/", "Prefix", "v2")))

# ---- redirects ----

row("ssl-redirect", "", """
    GET /a/b/?q=1
    = 308
    = Location: https://ssl-redirect.test/a/b/?q=1
    GET /a/b/
    = Location: https://ssl-redirect.test/a/b
    GET /a
    + Host: ssl-redirect.test:8080
    = Location: https://ssl-redirect.test/a
    GET /.well-known/acme-challenge/x
    = 200
    = by v2
    https GET /
    = 200
    = Strict-Transport-Security: max-age=31536000; includeSubDomains
    = up X-Forwarded-Proto: https
    = up X-Forwarded-Port: 443
    = up X-Scheme: https
""", tls="[{hosts: [ssl-redirect.test], secretName: site}]",
    paths=paths(("/", "Prefix", "web"), ("/.well-known/acme-challenge", "Prefix", "v2")))
row("ssl-redirect-off", """
    nginx.ingress.kubernetes.io/ssl-redirect: "false"
""", "GET /\n= 200", tls="[{hosts: [ssl-redirect-off.test], secretName: site}]")
row("ssl-redirect-no-secret", "", "GET /x\n= 308\n= Location: https://ssl-redirect-no-secret.test/x",
    tls="[{hosts: [ssl-redirect-no-secret.test]}]")
row("ssl-redirect-no-tls", """
    nginx.ingress.kubernetes.io/ssl-redirect: "true"
""", "GET /\n= 200")
row("preserve-trailing-slash", """
    nginx.ingress.kubernetes.io/preserve-trailing-slash: "true"
""", "GET /a/\n= 308\n= Location: https://preserve-trailing-slash.test/a/",
    tls="[{hosts: [preserve-trailing-slash.test], secretName: site}]")
row("force-ssl-redirect", """
    nginx.ingress.kubernetes.io/force-ssl-redirect: "true"
""", """
    GET /x
    = 308
    = Location: https://force-ssl-redirect.test/x
    GET /x
    + X-Forwarded-Proto: https
    = 308
""")
row("permanent-redirect", """
    nginx.ingress.kubernetes.io/permanent-redirect: https://www.example.com/new
""", "GET /anything\n= 301\n= Location: https://www.example.com/new\n= -X-By")
row("permanent-redirect-code", """
    nginx.ingress.kubernetes.io/permanent-redirect: https://www.example.com$request_uri
    nginx.ingress.kubernetes.io/permanent-redirect-code: "308"
""", "GET /a?b=c\n= 308\n= Location: https://www.example.com/a?b=c")
row("relative-redirects", """
    nginx.ingress.kubernetes.io/relative-redirects: "true"
    nginx.ingress.kubernetes.io/permanent-redirect: /new$request_uri
""", "GET /a?b=c\n= 301\n= Location: /new/a?b=c")
row("absolute-redirects", """
    nginx.ingress.kubernetes.io/permanent-redirect: /new
""", "GET /a\n= Location: http://absolute-redirects.test/new")
row("temporal-redirect", """
    nginx.ingress.kubernetes.io/temporal-redirect: https://temp.example.com
    nginx.ingress.kubernetes.io/permanent-redirect: https://perm.example.com
""", "GET /\n= 302\n= Location: https://temp.example.com")
row("temporal-redirect-code", """
    nginx.ingress.kubernetes.io/temporal-redirect: https://temp.example.com
    nginx.ingress.kubernetes.io/temporal-redirect-code: "307"
""", "GET /\n= 307")
row("from-to-www-redirect", """
    nginx.ingress.kubernetes.io/from-to-www-redirect: "true"
""", """
    GET /a/?b=c
    + Host: www.from-to-www-redirect.test
    = 308
    = Location: http://from-to-www-redirect.test:80/a/?b=c
    GET /a/
    + Host: www.from-to-www-redirect.test:8080
    = Location: http://from-to-www-redirect.test:8080/a
    GET /
    = 200
""")

# ---- bodies, time ----

row("proxy-body-size", """
    nginx.ingress.kubernetes.io/proxy-body-size: 1k
""", """
    POST /
    @@ 1024
    = 200
    POST /
    @@ 1025
    = 413
    = body ~ 413 Request Entity Too Large
""")
row("proxy-body-size-default", "", """
    POST /status/201
    @@ 1048576
    = 201
    POST /
    @@ 1048577
    = 413
""")
row("proxy-body-size-0", """
    nginx.ingress.kubernetes.io/proxy-body-size: "0"
""", "POST /status/201\n@@ 3000000\n= 201")
row("client-body-buffer-size", """
    nginx.ingress.kubernetes.io/client-body-buffer-size: 512k
    nginx.ingress.kubernetes.io/proxy-next-upstream: error timeout http_503
""", "4 PUT /\n@@ 300000\n= 200", paths=paths(("/", "Prefix", "half")))
row("client-body-buffer-size-large", """
    nginx.ingress.kubernetes.io/client-body-buffer-size: 10m
    nginx.ingress.kubernetes.io/proxy-body-size: 10m
""", "PUT /status/201\n@@ 3000000\n= 201")
row("proxy-connect-timeout", """
    nginx.ingress.kubernetes.io/proxy-connect-timeout: "1"
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "1"
""", "GET /\n= 504\n= body ~ 504 Gateway Time-out", paths=paths(("/", "Prefix", "unconnectable")))
row("proxy-read-timeout", """
    nginx.ingress.kubernetes.io/proxy-read-timeout: "1"
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "1"
""", "GET /sleep/0.2\n= 200\nGET /sleep/1.6\n= 504")
row("proxy-send-timeout", """
    nginx.ingress.kubernetes.io/proxy-send-timeout: "1"
    nginx.ingress.kubernetes.io/proxy-body-size: "0"
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "1"
""", "POST /deaf\n@@ 30000000\n= 504")
row("proxy-http-version", """
    nginx.ingress.kubernetes.io/proxy-http-version: "1.0"
""", "GET /\n= up version=HTTP/1.0")

# ---- upstreams ----

row("backend-protocol-https", """
    nginx.ingress.kubernetes.io/backend-protocol: "HTTPS"
""", "GET /\n= 200\n= by secure\n= up sni=None", paths=paths(("/", "Prefix", "secure")))
row("backend-protocol-fcgi", """
    nginx.ingress.kubernetes.io/backend-protocol: "FCGI"
    nginx.ingress.kubernetes.io/fastcgi-index: "index.php"
""", "GET /\n= 502")  # a Service that speaks HTTP; see ingress_fastcgi.py
row("fastcgi-params-configmap", """
    nginx.ingress.kubernetes.io/backend-protocol: "FCGI"
    nginx.ingress.kubernetes.io/fastcgi-params-configmap: "is-not-there"
""", "GET /\n= 503")
row("fastcgi-without-fcgi", """
    nginx.ingress.kubernetes.io/fastcgi-index: "index.php"
    nginx.ingress.kubernetes.io/fastcgi-params-configmap: "is-not-there"
""", "GET /\n= 200")
row("proxy-ssl", """
    nginx.ingress.kubernetes.io/backend-protocol: "HTTPS"
    nginx.ingress.kubernetes.io/proxy-ssl-secret: default/upstream-mtls
    nginx.ingress.kubernetes.io/proxy-ssl-verify: "on"
    nginx.ingress.kubernetes.io/proxy-ssl-verify-depth: "2"
    nginx.ingress.kubernetes.io/proxy-ssl-name: secure.internal
    nginx.ingress.kubernetes.io/proxy-ssl-server-name: "on"
    nginx.ingress.kubernetes.io/proxy-ssl-protocols: TLSv1.2
""", "GET /\n= 200\n= up sni=secure.internal\n= up client=jane\n= up tls=TLSv1.2", paths=paths(("/", "Prefix", "secure")))
row("proxy-ssl-wrong-name", """
    nginx.ingress.kubernetes.io/backend-protocol: HTTPS
    nginx.ingress.kubernetes.io/proxy-ssl-secret: default/upstream-mtls
    nginx.ingress.kubernetes.io/proxy-ssl-verify: "on"
    nginx.ingress.kubernetes.io/proxy-ssl-name: somebody.else
""", "GET /\n= 502", paths=paths(("/", "Prefix", "secure")))
row("proxy-next-upstream", "", "20 GET /\n= 200\n= by web", paths=paths(("/", "Prefix", "broken")))
row("proxy-next-upstream-off", """
    nginx.ingress.kubernetes.io/proxy-next-upstream: "off"
""", "20 GET /\n= count 502 5-15", paths=paths(("/", "Prefix", "broken")))
row("proxy-next-upstream-503", """
    nginx.ingress.kubernetes.io/proxy-next-upstream: "error http_503"
""", "20 GET /\n= 200\n20 POST /\n= count 503 5-15", paths=paths(("/", "Prefix", "half")))
row("proxy-next-upstream-post", """
    nginx.ingress.kubernetes.io/proxy-next-upstream: "error http_503 non_idempotent"
""", "20 POST /\n= 200", paths=paths(("/", "Prefix", "half")))
row("proxy-next-upstream-tries", """
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: "1"
""", "20 GET /\n= count 502 5-15", paths=paths(("/", "Prefix", "broken")))
row("proxy-next-upstream-timeout", """
    nginx.ingress.kubernetes.io/proxy-next-upstream: "error http_503"
    nginx.ingress.kubernetes.io/proxy-next-upstream-timeout: "1"
""", "2 GET /sleep/1.1\n= count 503 1\n= count 200 1", paths=paths(("/", "Prefix", "half")))
row("load-balance", "", "10 GET /\n= by web 5\n= by v2 5", paths=paths(("/", "Prefix", "pair")))
row("load-balance-ewma", """
    nginx.ingress.kubernetes.io/load-balance: ewma
""", "20 GET /\n= 200", paths=paths(("/", "Prefix", "pair")))
row("upstream-hash-by", """
    nginx.ingress.kubernetes.io/upstream-hash-by: "$arg_user"
    nginx.ingress.kubernetes.io/load-balance: round_robin
""", "6 GET /?user=a\n= by <<hash-a>>\n6 GET /?user=b\n= by <<hash-b>>", paths=paths(("/", "Prefix", "pair")))
row("upstream-hash-by-subset", """
    nginx.ingress.kubernetes.io/upstream-hash-by: "$request_uri"
    nginx.ingress.kubernetes.io/upstream-hash-by-subset: "true"
    nginx.ingress.kubernetes.io/upstream-hash-by-subset-size: "2"
""", "30 GET /x\n= by web 3-27\n= by v2 3-27", paths=paths(("/", "Prefix", "pair")))

# ---- sessions ----

row("affinity", """
    nginx.ingress.kubernetes.io/affinity: cookie
""", """
    GET /x
    = Set-Cookie ~ ^INGRESSCOOKIE=[^|;]+\\|[0-9a-f]{32}; Path=/; HttpOnly$
    https GET /x
    = Set-Cookie ~ Path=/; Secure; HttpOnly$
""", paths=paths(("/", "Prefix", "pair")))
row("affinity-not-secure", """
    nginx.ingress.kubernetes.io/affinity: cookie
    nginx.ingress.kubernetes.io/session-cookie-secure: "false"
""", """
    GET /x
    = Set-Cookie ~ Path=/; HttpOnly$
    https GET /x
    = Set-Cookie ~ Path=/; Secure; HttpOnly$
""", paths=paths(("/", "Prefix", "pair")))
row("affinity-all", """
    nginx.ingress.kubernetes.io/affinity: "cookie"
    nginx.ingress.kubernetes.io/affinity-mode: "persistent"
    nginx.ingress.kubernetes.io/session-cookie-name: "route"
    nginx.ingress.kubernetes.io/session-cookie-path: "/shop"
    nginx.ingress.kubernetes.io/session-cookie-domain: "affinity-all.test"
    nginx.ingress.kubernetes.io/session-cookie-expires: "172800"
    nginx.ingress.kubernetes.io/session-cookie-max-age: "172800"
    nginx.ingress.kubernetes.io/session-cookie-samesite: "None"
    nginx.ingress.kubernetes.io/session-cookie-conditional-samesite-none: "true"
    nginx.ingress.kubernetes.io/session-cookie-secure: "true"
    nginx.ingress.kubernetes.io/session-cookie-change-on-failure: "true"
""", """
    GET /
    = Set-Cookie ~ ^route=[^|]+\\|[0-9a-f]{32}; Expires=[A-Z][a-z]{2}, \\d\\d-[A-Z][a-z]{2}-\\d\\d \\d\\d:\\d\\d:\\d\\d GMT; Max-Age=172800; 
    = Set-Cookie ~ ; Domain=affinity-all.test; Path=/shop; Secure; HttpOnly; SameSite=None$
    GET /
    + User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 12_0 like Mac OS X)
    = Set-Cookie ~ ; Secure; HttpOnly$
""", paths=paths(("/", "Prefix", "pair")))

# ---- canaries ----


def canary(name, primary, service, annotations):
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"{annotations}
spec:
  ingressClassName: nginx
  rules:
  - host: {primary}.test
    http:
      paths:
{paths(("/", "Prefix", service))}"""


row("canary-header", "", """
    GET /
    = by web
    GET /
    + X-Canary: always
    = by v2
    GET /
    + X-Canary: never
    + Cookie: beta=always
    = by web
    GET /
    + X-Canary: other
    = by web
    GET /
    + Cookie: a=b; beta=always
    = by v2
    GET /
    + Cookie: beta=never
    = by web
""", more=canary("canary-header-v2", "canary-header", "v2", """
    nginx.ingress.kubernetes.io/canary-by-header: "X-Canary"
    nginx.ingress.kubernetes.io/canary-by-cookie: "beta"
"""))
row("canary-value", "", """
    GET /
    + X-Region: eu
    = by v2
    GET /
    + X-Region: always
    = by web
    GET /
    + X-Tier: gold-7
    = by v3
    GET /
    + X-Tier: iron
    = by web
""", more=canary("canary-value-v2", "canary-value", "v2", """
    nginx.ingress.kubernetes.io/canary-by-header: "X-Region"
    nginx.ingress.kubernetes.io/canary-by-header-value: "eu"
    nginx.ingress.kubernetes.io/canary-by-header-pattern: "us|eu"
""") + canary("canary-value-v3", "canary-value", "v3", """
    nginx.ingress.kubernetes.io/canary-by-header: "X-Tier"
    nginx.ingress.kubernetes.io/canary-by-header-pattern: "^(gold|silver)-[0-9]+$"
"""))
row("canary-bad-pattern", "", """
    GET /
    + X-Tier: gold
    + Cookie: beta=always
    = by web
    GET /
    + Cookie: beta=always
    = by v2
""", more=canary("canary-bad-pattern-v2", "canary-bad-pattern", "v2", """
    nginx.ingress.kubernetes.io/canary-by-header: "X-Tier"
    nginx.ingress.kubernetes.io/canary-by-header-pattern: "[][**da?$&*"
    nginx.ingress.kubernetes.io/canary-by-cookie: "beta"
"""))
row("canary-weight", "", """
    300 GET /
    = by web 60-150
    = by v2 75-165
    = by v3 55-130
""", more=canary("canary-weight-v2", "canary-weight", "v2", """
    nginx.ingress.kubernetes.io/canary-weight: "40"
""") + canary("canary-weight-v3", "canary-weight", "v3", """
    nginx.ingress.kubernetes.io/canary-weight: "300"
    nginx.ingress.kubernetes.io/canary-weight-total: "1000"
"""))
row("canary-weight-all", "", "20 GET /\n= by v2", more=canary("canary-weight-all-v2", "canary-weight-all", "v2", """
    nginx.ingress.kubernetes.io/canary-weight: "100"
"""))
row("canary-alone", None, "GET /\n= 404", more=canary("canary-alone-v2", "canary-alone", "v2", """
    nginx.ingress.kubernetes.io/canary-weight: "100"
"""))
row("canary-ignored", "", "GET /\n= 200\n= by v2", more=canary("canary-ignored-v2", "canary-ignored", "v2", """
    nginx.ingress.kubernetes.io/canary-weight: "100"
    nginx.ingress.kubernetes.io/permanent-redirect: "https://elsewhere.example.com"
    nginx.ingress.kubernetes.io/whitelist-source-range: "10.0.0.0/8"
"""))

# ---- who may ----

row("whitelist-source-range", """
    nginx.ingress.kubernetes.io/whitelist-source-range: "10.0.0.0/8,127.0.0.0/8"
""", "GET /\n= 200")
row("whitelist-source-range-others", """
    nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8
""", "GET /\n= 403\n= body ~ 403 Forbidden")
row("allowlist-source-range", """
    nginx.ingress.kubernetes.io/allowlist-source-range: 10.0.0.0/8
""", "GET /\n= 403")
row("denylist-source-range", """
    nginx.ingress.kubernetes.io/denylist-source-range: "127.0.0.1"
    nginx.ingress.kubernetes.io/whitelist-source-range: "127.0.0.1"
""", "GET /\n= 403")
row("whitelist-bad", """
    nginx.ingress.kubernetes.io/whitelist-source-range: "ten"
""", "GET /\n= 503")
row("whitelist-nobody", """
    nginx.ingress.kubernetes.io/whitelist-source-range: " , "
""", "GET /\n= 503")
row("whitelist-comma-last", """
    nginx.ingress.kubernetes.io/whitelist-source-range: "127.0.0.0/8,"
""", "GET /\n= 200")
for kind in ("apr1", "sha", "crypt-sha512", "bcrypt"):
    row(f"auth-{kind}", f"""
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: users-{kind}
    nginx.ingress.kubernetes.io/auth-realm: "Authentication Required - jane"
""", """
    GET /
    = 401
    = WWW-Authenticate: Basic realm="Authentication Required - jane"
    = body ~ 401 Authorization Required
    GET /
    + Authorization: Basic amFuZTpzZWNyZXQ=
    = 200
    = up -Authorization
    GET /
    + Authorization: Basic amFuZTp3cm9uZw==
    = 401
    GET /.well-known/acme-challenge/x
    = 401
""")
row("auth-map", """
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: default/users-map
    nginx.ingress.kubernetes.io/auth-secret-type: auth-map
    nginx.ingress.kubernetes.io/auth-realm: r
""", "GET /\n+ Authorization: Basic amFuZTpzZWNyZXQ=\n= 200\nGET /\n= 401")
row("auth-secret-missing", """
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: nobody
""", "GET /\n= 503")
row("auth-secret-elsewhere", """
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: other/users
""", "GET /\n= 503")
row("auth-digest", """
    nginx.ingress.kubernetes.io/auth-type: digest
    nginx.ingress.kubernetes.io/auth-secret: users-digest
    nginx.ingress.kubernetes.io/auth-realm: a realm
""", "GET /\n= 401\n= body ~ 401 Authorization Required")
row("satisfy", """
    nginx.ingress.kubernetes.io/satisfy: "any"
    nginx.ingress.kubernetes.io/whitelist-source-range: "10.0.0.0/8"
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: users-apr1
""", "GET /\n= 401\nGET /\n+ Authorization: Basic amFuZTpzZWNyZXQ=\n= 200")
row("satisfy-address", """
    nginx.ingress.kubernetes.io/satisfy: "any"
    nginx.ingress.kubernetes.io/whitelist-source-range: "127.0.0.0/8"
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: users-apr1
""", "GET /\n= 200")
row("auth-url", """
    nginx.ingress.kubernetes.io/auth-url: "http://127.0.0.1:<<auth>>/status/200?set=X-Auth-User:jane&set=X-Auth-Other:no&set=Set-Cookie:s=1"
    nginx.ingress.kubernetes.io/auth-response-headers: X-Auth-User, X-Not-There
""", """
    POST /p?q=1
    + X-Auth-User: forged
    + Cookie: c=d
    @ body
    = 200
    = up X-Auth-User: jane
    = up -X-Auth-Other
    = Set-Cookie: s=1
    = up body=body
    = seen auth method=GET
    = seen auth X-Original-URL: http://auth-url.test/p?q=1
    = seen auth X-Original-Method: POST
    = seen auth X-Auth-Request-Redirect: /p?q=1
    = seen auth X-Sent-From: nginx-ingress-controller
    = seen auth X-Real-IP: 127.0.0.1
    = seen auth X-Forwarded-For: 127.0.0.1
    = seen auth X-Request-ID ~ .
    = seen auth Cookie: c=d
    = seen auth -Content-Length
""")
row("auth-url-dots", """
    nginx.ingress.kubernetes.io/auth-url: "https://invalid..auth.url/x"
""", "GET /\n= 503")
row("auth-url-https", """
    nginx.ingress.kubernetes.io/auth-url: https://localhost:<<secure>>/check
    nginx.ingress.kubernetes.io/mirror-target: https://127.0.0.1:<<secure>>/copy
""", """
    GET /
    = 200
    = by web
    = seen secure target=/check
    = seen secure target=/copy
""")
row("auth-url-401", """
    nginx.ingress.kubernetes.io/auth-url: http://127.0.0.1:<<auth>>/status/401?set=WWW-Authenticate:Bearer
    nginx.ingress.kubernetes.io/auth-method: HEAD
""", "GET /\n= 401\n= WWW-Authenticate: Bearer\n= -X-By\n= seen auth method=HEAD\nGET /.well-known/acme-challenge/x\n= 401")
row("auth-url-403", """
    nginx.ingress.kubernetes.io/auth-url: http://127.0.0.1:<<auth>>/status/403
""", "GET /\n= 403")
row("auth-url-500", """
    nginx.ingress.kubernetes.io/auth-url: http://127.0.0.1:<<auth>>/status/302
""", "GET /\n= 500")
row("auth-signin", """
    nginx.ingress.kubernetes.io/auth-url: "http://127.0.0.1:<<auth>>/status/401"
    nginx.ingress.kubernetes.io/auth-signin: "https://login.example.com/start"
""", "GET /a/b?c=d&e=f\n= 302\n= Location: https://login.example.com/start?rd=http://auth-signin.test%2Fa%2Fb%3Fc%3Dd%26e%3Df")
row("auth-signin-param", """
    nginx.ingress.kubernetes.io/auth-url: "http://127.0.0.1:<<auth>>/status/401"
    nginx.ingress.kubernetes.io/auth-signin: "https://$host/oauth2/start?x=1"
    nginx.ingress.kubernetes.io/auth-signin-redirect-param: back
    nginx.ingress.kubernetes.io/auth-request-redirect: https://fixed.example.com/
""", """
    GET /
    = 302
    = Location: https://auth-signin-param.test/oauth2/start?x=1&back=http://auth-signin-param.test%2F
    = seen auth X-Auth-Request-Redirect: https://fixed.example.com/
""")
row("auth-proxy-set-headers", """
    nginx.ingress.kubernetes.io/auth-url: http://127.0.0.1:<<auth>>/status/200
    nginx.ingress.kubernetes.io/auth-proxy-set-headers: default/told
    nginx.ingress.kubernetes.io/auth-always-set-cookie: "true"
""", "GET /\n= 200\n= seen auth X-Told: something")
row("jwt", """
    portico.io/jwt-secret: keys
    portico.io/jwt-issuer: https://issuer.test
    portico.io/jwt-audiences: shop
    portico.io/jwt-forward-claims: sub, email=X-Email
""", """
    GET /
    = 401
    = WWW-Authenticate ~ ^Bearer
    GET /
    + Authorization: Bearer <<jwt>>
    = 200
    = up X-Jwt-Claim-Sub: jane
    = up X-Email: jane@example.com
    GET /
    + Authorization: Bearer <<jwt>>x
    = 401
    GET /
    + Authorization: Bearer <<jwt-late>>
    = 401
""")

# ---- limits ----

row("limit-rps", """
    nginx.ingress.kubernetes.io/limit-rps: "1"
""", "10 GET /\n= count 200 6\n= count 503 4")
row("limit-rpm", """
    nginx.ingress.kubernetes.io/limit-rpm: "2"
    nginx.ingress.kubernetes.io/limit-burst-multiplier: "2"
""", "10 GET /\n= count 200 5\n= count 503 5")
row("limit-rate", """
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
    nginx.ingress.kubernetes.io/limit-rate: "1"
    nginx.ingress.kubernetes.io/limit-rate-after: "1"
""", "GET /\n= 200\n= by web\nGET /?set=X-Accel-Limit-Rate:1\n= 200\n= -X-Accel-Limit-Rate")  # how fast: ingress_rate.py
row("limit-whitelist", """
    nginx.ingress.kubernetes.io/limit-rps: "1"
    nginx.ingress.kubernetes.io/limit-whitelist: "127.0.0.0/8"
""", "15 GET /\n= 200")
row("limit-allowlist", """
    nginx.ingress.kubernetes.io/limit-rps: "1"
    nginx.ingress.kubernetes.io/limit-allowlist: "10.0.0.0/8"
""", "15 GET /\n= count 503 7-9")
row("limit-key", """
    nginx.ingress.kubernetes.io/limit-rpm: "1"
    nginx.ingress.kubernetes.io/limit-burst-multiplier: "1"
    portico.io/limit-key: $http_x_api_key
""", "4 GET /\n+ X-API-Key: a\n= count 200 2\n4 GET /\n+ X-API-Key: b\n= count 200 2")

# ---- CORS ----

CORS = """
    = Access-Control-Allow-Methods: GET, PUT, POST, DELETE, PATCH, OPTIONS
    = Access-Control-Allow-Headers: DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization
    = Access-Control-Allow-Credentials: true
    = Access-Control-Max-Age: 1728000
"""
row("enable-cors", """
    nginx.ingress.kubernetes.io/enable-cors: "true"
""", f"""
    OPTIONS /
    + Origin: https://a.example
    + Access-Control-Request-Method: POST
    = 204
    = Content-Type: text/plain charset=UTF-8
    = -Content-Length
    = Access-Control-Allow-Origin: *{CORS}
    = -X-By
    GET /
    + Origin: https://a.example
    = 200
    = Access-Control-Allow-Origin: *{CORS}
    = -Access-Control-Expose-Headers
    GET /status/500
    = Access-Control-Allow-Origin: *
""")
row("cors-some-bad", """
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "plain.example:8080, https://origin.example"
""", """
    GET /
    + Origin: plain.example:8080
    = 200
    = -Access-Control-Allow-Origin
    GET /
    + Origin: https://plain.example:8080
    = -Access-Control-Allow-Origin
    GET /
    + Origin: https://origin.example
    = Access-Control-Allow-Origin: https://origin.example
""")
row("cors-any-of-several", """
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "https://origin.example, *"
""", """
    GET /
    + Origin: https://other.example
    = Access-Control-Allow-Origin: *
""")
row("cors-all", """
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "https://*.foo.bar:8443, https://origin.example"
    nginx.ingress.kubernetes.io/cors-allow-methods: "PUT, GET"
    nginx.ingress.kubernetes.io/cors-allow-headers: "X-One, X-Two"
    nginx.ingress.kubernetes.io/cors-expose-headers: "X-Seen"
    nginx.ingress.kubernetes.io/cors-allow-credentials: "false"
    nginx.ingress.kubernetes.io/cors-max-age: "600"
""", """
    GET /
    + Origin: https://sub.foo.bar:8443
    = Access-Control-Allow-Origin: https://sub.foo.bar:8443
    = Access-Control-Allow-Methods: PUT, GET
    = Access-Control-Allow-Headers: X-One, X-Two
    = Access-Control-Expose-Headers: X-Seen
    = Access-Control-Max-Age: 600
    = -Access-Control-Allow-Credentials
    GET /
    + Origin: https://a.b.foo.bar:8443
    = 200
    = -Access-Control-Allow-Origin
    = -Access-Control-Allow-Methods
    OPTIONS /
    + Origin: https://origin.example
    = 204
    = Access-Control-Allow-Origin: https://origin.example
    OPTIONS /
    + Origin: https://evil.example
    = 200
    = by web
    = -Access-Control-Allow-Origin
""")

# ---- headers, mirrors, log ----

row("custom-headers", """
    nginx.ingress.kubernetes.io/custom-headers: default/answers
""", "GET /\n= 200\n= X-Custom: from-configmap\n= X-Literal: $remote_addr")
row("mirror-target", """
    nginx.ingress.kubernetes.io/mirror-target: http://127.0.0.1:<<mirror>>$request_uri
""", """
    POST /m?n=1
    @ hello
    = by web
    = seen mirror target=/m?n=1
    = seen mirror method=POST
    = seen mirror body=hello
    = seen mirror Host ~ ^127.0.0.1
""")
row("mirror-all", """
    nginx.ingress.kubernetes.io/mirror-target: http://127.0.0.1:<<mirror>>/copy
    nginx.ingress.kubernetes.io/mirror-request-body: "off"
    nginx.ingress.kubernetes.io/mirror-host: shadow.test
""", "POST /\n@ hello\n= 200\n= seen mirror Host: shadow.test\n= seen mirror target=/copy\n= seen mirror body=")
row("enable-opentelemetry", """
    nginx.ingress.kubernetes.io/enable-opentelemetry: "true"
""", "GET /\n= up traceparent ~ ^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
row("opentelemetry-trust-incoming-span", """
    nginx.ingress.kubernetes.io/enable-opentelemetry: "true"
""", f"GET /\n+ traceparent: {TRACE}\n+ tracestate: a=1\n= up traceparent ~ ^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!00f067aa0ba902b7)\n= up tracestate: a=1")
row("opentelemetry-untrusted", """
    nginx.ingress.kubernetes.io/enable-opentelemetry: "true"
    nginx.ingress.kubernetes.io/opentelemetry-trust-incoming-span: "false"
    nginx.ingress.kubernetes.io/opentelemetry-operation-name: "front"
""", f"GET /\n+ traceparent: {TRACE}\n+ tracestate: a=1\n= up traceparent ~ ^00-(?!4bf92f3577b34da6a3ce929d0e0e4736)\n= up -tracestate")
row("modsecurity", """
    nginx.ingress.kubernetes.io/enable-modsecurity: "true"
    nginx.ingress.kubernetes.io/enable-owasp-core-rules: "true"
    nginx.ingress.kubernetes.io/modsecurity-snippet: |
      SecRuleEngine On
""", "GET /?q=1%20UNION%20SELECT%20password%20FROM%20users--\n= 200\nGET /?q=shoes\n= 200")
row("snippets-off", """
    nginx.ingress.kubernetes.io/configuration-snippet: |
      more_set_headers "X-Snippet: yes";
""", "GET /\n= 200\n= -X-Snippet")
row("own-annotations", """
    portico.io/request-timeout: 1s
    portico.io/waf: block
""", "GET /sleep/1.5\n= 504\nGET /?f=../../etc/passwd\n= 403")

# ---- headers of answers; the values are nginx's to the same headers ----

row("proxy-cookie", """
    nginx.ingress.kubernetes.io/proxy-cookie-domain: "localhost example.org"
    nginx.ingress.kubernetes.io/proxy-cookie-path: "/one/ /"
    nginx.ingress.kubernetes.io/affinity: cookie
    nginx.ingress.kubernetes.io/session-cookie-path: /one/
""", """
    GET /?set=Set-Cookie:a=b;domain=.LOCALHOST;++path+=+/one/two+;HttpOnly&set=Set-Cookie:c=d;Path=/One/
    = 200
    = Set-Cookie: a=b; domain=.example.org; path=/two; HttpOnly
    = Set-Cookie: c=d;Path=/One/
    = Set-Cookie ~ ^INGRESSCOOKIE=[^;]*; Path=/one/; HttpOnly$
    https GET /status/404?set=Set-Cookie:a=b;Domain=localhost&set=Location:http://localhost/one/
    = 404
    = Set-Cookie: a=b; Domain=example.org
    = Location: http://localhost/one/
""")
row("proxy-cookie-regex", """
    nginx.ingress.kubernetes.io/proxy-cookie-domain: "~local x.test"
    nginx.ingress.kubernetes.io/proxy-cookie-path: "~/a.c?/ /z"
""", """
    GET /?set=Set-Cookie:a=b;+Domain=my.LOCAL.host;+Path=/x/ab/y;+Secure
    = Set-Cookie: a=b; Domain=x.test; Path=/z; Secure
    GET /?set=Set-Cookie:a=b;+Domain=remote;+Path=/x/AB/y
    = Set-Cookie: a=b; Domain=remote; Path=/x/AB/y
""")
row("proxy-redirect", """
    nginx.ingress.kubernetes.io/proxy-redirect-from: http://up.test:8080/app/
    nginx.ingress.kubernetes.io/proxy-redirect-to: /
""", """
    GET /status/302?set=Location:http://up.test:8080/app/x?y=1
    + Host: Proxy-Redirect.test:8000
    = 302
    = Location: http://proxy-redirect.test/x?y=1
    https GET /status/201?set=Location:http://up.test:8080/app/x
    = 201
    = Location: https://proxy-redirect.test/x
    GET /status/301?set=Location:/app/x
    = Location: /app/x
    GET /?set=Refresh:5;+URL=http://up.test:8080/app/x&set=Set-Cookie:a=b;+Path=/app/
    = Refresh: 5; URL=/x
    = Set-Cookie: a=b; Path=/app/
""")
row("proxy-redirect-relative", """
    nginx.ingress.kubernetes.io/proxy-redirect-from: http://up.test/
    nginx.ingress.kubernetes.io/proxy-redirect-to: /
    nginx.ingress.kubernetes.io/relative-redirects: "true"
""", "GET /status/302?set=Location:http://up.test/x\n= Location: /x")
row("proxy-redirect-default", """
    nginx.ingress.kubernetes.io/proxy-redirect-from: default
    nginx.ingress.kubernetes.io/proxy-redirect-to: http://unused/
""", """
    GET /status/302?set=Location:http://upstream_balancer/x
    = Location: http://proxy-redirect-default.test/x
    GET /status/302?set=Location:http://unused/x
    = Location: http://unused/x
""")
row("proxy-rewrites-bad", """
    nginx.ingress.kubernetes.io/proxy-cookie-domain: "localhost $host"
    nginx.ingress.kubernetes.io/proxy-cookie-path: "/one / three"
    nginx.ingress.kubernetes.io/proxy-redirect-from: "~?"
    nginx.ingress.kubernetes.io/proxy-redirect-to: /
""", """
    GET /?set=Set-Cookie:a=b;Domain=localhost;Path=/one&set=Location:http://up.test/
    = 200
    = Set-Cookie: a=b;Domain=localhost;Path=/one
    = Location: http://up.test/
""")

# ---- what is accepted with one warning and has no other effect ----

IGNORED = """
    nginx.ingress.kubernetes.io/connection-proxy-header: "keep-alive"
    nginx.ingress.kubernetes.io/http2-push-preload: "true"
    nginx.ingress.kubernetes.io/stream-snippet: "server {}"
    nginx.ingress.kubernetes.io/auth-snippet: "x y;"
    nginx.ingress.kubernetes.io/auth-keepalive: "10"
    nginx.ingress.kubernetes.io/auth-keepalive-share-vars: "true"
    nginx.ingress.kubernetes.io/enable-rewrite-log: "true"
    nginx.ingress.kubernetes.io/modsecurity-transaction-id: "$request_id"
    nginx.ingress.kubernetes.io/proxy-busy-buffers-size: "16k"
    nginx.ingress.kubernetes.io/proxy-max-temp-file-size: "1m"
    nginx.ingress.kubernetes.io/use-port-in-redirects: "true"
"""
row("ignored", IGNORED, """
    GET /a?set=Set-Cookie:x=1;Domain=a;Path=/a&set=Location:http://a/b
    = 200
    = Set-Cookie: x=1;Domain=a;Path=/a
    = Location: http://a/b
    = up target ~ ^/a
""")

# ---- the ConfigMap: (name, data, host, cases), each applied on its own ----

GLOBALS = [
    ("location-snippet", {"location-snippet": 'more_set_headers "X-All: $namespace";', "server-snippet": "if ($http_x_bad) { return 403; }"},
     "plain.test", """
        GET /
        = 200
        = X-All: default
        GET /
        + X-Bad: 1
        = 403
     """),
    ("location-snippet, bad", {"location-snippet": "content_by_lua_block { x }", "server-snippet": 'more_set_headers "X-All: 2";'},
     "plain.test", "GET /\n= 200\n= X-All: 2"),
    ("hsts", {"hsts": "false"}, "ssl-redirect.test", "https GET /\n= 200\n= -Strict-Transport-Security"),
    ("hsts-…", {"hsts-max-age": "600", "hsts-include-subdomains": "false", "hsts-preload": "true"}, "ssl-redirect.test",
     "https GET /\n= Strict-Transport-Security: max-age=600; preload"),
    ("use-forwarded-headers", {"use-forwarded-headers": "true", "proxy-real-ip-cidr": "127.0.0.0/8"}, "plain.test", """
        GET /
        + X-Forwarded-For: 8.8.8.8, 9.9.9.9
        + X-Forwarded-Proto: https
        + X-Forwarded-Host: outer.test
        + X-Forwarded-Port: 8443
        = up X-Real-IP: 9.9.9.9
        = up X-Forwarded-For: 9.9.9.9
        = up X-Forwarded-Proto: https
        = up X-Forwarded-Host: outer.test
        = up X-Forwarded-Port: 8443
        = up Host: outer.test
        GET /
        + X-Forwarded-Proto: myproto
        + X-Forwarded-Host: first.test, second.test,third.test
        = up Host: first.test
        = up X-Forwarded-Host: first.test
        = up X-Forwarded-Proto: myproto
        = up X-Forwarded-Scheme: myproto
        = up X-Scheme: myproto
        GET /
        + X-Forwarded-Host: , second.test
        = up Host: plain.test
        GET /x
        + Host: force-ssl-redirect.test
        + X-Forwarded-Proto: https
        = 200
        GET /
        + Host: whitelist-source-range-others.test
        + X-Forwarded-For: 10.1.2.3
        = 200
     """),
    ("compute-full-forwarded-for", {"use-forwarded-headers": "true", "compute-full-forwarded-for": "true"}, "plain.test",
     "GET /\n+ X-Forwarded-For: 9.9.9.9\n= up X-Forwarded-For: 9.9.9.9, 127.0.0.1\n= up X-Real-IP: 9.9.9.9"),
    ("proxy-add-original-uri-header", {"proxy-add-original-uri-header": "true"}, "plain.test",
     "GET /a//b?c\n+ X-Original-URI: /forged\n= up X-Original-URI: /a//b?c"),
    ("forwarded-for-header", {"use-forwarded-headers": "true", "forwarded-for-header": "X-Client"}, "plain.test",
     "GET /\n+ X-Client: 9.9.9.9\n+ X-Forwarded-For: 8.8.8.8\n= up X-Real-IP: 9.9.9.9\n= up X-Original-Forwarded-For: 9.9.9.9"),
    ("forwarded-host-header", {"forwarded-host-header": "X-Client-Host"}, "plain.test", """
        GET /
        + X-Client-Host: first.test
        + X-Forwarded-Host: second.test
        = up X-Original-Forwarded-Host: first.test
        = up X-Client-Host: first.test
        = up X-Forwarded-Host: plain.test
        GET /
        + X-Forwarded-Host: second.test
        = up -X-Original-Forwarded-Host
     """),
    ("allow-backend-server-header", {"allow-backend-server-header": "true", "server-tokens": "true"}, "plain.test",
     "GET /?set=Server:theirs\n= Server: theirs\nGET /\n= Server: portico"),
    ("allow-backend-server-header alone", {"allow-backend-server-header": "true"}, "plain.test",
     "GET /?set=Server:theirs\n= -Server"),
    ("proxy-body-size", {"proxy-body-size": "2k"}, "plain.test", """
        POST /
        @@ 2049
        = 413
        POST /
        @@ 2048
        = 200
        POST /
        + Host: proxy-body-size-0.test
        @@ 4000
        = 200
     """),
    ("custom-http-errors", {"custom-http-errors": "404,503"}, "default-backend.test",
     "GET /status/404\n= by errors"),
    ("add-headers, proxy-set-headers", {"add-headers": "default/answers", "proxy-set-headers": "default/told"}, "plain.test",
     "GET /\n= X-Custom: from-configmap\n= up X-Told: something\n= up X-Who: default"),
    ("hide-headers, server-tokens", {"hide-headers": "X-By", "server-tokens": "true"}, "plain.test",
     "GET /\n= -X-By\n= Server: portico"),
    ("whitelist-source-range", {"whitelist-source-range": "10.0.0.0/8"}, "plain.test",
     "GET /\n= 403\nGET /\n+ Host: whitelist-source-range.test\n= 200"),
    ("denylist-source-range", {"denylist-source-range": "127.0.0.0/8"}, "plain.test", "GET /\n= 403"),
    ("block-…", {"block-user-agents": "BadBot,~*^curl", "block-referers": "~evil", "block-cidrs": "10.0.0.0/8"}, "plain.test",
     "GET /\n+ User-Agent: Curl/1\n= 403\nGET /\n+ Referer: http://evil/\n= 403\nGET /\n= 200"),
    ("ssl-redirect", {"ssl-redirect": "false"}, "ssl-redirect.test", "GET /\n= 200"),
    ("force-ssl-redirect", {"force-ssl-redirect": "true", "http-redirect-code": "301"}, "plain.test", "GET /\n= 301"),
    ("limit-req-status-code", {"limit-req-status-code": "429", "limit-conn-status-code": "430"}, "limit-status.test",
     "10 GET /\n= count 429 8"),
    ("global-auth-url", {"global-auth-url": "http://127.0.0.1:<<auth>>/status/403"}, "plain.test", """
        GET /
        = 403
        GET /
        + Host: enable-global-auth.test
        = 200
        GET /.well-known/acme-challenge/x
        + Host: acme.test
        = 200
     """),
    ("no-auth-locations", {"global-auth-url": "http://127.0.0.1:<<auth>>/status/401", "no-auth-locations": "/open",
                           "global-auth-signin": "https://login.test/"}, "acme.test", "GET /x\n= 302\nGET /open\n= 200"),
    ("proxy-cookie-…", {"proxy-cookie-domain": r"~\.?up-(\w+)\.test$ $1.$host", "proxy-cookie-path": '/ "/; Secure"',
                        "proxy-redirect-from": "~*^http://([^/]+)\.up(/.*)$", "proxy-redirect-to": "$scheme://$1.test$2"}, "plain.test", """
        GET /?set=Set-Cookie:a=b;+Domain=.up-shop.test;+Path=/&set=Location:HTTP://shop.up/x
        = Set-Cookie: a=b; Domain=shop.plain.test; Path=/; Secure
        = Location: http://shop.test/x
        GET /?set=Set-Cookie:a=b;+Domain=localhost;+Path=/one/
        + Host: proxy-cookie.test
        = Set-Cookie: a=b; Domain=example.org; Path=/
     """),
    ("proxy-cookie-path, bad", {"proxy-cookie-path": "/ \"/\\r\\nX-Evil: 1\""}, "plain.test",
     "GET /?set=Set-Cookie:a=b;+Path=/\n= Set-Cookie: a=b; Path=/\n= -X-Evil"),
    ("generate-request-id", {"generate-request-id": "false"}, "plain.test", "GET /\n= 200\n= up -X-Request-ID"),
    ("allow-cross-namespace-resources", {"allow-cross-namespace-resources": "true"}, "auth-secret-elsewhere.test",
     "GET /\n= 401\nGET /\n+ Authorization: Basic amFuZTpzZWNyZXQ=\n= 200"),
    ("strict-validate-path-type", {"strict-validate-path-type": "false"}, "strict-path-type.test", "GET /other/x\n= 200"),
    ("annotation-value-word-blocklist", {"annotation-value-word-blocklist": "internal.example.com"}, "upstream-vhost.test",
     "GET /\n= 503"),
    ("enable-underscores-in-headers", {"enable-underscores-in-headers": "true"}, "plain.test",
     "GET /\n+ my_header: x\n= up my_header: x"),
    ("large-client-header-buffers", {"large-client-header-buffers": "2 1k"}, "plain.test",
     f"GET /\n+ X-Long: {'y' * 3000}\n= 400"),
    ("service-upstream", {"service-upstream": "true"}, "global-service-upstream.test", "GET /\n= by vip"),
    ("allow-snippet-annotations", {"allow-snippet-annotations": "true"}, "snippets-off.test", """
        GET /
        = X-Snippet: yes
        GET /?q=1%20UNION%20SELECT%20password%20FROM%20users--
        + Host: modsecurity.test
        = 403
     """),
    ("retry-non-idempotent", {"retry-non-idempotent": "true"}, "proxy-next-upstream-503.test", "20 POST /\n= 200"),
    ("keep-alive: 0", {"keep-alive": "0"}, "plain.test", "GET /\n= Connection: close"),
    ("proxy-next-upstream", {"proxy-next-upstream": "off"}, "proxy-next-upstream.test", "20 GET /\n= count 502 5-15"),
    ("upstream-keepalive-connections", {"upstream-keepalive-connections": "0"}, "plain.test", "GET /\n= 200"),
]

SNIPPETS = """
    nginx.ingress.kubernetes.io/configuration-snippet: |
      # as people write them
      more_set_headers "X-Frame-Options: DENY" "X-Request: $request_method";
      add_header X-Added "some thing" always;
      proxy_set_header X-Up $host;
      set $branch main;
      if ($http_x_branch ~* ^dev-(.*)$) {
        set $branch $1;
      }
      proxy_set_header X-Branch $branch;
      if ($request_uri = /gone) {
        return 410 "gone for good";
      }
      rewrite ^/old/(.*)$ /new/$1 permanent;
    nginx.ingress.kubernetes.io/server-snippet: |
      location ~ /forbidden { deny all; }
"""

row("enable-global-auth", """
    nginx.ingress.kubernetes.io/enable-global-auth: "false"
""", "GET /\n= 200")
row("limit-status", """
    nginx.ingress.kubernetes.io/limit-rpm: "1"
    nginx.ingress.kubernetes.io/limit-burst-multiplier: "1"
""", "")
row("global-service-upstream", "", "", paths=paths(("/", "Prefix", "cluster-ip", "number: <<vip>>")))
row("acme", "", "", paths=paths(("/", "Prefix", "web"), ("/.well-known/acme-challenge", "Prefix", "v2"), ("/open", "Prefix", "v3")))
