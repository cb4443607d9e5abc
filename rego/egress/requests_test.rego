package egress_test

import data.egress

requesting := {
	"api": {
		"endpoints": [
			{"host": "read.example", "port": 80, "access": "read-only"},
			{"host": "write.example", "port": 80, "access": "read-write"},
			{"host": "full.example", "port": 80, "access": "full"},
			{"host": "plain.example", "port": 80},
			{"host": "rules.example", "port": 80, "rules": [
				{"allow": {"method": "GET", "path": "/api/**"}},
				{"allow": {"method": "*", "path": "/items/*/parts"}},
				{"allow": {"path": "/a.b+c/(d)/%C3%A9"}},
				{"deny": {"method": "*", "path": "/api/admin/**"}},
			]},
			{"host": "both.example", "port": 80, "access": "read-only", "rules": [
				{"allow": {"method": "GET"}},
				{"allow": {"method": "DELETE"}},
			]},
			{"host": "denies.example", "port": 80, "rules": [{"deny": {"method": "DELETE"}}]},
			{"host": "two.example", "port": 80, "access": "read-only"},
			{"host": "over.example", "port": 80, "rules": [{"deny": {"path": "/private/**"}}]},
			{"host": "tls.example", "port": 80, "sni": "match"},
			{"host": "tls2.example", "port": 80},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"another": {
		"endpoints": [
			{"host": "two.example", "port": 80},
			{"host": "over.example", "port": 80},
			{"host": "tls2.example", "port": 80, "sni": "match"},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"others": {
		"endpoints": [
			{"host": "plain.example", "port": 80, "access": "read-only", "sni": "match", "rules": [{"deny": {"method": "*"}}]},
			{"host": "plain.example", "port": 80, "access": "nonsense"},
		],
		"binaries": [{"path": "/usr/bin/wget"}],
	},
}

forwarded(binary, host, method, path, doubts) := object.union(
	question(binary, host, 80),
	{"request": {
		"kind": "forward",
		"method": method,
		"scheme": "http",
		"path": path,
		"path_raw": path,
		"doubts": doubts,
	}},
)

requested(host, method, path) := requested_of(requesting, host, method, path)

requested_of(policies_of_test, host, method, path) := answer if {
	document := forwarded("/usr/bin/curl", host, method, path, [])
	answer := decided(document, policies_of_test)
}

doubtful(host, method, path, doubts) := answer if {
	document := forwarded("/usr/bin/curl", host, method, path, doubts)
	answer := decided(document, requesting)
}

tunnelled(host) := tunnelled_of(requesting, host)

tunnelled_of(policies_of_test, host) := answer if {
	document := question("/usr/bin/curl", host, 80)
	answer := decided(document, policies_of_test)
}

reading := {"GET", "HEAD", "OPTIONS"}

writing := {"POST", "PUT", "PATCH", "DELETE"}

others := {"TRACE", "PROPFIND", "get", "", "*"}

test_access_read_only if {
	every method in reading {
		answer := requested("read.example", method, "/a")
		allowed(answer)
		answer.read_only == true
	}
	every method in writing | others {
		not requested("read.example", method, "/a").allow
	}
	denied(
		requested("read.example", "POST", "/a"),
		"policy api gives /usr/bin/curl read-only access to read.example:80, which POST is not part of",
	)
}

test_access_read_write if {
	every method in reading | writing {
		answer := requested("write.example", method, "/a")
		allowed(answer)
		answer.read_only == true
	}
	every method in others {
		not requested("write.example", method, "/a").allow
	}
}

test_access_full_is_any_request if {
	every host in ["full.example", "plain.example"] {
		every method in (reading | writing) | others {
			answer := requested(host, method, "/a")
			allowed(answer)
			answer.read_only == false
		}
		allowed(doubtful(host, "GET", "/a//b", ["double_slash"]))
		allowed(tunnelled(host))
	}
}

test_one_rule_that_allows_is_enough if {
	every request in [
		["GET", "/api/"], ["GET", "/api/x"], ["GET", "/api/x/y.z"], ["GET", "/items/1/parts"],
		["POST", "/items/-/parts"], ["PUT", "/a.b+c/(d)/%C3%A9"], ["GET", "/api/administrator"],
	] {
		allowed(requested("rules.example", request[0], request[1]))
	}
	every request in [
		["POST", "/api/x"], ["GET", "/api"], ["GET", "/apix"], ["GET", "/x/api/"], ["GET", "/API/x"],
		["GET", "/items/1/2/parts"], ["GET", "/items/parts"], ["GET", "/items/1/parts/"],
		["GET", "/aXb+c/(d)/%C3%A9"], ["GET", "/a.bbc/(d)/%C3%A9"], ["GET", "*"], ["GET", ""],
	] {
		not requested("rules.example", request[0], request[1]).allow
	}
	denied(
		requested("rules.example", "POST", "/api/x"),
		"policy api has no rule that allows /usr/bin/curl at rules.example:80 to POST /api/x",
	)
}

test_rules_that_deny_win if {
	denied(
		requested("rules.example", "GET", "/api/admin/users"),
		"policy api denies /usr/bin/curl at rules.example:80 to GET /api/admin/users",
	)
	allowed(requested("denies.example", "POST", "/a"))
	not requested("denies.example", "DELETE", "/a").allow
}

test_access_and_rules_must_both_hold if {
	allowed(requested("both.example", "GET", "/a"))
	denied(
		requested("both.example", "HEAD", "/a"),
		"policy api has no rule that allows /usr/bin/curl at both.example:80 to HEAD /a",
	)
	not requested("both.example", "DELETE", "/a").allow
	denied(requested("both.example", "POST", "/a"), concat("; ", [
		"policy api gives /usr/bin/curl read-only access to both.example:80, which POST is not part of",
		"policy api has no rule that allows /usr/bin/curl at both.example:80 to POST /a",
	]))
}

test_a_path_in_doubt_is_refused_where_rules_name_paths if {
	denied(
		doubtful("rules.example", "GET", "/api/x%2Fy/../z", ["encoded_slash", "dot_segment"]),
		concat("", [
			"policy api names paths at rules.example:80, and that of this request can be read in ",
			"more than one way: encoded_slash, dot_segment",
		]),
	)
	allowed(doubtful("both.example", "GET", "/a;b", ["path_parameter"]))
	allowed(doubtful("read.example", "GET", "/a;b", ["path_parameter"]))
	not doubtful("over.example", "GET", "/a;b", ["path_parameter"]).allow
	not doubtful("rules.example", "GET", "/api/x", null).allow
	not doubtful("rules.example", "GET", "/api/x", "").allow
}

test_a_request_without_a_path_is_refused_where_rules_name_paths if {
	every path in ["/request/path", "/request/doubts", "/request/method"] {
		every host in ["rules.example", "over.example"] {
			document := json.remove(forwarded("/usr/bin/curl", host, "POST", "/items/1/parts", []), [path])
			answer := decided(document, requesting)
			refused_without(host, path, answer)
		}
	}
	endswith(requested("rules.example", "GET", null).reason, "can be read in more than one way: how is not known")
	not requested("rules.example", "GET", null).allow
}

# over.example names no method.
refused_without("over.example", "/request/method", answer) if answer.allow

refused_without(host, path, answer) if {
	[host, path] != ["over.example", "/request/method"]
	not answer.allow
}

test_a_tunnel_is_not_held_to_limits if {
	every host in ["read.example", "write.example", "rules.example", "both.example", "denies.example"] {
		denied(tunnelled(host), concat("", [
			sprintf("policy api limits /usr/bin/curl at %s:80 to certain requests, ", [host]),
			"which needs request inspection: send them through the proxy as plain http, ",
			"or drop access and rules from the endpoint",
		]))
	}
}

beside_rules(rule) := {
	"one": {
		"endpoints": [{"host": "a.example", "port": 80, "rules": [rule]}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"two": {
		"endpoints": [{"host": "a.example", "port": 80}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
}

test_a_tunnel_beside_rules if {
	allowed(tunnelled_of(beside_rules({"allow": {"method": "*"}}), "a.example"))
	denied(tunnelled_of(beside_rules({"deny": {"method": "*"}}), "a.example"), concat("", [
		"policy one limits /usr/bin/curl at a.example:80 to certain requests, ",
		"which needs request inspection: send them through the proxy as plain http, ",
		"or drop access and rules from the endpoint",
	]))
}

test_where_several_endpoints_allow_the_rest_of_the_strictest_holds if {
	every method in ["GET", "POST"] {
		answer := requested("two.example", method, "/a")
		allowed(answer)
		answer.policy == {"GET": "another", "POST": "another"}[method]
		answer.read_only == true
	}
	allowed(tunnelled("two.example"))
	tunnelled("two.example").read_only == false
}

test_a_rule_that_denies_is_not_got_around_by_another_endpoint if {
	allowed(requested("over.example", "GET", "/public"))
	not requested("over.example", "GET", "/private/x").allow
	not tunnelled("over.example").allow
}

test_sni_is_for_tunnels if {
	every host in ["tls.example", "tls2.example"] {
		answer := tunnelled(host)
		allowed(answer)
		answer.sni == "match"
		requested(host, "GET", "/").sni == null
	}
	tunnelled("plain.example").sni == null
}

test_sni_of_an_endpoint_that_does_not_allow if {
	answer := tunnelled_of(
		{
			"inside": {
				"endpoints": [{"host": "tls.example", "port": 80, "sni": "match", "require": {"pod": "p"}}],
				"binaries": [{"path": "/usr/bin/curl"}],
			},
			"plain": {
				"endpoints": [{"host": "tls.example", "port": 80}],
				"binaries": [{"path": "/usr/bin/curl"}],
			},
		},
		"tls.example",
	)
	allowed(answer)
	answer.sni == "match"
}

test_only_what_is_forwarded_is_a_request if {
	every kind in ["socks5", "transparent", "Forward", null] {
		every host in ["read.example", "denies.example"] {
			document := json.patch(
				forwarded("/usr/bin/curl", host, "GET", "/api/a", []),
				[{"op": "replace", "path": "/request/kind", "value": kind}],
			)
			answer := decided(document, requesting)
			not answer.allow
		}
	}
}

test_an_asterisk_is_no_host if {
	document := question("/usr/bin/curl", "localhost", 80)
	answer := decided(document, {"p": {
		"endpoints": [{"host": "*", "port": 80}],
		"binaries": [{"path": "/usr/bin/curl"}],
	}})
	not answer.allow
}

# One endpoint that is as it should be and one that isn't, for the same caller.
mistaken(endpoint) := {
	"right": {
		"endpoints": [{"host": "wrong.example", "port": 80}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"wrong": {
		"endpoints": [object.union({"host": "wrong.example", "port": 80}, endpoint)],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
}

wrong(endpoint, mistake) if {
	every answer in [
		tunnelled_of(mistaken(endpoint), "wrong.example"),
		requested_of(mistaken(endpoint), "wrong.example", "GET", "/a"),
	] {
		not answer.allow
		contains(answer.reason, concat("", [
			"policy wrong has an endpoint for wrong.example:80 that is written wrong: ",
			mistake,
		]))
	}
}

test_what_is_written_wrong_opens_nothing if {
	wrong({"access": "readonly"}, "access is readonly, not full or read-only or read-write")
	wrong({"access": null}, "access is null, not full or read-only or read-write")
	wrong({"access": ["full"]}, `access is ["full"], not full or read-only or read-write`)
	wrong({"sni": "any"}, "sni is any, not match")
	wrong({"sni": null}, "sni is null, not match")
	wrong({"sni": true}, "sni is true, not match")
	wrong({"acces": "read-only"}, "acces is not a key")
	wrong({"deny_rules": []}, "deny_rules is not a key")
	wrong({"path": "/v1/**"}, "path is not a key")
	every rules in [[], {}, {"a": {"deny": {"method": "GET"}}}, "GET", null, false, 1] {
		wrong({"rules": rules}, "rules is not a list of rules")
	}
}

test_a_rule_that_is_written_wrong_opens_nothing if {
	right := {"allow": {"method": "*"}}
	method := "rules[1].deny.method is %v, not a method in capitals, or *"
	every row in [
		[{}, "", "rules[1] is not a rule"],
		[[], "", "rules[1] is not a rule"],
		[[{"method": "GET"}], "", "rules[1] is not a rule"],
		[null, "", "rules[1] is not a rule"],
		["GET", "", "rules[1] is not a rule"],
		[{"allow": {"method": "GET"}, "deny": {"method": "PUT"}}, "", "rules[1] is not a rule"],
		[{"permit": {"method": "GET"}}, "/permit", "rules[1].permit is not a key"],
		[{"allow": null, "method": "GET"}, "/method", "rules[1].method is not a key"],
		[{"allow": {}}, "/allow", "rules[1].allow has neither method nor path"],
		[{"deny": {}}, "/deny", "rules[1].deny has neither method nor path"],
		[{"deny": []}, "/deny", "rules[1].deny has neither method nor path"],
		[{"deny": ["/a"]}, "/deny", "rules[1].deny has neither method nor path"],
		[{"deny": "GET"}, "/deny", "rules[1].deny has neither method nor path"],
		[{"deny": null}, "/deny", "rules[1].deny has neither method nor path"],
		[{"allow": {"methd": "GET"}}, "/allow/methd", "rules[1].allow.methd is not a key"],
		[{"deny": {"method": "GET", "host": "x"}}, "/deny/host", "rules[1].deny.host is not a key"],
		[{"deny": {"method": "delete"}}, "/deny/method", sprintf(method, ["delete"])],
		[{"deny": {"method": ["GET"]}}, "/deny/method", sprintf(method, [["GET"]])],
		[{"deny": {"method": ""}}, "/deny/method", sprintf(method, [""])],
		[{"deny": {"method": null}}, "/deny/method", sprintf(method, [null])],
		[{"deny": {"method": "GET,PUT"}}, "/deny/method", sprintf(method, ["GET,PUT"])],
	] {
		wrong({"rules": [right, row[0]]}, row[2])
		problems_of(object.remove(mistaken({"rules": [right, row[0]]}), ["right"])) == {{
			"path": sprintf("network_policies/wrong/endpoints/0/rules/1%s", [row[1]]),
			"problem": row[2],
			"severity": "error",
		}}
	}
	several := mistaken({"rules": [{"allow": {"method": "get", "path": "x"}}, {"deny": {"x": 1}}]})
	count(problems_of(object.remove(several, ["right"]))) == 3
}

test_a_pattern_that_no_path_matches_is_written_wrong if {
	every pattern in [
		"", "a", "*", "**", "a/b", "http://x/", "/a?b", "/a#b", "/a b", "/[a]", "/{a,b}", "/a\\b", "/a;b", "/***", "/a/***/b",
		"/%41", "/%2e", "/%c3", "/%2F", "/%5C", "/%3B", "/%3F", "/%23", "/%00", "/%7F", "/%7E", "/%5F", "/%", "/%2", "/é",
		"//", "/a//b", "/.", "/..", "/a/./b", "/a/..", "/^a", "/a|b", "/a\n", " /a", null, 1, ["/a"],
	] {
		problem := sprintf("rules[0].deny.path is %v, not a path in canonical form, or a pattern with * and **", [pattern])
		wrong({"rules": [{"deny": {"path": pattern}}]}, problem)
		{found.path | some found in problems_of(mistaken({"rules": [{"deny": {"path": pattern}}]}))} == {"network_policies/wrong/endpoints/0/rules/0/deny/path"}
	}
	every pattern in [
		"/", "/**", "/*", "/a/*/b", "/a/**/b", "/a*b**", "/%20%C3%A9%25", "/~a-b_c.d/..x/.well-known", "/a:@!$&'()+,=", "/%5B%7C%FF",
	] {
		answer := requested_of(mistaken({"rules": [{"deny": {"path": pattern}}]}), "wrong.example", "GET", "/n")
		not contains(answer.reason, "written wrong")
	}
}

matching_path(pattern, path) if {
	policies_of_test := {"p": {
		"endpoints": [{"host": "glob.example", "port": 80, "rules": [{"allow": {"path": pattern}}]}],
		"binaries": [{"path": "/usr/bin/curl"}],
	}}
	requested_of(policies_of_test, "glob.example", "GET", path).allow
}

test_patterns if {
	every case in [
		["/", "/"], ["/**", "/"], ["/**", "/a/b"], ["/*", "/"], ["/*", "/a"], ["/a/*", "/a/b"], ["/a/*", "/a/"],
		["/a/**", "/a/"], ["/a/**", "/a/b/c"], ["/a/**/z", "/a/b/c/z"], ["/a/**/z", "/a//z"], ["/a*z", "/az"],
		["/a*z", "/abz"], ["/*.js", "/x.js"], ["/**.js", "/x/y.js"], ["/a$(b)+c.d", "/a$(b)+c.d"], ["/%25", "/%25"],
	] {
		matching_path(case[0], case[1])
	}
	every case in [
		["/", "/a"], ["/", ""], ["/*", "/a/b"], ["/a/*", "/a"], ["/a/*", "/a/b/c"], ["/a/**", "/a"], ["/a/**", "/ab/c"],
		["/a/**/a/", "/a/"], ["/a*z", "/a/z"], ["/*.js", "/xjs"], ["/*.js", "/x.jsx"], ["/a$(b)+c.d", "/a$b+cxd"],
		["/a", "/A"], ["/a", "/a/"], ["/a", "x/a"], ["/a", "/a\n"], ["/**", "*"],
	] {
		not matching_path(case[0], case[1])
	}
}

test_mistakes_are_for_the_callers_they_are_made_for if {
	document := forwarded("/usr/bin/wget", "plain.example", "GET", "/a", [])
	answer := decided(document, requesting)
	not answer.allow
	contains(answer.reason, "access is nonsense")
}

auditing := {"watched": {
	"endpoints": [{"host": "audit.example", "port": 80, "enforcement": "audit", "access": "read-only", "sni": "match"}],
	"binaries": [{"path": "/usr/bin/curl"}],
}}

careless := json.patch(auditing, [{"op": "replace", "path": "/watched/endpoints/0/sni", "value": "mtach"}])

test_audit_of_requests if {
	allowed(requested_of(auditing, "audit.example", "GET", "/a"))
	answer := requested_of(auditing, "audit.example", "POST", "/a")
	answer.allow
	answer.would_deny
	not answer.read_only
	tunnel := tunnelled_of(auditing, "audit.example")
	tunnel.would_deny
	tunnel.sni == "match"
}

test_what_is_written_wrong_audits_nothing if {
	not tunnelled_of(careless, "audit.example").allow
	not requested_of(careless, "audit.example", "POST", "/a").allow
}

aged(ages) := {sprintf("p%d", [i]): object.union(
	{
		"endpoints": [{"host": "age.example", "port": 80}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	age,
) |
	some i, age in ages
}

test_the_shortest_max_age_counts if {
	every case in [
		[[{"max_age": 10}], 10], [[{"max_age": 0.5}], 0.5], [[{"max_age": 3600}], 3600], [[{}], 0],
		[[{"max_age": 10}, {"max_age": 5}], 5], [[{"max_age": 10}, {}], 0],
	] {
		answer := tunnelled_of(aged(case[0]), "age.example")
		allowed(answer)
		answer.max_age == case[1]
	}
	tunnelled_of(aged([{"max_age": 10}]), "evil.example").max_age == 0
	every age in [3601, -1, "10", null] {
		denied(
			tunnelled_of(aged([{"max_age": 10}, {"max_age": age}]), "age.example"),
			sprintf("policy p1 is written wrong: max_age is %v, not a number from 0 to 3600", [age]),
		)
	}
}

revision(document, system) := answer if {
	answer := egress.decision.revision with data.revision as document
		with data.system as system
		with input as question("/usr/bin/curl", "plain.example", 80)
		with data.network_policies as requesting
}

test_the_revision_of_the_policies if {
	bundles := {"bundles": {"b": {"manifest": {"revision": "7"}}, "a": {"manifest": {"revision": "v1"}}}}
	revision("r-1", {}) == "r-1"
	revision("r-1", bundles) == "r-1"
	revision(null, bundles) == "a=v1 b=7"
	revision("", bundles) == "a=v1 b=7"
	revision("", {}) == null
	revision(7, {"bundles": {"b": {"manifest": {"revision": "7"}}}}) == "b=7"
	revision(null, {"bundles": {"b": {"manifest": {"revision": ""}}}}) == null
	revision(null, {"version": {}}) == null
	tunnelled("plain.example").revision == null
}

# What OPA has at data.system of bundles with these roots.
rooted(bundles) := {"bundles": {name: {"manifest": {"revision": "1", "roots": roots}, "etag": ""} | some name, roots in bundles}}

test_the_revision_of_bundles_that_hold_something_else if {
	every row in [
		[{"b": [""]}, "b=1"],
		[{"b": ["network_policies"]}, "b=1"],
		[{"b": ["x", "network_policies", "egress"]}, "b=1"],
		[{"b": ["network_policies"], "c": ["egress"], "d": ["egress/more"], "e": ["system"]}, "b=1 c=1 d=1"],
		[{"authz": ["system"]}, null],
		[{"authz": ["system"], "c": ["egress"]}, null],
		[{"b": ["network_policies2"], "c": ["egress2"], "d": ["x/network_policies"]}, null],
		[{"b": ["egress_index"]}, null],
		[{"b": []}, null],
		[{}, null],
	] {
		revision(null, rooted(row[0])) == row[1]
	}
	unnamed := {"b": {"manifest": {"revision": "", "roots": ["network_policies"]}}}
	revision(null, {"bundles": object.union(rooted({"c": ["egress"]}).bundles, unnamed)}) == null
}

of_parts(bundles, policies_of_test) := answer if {
	answer := egress.decision.revision with data.system as rooted(bundles)
		with input as question("/usr/bin/curl", "plain.example", 80)
		with data.network_policies as policies_of_test
}

test_the_revision_of_bundles_that_hold_some_policies if {
	both := {"p": {}, "q": {}}
	of_parts({"b": ["network_policies/p"], "c": ["network_policies/q", "x"]}, both) == "b=1 c=1"
	of_parts({"b": ["network_policies/p", "network_policies/q", "network_policies/r"]}, both) == "b=1"
	of_parts({"b": ["network_policies/p"]}, both) == null
	of_parts({"b": ["network_policies/p"], "c": ["network_policies/q/endpoints"]}, both) == null
	of_parts({"b": ["network_policies/p"], "c": ["x/q"]}, both) == null
	of_parts({}, {}) == null
}
