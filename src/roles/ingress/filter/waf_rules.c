/* The rules of the request filter: data only. Written from what attacks look like, not from other rule sets.
 *
 * Numbers: 1xxx protocol, 2xxx scanners, 3xxx files, 4xxx remote resources, 5xxx commands, 6xxx PHP, 7xxx other languages,
 * 8xxx scripts in pages, 9xxx SQL. A rule's number never changes its meaning.
 * Level 1 must not refuse what people write and applications send; 2 refuses what only developers write; 3 and 4 are for
 * sites that know their input. A regular expression that does not begin with '^' is tried on pieces of long values: nothing
 * it matches may be longer than WAF_OVERLAP_BYTES. One that does must need one pass only. Each rule has samples of both kinds in tests/unit/test_ingress_waf.c.
 */
#include "roles/ingress/filter/waf_rules.h"

#define P(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ON(t) WAF_ON(WAF_##t)
#define INPUT WAF_INPUT
#define ARGS WAF_ARGS
#define ANYWHERE (WAF_INPUT | WAF_CLIENT | ON(URI) | ON(FILENAME))
#define HEADERS (WAF_CLIENT | ON(HEADER))
#define CRITICAL WAF_CRITICAL
#define ERROR WAF_ERROR
#define WARNING WAF_WARNING
#define NOTICE WAF_NOTICE

/* What is left of a shell command's line when it is no English sentence. */
#define SHELL_START "(?:[;|&]|\\$\\()\\s?(?:/[a-z/]*bin/)?"
#define SHELL_START_ANYWHERE "(?:[;|&\\n`]|\\$\\(|^)\\s?(?:/[a-z/]*bin/)?"
#define SHELL_ARGS                                                                                                                 \
	" (?:-{1,2}[a-z]|/|~|\\$|\\.{1,2}/|<|>|https?:|\\d+\\s?(?:$|[;&|`)])|[\\w./-]+\\.(?:sh|py|pl|rb|php|txt|conf|exe|bat|ps1)\\b|\\w+\\." \
	"\\w+\\.\\w+)"
#define SHELL_END "\\s?(?:$|[;&|`)<>])"
/* Values break out of a string at their first quote. */
#define SQL_BREAK "^[^'\"`]*['\"`]\\s?[)\\s]*"

