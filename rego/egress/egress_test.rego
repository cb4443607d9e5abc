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
}

known := {
	"grade": "exact",
	"assurance": "observed",
	"causes": [],
	"reason": null,
	"detail": null,
	"scope": "global",
	"method": "procfs",
	"relays": false,
	"via": [],
	"via_complete": true,
	"processes": [],
}

question(binary, host, port) := {
	"binary": binary,
	"host": host,
	"port": port,
	"request_id": "r",
	"ancestors": [],
	"sha256": null,
	"request": {
		"kind": "connect",
		"method": "CONNECT",
		"scheme": null,
		"path": null,
		"path_raw": null,
		"query": null,
		"query_raw": null,
		"doubts": [],
	},
	"client": {"address": "10.200.0.2", "port": 43210},
	"identity": known,
}

# The answer for a known caller, and for one whose identity has other values.
asked(binary, host, port) := asked_as(binary, host, port, {})

asked_as(binary, host, port, identity) := answer if {
	document := object.union(question(binary, host, port), {"identity": object.union(known, identity)})
	answer := decided(document, policies)
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
		"sni": null,
		"read_only": false,
		"revision": null,
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
		"sni": null,
		"read_only": false,
		"revision": null,
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
	denied(
		asked("/usr/bin/curl", "api.example.com", 80),
		"no endpoint for api.example.com:80: there is one for port 443",
	)
	denied(asked("/usr/bin/curl", "example.com", 443), "no endpoint for example.com:443")
}

test_not_this_binary if {
	denied(
		asked("/usr/bin/wget", "api.example.com", 443),
		"endpoint api.example.com:443 is allowed for /usr/bin/curl, /usr/bin/git, not for /usr/bin/wget; see policy another, web",
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
		answer := decided(document, policies)
		denied(answer, "the input document is not complete")
	}
}

test_a_missing_key_never_makes_a_caller_known if {
	every key in object.keys(known) {
		document := json.remove(question("/usr/bin/git", "api.example.com", 443), [concat("/", ["identity", key])])
		answer := decided(document, policies)
		answer.allow == not_needed(key)
	}
}

not_needed(key) := key in {"causes", "reason", "detail", "scope", "method", "relays", "via", "via_complete", "processes"}

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
	denied(
		asked_as("/usr/bin/git", "api.example.com", 443, {"grade": "ambiguous"}),
		"the caller is unknown (ambiguous)",
	)
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
	answer := decided(document, {"p": {
		"endpoints": [{"host": "a.example", "port": 1}],
		"binaries": [{"path": null}],
	}})
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
		"reason": "endpoint audit.example:443 is allowed for /usr/bin/curl, not for /usr/bin/wget; see policy watched",
		"policy": "watched",
		"enforcement": "audit",
		"would_deny": true,
		"allowed_ips": [],
		"max_age": 0,
		"sni": null,
		"read_only": false,
		"revision": null,
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
		"endpoint mixed.example:443 is allowed for /usr/bin/curl, /usr/bin/git, not for /usr/bin/wget; see policy strict, watched",
	)
	allowed(asked("/usr/bin/curl", "mixed.example", 443))
}

test_audit_does_not_open_what_no_endpoint_names if {
	not asked("/usr/bin/curl", "audit.example", 80).allow
}

test_a_reason_is_short if {
	long := concat("", [sprintf("/%d", [i]) | some i in numbers.range(1, 2000)])
	count(asked(long, "api.example.com", 443).reason) == 1000
}

hash := "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

hashed := {
	"by_file": {
		"endpoints": [
			{"host": "hash.example", "port": 443},
			{"host": "watched.example", "port": 443, "enforcement": "audit", "require": {"relays": false}},
			{"host": "read.example", "port": 443, "access": "read-only"},
		],
		"binaries": [{"sha256": upper(hash)}],
	},
	"by_both": {
		"endpoints": [{"host": "both.example", "port": 443}],
		"binaries": [{"path": "/usr/bin/curl", "sha256": hash}],
	},
	"mistaken": {
		"endpoints": [{"host": "mistaken.example", "port": 443}],
		"binaries": [
			{}, {"sha256": null}, {"path": null}, {"sha256": ""},
			{"path": "/usr/bin/curl", "sha256": null},
			{"path": null, "sha256": hash},
		],
	},
}

