# What is written wrong in a policy. Whoever wrote it may have meant to forbid something, so it allows
# nothing. `at` is where, below the policy, the endpoint or the entry. What is right is found so first: each
# decision asks, and the messages are for few.
package egress

_mistake(at, problem) := {"at": at, "problem": problem}

_unknown_key(key) := _mistake([key], sprintf("%s is not a key", [key]))

# Of a policy itself; its endpoints and binaries have their own.
_policy_mistakes(name) := set() if {
	policy := _policies[name]
	is_array(policy.endpoints)
	is_array(policy.binaries)
	object.keys(policy) - {"endpoints", "binaries", "require", "max_age"} == set()
	_is_max_age(object.get(policy, "max_age", 0))
} else := {_mistake([], "it is not a mapping")} if {
	not is_object(_policies[name])
} else := union({
	{_unknown_key(key) | some key in (object.keys(_policies[name]) - {"endpoints", "binaries", "require", "max_age"})},
	_missing_lists(_policies[name]),
	_wrong_max_age(_policies[name]),
})

_missing_lists(policy) := {_mistake([key], sprintf("%s is not a list", [key])) |
	some key in ["endpoints", "binaries"]
	not is_array(object.get(policy, key, null))
}

_wrong_max_age(policy) := {_mistake(["max_age"], sprintf("max_age is %v, not a number from 0 to 3600", [age])) |
	age := policy.max_age
	not _is_max_age(age)
}

# What is no number is less than all numbers, or more.
_is_max_age(age) if {
	age >= 0
	age <= 3600
}

_endpoint_mistakes(endpoint) := set() if {
	(object.keys(endpoint) & {"host", "port", "ports"}) in {{"host", "port"}, {"host", "ports"}}
	count([key | some key, value in endpoint; _is_right_of_endpoint(key, value)]) == count(endpoint)
} else := {_mistake([], "it is not a mapping")} if {
	not is_object(endpoint)
} else := union({
	{mistake |
		some key, value in endpoint
		not _is_right_of_endpoint(key, value)
		some mistake in _wrong_of_endpoint(key, value)
	},
	{_mistake(["host"], _wrong_host(null)) | not "host" in object.keys(endpoint)},
	_wrong_port_keys(endpoint),
})

_is_right_of_endpoint("host", host) if _is_host(host)

_is_right_of_endpoint("port", port) if _is_port(port)

# For speed alone.
_is_right_of_endpoint("ports", ports) if {
	_has_entries(ports)
	every port in ports {
		_is_port(port)
	}
}

# For speed alone.
_is_right_of_endpoint("rules", rules) if {
	_has_entries(rules)
	every rule in rules {
		_is_rule(rule)
	}
}

# For speed alone.
_is_right_of_endpoint("allowed_ips", ranges) if {
	is_array(ranges)
	every range in ranges {
		_is_range(range)
	}
}

_is_right_of_endpoint("require", _)

_is_right_of_endpoint("access", value) if value in _endpoint_values.access

_is_right_of_endpoint("enforcement", value) if value in _endpoint_values.enforcement

_is_right_of_endpoint("sni", value) if value in _endpoint_values.sni

_endpoint_values := {
	"access": ["full", "read-only", "read-write"],
	"enforcement": ["enforce", "audit"],
	"sni": ["match"],
}

_wrong_of_endpoint(key, value) := {_mistake(["host"], _wrong_host(value))} if {
	key == "host"
} else := {_mistake(["port"], sprintf("port is %v, not an integer from 1 to 65535", [value]))} if {
	key == "port"
} else := _wrong_ports(value) if {
	key == "ports"
} else := _wrong_rules(value) if {
	key == "rules"
} else := _wrong_addresses(value) if {
	key == "allowed_ips"
} else := {_mistake([key], sprintf("%s is %v, not %s", [key, value, concat(" or ", allowed)]))} if {
	allowed := _endpoint_values[key]
} else := {_unknown_key(key)}

# What no question can be about stands for nothing: Warder asks about hosts in canonical form.
_is_host(host) if _is_plain_host(host)

_is_host(host) if {
	contains(host, "*")
	not _wrong_pattern(lower(host))
}

