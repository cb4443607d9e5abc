package egress_test

import data.egress

# A policy with what is given in place of what is right.
right := {"endpoints": [{"host": "a.example", "port": 443}], "binaries": [{"path": "/usr/bin/curl"}]}

with_policy(changes) := {"p": object.union(right, changes)}

with_endpoint(changes) := with_policy({"endpoints": [object.union(right.endpoints[0], changes)]})

error(path, problem) := {"path": path, "problem": problem, "severity": "error"}

warning(path, problem) := {"path": path, "problem": problem, "severity": "warning"}

curl_at_a(policies_of_test) := decided(question("/usr/bin/curl", "a.example", 443), policies_of_test)

# One problem, which denies the program of the policy what the policy is about.
denying(policies_of_test, path, problem) if {
	problems_of(policies_of_test) == {error(concat("/", ["network_policies/p", path]), problem)}
	answer := curl_at_a(policies_of_test)
	not answer.allow
}

test_a_policy_that_is_right if {
	problems_of({"p": right}) == set()
	allowed(curl_at_a({"p": right}))
	full := {"p": {
		"max_age": 10,
		"require": {"assurance": "observed", "relays": false, "container": container, "pod": "p"},
		"endpoints": [{
			"host": "a.example", "port": 443, "enforcement": "audit", "access": "read-write", "sni": "match",
			"rules": [{"allow": {"method": "GET"}}], "allowed_ips": ["10.0.0.0/8", "2001:db8::1"],
			"require": {"assurance": "proven"},
		}],
		"binaries": [{
			"path": "/usr/bin/curl", "sha256": hash, "started_by": ["/usr/bin/agent"], "uid": 0,
			"container": container, "assurance": "proven",
		}],
	}}
	problems_of(full) == set()
}

test_what_is_wrong_with_a_policy if {
	denying(with_policy({"descr": "x"}), "descr", "descr is not a key")
	denying(with_policy({"descr": "x", "max_age": 3600}), "descr", "descr is not a key")
	denying(with_policy({"max_age": 3601}), "max_age", "max_age is 3601, not a number from 0 to 3600")
	denying(with_policy({"endpoints": {"a": {"host": "a.example", "port": 443}}}), "endpoints", "endpoints is not a list")
	pattern := with_policy({"endpoints": {"a": {"host": "*.a.example", "port": 443}}})
	not decided(question("/usr/bin/curl", "b.a.example", 443), pattern).allow
	denying({"p": object.remove(right, ["endpoints"])}, "endpoints", "endpoints is not a list")
	denying({"p": object.remove(right, ["binaries"])}, "binaries", "binaries is not a list")
	every policy in [null, "x", [right], 1] {
		not curl_at_a({"p": policy}).allow
		problems_of({"p": policy}) == {error("network_policies/p", "it is not a mapping")}
	}
	problems_of({"a/b~c": object.union(right, {"x": 1})}) == {error("network_policies/a~1b~0c/x", "x is not a key")}
}