asked_by_file(binary, sha256, host, identity) := answer if {
	document := object.union(
		question(binary, host, 443),
		{"sha256": sha256, "identity": object.union(known, identity)},
	)
	answer := decided(document, hashed)
}

nameless(cause) := {"assurance": "suspect", "causes": [cause, "connector_unknown"]}

test_a_program_can_be_listed_by_its_hash if {
	allowed(asked_by_file("/usr/bin/anything", hash, "hash.example", {}))
	not asked_by_file("/usr/bin/anything", "00", "hash.example", {}).allow
	not asked_by_file("/usr/bin/anything", null, "hash.example", {}).allow
	not asked_by_file("/usr/bin/anything", hash, "hash.example", {"grade": "ambiguous"}).allow
}

test_a_hash_is_enough_where_only_the_name_is_in_doubt if {
	every cause in ["alien_path", "image_replaced"] {
		answer := asked_by_file(null, hash, "hash.example", nameless(cause))
		allowed(answer)
		answer.reason == sprintf(
			"policy by_file allows the program with sha256 %s to reach hash.example:443",
			[hash],
		)
		not asked_by_file(null, "00", "hash.example", nameless(cause)).allow
		not asked_by_file(null, null, "hash.example", nameless(cause)).allow
		not asked_by_file(null, hash, "hash.example", object.union(nameless(cause), {"grade": "ambiguous"})).allow
		not asked_by_file(null, hash, "hash.example", object.union(nameless(cause), {"assurance": "guessed"})).allow
	}
}

test_a_hash_is_not_enough_for_any_other_suspicion if {
	every cause in ["hidden_holder", "image_changed", "image_exchanged", "traced", "news"] {
		not asked_by_file(null, hash, "hash.example", nameless(cause)).allow
		not asked_by_file(null, hash, "hash.example", {
			"assurance": "suspect",
			"causes": ["alien_path", cause],
		}).allow
	}
	not asked_by_file(null, hash, "hash.example", {"assurance": "suspect", "causes": []}).allow
	not asked_by_file(null, hash, "hash.example", {"assurance": "suspect", "causes": ["connector_unknown"]}).allow
	not asked_by_file(null, hash, "hash.example", {"assurance": "suspect"}).allow
}

test_path_and_hash_must_both_be_right if {
	allowed(asked_by_file("/usr/bin/curl", hash, "both.example", {}))
	not asked_by_file("/usr/bin/curl", "00", "both.example", {}).allow
	not asked_by_file("/usr/bin/curl", null, "both.example", {}).allow
	not asked_by_file("/usr/bin/wget", hash, "both.example", {}).allow
	not asked_by_file(null, hash, "both.example", nameless("alien_path")).allow
	not asked_by_file("/usr/bin/curl", hash, "both.example", nameless("alien_path")).allow
}

test_a_mistaken_entry_lists_nobody if {
	every sha256 in [hash, null, ""] {
		every binary in ["/usr/bin/curl", null] {
			not asked_by_file(binary, sha256, "mistaken.example", {}).allow
		}
	}
}

test_who_is_listed_by_hash_is_told_the_rest if {
	answer_of_read := asked_by_file(null, hash, "read.example", nameless("alien_path"))
	not answer_of_read.allow
	startswith(answer_of_read.reason, sprintf(
		"policy by_file limits the program with sha256 %s at read.example:443 to certain requests, ",
		[hash],
	))
	answer := asked_by_file(null, hash, "watched.example", object.union(nameless("alien_path"), {"relays": true}))
	answer.would_deny
	answer.reason == "policy by_file requires relays false of the caller, which carries connections of other programs: "
}

container := "4f5a00000000000000000000000000000000000000000000000000000000beef"

