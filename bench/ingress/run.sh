#!/bin/bash
# The ingress proxy against nginx, HAProxy and (where it is found) Envoy, in the same run: requests, handshakes and
# bytes for each second of CPU time that the proxy used. Each proxy has one worker on core 0; the backend and the load are
# on core 1. Needs Debian's nginx, haproxy, wrk, nghttp2-client, gcc, openssl. Everything is on loopback.
#
#	bench/ingress/run.sh [case…]		cases: a b c d e f r g idle hosts
#	SECONDS_EACH=5 ROUNDS=3 PROXIES="portico nginx haproxy envoy" ENVOY=/path/to/envoy BUILD=build
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath -m "${BUILD:-$here/../../build}")
SECS=${SECONDS_EACH:-5} ROUNDS=${ROUNDS:-3} HOSTS=${HOSTS:-10000} IDLE=${IDLE:-5000}
PROXIES=${PROXIES:-portico nginx haproxy envoy}
ENVOY=${ENVOY:-$(command -v envoy)}
CASES=${*:-a b c d e f r g idle hosts}
BACKEND=17001 BIG=17002 HUGE=17003
declare -A PORT=([portico]=17010 [nginx]=17020 [haproxy]=17030 [envoy]=17040) # plain; TLS is one more

for tool in nginx haproxy wrk h2load gcc openssl taskset; do
	command -v $tool > /dev/null || { echo "needs $tool" >&2; exit 1; }