test_what_is_wrong_with_an_endpoint if {
	denying(with_endpoint({"acces": "full"}), "endpoints/0/acces", "acces is not a key")
	problems_of(with_policy({"endpoints": [{"port": 443}]})) == {error("network_policies/p/endpoints/0/host", "host is null, not a text")}
	denying(
		with_endpoint({"access": "readonly"}), "endpoints/0/access",
		"access is readonly, not full or read-only or read-write",
	)
	denying(with_endpoint({"enforcement": "adit"}), "endpoints/0/enforcement", "enforcement is adit, not enforce or audit")
	denying(with_endpoint({"sni": "any"}), "endpoints/0/sni", "sni is any, not match")
	denying(with_endpoint({"rules": []}), "endpoints/0/rules", "rules is not a list of rules")
	denying(with_endpoint({"rules": [{"allow": {"method": "*"}}, {}]}), "endpoints/0/rules/1", "rules[1] is not a rule")
	denying(
		with_endpoint({"allowed_ips": "10.0.0.0/8"}), "endpoints/0/allowed_ips",
		"allowed_ips is not a list of addresses and ranges",
	)
	denying(
		with_endpoint({"allowed_ips": {"a": "10.0.0.0/8"}}), "endpoints/0/allowed_ips",
		"allowed_ips is not a list of addresses and ranges",
	)
	denying(
		with_endpoint({"allowed_ips": ["10.0.0.1", "10.0.0.0/33"]}), "endpoints/0/allowed_ips/1",
		"allowed_ips[1] is 10.0.0.0/33, not an address or a range",
	)
	every range in [null, "x", "", 1, "a.example"] {
		not curl_at_a(with_endpoint({"allowed_ips": [range]})).allow
	}
	every endpoint in [null, "a.example:443", 1, ["a.example", 443]] {
		policies_of_test := with_policy({"endpoints": [endpoint]})
		not curl_at_a(policies_of_test).allow
		problems_of(policies_of_test) == {error("network_policies/p/endpoints/0", "it is not a mapping")}
	}
	count(problems_of(with_endpoint({"acces": 1, "sni": 2, "max_age": 3}))) == 3
}

test_what_is_wrong_with_a_requirement_is_not_met if {
	every required in [
		[null, "require", "require is not a mapping"],
		[["relays"], "require", "require is not a mapping"],
		[[], "require", "require is not a mapping"],
		[{"user": 1}, "require/user", "user is 1, not a requirement"],
		[{"assurance": "sure"}, "require/assurance", "assurance is sure, not proven or observed"],
		[{"relays": true}, "require/relays", "relays is true, not false"],
		[{"container": "web"}, "require/container", "container is web, not a container's id, or its first 12 or more digits"],
		[{"pod": 1}, "require/pod", "pod is 1, not a pod's uid"],
	] {
		denying(with_policy({"require": required[0]}), required[1], required[2])
		denying(with_endpoint({"require": required[0]}), concat("/", ["endpoints/0", required[1]]), required[2])
	}
}

# Two policies, each with one endpoint and one program.
two(first, second, other) := {
	"one": {"endpoints": [object.union({"port": 443}, first)], "binaries": [{"path": "/usr/bin/curl"}]},
	"two": {"endpoints": [object.union({"port": 443}, second)], "binaries": [{"path": other}]},
}

test_an_error_stays_where_it_is if {
	mistaken_policy := object.union(right, {"endpoints": [{"host": "*", "port": 443}, right.endpoints[0]]})
	allowed(curl_at_a({"p": mistaken_policy}))
	mistaken_entry := object.union(right, {"binaries": [{"path": "/usr/bin/wget", "uid": "x"}, right.binaries[0]]})
	allowed(curl_at_a({"p": mistaken_entry}))
}

test_what_is_written_wrong_never_audits if {
	audit := {"host": "a.example", "port": 443, "enforcement": "audit"}
	wget := question("/usr/bin/wget", "a.example", 443)
	decided(wget, with_policy({"endpoints": [audit]})).would_deny
	every changes in [
		{"endpoints": [object.union(audit, {"sni": "x"})]},
		{"endpoints": [audit], "max_age": "x"},
		{"endpoints": [audit], "binaries": [{"path": "/usr/bin/curl"}, {"path": "/usr/bin/x", "uid": "x"}]},
		{"endpoints": [audit], "binaries": "x"},
	] {
		not decided(wget, with_policy(changes)).allow
	}
	right_too := {"q": {"endpoints": [audit], "binaries": [{"path": "/usr/bin/curl"}]}}
	not decided(wget, object.union(right_too, with_policy({"endpoints": [object.union(audit, {"x": 1})]}))).allow
}

