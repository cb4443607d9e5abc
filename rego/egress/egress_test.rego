package egress_test

import data.egress

policies := {
	"web": {
		"endpoints": [{"host": "API.example.com", "port": 443}],
		"binaries": [{"path": "/usr/bin/curl"}, {"path": "/usr/bin/git"}],
	},
	"internal": {
		"endpoints": [
			{"host": "10.1.2.3", "port": 18789, "enforcement": "enforce", "access": "full"},
			{"host": "2001:db8::1", "ports": [80, 443]},
			{"host": "db.internal", "port": 5432, "allowed_ips": ["10.0.0.0/8", "192.0.2.1"]},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"wild": {
		"endpoints": [{"host": "*.example.org", "port": 443}, {"host": "*.0.0.1", "port": 443}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"watched": {
		"endpoints": [
			{"host": "audit.example", "port": 443, "enforcement": "audit"},
			{"host": "10.9.9.9", "port": 443, "enforcement": "audit", "allowed_ips": ["10.9.0.0/16"]},
			{"host": "mixed.example", "port": 443, "enforcement": "audit"},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"strict": {
		"endpoints": [{"host": "mixed.example", "port": 443}],
		"binaries": [{"path": "/usr/bin/git"}],
	},
	"another": {
		"endpoints": [{"host": "api.example.com", "port": 443, "allowed_ips": ["10.7.0.0/16"]}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"requests": {
		"endpoints": [
			{"host": "read.example", "port": 443, "access": "read-only"},
			{"host": "rules.example", "port": 443, "access": "full", "rules": []},
			{"host": "path.example", "port": 443, "path": "/v1/**"},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
}

known := {
	"grade": "exact",
	"assurance": "observed",
	"causes": [],
	"reason": null,
	"detail": null,
	"scope": "global",
	"method": "procfs",
	"processes": [],
}

question(binary, host, port) := {
	"binary": binary,
	"host": host,
	"port": port,
	"request_id": "r",
	"ancestors": [],
	"sha256": null,
	"request": {"kind": "connect", "method": "CONNECT", "scheme": null, "path": null, "query": null},
	"client": {"address": "10.200.0.2", "port": 43210},
	"identity": known,
}

# The answer for a known caller, and for one whose identity has other values.
asked(binary, host, port) := asked_as(binary, host, port, {})

asked_as(binary, host, port, identity) := answer if {
	document := object.union(question(binary, host, port), {"identity": object.union(known, identity)})
	answer := egress.decision with input as document with data.network_policies as policies
}

allowed(answer) if {
	answer.allow == true
	answer.would_deny == false
}

denied(answer, reason) if {
	answer == {
		"allow": false,
		"reason": reason,
		"policy": null,
		"enforcement": "enforce",
		"would_deny": false,
		"allowed_ips": [],
		"max_age": 0,
	}
}

test_a_listed_binary_reaches_its_endpoint if {
	asked("/usr/bin/git", "api.example.com", 443) == {
		"allow": true,
		"reason": "policy web allows /usr/bin/git to reach api.example.com:443",
		"policy": "web",
		"enforcement": "enforce",
		"would_deny": false,
		"allowed_ips": [],
		"max_age": 0,
	}
}

test_host_case_does_not_matter if allowed(asked("/usr/bin/git", "Api.Example.COM", 443))

test_several_policies_give_the_first_name_and_all_addresses if {
	answer := asked("/usr/bin/curl", "api.example.com", 443)
	answer.policy == "another"
	answer.allowed_ips == ["10.7.0.0/16"]
}

test_several_processes_of_one_program_are_known if {
	allowed(asked_as("/usr/bin/git", "api.example.com", 443, {"grade": "shared", "assurance": "proven"}))
}

test_no_endpoint if {
	denied(asked("/usr/bin/curl", "evil.example", 443), "no endpoint for evil.example:443")
	denied(asked("/usr/bin/curl", "api.example.com", 80), "no endpoint for api.example.com:80")
	denied(asked("/usr/bin/curl", "example.com", 443), "no endpoint for example.com:443")
}

test_not_this_binary if {
	denied(
		asked("/usr/bin/wget", "api.example.com", 443),
		"an endpoint for api.example.com:443 is in policy another, web, but not for /usr/bin/wget",
	)
}

test_binaries_are_equal_byte_for_byte if {
	every binary in ["/usr/bin/curl2", "/usr/bin/cur", "/usr/bin/CURL", "curl", "/usr/bin/*", ""] {
		not asked(binary, "10.1.2.3", 18789).allow
	}
}

test_no_policies if {
	document := question("/usr/bin/curl", "a.example", 1)
	answer := egress.decision with input as document
	denied(answer, "no network_policies are loaded")
}

test_an_incomplete_question_is_denied if {
	every document in [{}, {"host": "api.example.com"}, {"port": 443, "binary": "/usr/bin/git"}] {
		answer := egress.decision with input as document with data.network_policies as policies
		denied(answer, "the input document is not complete")
	}
}

test_a_missing_key_never_makes_a_caller_known if {
	every key in object.keys(known) {
		document := json.remove(question("/usr/bin/git", "api.example.com", 443), [concat("/", ["identity", key])])
		answer := egress.decision with input as document with data.network_policies as policies
		answer.allow == not_needed(key)
	}
}

not_needed(key) := key in {"causes", "reason", "detail", "scope", "method", "processes"}

test_an_unknown_caller_is_denied_with_the_reason if {
	identity := {
		"grade": "unresolved",
		"reason": "socket_not_found",
		"detail": "pid:1: no entry in 12 rows, global: no entry in 80 rows",
	}
	denied(
		asked_as(null, "10.1.2.3", 18789, identity),
		concat("", [
			"the caller is unknown (unresolved): socket_not_found: ",
			"pid:1: no entry in 12 rows, global: no entry in 80 rows",
		]),
	)
	denied(
		asked_as(null, "evil.example", 443, identity),
		concat("", [
			"the caller is unknown (unresolved): socket_not_found: ",
			"pid:1: no entry in 12 rows, global: no entry in 80 rows; no endpoint for evil.example:443",
		]),
	)
}

test_an_ambiguous_caller_is_denied_whatever_it_is_called if {
	denied(
		asked_as("/usr/bin/git", "evil.example", 443, {"grade": "ambiguous", "detail": "two programs"}),
		"the caller is unknown (ambiguous): two programs; no endpoint for evil.example:443",
	)
	not asked_as("/usr/bin/git", "api.example.com", 443, {"grade": "ambiguous"}).allow
}

test_a_suspect_caller_is_denied if {
	answer := asked_as("/usr/bin/nc", "api.example.com", 443, {
		"assurance": "suspect",
		"causes": ["alien_path", "image_replaced"],
		"detail": "another file is at /usr/bin/nc",
	})
	startswith(
		answer.reason,
		"the caller's identity is suspect: alien_path, image_replaced: another file is at /usr/bin/nc; ",
	)
	not answer.allow
	not asked_as("/usr/bin/git", "api.example.com", 443, {"assurance": "suspect"}).allow
	not asked_as("/usr/bin/git", "api.example.com", 443, {"assurance": "guessed"}).allow
}

test_a_caller_without_a_name_is_denied if {
	denied(
		asked(null, "api.example.com", 443),
		"the caller's program has no name that can be trusted",
	)
}

test_null_matches_no_binary if {
	document := question(null, "a.example", 1)
	answer := egress.decision with input as document
		with data.network_policies as {"p": {
			"endpoints": [{"host": "a.example", "port": 1}],
			"binaries": [{"path": null}],
		}}
	not answer.allow
}

test_a_literal_address_is_an_allowed_ip if {
	asked("/usr/bin/curl", "10.1.2.3", 18789).allowed_ips == ["10.1.2.3"]
	asked("/usr/bin/curl", "2001:db8::1", 443).allowed_ips == ["2001:db8::1"]
}

test_allowed_ips_of_the_endpoint_are_handed_on if {
	answer := asked("/usr/bin/curl", "db.internal", 5432)
	answer.allowed_ips == ["10.0.0.0/8", "192.0.2.1"]
}

test_a_wildcard_is_one_label if {
	allowed(asked("/usr/bin/curl", "a.example.org", 443))
	every host in ["example.org", "a.b.example.org", "aexample.org", "a.example.org.evil", "10.0.0.1", "org"] {
		not asked("/usr/bin/curl", host, 443).allow
	}
}

test_audit_lets_through_what_it_would_deny if {
	asked("/usr/bin/wget", "audit.example", 443) == {
		"allow": true,
		"reason": "an endpoint for audit.example:443 is in policy watched, but not for /usr/bin/wget",
		"policy": "watched",
		"enforcement": "audit",
		"would_deny": true,
		"allowed_ips": [],
		"max_age": 0,
	}
	asked("/usr/bin/wget", "10.9.9.9", 443).allowed_ips == ["10.9.0.0/16", "10.9.9.9"]
}

test_audit_says_nothing_of_what_is_allowed if {
	answer := asked("/usr/bin/curl", "audit.example", 443)
	allowed(answer)
	answer.enforcement == "audit"
}

test_audit_is_for_callers_that_are_known if {
	every identity in [{"grade": "ambiguous"}, {"grade": "unresolved"}, {"assurance": "suspect"}] {
		answer := asked_as("/usr/bin/wget", "audit.example", 443, identity)
		not answer.allow
		not answer.would_deny
	}
	asked_as("/usr/bin/wget", "audit.example", 443, {"grade": "shared"}).would_deny
}

test_an_endpoint_that_enforces_wins_over_audit if {
	denied(
		asked("/usr/bin/wget", "mixed.example", 443),
		"an endpoint for mixed.example:443 is in policy strict, watched, but not for /usr/bin/wget",
	)
	allowed(asked("/usr/bin/curl", "mixed.example", 443))
}

test_audit_does_not_open_what_no_endpoint_names if {
	not asked("/usr/bin/curl", "audit.example", 80).allow
}

test_limits_on_requests_are_not_served_yet if {
	every host in ["read.example", "rules.example", "path.example"] {
		denied(asked("/usr/bin/curl", host, 443), sprintf(
			"policy requests limits /usr/bin/curl at %s:443 to certain requests, which needs request inspection",
			[host],
		))
	}
	denied(
		asked("/usr/bin/wget", "read.example", 443),
		"an endpoint for read.example:443 is in policy requests, but not for /usr/bin/wget",
	)
}

test_a_reason_is_short if {
	long := concat("", [sprintf("/%d", [i]) | some i in numbers.range(1, 2000)])
	count(asked(long, "api.example.com", 443).reason) == 1000
}

test_the_example_policy if {
	example := {"my_endpoint": {
		"endpoints": [{"host": "10.200.0.9", "port": 18789, "enforcement": "enforce", "access": "full"}],
		"binaries": [{"path": "/usr/bin/socat"}, {"path": "/usr/bin/curl"}],
	}}
	answer := egress.decision with input as question("/usr/bin/socat", "10.200.0.9", 18789)
		with data.network_policies as example
	allowed(answer)
	answer.policy == "my_endpoint"
	answer.allowed_ips == ["10.200.0.9"]
}