done
[ -x "$BUILD/portico" ] || { echo "no $BUILD/portico: make, or BUILD=DIR $0" >&2; exit 1; }
[ -x "$ENVOY" ] || PROXIES=${PROXIES//envoy/}
ulimit -n "$(ulimit -Hn)"
T=$(mktemp -d "${TMPDIR:-/tmp}/ibench.XXXXXX")
chmod 755 "$T"
PIDS=()
bench_end() { kill "${PIDS[@]}" 2> /dev/null; wait 2> /dev/null; rm -rf "$T"; }
trap bench_end EXIT
trap 'exit 1' INT TERM

gcc -O2 -D_GNU_SOURCE -o "$T/backend" "$here/backend.c" && gcc -O2 -D_GNU_SOURCE -o "$T/tls" "$here/tls.c" -lssl -lcrypto || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a.example \
	-addext subjectAltName=DNS:a.example,DNS:*.bench.example -keyout "$T/key.pem" -out "$T/cert.pem" 2> /dev/null
cat "$T/cert.pem" "$T/key.pem" > "$T/both.pem"

# ---- configurations ----

portico_conf() { # HOSTS
	mkdir -p "$T/portico"
	cat > "$T/portico/base.yaml" <<-END
	{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: k8s.io/ingress-nginx}}
	---
	{apiVersion: v1, kind: ConfigMap, metadata: {name: ingress-nginx-controller, namespace: ingress-nginx}, data: {disable-access-log: "true", keep-alive-requests: "10000000", upstream-keepalive-requests: "10000000"}}
	---
	{apiVersion: v1, kind: Secret, metadata: {name: cert}, type: kubernetes.io/tls, data: {tls.crt: $(base64 -w0 "$T/cert.pem"), tls.key: $(base64 -w0 "$T/key.pem")}}
	END
	local i path
	for path in small:$BACKEND big:$BIG huge:$HUGE; do
		cat >> "$T/portico/base.yaml" <<-END
		---
		{apiVersion: v1, kind: Service, metadata: {name: ${path%:*}}, spec: {ports: [{name: http, port: 80}]}}
		---
		{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ${path%:*}-1, labels: {kubernetes.io/service-name: ${path%:*}}}, addressType: IPv4, ports: [{name: http, port: ${path#*:}}], endpoints: [{addresses: [127.0.0.1]}]}
		END
	done
	cat >> "$T/portico/base.yaml" <<-END
	---
	{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: main, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}}, spec: {tls: [{hosts: [a.example], secretName: cert}], rules: [{host: a.example, http: {paths: [
	 {path: /, pathType: Prefix, backend: {service: {name: small, port: {number: 80}}}},
	 {path: /big, pathType: Prefix, backend: {service: {name: big, port: {number: 80}}}},
	 {path: /huge, pathType: Prefix, backend: {service: {name: huge, port: {number: 80}}}}]}}]}}
	END
	[ "$1" = 0 ] && return
	for ((i = 0; i < $1; i++)); do
		echo "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"metadata\":{\"name\":\"h$i\"},\"spec\":{\"rules\":[{\"host\":\"h$i.bench.example\",\"http\":{\"paths\":[{\"path\":\"/\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"small\",\"port\":{\"number\":80}}}}]}}]}}"
	done | sed '1s/^/{"apiVersion":"v1","kind":"List","items":[/; $!s/$/,/; $s/$/]}/' > "$T/portico/hosts.json"
}
portico_cmd() {
	exec "$BUILD/portico" ingress --from "$T/portico" --http 127.0.0.1:${PORT[portico]} --https 127.0.0.1:$((PORT[portico] + 1)) \
		--workers 1 --ingress-admin-address "" --log-level warn
}

nginx_conf() {
	local i
	{
		cat <<-END
		user root; worker_processes 1; daemon off; error_log $T/nginx.err; pid $T/nginx.pid; worker_rlimit_nofile 20000;
		events { worker_connections 19000; }
		http {
		 access_log off; keepalive_requests 10000000; client_body_temp_path $T/nb; proxy_temp_path $T/np; fastcgi_temp_path $T/nf; uwsgi_temp_path $T/nu; scgi_temp_path $T/ns;
		 ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:SSL:10m; ssl_session_tickets on; ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem;
		 server_names_hash_max_size 100000; server_names_hash_bucket_size 128; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
		 proxy_set_header Host \$host; proxy_set_header X-Request-ID \$request_id; proxy_set_header X-Real-IP \$remote_addr; proxy_set_header X-Forwarded-For \$remote_addr;
		 proxy_set_header X-Forwarded-Host \$http_host; proxy_set_header X-Forwarded-Port \$server_port; proxy_set_header X-Forwarded-Proto \$scheme;
		 upstream small { server 127.0.0.1:$BACKEND; keepalive 320; keepalive_requests 10000000; }
		 upstream big { server 127.0.0.1:$BIG; keepalive 320; keepalive_requests 10000000; }
		 upstream huge { server 127.0.0.1:$HUGE; keepalive 320; keepalive_requests 10000000; }
		 server { listen 127.0.0.1:${PORT[nginx]} backlog=4096; listen 127.0.0.1:$((PORT[nginx] + 1)) ssl http2 backlog=4096; server_name a.example;
		  location / { proxy_pass http://small; } location /big { proxy_pass http://big; } location /huge { proxy_pass http://huge; } }
		END
		for ((i = 0; i < $1; i++)); do
			echo " server { listen 127.0.0.1:${PORT[nginx]}; server_name h$i.bench.example; location / { proxy_pass http://small; } }"
		done
		echo "}"
	} > "$T/nginx.conf"
}
nginx_cmd() { exec nginx -p "$T" -c "$T/nginx.conf"; }

haproxy_conf() {
	local i
	for ((i = 0; i < $1; i++)); do echo "h$i.bench.example small"; done > "$T/hosts.map"
	echo "a.example small" >> "$T/hosts.map"
	cat > "$T/haproxy.cfg" <<-END
	global
	 nbthread 1
	 maxconn 9500
	 tune.ssl.default-dh-param 2048
	defaults
	 mode http
	 timeout client 60s
	 timeout server 60s
	 timeout connect 5s
	 option forwardfor
	frontend f
	 bind 127.0.0.1:${PORT[haproxy]} backlog 4096
	 bind 127.0.0.1:$((PORT[haproxy] + 1)) ssl crt $T/both.pem alpn h2,http/1.1 backlog 4096
	 unique-id-format %{+X}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
	 unique-id-header X-Request-ID
	 http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
	 http-request set-header X-Forwarded-Host %[hdr(host)]
	 use_backend big if { path_beg /big }
	 use_backend huge if { path_beg /huge }
	 use_backend %[req.hdr(host),lower,map($T/hosts.map)]
	backend small
	 http-reuse always
	 server s 127.0.0.1:$BACKEND
	backend big
	 http-reuse always
	 server s 127.0.0.1:$BIG
	backend huge
	 http-reuse always
	 server s 127.0.0.1:$HUGE
	END
}
haproxy_cmd() { exec haproxy -f "$T/haproxy.cfg"; }

envoy_cluster() { echo "  - {name: $1, connect_timeout: 5s, load_assignment: {cluster_name: $1, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $2}}}}]}]}}"; }
envoy_listener() { # NAME PORT TLS
	cat <<-END
	  - name: $1
	    address: {socket_address: {address: 127.0.0.1, port_value: $2}}
	    filter_chains:
	    - filters:
	      - name: envoy.filters.network.http_connection_manager
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
	          stat_prefix: i
	          use_remote_address: true
	          generate_request_id: true
	          rds: {route_config_name: r, config_source: {path_config_source: {path: $T/rds.yaml}}}
	          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
	END
	[ "$3" ] && cat <<-END
	      transport_socket: {name: envoy.transport_sockets.tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificates: [{certificate_chain: {filename: $T/cert.pem}, private_key: {filename: $T/key.pem}}]}}}
	END
}
envoy_conf() {
	local i
	{
		echo "resources:"
		echo "- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
		echo "  name: r"
		echo "  virtual_hosts:"
		echo "  - {name: a, domains: [a.example], routes: [{match: {prefix: /big}, route: {cluster: big}}, {match: {prefix: /huge}, route: {cluster: huge}}, {match: {prefix: /}, route: {cluster: small}}]}"
		for ((i = 0; i < $1; i++)); do
			echo "  - {name: h$i, domains: [h$i.bench.example], routes: [{match: {prefix: /}, route: {cluster: small}}]}"
		done
	} > "$T/rds.yaml"
	{
		echo "static_resources:"
		echo "  clusters:"
		envoy_cluster small $BACKEND; envoy_cluster big $BIG; envoy_cluster huge $HUGE
		echo "  listeners:"
		envoy_listener plain ${PORT[envoy]}
		envoy_listener tls $((PORT[envoy] + 1)) tls
	} > "$T/envoy.yaml"
}
envoy_cmd() { exec "$ENVOY" -c "$T/envoy.yaml" --concurrency 1 --log-level error --disable-hot-restart --service-node b --service-cluster b; }

# ---- processes ----

children() { local p=$1 c; echo "$p"; for c in $(pgrep -P "$p"); do children "$c"; done; }
cpu_s() { # PID: of all its threads and children, so far
	local p
	for p in $(children "$1"); do cat /proc/"$p"/stat; done 2> /dev/null | awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); s += $12 + $13 } END { print s / hz }'
}
pss_kb() { local p; for p in $(children "$1"); do cat /proc/"$p"/smaps_rollup; done 2> /dev/null | awk '/^Pss:/ { s += $2 } END { print s }'; }
ask() { curl -s -o /dev/null -w '%{http_code}' -H "Host: ${2:-a.example}" "http://127.0.0.1:${PORT[$1]}/"; }