test_audit_without_effect if {
	every pattern in ["a.b.example", "*.b.example", "**.b.example"] {
		policies_of_test := two({"host": "A.b.example", "enforcement": "audit"}, {"host": pattern}, "/usr/bin/wget")
		problems_of(policies_of_test) == {error(
			"network_policies/one/endpoints/0/enforcement",
			sprintf("audit has no effect at A.b.example:443: policy two enforces at %s", [pattern]),
		)}
	}
	every row in [
		["*.b.example", "**.b.example"],
		["*.c.b.example", "**.b.example"],
		["**.c.b.example", "**.b.example"],
		["x*.b.example", "*.b.example"],
		["x*.b.example", "**.b.example"],
		["10.1.2.3", "10.1.2.3"],
	] {
		problems := problems_of(two({"host": row[0], "enforcement": "audit"}, {"host": row[1]}, "/usr/bin/wget"))
		{problem.path | some problem in problems} == {"network_policies/one/endpoints/0/enforcement"}
	}
	every row in [
		["*.b.example", "a.b.example"],
		["**.b.example", "*.b.example"],
		["**.b.example", "*.c.b.example"],
		["*.b.example", "x*.b.example"],
		["a.b.example", "**.c.example"],
		["a.b.example", "c.b.example"],
	] {
		problems_of(two({"host": row[0], "enforcement": "audit"}, {"host": row[1]}, "/usr/bin/wget")) == set()
	}
	problems_of(two({"host": "a.example", "enforcement": "audit"}, {"host": "a.example", "port": 80}, "/usr/bin/wget")) == set()
	problems_of(two({"host": "a.example", "enforcement": "audit"}, {"host": "a.example", "enforcement": "audit"}, "/x")) == set()
}

test_audit_without_effect_beside_patterns_within_the_label if {
	problems_of(two({"host": "Xa.b.example", "enforcement": "audit"}, {"host": "X*.b.example"}, "/usr/bin/wget")) == {error(
		"network_policies/one/endpoints/0/enforcement",
		"audit has no effect at Xa.b.example:443: policy two enforces at x*.b.example",
	)}
	every row in [
		["xa", "x*"],
		["x", "x*"],
		["ax", "*x"],
		["a1b", "a*b"],
		["ab", "a*b"],
		["xy*", "x*"],
		["x*", "x*"],
		["x*y", "x*"],
		["*yx", "*x"],
		["ac*db", "a*b"],
		["a*b", "*b"],
		["a*c*b", "a*b"],
		["a*c", "a*"],
		["1*2", "*1*2*"],
	] {
		hosts := [concat(".", [label, "b.example"]) | some label in row]
		problems := problems_of(two({"host": hosts[0], "enforcement": "audit"}, {"host": hosts[1]}, "/usr/bin/wget"))
		{problem.path | some problem in problems} == {"network_policies/one/endpoints/0/enforcement"}
	}
	every row in [
		["x*.b.example", "y*.b.example"],
		["x*.b.example", "xy*.b.example"],
		["x*.b.example", "*x.b.example"],
		["x*.b.example", "xa.b.example"],
		["xa.b.example", "y*.b.example"],
		["xa.b.example", "*x.b.example"],
		["xa.b.example", "x*.c.example"],
		["xa.c.b.example", "x*.b.example"],
		["xa.b.example", "x*.a.b.example"],
		["*.b.example", "x*.b.example"],
		["**.b.example", "x*.b.example"],
		["**.b.example", "*-*.b.example"],
		["a*b.b.example", "a*c*b.b.example"],
		["a*b.b.example", "*b*a*.b.example"],
		["a.b.example", "a*a.b.example"],
		["2001:db8::1", "x*.b.example"],
	] {
		problems_of(two({"host": row[0], "enforcement": "audit"}, {"host": row[1]}, "/usr/bin/wget")) == set()
	}
	problems_of(two({"host": "xa.b.example", "enforcement": "audit"}, {"host": "x*.b.example", "port": 80}, "/usr/bin/wget")) == set()
}

