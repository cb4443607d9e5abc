# What is made of all policies at once, for `opa eval` and for whoever looks after them. No decision asks
# for any of it.
package egress

# METADATA
# title: The policies, arranged by keys
# description: >-
#   Loaded as data.egress_index, decisions need neither the policies themselves nor time that grows with
#   their number.
index := {
	"format": _format,
	"revision": _digest,
	"declared": _declared,
	"endpoints": _by_host,
	"ports": {host: array.slice(sort({to_number(port) | some port in object.keys(ports)}), 0, _most + 1) |
		some host, ports in _by_host
	},
	"labels": object.union_n([_row(_parent_of(match.endpoint.host), match) |
		some match in _all_matches

		# For speed alone.
		_is_within_label(match.endpoint.host)
	]),
	"policies": {name: {
		"sound": _is_sound(name),
		"programs": _shown(_program_names(name)),
		"binaries": _by_key(policy),
	} |
		some name, policy in _policies
	},
	"binaries": _mentioned,
	"problems": _found,
}

_by_host := object.union_n([_row(lower(match.endpoint.host), match) |
	some match in _all_matches

	# For speed alone.
	not _is_within_label(match.endpoint.host)
])

# Of the policies, whatever they say of it themselves.
_digest := crypto.sha256(json.marshal([_format, data.network_policies]))

_declared := data.revision if {
	_is_revision(data.revision)
} else := null

# Every endpoint that a question can be about.
_all_matches := [_match(name, i, endpoint) |
	some name, policy in _policies
	some i, endpoint in _list(policy, "endpoints")
	_is_host(endpoint.host)
]

_row(host, match) := {host: {format_int(port, 10): {_id(match): match} | some port in _ports(match.endpoint)}}

_id(match) := sprintf("%s/%d", [match.policy, match.number])

_by_key(policy) := object.union_n([{_entry_key(entry): {format_int(i, 10): entry}} |
	some i, binary in _list(policy, "binaries")
	entry := {"binary": binary, "mistakes": _binary_mistakes(binary)}
])

# METADATA
# title: The programs that policies mention
# description: >-
#   Sorted, without patterns. Warder looks them up under each sandbox's root and tells of a caller's names
#   among them.
binaries := data.egress_index.binaries if {
	_indexed
} else := _mentioned

_mentioned := sort({path |
	some policy in _policies
	some binary in _list(policy, "binaries")
	some path in array.concat([object.get(binary, "path", "")], _list(binary, "started_by"))
	_is_exact_path(path)
})

# METADATA
# title: What is wrong with the policies
# description: >-
#   A set of objects: the path of the key, the problem, and its severity. An error allows nothing, or has no effect; a warning
#   is about something that may not be meant.
problems contains problem if {
	_indexed
	some problem in data.egress_index.problems
}

problems contains problem if {
	not _has_index
	some problem in _found
}

# It holds beside an index too.
problems contains problem if {
	some problem in _wrong_revision
}

problems contains _error(["egress_index"], "it was built for another version of this package: build it again") if {
	_has_index
	not _indexed
}

problems contains _error(["egress_index"], "it was built from other network_policies than are loaded: build it again") if {
	_indexed
	data.egress_index.revision != _digest
}

_error(path, problem) := {"path": _pointer(path), "problem": problem, "severity": "error"}

_warning(path, problem) := {"path": _pointer(path), "problem": problem, "severity": "warning"}

# As in RFC 6901, without the first slash.
_pointer(path) := concat("/", [escaped |
	some part in path
	escaped := replace(replace(sprintf("%v", [part]), "~", "~0"), "/", "~1")
])