start() { # PROXY HOSTS: sets PID
	"$1_conf" "$2"
	("$1_cmd") > "$T/$1.log" 2>&1 &
	PID=$!
	PIDS+=($PID)
	taskset -acp 0 $PID > /dev/null
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(ask "$1")" = 200 ] && [ "$2" = 0 -o "$(ask "$1" h$(($2 - 1)).bench.example)" = 200 ] && return
		kill -0 $PID 2> /dev/null || break
		sleep 0.1
	done
	echo "$1 does not serve:" >&2
	tail -5 "$T/$1.log" >&2
	exit 1
}
stop() { kill "$PID"; wait "$PID" 2> /dev/null; }

# ---- loads: each prints how many were answered ----

wrk_load() { taskset -c 1 wrk -t1 "$@" -d"${SECS}"s | awk '/Non-2xx|Socket errors/ { bad = 1; print > "/dev/stderr" } /requests in/ { print $1 }'; }
h1() { wrk_load -c64 -H "Host: a.example" "http://127.0.0.1:${PORT[$1]}$2"; }
load_a() { h1 "$1" /; }
load_b() { h1 "$1" /big; }
load_c() { wrk_load -c16 -H "Host: a.example" "http://127.0.0.1:${PORT[$1]}/huge"; }
load_d() { wrk_load -c64 -H "Host: a.example" -H "Connection: close" "http://127.0.0.1:${PORT[$1]}/"; }
load_e() { wrk_load -c64 -H "Host: a.example" "https://127.0.0.1:$((PORT[$1] + 1))/"; }
load_f() { taskset -c 1 "$T/tls" handshakes 127.0.0.1:$((PORT[$1] + 1)) "$SECS" full | cut -d' ' -f1; }
load_r() { taskset -c 1 "$T/tls" handshakes 127.0.0.1:$((PORT[$1] + 1)) "$SECS" resumed | awk '{ if ($2 < $1 * 0.9) print "only " $2 " of " $1 " were resumed" > "/dev/stderr"; print $1 }'; }
load_g() { taskset -c 1 h2load -t1 -c16 -m32 -D"$SECS" --connect-to 127.0.0.1:$((PORT[$1] + 1)) https://a.example/ | awk '/^requests:/ { print $8 }'; }
declare -A TITLE=([a]="h1 keep-alive, 64 connections, 100 B" [b]="h1 keep-alive, 10 KB" [c]="1 MB, 16 connections" [d]="a connection per request"
	[e]="TLS 1.3, h1 keep-alive" [f]="TLS handshakes, full" [r]="TLS handshakes, resumed" [g]="h2 over TLS, 16 x 32 streams")

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

measure() { # CASE: rounds in turns, so that a noisy moment hits all; prints thousands for each CPU second
	local case=$1 round p before after n row
	declare -A pid
	for p in $PROXIES; do start "$p" 0; pid[$p]=$PID; "load_$case" "$p" > /dev/null; : > "$T/r.$p"; done
	for ((round = 0; round < ROUNDS; round++)); do
		for p in $PROXIES; do
			before=$(cpu_s ${pid[$p]})
			n=$("load_$case" "$p")
			after=$(cpu_s ${pid[$p]})
			echo "$n $before $after" | awk '{ print $1 / ($3 - $2) / 1000 }' >> "$T/r.$p"
		done
	done
	row="| $case: ${TITLE[$case]} |"
	for p in $PROXIES; do
		row+=$(awk -v v="$(median < "$T/r.$p")" -v n="$(median < "$T/r.nginx" 2> /dev/null)" 'BEGIN { printf " %.1f (x %.2f) |", v, n ? v / n : 0 }')
		PID=${pid[$p]}; stop
	done
	echo "$row"
}

idle() { # bytes of the proxy's memory for each connection that waits, its own included
	local p kind with without row
	for kind in plain tls; do
		row="| idle connection, $kind, bytes: more / base included |"
		for p in $PROXIES; do
			start "$p" 0
			without=$(pss_kb $PID)
			port=${PORT[$p]}; [ $kind = tls ] && port=$((port + 1))
			mkfifo "$T/hold"
			taskset -c 1 "$T/tls" idle 127.0.0.1:$port "$IDLE" $kind < "$T/hold" > "$T/held" &
			exec 9> "$T/hold"
			until grep -q open "$T/held"; do sleep 0.1; kill -0 $! 2> /dev/null || break; done
			with=$(pss_kb $PID)
			exec 9>&-
			rm "$T/hold"
			wait $!
			row+=$(awk -v a="$without" -v b="$with" -v n="$IDLE" 'BEGIN { printf " %d / %d |", (b - a) * 1024 / n, b * 1024 / n }')
			stop
		done
		echo "$row"
	done
}

hosts() { # memory with HOSTS hosts; one host, then random ones
	local p one many before after mem n row="| $HOSTS hosts: MiB; one host, random hosts, loss |"
	cat > "$T/random.lua" <<-END
	math.randomseed(1)
	request = function() return wrk.format("GET", "/", {Host = "h" .. math.random(0, $((HOSTS - 1))) .. ".bench.example"}) end
	END
	sed 's/math.random([^)]*)/7/' "$T/random.lua" > "$T/one.lua"
	for p in $PROXIES; do
		start "$p" "$HOSTS"
		mem=$(pss_kb $PID)
		: > "$T/one"; : > "$T/many"
		wrk_load -c64 -s "$T/random.lua" "http://127.0.0.1:${PORT[$p]}" > /dev/null
		for ((n = 0; n < ROUNDS; n++)); do
			for kind in one many; do
				lua=$T/one.lua; [ $kind = many ] && lua=$T/random.lua
				before=$(cpu_s $PID)
				count=$(wrk_load -c64 -s "$lua" "http://127.0.0.1:${PORT[$p]}")
				after=$(cpu_s $PID)
				echo "$count $before $after" | awk '{ print $1 / ($3 - $2) / 1000 }' >> "$T/$kind"
			done
		done
		row+=$(awk -v m="$mem" -v o="$(median < "$T/one")" -v r="$(median < "$T/many")" 'BEGIN { printf " %.0f MiB; %.1f, %.1f, %.0f %% |", m / 1024, o, r, (1 - r / o) * 100 }')
		stop
	done
	echo "$row"
}

taskset -c 1 "$T/backend" $BACKEND 100 & PIDS+=($!)
taskset -c 1 "$T/backend" $BIG 10240 & PIDS+=($!)
taskset -c 1 "$T/backend" $HUGE 1048576 & PIDS+=($!)
echo "| thousands for each CPU second of the proxy (x nginx) |$(printf ' %s |' $PROXIES)"
echo "|---|$(printf -- '--:|%.0s' $PROXIES)"
for c in $CASES; do
	case $c in
	idle) idle ;;
	hosts) hosts ;;
	*) measure "$c" ;;
	esac
done