test_limits_and_sni_beside_patterns_within_the_label if {
	wide := {"host": "x*.b.example"}
	limited := {"host": "xa.b.example", "access": "read-only"}
	problems_of(two(limited, wide, "/usr/bin/curl")) == {error(
		"network_policies/one/endpoints/0/access",
		"access has no effect for /usr/bin/curl at xa.b.example:443: policy two gives it full access to x*.b.example",
	)}
	by_rules := {"host": "xy*.b.example", "rules": [{"allow": {"method": "GET"}}]}
	{problem.path | some problem in problems_of(two(by_rules, wide, "/usr/bin/curl"))} == {"network_policies/one/endpoints/0/rules"}
	{problem.severity | some problem in problems_of(two(limited, wide, "/usr/bin/*"))} == {"warning"}
	problems_of(two({"host": "xa.b.example"}, object.union(wide, {"sni": "match"}), "/usr/bin/curl")) == {warning(
		"network_policies/one/endpoints/0/host",
		"sni: match holds for /usr/bin/curl at xa.b.example:443 too: policy two asks for it at x*.b.example",
	)}
}

unlimited_by(first, second, other) := {problem.path |
	some problem in problems_of(two(object.union({"host": "a.b.example"}, first), object.union({"host": "a.b.example"}, second), other))
	problem.severity == "error"
}

test_limits_without_effect if {
	problems_of(two({"host": "a.b.example", "access": "read-only"}, {"host": "**.b.example"}, "/usr/bin/curl")) == {error(
		"network_policies/one/endpoints/0/access",
		"access has no effect for /usr/bin/curl at a.b.example:443: policy two gives it full access to **.b.example",
	)}
	problems_of(two({"host": "a.b.example", "access": "read-only"}, {"host": "*.b.example", "access": "read-write"}, "/usr/bin/curl")) == {error(
		"network_policies/one/endpoints/0/access",
		"access has no effect for /usr/bin/curl at a.b.example:443: policy two gives it read-write access to *.b.example",
	)}
	access := {"network_policies/one/endpoints/0/access"}
	rules := {"network_policies/one/endpoints/0/rules"}
	allowing := [{"deny": {"method": "PUT"}}, {"allow": {"method": "GET"}}]
	unlimited_by({"access": "read-write"}, {}, "/usr/bin/curl") == access
	unlimited_by({"access": "read-only"}, {"access": "full"}, "/usr/bin/curl") == access
	unlimited_by({"rules": allowing}, {}, "/usr/bin/curl") == rules
	unlimited_by({"rules": [{"deny": {"method": "PUT"}}]}, {}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {}, "/usr/bin/wget") == set()
	unlimited_by({"access": "read-only"}, {}, "/usr/bin/*") == set()
	unlimited_by({"access": "read-only"}, {"access": "read-write"}, "/usr/bin/curl") == access
	unlimited_by({"access": "read-only", "rules": allowing}, {"access": "read-write"}, "/usr/bin/curl") == access
	unlimited_by({"access": "read-only"}, {"access": "read-only"}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-write"}, {"access": "read-write"}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-write"}, {"access": "read-only"}, "/usr/bin/curl") == {"network_policies/two/endpoints/0/access"}
	unlimited_by({"access": "read-only"}, {"access": "read-write", "rules": allowing}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"access": "read-write"}, "/usr/bin/wget") == set()
	unlimited_by({"rules": allowing}, {"access": "read-write"}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"rules": allowing}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"port": 80}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"require": {"relays": false}}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"x": 1}, "/usr/bin/curl") == {"network_policies/two/endpoints/0/x"}
	unlimited_by({}, {}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only", "allowed_ips": []}, {}, "/usr/bin/curl") == access
	unlimited_by({"access": "read-only", "allowed_ips": ["10.0.0.0/8"]}, {}, "/usr/bin/curl") == set()
	unlimited_by({"access": "read-only"}, {"allowed_ips": ["10.0.0.0/8"]}, "/usr/bin/curl") == access
}

