# Which endpoints, policies and entries of binaries a question may be about: from the index by keys, or
# from the policies as they are written. Everything else sees only what is found here.
package egress

# Of the index. Another one was built for another version of this package.
_format := 1

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
	_fits_label(match.endpoint.host)
}

_matching contains match if {
	not _has_index
	some name, policy in _policies
	some i, endpoint in _list(policy, "endpoints")
	_names_host(endpoint.host)
	input.port in _ports(endpoint)
	match := _match(name, i, endpoint)
}

# An endpoint as the index holds it.
_match(name, i, endpoint) := {
	"policy": name,
	"number": i,
	"endpoint": endpoint,
	"mistakes": _texts(_endpoint_mistakes(endpoint)),
}

_texts(mistakes) := sort({mistake.problem | some mistake in mistakes})

_matching_policies := {match.policy | some match in _matching}

# What is said of a policy as a whole.
_facts := {name: facts |
	# For speed alone.
	some name in _matching_policies
	facts := data.egress_index.policies[name].facts
} if {
	_indexed
} else := {name: _policy_facts(_policies[name]) |
	# For speed alone.
	some name in _matching_policies
}

_policy_facts(policy) := {
	"require": object.get(policy, "require", {}),
	"max_age": object.get(policy, "max_age", 0),
	"mistakes": _texts(_policy_mistakes(policy)),
	"sound": _is_sound(policy),
	"programs": _shown(_program_names(policy)),
}

_is_sound(policy) if {
	count(_policy_mistakes(policy)) == 0
	every binary in policy.binaries {
		count(_binary_mistakes(binary)) == 0
	}
} else := false

# One more than messages show, so that they can tell.
_shown(names) := array.slice(sort(names), 0, _most + 1)

_program_names(policy) := {_program_name(binary) | some binary in _list(policy, "binaries")}

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
	not _has_index
	some policy in _policies
	some endpoint in _list(policy, "endpoints")
	_names_host(endpoint.host)
	not _is_within_label(endpoint.host)
	some port in _ports(endpoint)
}

_near_patterns contains pattern if {
	some pattern in _patterns_nearby
	data.egress_index.endpoints[pattern][_port]
}

_near_patterns contains pattern if {
	not _has_index
	some policy in _policies
	some endpoint in _list(policy, "endpoints")
	input.port in _ports(endpoint)
	pattern := lower(endpoint.host)
	pattern in _patterns_nearby
}

# The entries in `binaries` of those policies that may be about this caller.
_entries := {name: entries |
	some name in _matching_policies
	entries := {entry |
		# For speed alone.
		some key in _caller_keys
		some entry in data.egress_index.policies[name].binaries[key]
	}
} if {
	_indexed
} else := {name: entries |
	some name in _matching_policies
	entries := {_entry(binary) | some binary in _list(_policies[name], "binaries")}
}

_entry(binary) := {"binary": binary, "mistakes": _texts(_binary_mistakes(binary))}

# What an entry is found by: its path, where it is one path and no pattern.
_entry_key(entry) := entry.binary.path if {
	_is_exact_path(entry.binary.path)
} else := ""

_caller_keys := ({"", object.get(input, "binary", null)} | _names_of_processes) | _ancestors

_names_of_processes := {name |
	some process in input.identity.processes
	some name in process.names
}

_ancestors := {ancestor |
	some process in input.identity.processes
	some ancestor in process.ancestors
}

# A list, and nothing that is gone through like one.
_list(object, key) := object[key] if is_array(object[key])

else := []