_wrong_host(host) := sprintf("host is %v, not a text", [host]) if {
	not is_string(host)
} else := sprintf("host is %s, and that address is written %s", [host, canonical]) if {
	canonical := _canonical_address(host)
} else := sprintf("host is %s, which is no pattern: %s", [host, _wrong_pattern(lower(host))]) if {
	contains(host, "*")
} else := sprintf("host is %s, which is neither a name nor an address", [host])

_is_plain_host(host) if _is_name(lower(host))

# There is one form of an IPv4 address.
_is_plain_host(host) if {
	_is_address(host)
	not contains(host, ":")
}

_is_plain_host(host) if _canonical_address(host) == lower(host)

_canonical_address(host) := split(whole, "/")[0] if {
	some whole in net.cidr_merge([concat("/", [host, "128"])])
}

_wrong_pattern(host) := "it covers a whole top-level domain, or more" if {
	count(split(host, ".")) < 3
} else := "* is for the first label alone" if {
	contains(_parent_of(host), "*")
} else := "the rest of it is not a name" if {
	not _is_name(_parent_of(host))
} else := "its first label is not * or **, nor of letters, digits, - and _ around each *" if {
	not regex.match(`^(\*\*|[a-z0-9_-]*(\*[a-z0-9_-]+)*\*?)$`, _first_label(host))
}