test_limits_of_programs_by_pattern if {
	every row in [["/opt/*", 1], ["opt", 0]] {
		problems := problems_of({
			"one": {"endpoints": [{"host": "a.example", "port": 443, "access": "read-only"}], "binaries": [{"path": row[0]}]},
			"two": {"endpoints": right.endpoints, "binaries": [{"path": row[0]}]},
		})
		count({problem | some problem in problems; contains(problem.problem, "no effect")}) == row[1]
	}
}

test_limits_of_a_program_that_a_pattern_stands_for if {
	read_only := {"host": "a.b.example", "access": "read-only"}
	problems_of(two(read_only, {"host": "*.b.example"}, "/usr/bin/*")) == {warning(
		"network_policies/one/endpoints/0/access",
		"access has no effect for /usr/bin/curl at a.b.example:443, unless that is a link: policy two gives /usr/bin/* full access to *.b.example",
	)}
	problems_of(two(read_only, {"host": "a.b.example", "access": "read-write"}, "/usr/**")) == {warning(
		"network_policies/one/endpoints/0/access",
		"access has no effect for /usr/bin/curl at a.b.example:443, unless that is a link: policy two gives /usr/** read-write access to a.b.example",
	)}
	problems_of(two(read_only, {"host": "a.b.example"}, "/usr/*")) == set()
	problems_of(two(read_only, {"host": "a.b.example", "access": "read-only"}, "/usr/bin/*")) == set()
	problems_of(two({"host": "a.b.example"}, read_only, "/usr/bin/*")) == set()
	private := object.union(read_only, {"allowed_ips": ["10.0.0.0/8"]})
	problems_of(two(private, {"host": "a.b.example"}, "/usr/bin/*")) == set()
	read_write := {"host": "a.b.example", "access": "read-write"}
	problems_of(two(read_write, read_write, "/usr/bin/*")) == set()
	every row in [["/usr/bin/[ab]", "/usr/bin/*", 1], ["/usr/bin/*", "/usr/**", 0], ["/usr/bin/../x", "/usr/**", 0]] {
		policies_of_test := two(read_only, {"host": "a.b.example"}, row[1])
		listing_row := object.union(policies_of_test, {"one": {"binaries": [{"path": row[0]}]}})
		count({problem | some problem in problems_of(listing_row); contains(problem.problem, "no effect")}) == row[2]
	}
}

test_limits_beside_one_that_asks_for_more if {
	limited := {"host": "a.example", "port": 443, "access": "read-only"}
	every row in [[{}, 1], [{"require": {"relays": false}}, 0], [{"binaries": [{"path": "/usr/bin/curl", "uid": 0}]}, 0]] {
		count(problems_of({
			"one": {"endpoints": [limited], "binaries": [{"path": "/usr/bin/curl"}]},
			"two": object.union(right, row[0]),
		})) == row[1]
	}
}

test_sni_that_holds_elsewhere_too if {
	problems_of(two({"host": "a.b.example"}, {"host": "*.b.example", "sni": "match"}, "/usr/bin/curl")) == {warning(
		"network_policies/one/endpoints/0/host",
		"sni: match holds for /usr/bin/curl at a.b.example:443 too: policy two asks for it at *.b.example",
	)}
	problems_of(two({"host": "a.example"}, {"host": "a.example", "sni": "match"}, "/usr/bin/wget")) == set()
	problems_of(two({"host": "a.example", "sni": "match"}, {"host": "a.example", "sni": "match"}, "/usr/bin/curl")) == set()
	count(problems_of(two({"host": "a.example"}, {"host": "a.example", "sni": "x"}, "/usr/bin/curl"))) == 1
}