demanding(required) := {
	"whole": {
		"require": required,
		"endpoints": [{"host": "whole.example", "port": 443}],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
	"part": {
		"endpoints": [
			{"host": "part.example", "port": 443, "require": required},
			{"host": "free.example", "port": 443},
		],
		"binaries": [{"path": "/usr/bin/curl"}],
	},
}

demanded(required, host, identity) := answer if {
	document := object.union(question("/usr/bin/curl", host, 443), {"identity": object.union(known, identity)})
	answer := decided(document, demanding(required))
}

met(required, identity) if {
	every host in ["whole.example", "part.example", "free.example"] {
		allowed(demanded(required, host, identity))
	}
}

unmet(required, identity, reason) if {
	allowed(demanded(required, "free.example", identity))
	every policy in ["whole", "part"] {
		denied(
			demanded(required, concat(".", [policy, "example"]), identity),
			sprintf("policy %s %s", [policy, reason]),
		)
	}
}

test_a_policy_can_require_proof if {
	met({"assurance": "proven"}, {"assurance": "proven"})
	met({"assurance": "observed"}, {"assurance": "proven"})
	met({"assurance": "observed"}, {"assurance": "observed"})
	unmet(
		{"assurance": "proven"}, {"causes": ["connector_unknown", "references_uncounted"]},
		concat("", [
			"requires assurance proven of the caller, which is observed: ",
			"connector_unknown, references_uncounted",
		]),
	)
	unmet({"assurance": "proven"}, {}, "requires assurance proven of the caller, which is observed")
	unmet({"assurance": true}, {}, "requires assurance true of the caller, which is observed")
	unmet({"assurance": "proven", "relays": false}, {}, "requires assurance proven of the caller, which is observed")
	denied(
		demanded({"assurance": "proven"}, "evil.example", {}),
		"no endpoint for evil.example:443",
	)
}

test_a_policy_can_require_that_nobody_is_relayed if {
	met({"relays": false}, {})
	unmet(
		{"relays": false},
		{"relays": true, "via": [{"path": "/tmp/x"}, {"path": null, "path_hex": "ff"}, {"path": "/tmp/a"}]},
		"requires relays false of the caller, which carries connections of other programs: /tmp/a, /tmp/x",
	)
	unmet({"relays": false}, {"via_complete": false}, "requires relays false of the caller, of which that is not known")
	unmet({"relays": false}, {"relays": null}, "requires relays false of the caller, of which that is not known")
}

test_a_policy_can_require_a_container if {
	inside := {"processes": [{"container": container, "pod": "p-1"}, {"container": container, "pod": "p-1"}]}
	met({"container": container}, inside)
	met({"container": substring(container, 0, 12)}, inside)
	met({"pod": "p-1"}, inside)
	met({"pod": "p-1", "container": container, "relays": false}, inside)
	unmet({"container": "000000000000"}, inside, sprintf(
		"requires container 000000000000 of the caller, which runs in %s",
		[container],
	))
	every short in ["4f5a", "", "4F5A00000000", ".*", "............"] {
		not demanded({"container": short}, "whole.example", inside).allow
	}
	unmet({"pod": ""}, inside, "requires pod  of the caller, which runs in p-1")
	every value in [null, 12, ["p-1"]] {
		every key in ["pod", "container"] {
			not demanded({key: value}, "whole.example", inside).allow
		}
	}
	unmet(
		{"container": container},
		{"processes": [{"container": container, "pod": null}, {"container": null, "pod": null}]},
		sprintf("requires container %s of the caller, which runs in %s, none", [container, container]),
	)
	not demanded({"container": container}, "whole.example", {}).allow
	not demanded({"pod": "p-1"}, "whole.example", {"processes": [{"container": null, "pod": null}]}).allow
	not demanded({"pod": null}, "whole.example", {"processes": [{"container": null, "pod": null}]}).allow
}

test_a_requirement_nobody_knows_is_not_met if {
	unmet({"user": 1000}, {}, "requires user 1000 of the caller, and that is no requirement known here")
	every malformed in [null, "proven", ["relays"], true, [], ""] {
		unmet(malformed, {}, "has a require that is not a mapping")
	}
	met({}, {})
}

test_a_missing_key_meets_no_requirement if {
	every key in object.keys(known) {
		document := json.remove(question("/usr/bin/curl", "whole.example", 443), [concat("/", ["identity", key])])
		every required in [{"assurance": "proven"}, {"relays": false, "assurance": "proven"}, {"container": container}] {
			answer := decided(document, demanding(required))
			not answer.allow
		}
	}
}

test_the_example_policy if {
	example := {"my_endpoint": {
		"endpoints": [{"host": "10.200.0.9", "port": 18789, "enforcement": "enforce", "access": "full"}],
		"binaries": [{"path": "/usr/bin/socat"}, {"path": "/usr/bin/curl"}],
	}}
	answer := decided(question("/usr/bin/socat", "10.200.0.9", 18789), example)
	allowed(answer)
	answer.policy == "my_endpoint"
	answer.allowed_ips == ["10.200.0.9"]
}