# As Warder takes them; a last label like a number belongs to an address.
_is_name(name) if {
	count(name) <= 253
	regex.match(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`, name)
	not regex.match(`(^|\.)([0-9]+|0x[0-9a-f]*)$`, name)
}

_wrong_port_keys(endpoint) := {0: {_mistake(["port"], "there is neither port nor ports")}, 1: set()}[given] if {
	given := count(object.keys(endpoint) & {"port", "ports"})
} else := {_mistake(["ports"], "port and ports are both there")}

_wrong_ports(ports) := {_mistake(["ports"], "ports is not a list of ports")} if {
	not _has_entries(ports)
} else := {_mistake(["ports", i], sprintf("ports[%d] is %v, not an integer from 1 to 65535", [i, port])) |
	some i, port in ports
	not _is_port(port)
}

_wrong_rules(rules) := {_mistake(["rules"], "rules is not a list of rules")} if {
	not _has_entries(rules)
} else := {mistake |
	some i, rule in rules
	some mistake in _wrong_rule(i, rule)
}

# None in a right one; some in whatever else it is.
_wrong_rule(i, rule) := {_mistake(["rules", i, key], sprintf("rules[%d].%s is not a key", [i, key])) | some key in unknown} if {
	unknown := object.keys(rule) - {"allow", "deny"}
	count(unknown) > 0
} else := {_mistake(array.concat(["rules", i, verb], mistake.at), sprintf("rules[%d].%s", [i, mistake.problem])) |
	some verb, limits in rule
	some mistake in _wrong_limits(verb, limits)
} if {
	object.keys(rule) in {{"allow"}, {"deny"}}
} else := {_mistake(["rules", i], sprintf("rules[%d] is not a rule", [i]))}

_wrong_limits(verb, limits) := {_mistake([], sprintf("%s has neither method nor path", [verb]))} if {
	not _has_keys(limits)
} else := {_mistake(mistake.at, sprintf("%s.%s", [verb, mistake.problem])) |
	some key, value in limits
	not _is_limit(key, value)
	some mistake in _wrong_value(key, value, _limit_keys)
}

_has_keys(limits) if {
	is_object(limits)
	count(limits) > 0
}

_limit_keys := {
	"method": "a method in capitals, or *",
	"path": "a path in canonical form, or a pattern with * and **",
}

_has_entries(list) if {
	is_array(list)
	count(list) > 0
}

_is_rule(rule) if {
	count(rule) == 1
	some verb, limits in rule
	verb in {"allow", "deny"}
	count(limits) > 0
	every key, value in limits {
		_is_limit(key, value)
	}
}

_is_limit("method", method) if regex.match(`^(\*|[A-Z]+(-[A-Z]+)*)$`, method)

_is_limit("path", path) if _is_pattern(path)

# Only what the canonical path of a request without doubts can have: a rule with anything else would
# look as if it forbade something. Of the escapes, those of unreserved characters are decoded there.
_is_pattern(path) if {
	regex.match(`^(/([A-Za-z0-9._~!$&'()*+,=:@-]|%(2[0-24-9A-C]|3[ACDE]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F]))*)+$`, path)
	not regex.match(`\*\*\*|//|/\.\.?(/|$)`, path)
}

_wrong_addresses(ranges) := {_mistake(["allowed_ips"], "allowed_ips is not a list of addresses and ranges")} if {
	not is_array(ranges)
} else := {_mistake(["allowed_ips", i], sprintf("allowed_ips[%d] is %v, not an address or a range", [i, range])) |
	some i, range in ranges
	not _is_range(range)
}

_is_range(range) if net.cidr_is_valid(range)

_is_range(range) if _is_address(range)

_binary_mistakes(binary) := set() if {
	(object.keys(binary) & {"path", "sha256", "descendants"}) in {{"path"}, {"sha256"}, {"path", "sha256"}, {"path", "descendants"}}
	count([key | some key, value in binary; _is_binary_value(key, value)]) == count(binary)
} else := {_mistake([], "it is not a mapping")} if {
	not is_object(binary)
} else := {mistake |
	some key, value in binary
	not _is_binary_value(key, value)
	some mistake in _wrong_value(key, value, _binary_keys)
} | _wrong_program(binary)

# `known` are the right keys, with what each of them has to be.
_wrong_value(key, value, known) := {_mistake([key], sprintf("%s is %v, not %s", [key, value, expected]))} if {
	expected := known[key]
} else := {_unknown_key(key)}

_binary_keys := {
	"path": "an absolute path, or a pattern with * and **",
	"sha256": "64 hexadecimal digits",
	"descendants": "true or false",
	"started_by": "a list of absolute paths",
	"uid": "a number",
	"container": "a container's id, or its first 12 or more digits",
	"assurance": "proven or observed",
}

_wrong_program(binary) := {_mistake(["path"], "there is neither path nor sha256")} if {
	object.keys(binary) & {"path", "sha256"} == set()
} else := {_mistake(["descendants"], "descendants needs a path, and goes with no sha256")} if {
	"descendants" in object.keys(binary)
	object.keys(binary) & {"path", "sha256"} != {"path"}
} else := set()

_is_binary_value("path", path) if _is_path(path)

_is_binary_value("sha256", sha256) if _is_sha256(sha256)

_is_binary_value("descendants", descendants) if is_boolean(descendants)

_is_binary_value("started_by", programs) if {
	_has_entries(programs)
	every program in programs {
		_is_path(program)
	}
}

_is_binary_value("uid", uid) if {
	uid >= 0
	uid == floor(uid)
}

_is_binary_value("container", id) if _is_container_id(id)

_is_binary_value("assurance", assurance) if assurance in _trusted_assurances

# As the kernel writes them. With "*" it is a pattern, and of what else means something in one, nothing.
_is_path(path) if {
	startswith(path, "/")
	not regex.match(`//|/\.\.?(/|$)|.+/$`, path)
	not regex.match(`(?s)\*.*[?\[\]{}\\]|[?\[\]{}\\].*\*|\*\*\*`, path)
}

_is_exact_path(path) if {
	_is_path(path)
	not contains(path, "*")
}

_is_sha256(sha256) if regex.match(`^[0-9A-Fa-f]{64}$`, sha256)

_is_container_id(id) if regex.match(`^[0-9a-f]{12,64}$`, id)

# A requirement that is written wrong is not met, so it needs nothing more. What is wrong with it is for
# whoever looks the policies over.
_require_mistakes(holder) := {_mistake(["require"], "require is not a mapping")} if {
	required := holder.require
	not is_object(required)
} else := {_mistake(["require", key], sprintf("%s is %v, not %s", [key, value, expected])) |
	some key, value in holder.require
	not _is_requirement(key, value)
	expected := object.get(_requirements_known, key, "a requirement")
}

_requirements_known := {
	"assurance": "proven or observed",
	"relays": "false",
	"container": _binary_keys.container,
	"pod": "a pod's uid",
}

_is_requirement("assurance", assurance) if assurance in _trusted_assurances

_is_requirement("relays", false)

_is_requirement("container", id) if _is_container_id(id)

_is_requirement("pod", uid) if is_string(uid)
