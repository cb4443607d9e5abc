# Which endpoints, policies and entries of binaries a question may be about: from the index by keys, or
# from the policies as they are written. Everything else sees only what is found here.
package egress

# Of the index. Another one was built for another version of this package.
_format := 2

# Never asked of the whole index: OPA would convert all of it for each question.
_has_index if is_number(data.egress_index.format)

_indexed if data.egress_index.format == _format

# Endpoints for this host and port, whoever may use them.
_matching contains match if {
	_indexed
	some pattern in _patterns
	some match in data.egress_index.endpoints[pattern][_port]
}

_matching contains match if {
	_indexed
	some match in data.egress_index.labels[_parent][_port]
	_fits_label(match.endpoint.host, _labels[0])
}

_matching contains _match(name, i, endpoint) if {
	some name, policy in _written
	is_array(policy.endpoints)
	some i, endpoint in policy.endpoints
	lower(endpoint.host) == _host
	_is_plain_host(endpoint.host)
	_has_port(endpoint)
}

_matching contains _match(name, i, endpoint) if {
	some name, policy in _written
	is_array(policy.endpoints)
	some i, endpoint in policy.endpoints

	# For speed alone.
	contains(endpoint.host, "*")

	# For speed alone.
	endswith(lower(endpoint.host), _last_labels)
	_stands_for_host(endpoint.host)
	_has_port(endpoint)
}

# The policies as they are written, where there is no index of them.
_written := _policies if not _has_index

# An endpoint as the index holds it, with what decides over everybody it is for.
_match(name, i, endpoint) := {
	"policy": name,
	"number": i,
	"endpoint": endpoint,
	"mistakes": _endpoint_mistakes(endpoint),
	"policy_mistakes": _policy_mistakes(name),
	"required": [object.get(_policies[name], "require", {}), object.get(endpoint, "require", {})],
	"max_age": object.get(_policies[name], "max_age", 0),
	"allowed_ips": array.concat(_literal(endpoint), _list(endpoint, "allowed_ips")),
}

# An endpoint that names an address has thereby approved it, private or not.
_literal(endpoint) := [lower(endpoint.host)] if {
	_is_address(endpoint.host)
} else := []

# What is said of a policy as a whole.
_sound(name) := sound if {
	sound := data.egress_index.policies[name].sound
} else := _is_sound(name)

_programs(name) := programs if {
	programs := data.egress_index.policies[name].programs
} else := _shown(_program_names(name))

_is_sound(name) if {
	count(_policy_mistakes(name)) == 0
	every binary in _policies[name].binaries {
		count(_binary_mistakes(binary)) == 0
	}
} else := false

# One more than messages show, so that they can tell.
_shown(names) := array.slice(sort(names), 0, _most + 1)

_program_names(name) := {_program_name(binary) | some binary in _list(_policies[name], "binaries")}

_program_name(binary) := sprintf("%s and what it starts", [binary.path]) if {
	binary.descendants == true
} else := sprintf("%s", [binary.path]) if {
	is_string(binary.path)
} else := sprintf("the program with sha256 %v", [object.get(binary, "sha256", null)])

# For messages, where nothing is for this host and port: other ports, and patterns that don't stand for this
# host but for some like it.
_other_ports contains port if {
	some pattern in _patterns
	some port in data.egress_index.ports[pattern]
}

_other_ports contains port if {
	some policy in _written
	some endpoint in _list(policy, "endpoints")
	lower(endpoint.host) in _patterns
	_is_host(endpoint.host)
	some port in _ports(endpoint)
}

_near_patterns contains pattern if {
	some pattern in _patterns_nearby
	data.egress_index.endpoints[pattern][_port]
}

_near_patterns contains pattern if {
	some policy in _written
	some endpoint in _list(policy, "endpoints")
	pattern := lower(endpoint.host)
	pattern in _patterns_nearby
	_has_port(endpoint)
}

# The entries in `binaries` of a policy that may be about this caller.
_entries(name) := {entry |
	# For speed alone.
	some key in _caller_keys
	some entry in data.egress_index.policies[name].binaries[key]
} if {
	_indexed
} else := [{"binary": binary} | some binary in _policies[name].binaries] if {
	is_array(_policies[name].binaries)
}

_mistakes_of(entry) := mistakes if {
	mistakes := entry.mistakes
} else := _binary_mistakes(entry.binary)

# What an entry is found by: its path, where that names one program and no more.
_entry_key(entry) := entry.binary.path if {
	_is_exact_path(entry.binary.path)
	not entry.binary.descendants
} else := ""

_caller_keys := {"", object.get(input, "binary", null)} | _other_names

# A list, and nothing that is gone through like one.
_list(object, key) := object[key] if is_array(object[key])

else := []