const struct waf_rule waf_rules[] = {
	/* ---- 1xxx protocol ---- */
	{ 1001, 1, CRITICAL, .fact = WAF_NUL, .what = "NUL byte in an argument" },
	{ 1002, 1, WARNING, .fact = WAF_BAD_PERCENT, .what = "malformed percent-encoding in the query" },
	{ 1003, 1, CRITICAL, .fact = WAF_TOO_MANY_ARGS, .what = "more arguments than are looked at" },
	{ 1016, 1, CRITICAL, .fact = WAF_TOO_DEAR, .what = "values made so that looking at them takes long" },
	{ 1017, 1, CRITICAL, .fact = WAF_TWO_TYPES, .what = "more than one Content-Type" },
	{ 1004, 1, CRITICAL, .fact = WAF_BAD_MULTIPART, .what = "multipart body that cannot be taken apart" },
	{ 1005, 1, WARNING, .fact = WAF_BAD_JSON, .what = "JSON body that is no JSON" },
	{ 1006, 2, WARNING, .fact = WAF_BODY_UNEXPECTED, .what = "GET or HEAD with a body" },
	{ 1007, 2, NOTICE, .fact = WAF_NO_AGENT, .what = "no User-Agent" },
	{ 1008, 1, CRITICAL, WAF_TEXT, .targets = ON(METHOD), .phrases = P("trace", "track", "debug", "connect"),
	  .regex = "^(?:trace|track|debug|connect)$", .what = "method for debugging or tunnels" },
	{ 1009, 2, CRITICAL, WAF_LINES, .targets = ON(QUERY_ARG) | ON(COOKIE) | ON(URI) | ON(ARG_NAME),
	  .phrases = P("content-length", "content-type", "set-cookie", "location", "transfer-encoding", "x-forwarded", "http/1"),
	  .regex = "[\\r\\n]\\s*(?:(?:content-(?:type|length)|set-cookie|location|transfer-encoding|x-forwarded-[a-z]+)\\s*:|http/1)",
	  .what = "header after a line end: response splitting" },
	{ 1010, 1, CRITICAL, WAF_LINES, .targets = ON(QUERY_ARG) | ON(COOKIE) | ON(URI) | ON(ARG_NAME),
	  .phrases = P("set-cookie", "content-length", "http/1"),
	  .regex = "\\r\\n\\s*(?:set-cookie\\s*:\\s*\\w+=|content-length\\s*:\\s*\\d|http/1\\.[01] \\d{3})",
	  .what = "response splitting" },
	{ 1011, 1, CRITICAL, WAF_LINES, .targets = INPUT | ON(URI), .phrases = P("http/1.", "http/0.", "http/2"),
	  .regex = "(?:^|[\\r\\n])\\s*(?:get|post|head|put|delete|options|connect|trace|patch)\\s+(?:/|https?:)\\S*\\s+http/\\d[\\s\\S]*[\\r\\n]\\s*host\\s*:",
	  .what = "a whole request inside a value: request smuggling" },
	{ 1012, 2, WARNING, WAF_TEXT, .targets = ON(HEADER), .phrases = P("bytes="), .header = "range",
	  .regex = "(?:\\d*-\\d*\\s?,\\s?){5}", .what = "many ranges" },
	{ 1013, 2, WARNING, WAF_TEXT, .targets = ON(HEADER), .phrases = P("gzip", "deflate", "br", "zstd", "compress"),
	  .header = "content-encoding", .what = "compressed request body cannot be read" },
	{ 1014, 2, WARNING, WAF_TEXT, .targets = ON(HOST), .phrases = P("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
	  .regex = "^(?:\\d{1,3}\\.){3}\\d{1,3}(?::\\d+)?$", .what = "Host is an address" },
	{ 1015, 2, CRITICAL, WAF_LINES, .targets = INPUT, .phrases = P("bcc", "cc", "content-type"),
	  .regex = "[\\r\\n]\\s*(?:bcc|cc|content-type)\\s*:\\s*\\S+[@/]", .what = "mail header after a line end" },

	/* ---- 2xxx scanners ---- */
	{ 2001, 1, CRITICAL, WAF_TEXT, .targets = ON(AGENT),
	  .phrases = P("sqlmap", "nikto", "nessus", "openvas", "acunetix", "w3af", "dirbuster", "gobuster", "feroxbuster",
		       "fuzz faster u fool", "wfuzz", "masscan", "zgrab", "nuclei", "wpscan", "joomscan", "havij", "netsparker",
		       "arachni", "skipfish", "whatweb", "jaeles", "commix", "xsser", "sqlninja", "jorgee", "zmeu", "morfeus",
		       "webinspect", "appscan", "dirsearch", "grendel-scan", "bsqlbf", "fimap", "nmap scripting engine", "burpsuite",
		       "absinthe", "pangolin", "webshag", "datacha0s", "n-stealth", "hydra", "paros", "bfac", "cgichk",
		       "libwhisker", "whisker", "jbrofuzz", "springenwerk", "webtrends security", "sysscan", "goby", "xray",
		       "yakit", "interactsh", "detectify", "qualys", "metasploit", "l9explore", "dirb/", "mozlila"),
	  .what = "User-Agent of a scanner" },
	{ 2002, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI) | ON(HEADER),
	  .phrases = P("acunetix-wvs", "acunetix_wvs", "appscan_fingerprint", "w00tw00t.at.", "nessus_is_probing", "nikto-",
		       "nmaplowercheck", "nmapuppercheck", "trinity.txt.bak", "netsparker", "burpcollaborator.net", "oastify.com",
		       "interact.sh", ".oast.", "xsshunter"),
	  .what = "test value of a scanner" },
	{ 2003, 3, WARNING, WAF_TEXT, .targets = ON(AGENT),
	  .phrases = P("python-requests", "python-urllib", "libwww-perl", "go-http-client", "curl/", "wget/", "java/", "scrapy", "httpie",
		       "okhttp", "axios/", "aiohttp", "winhttp", "lwp::simple", "mechanize", "phantomjs", "headlesschrome"),
	  .what = "User-Agent of a program" },

	/* ---- 3xxx files ---- */
	{ 3001, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI) | ON(FILENAME) | WAF_CLIENT,
	  .phrases = P("../", "..\\", "/..", "\\.."),
	  .regex = "(?:^|[/\\\\=:&?;,])\\.{2}[/\\\\]+\\.{2}(?:[/\\\\]|$)|[/\\\\]\\.{2}[/\\\\]+(?:etc|proc|var|usr|root|home|windows|winnt|boot|sys|tmp|"
		   "opt|web-inf|\\.)|\\.{4,}[/\\\\]{2}|(?:^|[=/])\\.{2}[;/\\\\][;/\\\\]?\\.{2}[;/\\\\]|\\.{2}/[^?]*\\.(?:env|git|htpasswd|htaccess|ssh)",
	  .what = "path traversal" },
	{ 3002, 2, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI) | ON(FILENAME), .phrases = P("../", "..\\", "/..", "\\.."),
	  .regex = "(?:^|[/\\\\=:&?;,\\s])\\.{2}(?:[/\\\\;]|$)", .what = "path with a parent folder" },
	{ 3003, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI) | ON(FILENAME) | WAF_CLIENT,
	  .phrases = P("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/gshadow", "/etc/master.passwd", "/proc/self/",
		       "/proc/version", "/proc/cmdline", "/proc/1/", "/windows/win.ini", "\\windows\\win.ini", "c:/boot.ini", "c:\\boot.ini",
		       "/windows/system32", "\\windows\\system32", "winnt/system32", "winnt\\system32", "/.ssh/id_", "/.ssh/authorized_keys",
		       "/.aws/credentials", "/.docker/config.json", "/.kube/config", "/.bash_history", "/.mysql_history", "/.netrc",
		       "/var/run/secrets/kubernetes.io", "/run/secrets/", "/var/lib/kubelet/", "/etc/kubernetes/", "web-inf/web.xml",
		       "meta-inf/context.xml", "/etc/apache2/", "/etc/nginx/nginx.conf", "/etc/mysql/my.cnf", "/etc/php/", "/dev/fd/"),
	  .what = "file of the operating system" },
	{ 3004, 2, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI),
	  .phrases = P("/etc/", "/var/log/", "/proc/", "/usr/local/", "/root/", "c:\\", "c:/", "id_rsa", ".htpasswd"),
	  .regex = "(?:^|[\\s=:'\"/(])(?:/etc/[a-z]|/var/log/[a-z]|/proc/[a-z0-9]|/usr/local/(?:apache|nginx|etc)|/root/\\.?[a-z]|c:[/\\\\]+(?:windows|users|"
		   "inetpub|program))|id_rsa|\\.htpasswd",
	  .what = "path of an operating system" },
	{ 3005, 1, CRITICAL, WAF_TEXT, .targets = ON(URI),
	  .phrases = P("/.git", "/.svn", "/.hg", "/.bzr", "/.env", "/.htaccess", "/.htpasswd", "/.ds_store", "/.npmrc", "/.netrc", "/.pgpass",
		       "/.bash_history", "/.ssh", "/.aws", "/.kube", "/.docker", "/wp-config", "/web.config", "/.vscode/sftp", "/.idea/",
		       "/id_rsa", "/id_dsa", "/id_ed25519", "/.dockerenv", "/phpinfo.php", "/server-status", "/.terraform", "/actuator/",
		       "/.well-known/../"),
	  .regex = "/\\.(?:git|svn|hg|bzr|ssh|aws|kube|docker|idea|terraform)(?:/|$)|/\\.(?:env(?:[.~_-][a-z.~_-]*)?|htaccess|htpasswd|ds_store|npmrc|"
		   "netrc|pgpass|bash_history|dockerenv|gitconfig|vscode/sftp\\.json)$|/wp-config\\.(?:php|bak|txt|old|save|inc)[.~\\w]+|/wp-config\\.(?!php)|"
		   "/web\\.config$|/id_(?:rsa|dsa|ed25519)$|/phpinfo\\.php$|/server-status$|/actuator/(?:heapdump|env|jolokia|gateway|shutdown|trace)",
	  .what = "file that must not be public" },
	{ 3006, 2, CRITICAL, WAF_TEXT, .targets = ON(URI),
	  .phrases = P(".bak", ".backup", ".old", ".orig", ".swp", ".swo", ".save", ".sql", ".inc", ".conf", ".cfg", ".ini", ".mdb", ".key",
		       ".pem", ".pfx", ".sqlite", "~", ".log", ".tmp"),
	  .regex = "\\.(?:bak|backup|old|orig|sw[po]|save|sql|inc|conf|cfg|ini|mdb|key|pem|pfx|sqlite3?|log|tmp)[~\\d]*$|\\w~$",
	  .what = "backup or configuration file" },

	/* ---- 4xxx remote resources ---- */
	{ 4001, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(HEADER) | ON(REFERER),
	  .phrases = P("169.254.169.254", "metadata.google.internal", "100.100.100.200", "fd00:ec2::254", "169.254.170.2", "2852039166",
		       "0xa9fea9fe", "metadata.azure", "instance-data.ec2", "latest/meta-data", "computemetadata/v1"),
	  .what = "metadata service of a cloud" },
	{ 4002, 2, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P("http://", "https://", "ftp://", "ftps://"),
	  .regex = "^\\s?(?:https?|ftps?)://(?:[^/@]*@)?(?:\\d{1,3}(?:\\.\\d{1,3}){3}|0x[0-9a-f]+|\\d{8,10}|\\[[0-9a-f:.]+\\]|localhost)(?:[:/?#]|$)",
	  .what = "URL with an address" },
	{ 4003, 1, CRITICAL, WAF_TEXT, .targets = INPUT,
	  .phrases = P("php://", "phar://", "expect://", "zlib://", "glob://", "gopher://", "dict://", "file://", "jar:http", "jar:file",
		       "ldap://", "ldaps://", "netdoc:", "tftp://", "ssh2.", "rar://", "ogg://", "zip://", "rmi://", "compress.zlib:"),
	  .regex = "(?:^|[\\s=:'\"(,])(?:(?:php|phar|expect|zlib|glob|gopher|dict|file|ldaps?|tftp|rar|ogg|zip|rmi)://|ssh2\\.(?:shell|exec|tunnel|sftp)|"
		   "jar:(?:https?|file):|netdoc:/|compress\\.zlib:)",
	  .what = "URL scheme that reads files or runs programs" },
	{ 4004, 1, CRITICAL, WAF_TEXT, .targets = ARGS, .phrases = P("http://", "https://", "ftp://"),
	  .regex = "^(?:https?|ftp)://[^?\\s]+\\.(?:txt|php\\d?|inc|gif|jpe?g|png|sh|exe)\\?+$", .what = "remote file to be included" },

	/* ---- 5xxx commands ---- */
	{ 5001, 1, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI) | ON(FILENAME),
	  .phrases = P("wget", "curl", "nc ", "ncat", "netcat", "nslookup", "ping", "tftp", "telnet", "whoami", "uname", "ifconfig", "ipconfig",
		       "printenv", "systeminfo", "tasklist", "netstat", "certutil", "bitsadmin", "busybox", "chmod", "chown", "useradd",
		       "powershell", "mshta", "rundll32", "crontab", "base64", "xxd "),
	  .regex = SHELL_START "(?:(?:wget|curl|nc|ncat|netcat|nslookup|ping|tftp|telnet|chmod|chown|crontab|base64|xxd|certutil|bitsadmin|busybox|"
			       "powershell(?:\\.exe)?|mshta|rundll32)" SHELL_ARGS "|(?:whoami|uname|ifconfig|ipconfig|printenv|systeminfo|"
			       "tasklist|netstat)(?: [-/][a-z]+)?" SHELL_END ")",
	  .what = "command with a network or system tool" },
	{ 5002, 1, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI) | ON(FILENAME),
	  .phrases = P("cat ", "ls ", "id;", "id)", "rm ", "cp ", "mv ", "echo ", "sleep ", "kill ", "bash ", "sh ", "python", "perl ", "ruby ",
		       "php ", "find ", "grep ", "head ", "tail ", "tee ", "touch ", "tar ", "gcc ", "awk ", "sed ", "dir ", "type ",
		       "net ", "reg ", "env ", "node ", "dd ", "ps ", "sudo ", "su ", "mkfifo", "wmic ", "cscript", "wscript", "ssh ",
		       "scp ", "cmd"),
	  .regex = SHELL_START "(?:cat|ls|rm|cp|mv|echo|sleep|kill|(?:ba|z|k|c|da)?sh|python[23]?|perl|ruby|php|find|grep|"
		   "head|tail|tee|touch|tar|gcc|awk|sed|dir|type|net|reg|env|node|dd|ps|sudo|su|mkfifo|wmic|cscript|wscript|ssh|scp|cmd(?:\\.exe)?)"
		   SHELL_ARGS,
	  .what = "command with a file or script" },
	{ 5003, 1, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("$(", "&&", "||", "`"),
	  .regex = "\\$\\(\\s?(?:id|ls|ps|w|pwd|env|set|dir|ver|whoami|hostname|uname)\\s?(?:$|[;&|)])|(?:&&|\\|\\|)\\s?(?:ls|ps|pwd|whoami|hostname|uname)\\s?"
		   "(?:$|[;&|`])|^\\W?`(?:id|ls|ps|w|pwd|env|set|dir|whoami|hostname|uname)`\\W?$",
	  .what = "command without arguments" },
	{ 5004, 2, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P(";", "|", "`"),
	  .regex = "[;|`]\\s?(?:/[a-z/]*bin/)?(?:id|ls|ps|w|pwd|env|set|dir|ver|cat|rm|whoami|hostname|uname|wget|curl|nc|bash|sh|python|perl|php|echo|"
		   "sleep|ping|nslookup|find|chmod)(?:\\s|$|[;&|`)])",
	  .what = "name of a command behind a separator" },
	{ 5007, 2, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI),
	  .phrases = P("wget", "curl", "nc ", "ncat", "netcat", "nslookup", "ping", "cat ", "ls ", "rm ", "echo ", "sleep ", "bash", "python",
		       "perl ", "php ", "find ", "chmod", "powershell", "certutil"),
	  .regex = SHELL_START_ANYWHERE "(?:wget|curl|nc|ncat|netcat|nslookup|ping|cat|ls|rm|echo|sleep|bash|python[23]?|perl|php|find|chmod|powershell|"
					"certutil)" SHELL_ARGS,
	  .what = "command at the beginning of a line" },
	{ 5005, 1, CRITICAL, WAF_TEXT, .targets = INPUT | HEADERS | ON(URI), .phrases = P("()"),
	  .regex = "^\\s?\\(\\)\\s?\\{", .what = "function definition: Shellshock" },
	{ 5006, 1, CRITICAL, WAF_SHELL, .targets = INPUT | WAF_CLIENT | ON(URI) | ON(FILENAME),
	  .phrases = P("/bin/sh", "/bin/bash", "/bin/zsh", "/bin/dash", "/bin/ksh", "/dev/tcp/", "/dev/udp/", "mkfifo /tmp", "bash -i", "bash -c",
		       "sh -c", "sh -i", "nc -e", "ncat -e", "cmd.exe", "cmd /c", "powershell -", "powershell.exe", "-encodedcommand",
		       "invoke-expression", "downloadstring(", "start-process", "system32/cmd", "/bin/cat ", "/usr/bin/id"),
	  .regex = "/bin/(?:ba|z|da|k)?sh\\b|/dev/(?:tcp|udp)/\\S+/\\d|mkfifo /tmp|\\bbash -[ic]\\b|\\bsh -[ic]\\b|\\bn(?:c|cat) -e\\b|\\bcmd(?:\\.exe)? ?/c\\b|"
		   "\\bcmd\\.exe\\b|powershell(?:\\.exe)? -|-encodedcommand\\b|\\binvoke-expression\\b|\\.downloadstring\\(|\\bstart-process\\b|"
		   "/bin/cat |/usr/bin/id\\b",
	  .what = "shell" },

	/* ---- 6xxx PHP ---- */
	{ 6001, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(FILENAME) | ON(URI), .phrases = P("<?", "[php]", "<script language"),
	  .regex = "<\\?(?:php\\b|=)|<\\?\\s(?!xml)|\\[/?php\\]|<script language ?= ?[\"']?php", .what = "PHP tag" },
	{ 6002, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(URI) | ON(FILENAME),
	  .phrases = P("shell_exec", "passthru", "proc_open", "popen", "phpinfo", "base64_decode", "gzinflate", "str_rot13", "file_get_contents",
		       "file_put_contents", "call_user_func", "create_function", "move_uploaded_file", "highlight_file", "show_source",
		       "unserialize", "pcntl_exec", "posix_getpwuid", "ini_set", "fsockopen", "gzuncompress", "register_shutdown_function",
		       "array_map", "curl_exec", "symlink", "putenv"),
	  .regex = "\\b(?:shell_exec|passthru|proc_open|popen|phpinfo|base64_decode|gzinflate|gzuncompress|str_rot13|file_(?:get|put)_contents|"
		   "call_user_func(?:_array)?|create_function|move_uploaded_file|highlight_file|show_source|unserialize|pcntl_exec|posix_getpwuid|"
		   "ini_set|fsockopen|register_shutdown_function|array_map|curl_exec|symlink|putenv)\\s?\\(",
	  .what = "call of a dangerous PHP function" },
	{ 6003, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("eval", "assert", "system", "exec", "include", "require"),
	  .regex = "\\b(?:(?:eval|assert|system|exec)\\s?\\(\\s?(?:[\"'`$]|base64|chr\\()|(?:include|require)(?:_once)?\\s?\\(?\\s?(?:\\$_|[\"'](?:https?|php|data|ftp):))",
	  .what = "code that is run" },
	{ 6004, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(URI),
	  .phrases = P("$_get", "$_post", "$_request", "$_cookie", "$_server", "$_files", "$_session", "$_env", "$globals", "$http_raw_post_data",
		       "$php_self"),
	  .what = "PHP variable" },
	{ 6005, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI), .phrases = P(":{", ":\""),
	  .regex = "(?:^|[;{}\\s\"'=])[oc]:\\+?\\d+:\"[^\"]{1,100}\":\\d+:\\{", .what = "serialised PHP object" },
	{ 6006, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI),
	  .phrases = P("allow_url_include", "allow_url_fopen", "auto_prepend_file", "auto_append_file", "disable_functions", "open_basedir",
		       "suhosin.simulation", "cgi.force_redirect", "safe_mode="),
	  .what = "setting of PHP" },
	{ 6007, 1, CRITICAL, WAF_TEXT, .targets = ON(FILENAME),
	  .phrases = P(".php", ".phtml", ".phar", ".pht", ".jsp", ".asp", ".ashx", ".asmx", ".cgi", ".htaccess", ".htpasswd", ".shtml", ".user.ini",
		       ".cfm", ".war"),
	  .regex = "\\.(?:php\\d?|phtml|phar|phps?t?|jspx?|jspf|aspx?|ashx|asmx|cgi|shtml|cfm|war)(?:[.;:\\s]|$)|\\.(?:htaccess|htpasswd|user\\.ini)$",
	  .what = "upload of a program" },

	/* ---- 7xxx Java, Node, Python, Ruby, templates, XML, LDAP, NoSQL ---- */
	{ 7001, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE | ON(HEADER), .phrases = P("${"),
	  .regex = "\\$\\{(?:[^}]{0,100}\\$\\{|[^}\\s]{0,100}(?:jndi|ctx|env|sys|java|lower|upper|base64|date|main|bundle|k8s|docker|log4j|spring|hostname)\\s?:|"
		   "::?-)",
	  .what = "look-up in a log message: Log4Shell" },
	{ 7002, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE | ON(HEADER),
	  .phrases = P("java.lang.runtime", "java.lang.processbuilder", "java.lang.system", "javax.script.scriptengine", ".getruntime(",
		       "class.forname(", "processbuilder(", "org.springframework.context.support", "freemarker.template.utility",
		       "jdbcrowsetimpl", "ognl.ognlcontext", "#_memberaccess", "@java.lang", "xwork.methodaccessor", "class.module.classloader",
		       "class.classloader", "#context[", "org.apache.commons.collections", "java.net.urlclassloader", "getenginebyname",
		       "com.sun.org.apache.xalan", "t(java.lang"),
	  .what = "class of Java that runs programs" },
	{ 7003, 1, CRITICAL, WAF_TEXT, .targets = INPUT | ON(HEADER), .phrases = P("ro0ab", "\xac\xed\x05", "aced0005"),
	  .regex = "(?:^|[=:\"'\\s])ro0ab[0-9a-z+/_-]{12,}|\\xac\\xed\\x05|(?:^|[=:\"'\\s])aced0005[0-9a-f]{8,}", .what = "serialised Java object" },
	{ 7004, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("{{", "{%", "<%", "#{", "${", "%{", "*{", "[[${"),
	  .regex = "\\{\\{[^}]{0,100}(?:__|\\bconfig\\.|\\bself\\.|\\brequest\\.|\\bcycler\\.|\\blipsum\\.|\\bjoiner\\.|constructor|\\.getclass|\\d ?\\* ?['\"]?\\d)|"
		   "\\{% ?(?:import|include|for [a-z]+ in (?:\\(|''|\"\"|\\[))|<%=? ?(?:system|exec|file\\.|io\\.|`|\\d+ ?\\* ?\\d)|#\\{ ?(?:\\d+ ?\\* ?\\d|`|system)|"
		   "[$%*]\\{ ?(?:\\d+ ?\\* ?\\d|\\(?\\s?#\\w|t\\(|[\"'][\"']\\.|new |@)",
	  .what = "expression of a template" },
	{ 7005, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("child_process", "process.mainmodule", "process.binding(", "global.process", "_$$nd_func$$_", "constructor.constructor(",
		       "constructor[prototype]", "constructor.prototype", "this.constructor.constructor", "require('fs", "require(\"fs",
		       "process.env.", "globalthis.process"),
	  .what = "program run from JavaScript" },
	{ 7006, 1, CRITICAL, WAF_TEXT, .targets = ON(ARG_NAME) | ARGS | ON(BODY) | ON(COOKIE), .phrases = P("__proto__"),
	  .regex = "(?:^|[\\[.\"'{,\\s])__proto__(?:$|[\\].\"'\\[\\s:=])", .what = "prototype pollution" },
	{ 7007, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("__import__(", "os.system(", "os.popen(", "subprocess.", "pickle.loads(", "__builtins__", "__subclasses__", "__globals__",
		       "__class__.", "platform.popen(", "builtins.exec", "importlib.import"),
	  .regex = "__import__\\(|\\bos\\.(?:system|popen)\\(|\\bsubprocess\\.(?:popen|call|run|check_output|getoutput)\\(|pickle\\.loads\\(|__builtins__|"
		   "__subclasses__|__globals__|__class__\\.__|platform\\.popen\\(|builtins\\.exec|importlib\\.import",
	  .what = "program run from Python" },
	{ 7008, 1, CRITICAL, WAF_TEXT, .targets = INPUT,
	  .phrases = P("!ruby/object", "!ruby/hash", "!!python/object", "!!python/name", "!!javax.", "!!java.", "!!com.sun.", "!!org.apache."),
	  .what = "object in YAML" },
	{ 7009, 1, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P("<!entity", "<!doctype"),
	  .regex = "<!entity\\s|<!doctype\\s[^>\\[]{1,100}\\[|<!doctype\\s[a-z0-9_:-]+\\s(?:system\\s[\"'](?!about:legacy)|public\\s[\"'](?!-//w3c|-//ietf))",
	  .what = "XML entity" },
	{ 7010, 1, CRITICAL, WAF_TEXT, .targets = ON(ARG_NAME),
	  .phrases = P("$ne", "$eq", "$gt", "$lt", "$in", "$nin", "$regex", "$where", "$exists", "$or", "$and", "$not", "$nor", "$expr",
		       "$elemmatch", "$type", "$mod", "$func", "$function"),
	  .regex = "(?:^|\\[|\\.)\\$(?:ne|eq|gte?|lte?|n?in|regex|where|exists|n?or|and|not|expr|elemmatch|type|mod|func|function)(?:\\]|$)",
	  .what = "operator of MongoDB" },
	{ 7011, 1, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P("this.", "sleep(", "return", "db.", "$where"),
	  .regex = "['\"]\\s?;?\\s?(?:return\\b|while\\s?\\(|sleep\\(|db\\.\\w+\\.|this\\.\\w+\\s?[!=]=)|\\$where['\"]?\\s?:|\\|\\| ?['\"]?1['\"]? ?== ?['\"]?1",
	  .what = "JavaScript for MongoDB" },
	{ 7012, 1, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P(")(", ") ("),
	  .regex = "\\)\\s?\\(\\s?(?:[|&!]\\s?\\(?|[a-z]{1,40}\\s?[~<>]?=\\s?\\*)|^\\*\\)\\s?\\(|\\)\\(\\w+=[^)]*\\)\\)?\\(?[|&]", .what = "LDAP filter" },
	{ 7013, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(FILENAME), .phrases = P("<!--"),
	  .regex = "<!--\\s?#\\s?(?:exec|include|echo|config|printenv|set|flastmod|fsize)\\b", .what = "server-side include" },
	{ 7014, 1, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P("xsi:", "xinclude", "xi:include", "xsl:"),
	  .regex = "<xi:include|xmlns:xi ?= ?[\"']http://www\\.w3\\.org/2001/xinclude|<xsl:(?:value-of|variable)[^>]{0,100}(?:system-property|document\\()",
	  .what = "inclusion in XML" },
	{ 7015, 2, CRITICAL, WAF_TEXT, .targets = INPUT, .phrases = P("']", "\"]", "' or", "\" or", "ancestor::", "descendant::", "child::", "text()"),
	  .regex = "(?:ancestor|descendant|child|parent|following)(?:-or-self)?::|/text\\(\\)|['\"]\\s?\\]\\s?\\|\\s?/", .what = "XPath" },

	/* ---- 8xxx scripts in pages ---- */
	{ 8001, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("<script", "</script", "< script"), .regex = "<\\s?/?script(?:[\\s/>]|$)",
	  .what = "script tag" },
	{ 8002, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("onerror", "onload", "onclick", "onmouse", "onfocus", "ontoggle", "onanimation", "onpointer", "onbegin", "onstart", "onend",
		       "onkey", "oncopy", "oncut", "onpaste", "onwheel", "onscroll", "onblur", "onchange", "oninput", "onsubmit", "ondrag",
		       "ondrop", "onresize", "onpage", "onhashchange", "ontransition", "onbefore", "onafter", "ondblclick", "oncontextmenu",
		       "onselect", "onsearch", "oninvalid", "onreset", "onunload", "onmessage", "onpopstate", "onplay", "oncanplay",
		       "onended", "ontouch", "onauxclick", "onrepeat", "onfinish", "onbounce", "onshow", "onstorage", "ontimeupdate",
		       "onloadstart", "onformdata", "onclose", "onsecuritypolicy", "onabort", "onprogress", "onreadystatechange"),
	  .regex = "(?:<[a-z!/][^<>]{0,100}?[\\s/\"'`]|[\"'`][\\s/]{0,5}|^\\s?)on[a-z]{3,25}\\s?=\\s?\\S", .what = "event handler" },
	{ 8003, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("script:", "script :"),
	  .regex = "(?:^|[\"'=(,\\s>])(?:j ?a ?v ?a|v ?b|live) ?s ?c ?r ?i ?p ?t ?:(?:[\\w$.\\[\\]'\"]*[(=`\\[]|//|/\\*|void\\b|%|\\\\)",
	  .what = "URL that is a script" },
	{ 8004, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(URI),
	  .phrases = P("data:text/html", "data:application/xhtml", "data:text/xml", "data:application/xml", "data:text/javascript",
		       "data:application/javascript", "data:;base64,phn"),
	  .what = "data URL with a page" },
	{ 8005, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("srcdoc", "formaction", "xlink:href", "http-equiv", "<base", "<isindex"),
	  .regex = "<[a-z][^<>]{0,100}?\\ssrcdoc\\s?=|<(?:button|input)[^<>]{0,100}?\\sformaction\\s?=|xlink:href\\s?=\\s?[\"']?\\s?(?:data|javascript|https?:|//)|"
		   "<meta[^<>]{0,100}?http-equiv\\s?=\\s?[\"']?(?:refresh|set-cookie)|<base\\s[^<>]{0,100}?href|<isindex",
	  .what = "attribute that loads a page" },
	{ 8006, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("document.cookie", "document.write", "document.domain", "document.location", "string.fromcharcode", "window.location",
		       ".innerhtml", "document[", "window[", "self[", "top[", "localstorage.", "document.body", "importscripts("),
	  .regex = "\\bdocument\\s?\\.\\s?(?:cookie|domain|location|write(?:ln)?\\s?\\(|body\\.append)|\\bdocument\\[|string\\.fromcharcode\\s?\\(|\\bwindow\\.location\\s?[.=\\[]|"
		   "\\.innerhtml\\s?\\+?=|\\b(?:window|self|top)\\[\\s?[\"'`]|\\blocalstorage\\.(?:getitem|setitem)\\(|\\bimportscripts\\(",
	  .what = "script that reads or writes a page" },
	{ 8007, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("alert(", "alert`", "prompt(", "prompt`", "confirm(", "confirm`", "eval(", "settimeout(", "setinterval(", "fetch(", "atob(",
		       "function("),
	  .regex = "\\b(?:alert|prompt|confirm)[(`]\\s?(?:\\d+\\s?[)`,]|[\"'`/]|document\\.|window\\.|string\\.|this\\b|self\\b|origin\\b|top\\b|\\))|"
		   "\\beval\\(\\s?(?:atob|string|name|location|[\"'`])|\\bset(?:timeout|interval)\\(\\s?[\"'`]|\\bfetch\\(\\s?[\"'`](?:https?:)?//|"
		   "\\batob\\(\\s?[\"'`]|\\bnew function\\(\\s?[\"'`]",
	  .what = "call of a script" },
	{ 8008, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("expression(", "-moz-binding", "behavior:", "behaviour:", "@import"),
	  .regex = "style\\s?=[^>]{0,100}?(?:expression\\(|-moz-binding|behaviou?r\\s?:)|:\\s?expression\\(|-moz-binding\\s?:\\s?url|@import\\s?(?:url\\(\\s?)?[\"']?\\s?(?:javascript|data|//)",
	  .what = "style that runs a script" },
	{ 8009, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("[]+", "+[]", "![]", "!![]"), .regex = "(?:[\\[\\]()!+]\\s?){20}",
	  .what = "script of brackets" },
	{ 8010, 1, CRITICAL, WAF_TEXT, .targets = ANYWHERE, .phrases = P("<svg", "<math", "<iframe", "<object", "<embed", "<applet", "<frameset"),
	  .regex = "<(?:iframe|object|embed|applet|frameset|svg|math)\\b[^<>]{0,100}?(?:\\s(?:src|data|href|code|codebase)\\s?=\\s?[\"']?\\s?(?:javascript|data|vbscript):|"
		   "\\bon[a-z]+\\s?=)|<svg[\\s/>][\\s\\S]{0,100}?<(?:script|animate|set|foreignobject|use)\\b|<applet\\b",
	  .what = "embedded object with a script" },
	{ 8011, 2, CRITICAL, WAF_TEXT, .targets = ANYWHERE,
	  .phrases = P("<svg", "<math", "<iframe", "<object", "<embed", "<applet", "<frame", "<style", "<link", "<meta", "<base", "<form", "<template",
		       "<xml", "<audio", "<video", "<details", "<marquee", "<bgsound", "<input", "<textarea", "<button", "<body", "<html",
		       "<img"),
	  .regex = "<(?:svg|math|iframe|object|embed|applet|frame(?:set)?|style|link|meta|base|form|template|xml|audio|video|details|marquee|bgsound|input|"
		   "textarea|button|body|html|img)(?:[\\s/>]|$)",
	  .what = "tag that can load or run something" },
	{ 8012, 3, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI) | WAF_CLIENT, .phrases = P("<"), .regex = "<[a-z!/?]", .what = "tag" },
	{ 8013, 2, CRITICAL, WAF_TEXT, .targets = INPUT | ON(URI), .phrases = P("alert", "prompt", "confirm", "eval", "constructor", "fetch"),
	  .regex = "\\b(?:alert|prompt|confirm|eval|fetch)\\s?[(`]|\\[\\s?[\"'`]constructor|\\.constructor\\b", .what = "name of a script function" },

	/* ---- 9xxx SQL ---- */
	{ 9001, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("union"),
	  .regex = "\\bunion[\\s(]+(?:all[\\s(]+|distinct[\\s(]+)?select[\\s(]+(?:[-\\d'\"@(*~+]|null\\b|(?:all|distinct|top)\\b|[\\w.`]+\\s?(?:,|\\(|\\bfrom\\b|--|#|$))",
	  .what = "UNION SELECT" },
	{ 9002, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT,
	  .phrases = P("or", "and", "xor", "||", "&&", "'=", "\"=", "like", "between"),
	  .regex = SQL_BREAK "(?:(?:or|and|xor|\\|\\||&&|having|where)[\\s(!~-]*(?:not[\\s(]+)?['\"`]?[\\w@.]*['\"`]?\\s?(?:=|<>|!=|<=>|>=?|<=?|like\\b|between\\b|"
		   "in\\s?\\(|is\\b|r?like\\b|regexp\\b|sounds\\b)\\s?[\\s(]*['\"`\\w@(-]|[=<>]\\s?['\"`]\\s?(?:$|or\\b|and\\b|--|#))",
	  .what = "condition behind a quote" },
	{ 9003, 1, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("or", "and", "xor", "||", "&&", "having"),
	  .regex = "\\d['\"]?\\s?[)\\s]*(?:\\s(?:or|and|xor|having)\\b|\\|\\||&&)[\\s(!~-]*(?:\\d+|'[^']*'|\"[^\"]*\")\\s?(?:=|<>|!=|<=?|>=?|like\\b)\\s?"
		   "(?:\\d+|'|\")",
	  .what = "condition that is always true or false" },
	{ 9004, 1, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("--", "#", "/*", ";"),
	  .regex = SQL_BREAK ";?\\s?(?:--[\\s+-]*$|--\\s[a-z]{4}$|#\\s?$)", .what = "comment that cuts a statement off" },
	{ 9005, 1, CRITICAL, WAF_SQL, .targets = INPUT | ON(URI),
	  .phrases = P("drop ", "alter ", "truncate ", "insert ", "delete ", "update ", "declare ", "shutdown", "exec", "grant ", "create "),
	  .regex = "(?:^\\s?|[;'\"`)]\\s?)(?:drop (?:table|database|schema|view|user|procedure) [\\w.`\"\\[]+\\s?(?:$|[;,)]|--|#|cascade)|alter table \\w+ (?:add|drop|modify)|"
		   "truncate table \\w|insert into [\\w.`\"]+\\s?(?:\\(|values)|delete from [\\w.`\"]+\\s?(?:where\\b|;|--|#)|"
		   "update [\\w.`\"]+ set [\\w.`\"]+\\s?=|declare @\\w|exec(?:ute)?[ (]+(?:master\\.|xp_|sp_|immediate\\b|@|')|grant all (?:privileges )?on\\b|"
		   "create table [\\w.`\"]+\\s?\\(|create user \\w+ (?:identified|for|with)|create (?:or replace )?(?:function|procedure) [\\w.]+\\s?\\()|[;'\")]\\s?shutdown\\b",
	  .what = "statement that changes a database" },
	{ 9006, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT | ON(URI),
	  .phrases = P("xp_cmdshell", "xp_dirtree", "xp_regread", "sp_oacreate", "sp_makewebtask", "dbms_pipe.", "dbms_lock.", "dbms_ldap.",
		       "dbms_xmlgen", "utl_http.", "utl_inaddr.", "ctxsys.drithsx", "information_schema", "sqlite_master", "pg_catalog",
		       "pg_shadow", "pg_user", "pg_read_file", "pg_sleep", "mysql.user", "sysobjects", "syscolumns", "sys.databases",
		       "@@version", "@@datadir", "@@hostname", "extractvalue(", "updatexml(", "load_file(", "into outfile", "into dumpfile",
		       "group_concat(", "json_keys((", "gtid_subset(", "openrowset(", "all_tables", "user_tables", "v$version",
		       "procedure analyse", "lo_import(", "copy (select", "master..", "msysobjects", "waitfor delay", "waitfor time"),
	  .what = "table or function of a database system" },
	{ 9007, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("sleep", "benchmark", "randomblob", "waitfor"),
	  .regex = "\\b(?:sleep|benchmark|randomblob)\\s?\\(\\s?\\(?\\s?(?:\\d|select\\b)|\\bwaitfor\\s(?:delay|time)\\s?['\"(]", .what = "statement that waits" },
	{ 9008, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("select"),
	  .regex = "\\bselect[\\s(]+(?:\\*|[\\w.`\"]+\\s?,|@@|\\d+\\s?,|null\\b|distinct\\b|top \\d|count\\s?\\(|concat|char\\s?\\(|version\\s?\\(|user\\s?\\(|database\\s?\\(|"
		   "current_user|load_file|pg_sleep|if\\s?\\(|case\\b)[^;]{0,60}?(?:\\bfrom\\s+[\\w.`\"\\[(]+|$|\\))|\\bselect\\b[^;]{1,60}?\\bfrom\\s+[\\w.`\"]+\\s?(?:where\\s[\\w.`]+\\s?[=<>]|limit \\d|"
		   "order by|group by|union\\b|--|#)|[('\"`]\\s?select\\b[^;]{1,60}?\\bfrom\\s",
	  .what = "SELECT statement" },
	{ 9009, 1, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("order by", "group by", "having"),
	  .regex = "(?:['\"`]|\\d|\\))\\s?[)\\s]*(?:(?:order|group) by \\(?\\d+\\)?\\s?(?:,|$|--|#)|having\\s+\\(?\\d+\\s?[=<>])", .what = "counting columns" },
	{ 9010, 1, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT, .phrases = P("concat", "char(", "char (", "chr(", "unhex(", "0x"),
	  .regex = "\\bconcat(?:_ws)?\\s?\\(\\s?(?:0x|char\\s?\\(|[\"']|select\\b|\\(\\s?select)|\\bn?char\\s?\\(\\s?\\d+\\s?(?:,\\s?\\d+|\\)\\s?[+|])|\\bchr\\s?\\(\\s?\\d+\\s?\\)\\s?(?:\\|\\||\\.)|"
		   "\\bunhex\\s?\\(|=\\s?0x[0-9a-f]{12,}",
	  .what = "text put together from numbers" },
	{ 9011, 1, CRITICAL, WAF_TEXT, .targets = INPUT | WAF_CLIENT | ON(URI), .phrases = P("/*!"),
	  .regex = "/\\*!\\s?(?:\\d{5}|union\\b|select\\b|and\\b|or\\b|from\\b|where\\b)", .what = "comment that MySQL runs" },
	{ 9012, 1, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("or", "and", "||", "&&", "true", "false"),
	  .regex = SQL_BREAK "(?:or|and|xor|\\|\\||&&)[\\s(!~-]*(?:not\\s+)?(?:(?:true|false|\\d+|null)\\s?[)\\s]*(?:--|#|;|\\|\\||or\\b|and\\b)|['\"`][^'\"`]*$|"
		   "(?:exists|if|case|select|sleep|ascii|substr(?:ing)?|mid|length|count|version|user|database)\\s?\\()",
	  .what = "truth behind a quote" },
	{ 9013, 1, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("and", "or", "||", "&&", "case", "if("),
	  .regex = "^-?\\d+\\s?[)\\s]*(?:\\s(?:and|or)\\b|&&|\\|\\|)[\\s(!~-]*(?:exists|if|case when|ascii|substr(?:ing)?|mid|ord|length|char_length|count|"
		   "select|extractvalue|row|ifnull|elt|make_set|iif)\\s?\\(",
	  .what = "function in a condition" },
	{ 9014, 2, CRITICAL, WAF_SQL, .targets = INPUT | WAF_CLIENT,
	  .phrases = P("or ", "and ", "union", "select", "having", "like", "where", "group by", "order by", "limit", "into"),
	  .regex = "['\"`]\\s?[)\\s]*(?:or|and|union|select|having|like|where|group by|order by|limit|into)\\s", .what = "word of SQL behind a quote" },
	{ 9015, 2, CRITICAL, WAF_SQL, .targets = INPUT,
	  .phrases = P("char(", "chr(", "unhex(", "concat(", "ascii(", "substr", "mid(", "ord(", "hex(", "if(", "ifnull(", "version(", "database(",
		       "user(", "sleep", "benchmark", "count(", "length("),
	  .regex = "\\b(?:n?char|chr|unhex|hex|concat(?:_ws)?|ascii|substr(?:ing)?|mid|ord|if|ifnull|count|length)\\s?\\(\\s?(?:\\d|0x|select\\b|['\"@(*])|"
		   "\\b(?:version|database|user|schema|current_user)\\s?\\(\\s?\\)",
	  .what = "function of a database" },
	{ 9016, 2, CRITICAL, WAF_SQL, .targets = INPUT, .phrases = P("--", "/*", "#", ";%00"),
	  .regex = "['\"`)\\d]\\s?;?\\s?(?:--(?:\\s|$|[a-z0-9+])|#(?:\\s|$))", .what = "comment behind a value" },
	{ 9017, 3, WARNING, WAF_TEXT, .targets = ARGS | ON(COOKIE), .phrases = P("'", "\"", "`", ";", "#", "(", "="),
	  .regex = "(?:['\"`;#()=<>*][^'\"`;#()=<>*]*){8}", .what = "many characters of SQL" },
	{ 9018, 4, CRITICAL, WAF_TEXT, .targets = ARGS | ON(COOKIE), .phrases = P("'", "\"", "`", ";", "#", "("),
	  .regex = "(?:['\"`;#()=<>*][^'\"`;#()=<>*]*){4}", .what = "some characters of SQL" },
};
const size_t n_waf_rules = ARRAY_LEN(waf_rules);
