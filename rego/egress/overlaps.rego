# What is found in all policies together: what is written wrong, and what one takes from another.
package egress

_policies := data.network_policies if {
	is_object(data.network_policies)
} else := {}

_found := sort(_findings)

# Without effect: decisions take it for none.
_wrong_revision := {_error(["revision"], problem) |
	revision := data.revision
	not _is_revision(revision)
	problem := {true: "revision is an empty text", false: sprintf("revision is %v, not a text", [revision])}[revision == ""]
}

_findings contains problem if {
	some problem in _wrong_revision
}

_findings contains _warning(["network_policies"], "no network_policies are loaded") if not data.network_policies

_findings contains _error(["network_policies"], "network_policies is not a mapping") if {
	policies := data.network_policies
	not is_object(policies)
}

_findings contains _error(array.concat(["network_policies", name], mistake.at), mistake.problem) if {
	some name, policy in _policies
	some mistake in (_policy_mistakes(name) | _require_mistakes(policy))
}

_findings contains _error(array.concat(["network_policies", name, "endpoints", i], mistake.at), mistake.problem) if {
	some name, policy in _policies
	some i, endpoint in _list(policy, "endpoints")
	some mistake in (_endpoint_mistakes(endpoint) | _require_mistakes(endpoint))
}

_findings contains _error(array.concat(["network_policies", name, "binaries", i], mistake.at), mistake.problem) if {
	some name, policy in _policies
	some i, binary in _list(policy, "binaries")
	some mistake in _binary_mistakes(binary)
}

_findings contains _warning(["network_policies", name, key], sprintf("%s is empty: the policy allows nothing", [key])) if {
	some name, policy in _policies
	some key in ["endpoints", "binaries"]
	policy[key] == []
}

_findings contains _warning(["network_policies", name, key, i], "it is there twice") if {
	some name, policy in _policies
	some key in ["endpoints", "binaries"]
	list := _list(policy, key)
	last := object.union_n([{json.marshal(entry): i} | some i, entry in list])
	some i, entry in list
	last[json.marshal(entry)] != i
}

_findings contains _warning(["network_policies", name, "binaries", i, "path"], "it stands for every program") if {
	some name, policy in _policies
	some i, binary in _list(policy, "binaries")
	binary.path == "/**"
}

_findings contains _warning(["network_policies", name, "endpoints", i, "allowed_ips", j], "it stands for every address") if {
	some name, policy in _policies
	some i, endpoint in _list(policy, "endpoints")
	some j, range in _list(endpoint, "allowed_ips")
	endswith(range, "/0")
}

# The rest is about endpoints for one host and port. What goes together in a way that is not meant changes no
# answer: each endpoint allows by itself what it allows.

_findings contains _error(_path_of(match, "enforcement"), problem) if {
	some match in _all_matches
	match.endpoint.enforcement == "audit"
	[port, pattern, policy] := _covered(match, _enforcing)[_]
	problem := sprintf("audit has no effect at %s:%d: policy %s enforces at %s", [match.endpoint.host, port, policy, pattern])
}

_findings contains _error(_path_of(match, key), problem) if {
	some match in _all_matches
	_gives_no_addresses(match.endpoint)
	[key, wider] := _limit(match.endpoint)
	[port, pattern, programs] := _covered(match, _giving)[_]
	some access in wider
	some path in _paths_of(match.policy)
	problem := sprintf(
		"%s has no effect for %s at %s:%d: policy %s gives it %s access to %s",
		[key, path, match.endpoint.host, port, programs[access][path], access, pattern],
	)
}

# No error: a pattern is for the program's own path, and a path for its other names too.
_findings contains _warning(_path_of(match, key), problem) if {
	# For speed alone.
	count(_giving_by_pattern) > 0
	some match in _all_matches
	_gives_no_addresses(match.endpoint)
	[key, wider] := _limit(match.endpoint)
	[port, pattern, programs] := _covered(match, _giving_by_pattern)[_]
	some access in wider
	some path in _paths_of(match.policy)
	_is_exact_path(path)
	some program, policy in programs[access]
	_fits(program, path)
	problem := sprintf(
		"%s has no effect for %s at %s:%d, unless that is a link: policy %s gives %s %s access to %s",
		[key, path, match.endpoint.host, port, policy, program, access, pattern],
	)
}