test_warnings if {
	entry := {"path": "/usr/bin/curl"}
	endpoint := {"host": "a.example", "port": 443}
	problems_of(with_policy({"binaries": [entry, {"path": "/usr/bin/wget"}, entry]})) == {warning(
		"network_policies/p/binaries/0",
		"it is there twice",
	)}
	problems_of(with_policy({"endpoints": [endpoint, endpoint]})) == {warning("network_policies/p/endpoints/0", "it is there twice")}
	problems_of(with_policy({"binaries": [{"path": "/**"}]})) == {warning(
		"network_policies/p/binaries/0/path",
		"it stands for every program",
	)}
	problems_of(with_policy({"endpoints": []})) == {warning(
		"network_policies/p/endpoints",
		"endpoints is empty: the policy allows nothing",
	)}
	problems_of(with_policy({"binaries": []})) == {warning(
		"network_policies/p/binaries",
		"binaries is empty: the policy allows nothing",
	)}
	problems_of(with_endpoint({"allowed_ips": ["10.0.0.0/8", "::/0"]})) == {warning(
		"network_policies/p/endpoints/0/allowed_ips/1",
		"it stands for every address",
	)}
	allowed(curl_at_a(with_policy({"binaries": [entry, entry]})))
}

test_policies_that_are_not_there if {
	egress.problems == {warning("network_policies", "no network_policies are loaded")}
	every policies_of_test in [[right], "x", null, 1, [], ""] {
		problems := egress.problems with data.network_policies as policies_of_test
		problems == {error("network_policies", "network_policies is not a mapping")}
		answer := egress.decision with data.network_policies as policies_of_test
			with input as question("/usr/bin/curl", "a.example", 443)
		not answer.allow
	}
	problems_of({}) == set()
}

test_the_programs_that_are_mentioned if {
	policies_of_test := {
		"a": {"endpoints": [], "binaries": [{"path": "/b"}, {"path": "/a"}, {"path": "/c/*"}, {"sha256": hash}, {}, null]},
		"b": {"endpoints": [], "binaries": [{"path": "/a", "started_by": ["/d", "/e/**", "f"]}, {"path": "g"}, {"path": 1}]},
		"c": {"endpoints": [], "binaries": "x"},
	}
	written := egress.binaries with data.network_policies as policies_of_test
	written == ["/a", "/b", "/d"]
	by_index := egress.binaries with data.egress_index as index_of(policies_of_test)
	by_index == written
	egress.binaries == []
}

test_the_index_says_which_policies_it_is_of if {
	index := index_of({"p": right})
	index.format == 2
	regex.match(`^[0-9a-f]{64}$`, index.revision)
	index.declared == null
	index_of({"q": right}).revision != index.revision
	object.keys(index) == {"format", "revision", "declared", "endpoints", "ports", "labels", "policies", "binaries", "problems"}
	not egress.index
}

test_the_revision_of_an_index if {
	document := question("/usr/bin/curl", "a.example", 443)
	index := index_of({"p": right})
	digest := egress.decision.revision with input as document with data.egress_index as index
	digest == index.revision
	bundles := {"bundles": {"b": {"manifest": {"revision": "7"}}}}
	bundled := egress.decision.revision with input as document
		with data.egress_index as index
		with data.system as bundles
	bundled == "b=7"
	named := egress.index with data.network_policies as {"p": right} with data.revision as "r-1"
	declared := egress.decision.revision with input as document
		with data.egress_index as named
		with data.system as bundles
	declared == "r-1"
	loaded := egress.decision.revision with input as document with data.egress_index as named with data.revision as "r-2"
	loaded == "r-2"
	every other in [7, ""] {
		declared_so := egress.index.declared with data.network_policies as {} with data.revision as other
		declared_so == null
	}
	empty := egress.decision.revision with input as document with data.egress_index as object.union(index, {"declared": ""})
	empty == index.revision
}