_findings contains _warning(_path_of(match, "host"), problem) if {
	# For speed alone.
	count(_sni_matched) > 0
	some match in _all_matches
	not match.endpoint.sni
	[port, pattern, programs] := _covered(match, _sni_matched)[_]
	some path in _paths_of(match.policy)
	problem := sprintf(
		"sni: match holds for %s at %s:%d too: policy %s asks for it at %s",
		[path, match.endpoint.host, port, programs[path], pattern],
	)
}

_path_of(match, key) := ["network_policies", match.policy, "endpoints", match.number, key]

# What a table has for all hosts that an endpoint is for.
_covered(match, table) := {[port, pattern, found] |
	some pattern in _covering(lower(match.endpoint.host))
	some port in _ports(match.endpoint)
	found := table[pattern][format_int(port, 10)]
}

# Every pattern that stands for all of what this one stands for. Where one stands for a label's "*" as for any
# letter, it stands for whatever that "*" does.
_covering(host) := array.concat(_covering_by_keys(host), [pattern |
	by_beginning := _patterns_within_label[_parent_of(host)]
	label := _first_label(host)
	some n in numbers.range(0, count(label))
	some pattern, _ in by_beginning[substring(label, 0, n)]
	_fits_label(pattern, label)
])

# By the labels after the first, and what the first begins with.
_patterns_within_label := object.union_n([{_parent_of(host): {split(host, "*")[0]: {host: null}}} |
	some match in _all_matches
	host := lower(match.endpoint.host)
	_is_within_label(host)
])

_covering_by_keys(host) := [pattern | some pattern in _patterns_for(host, split(host, ".")); not startswith(pattern, "*.")] if {
	_first_label(host) == "**"
} else := _patterns_for(host, split(host, "."))

_enforcing := object.union_n([row |
	some match in _all_matches
	not match.endpoint.enforcement == "audit"
	row := _table_row(match, match.policy)
])

# What is given without more being asked, by the access and the program's path.
_giving := object.union_n([_table_row(match, {_given(match.endpoint): {path: match.policy | some path in paths}}) |
	some match in _all_matches
	paths := _unconditional_paths(match)
])

_giving_by_pattern := object.union_n([_table_row(match, {_given(match.endpoint): {path: match.policy | some path in paths}}) |
	some match in _all_matches
	paths := {path |
		some path in _unconditional_paths(match)

		# For speed alone.
		contains(path, "*")
	}

	# For speed alone.
	count(paths) > 0
])

_given(endpoint) := "full" if {
	not _limits_requests(endpoint)
} else := "read-write" if {
	endpoint.access == "read-write"
	not "rules" in object.keys(endpoint)
}

_sni_matched := object.union_n([row |
	some match in _all_matches
	match.endpoint.sni == "match"
	row := _table_row(match, {path: match.policy | some path in _paths_of(match.policy)})
])

_table_row(match, value) := {lower(match.endpoint.host): {format_int(port, 10): value | some port in _ports(match.endpoint)}}

# Otherwise it limits who gets them: an answer has those of every endpoint that grants the request.
_gives_no_addresses(endpoint) if object.get(endpoint, "allowed_ips", []) == []

# What an endpoint limits, and the accesses that go beyond it.
_limit(endpoint) := ["access", {"read-write", "full"}] if {
	endpoint.access == "read-only"
} else := ["access", {"full"}] if {
	endpoint.access == "read-write"
} else := ["rules", {"full"}] if {
	some rule in endpoint.rules
	rule.allow
}

_paths_of(name) := {binary.path | some binary in _list(_policies[name], "binaries")}

_unconditional_paths(match) := {binary.path |
	count(match.mistakes) == 0
	object.get(match.endpoint, "require", {}) == {}
	object.get(_policies[match.policy], "require", {}) == {}
	some binary in _list(_policies[match.policy], "binaries")
	object.keys(binary) == {"path"}
	_is_path(binary.path)
}