test_the_revision_of_an_index_beside_bundles if {
	index := index_of({"p": right})
	every row in [["egress_index", "b=1"], ["network_policies", index.revision], ["network_policies/p", index.revision], ["system", index.revision]] {
		revision_of_test := egress.decision.revision with input as question("/usr/bin/curl", "a.example", 443)
			with data.egress_index as index
			with data.network_policies as {"p": right}
			with data.system as {"bundles": {"b": {"manifest": {"revision": "1", "roots": [row[0]]}}}}
		revision_of_test == row[1]
	}
}

test_a_revision_that_is_none if {
	index := index_of({"p": right})
	every row in [
		[20261128, "revision is 20261128, not a text"],
		[null, "revision is null, not a text"],
		[false, "revision is false, not a text"],
		[["r"], `revision is ["r"], not a text`],
		["", "revision is an empty text"],
	] {
		expected := {error("revision", row[1])}
		written := egress.problems with data.network_policies as {"p": right} with data.revision as row[0]
		written == expected
		built := egress.index.problems with data.network_policies as {"p": right} with data.revision as row[0]
		{problem | some problem in built} == expected
		beside := egress.problems with data.egress_index as index with data.revision as row[0]
		beside == expected
		allowed(curl_at_a({"p": right})) with data.revision as row[0]
	}
	named := egress.problems with data.network_policies as {"p": right} with data.revision as "r-1"
	named == set()
}

test_an_index_of_another_format if {
	document := question("/usr/bin/curl", "a.example", 443)
	wrong := {"p": object.union(right, {"x": 1, "binaries": [{"path": "/usr/bin/curl"}, {"path": "/x"}]})}
	other := object.union(index_of(wrong), {"format": 1})
	answer := egress.decision with input as document with data.egress_index as other with data.network_policies as {"p": right}
	not answer.allow
	answer.reason == "the index of the policies was built for another version of the policy package"
	outdated := egress.decision with input as document
		with data.egress_index as object.union(index_of({"p": right}), {"format": 1})
		with data.network_policies as {"p": right}
	not outdated.allow
	within := {"p": {"endpoints": [{"host": "a*.b.example", "port": 443}], "binaries": right.binaries}}
	by_label := egress.decision with input as question("/usr/bin/curl", "ab.b.example", 443)
		with data.egress_index as object.union(index_of(within), {"format": 1})
		with data.network_policies as within
	not by_label.allow
	problems := egress.problems with data.egress_index as other with data.network_policies as {"p": right}
	problems == {error("egress_index", "it was built for another version of this package: build it again")}
	paths := egress.binaries with data.egress_index as other with data.network_policies as {"p": right}
	paths == ["/usr/bin/curl"]
}

test_an_index_beside_its_policies if {
	index := index_of({"p": right})
	same := egress.problems with data.egress_index as index with data.network_policies as {"p": right}
	same == set()
	other := egress.problems with data.egress_index as index with data.network_policies as {"q": right}
	other == {error("egress_index", "it was built from other network_policies than are loaded: build it again")}
	answer := egress.decision with input as question("/usr/bin/curl", "a.example", 443)
		with data.egress_index as index
		with data.network_policies as {"q": right}
	answer.policy == "p"
	elsewhere := {"q": {"endpoints": [{"host": "b.a.example", "port": 443}], "binaries": right.binaries}}
	near := {"q": {"endpoints": [{"host": "*.a.example", "port": 80}, {"host": "a.example", "port": 1}], "binaries": right.binaries}}
	every policies_of_test in [elsewhere, near] {
		not_there := egress.decision with input as question("/usr/bin/curl", "a.example", 80)
			with data.egress_index as index
			with data.network_policies as policies_of_test
		not_there.reason == "no endpoint for a.example:80: there is one for port 443"
	}
	not_here := egress.decision with input as question("/usr/bin/curl", "b.a.example", 443)
		with data.egress_index as index
		with data.network_policies as elsewhere
	not not_here.allow
}
