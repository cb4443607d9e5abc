# METADATA
# scope: package
# title: Who may reach what
# description: >-
#   Answers Warder's question at data.egress.decision from the policies in data.network_policies.
#   Input, answer and policy format are described in rego/README.md.
package egress

# METADATA
# description: >-
#   Always defined: a question with a missing key, such as a probe, is denied like one that nothing
#   allows.
# entrypoint: true
default decision := {
	"allow": false,
	"reason": "the input document is not complete",
	"policy": null,
	"enforcement": "enforce",
	"would_deny": false,
	"allowed_ips": [],
	"max_age": 0,
	"sni": null,
	"read_only": false,
	"revision": null,
}

decision := {
	"allow": true,
	"reason": _short(sprintf("policy %s allows %s to reach %s", [name, _program, _destination])),
	"policy": name,
	"enforcement": _enforcement,
	"would_deny": false,
	"allowed_ips": _allowed_ips(_granting),
	"max_age": min({_max_age(match.policy) | some match in _granting}),
	"sni": _sni(_listing),
	"read_only": _read_only,
	"revision": _revision,
} if {
	name := _first(_granting)
} else := {
	"allow": true,
	"reason": _short(_objection),
	"policy": _first(_matching),
	"enforcement": "audit",
	"would_deny": true,
	"allowed_ips": _allowed_ips(_matching),
	"max_age": 0,
	"sni": _sni(_matching),
	"read_only": false,
	"revision": _revision,
} if {
	_enforcement == "audit"
	_auditable
} else := {
	"allow": false,
	"reason": _short(_objection),
	"policy": null,
	"enforcement": _enforcement,
	"would_deny": false,
	"allowed_ips": [],
	"max_age": 0,
	"sni": null,
	"read_only": false,
	"revision": _revision,
}

# Said positively, so that a key that is missing never makes a caller known.
_caller_known if {
	input.identity.grade in _known_grades
	input.identity.assurance in _trusted_assurances
}

# Whatever stands in the way of trusting its name leaves what its file holds as it is.
_file_known if {
	input.identity.grade in _known_grades
	input.identity.assurance == "suspect"
	some cause in input.identity.causes
	cause in _causes_of_names
	every other in input.identity.causes {
		other in (_causes_of_names | _causes_of_lookups)
	}
}

_causes_of_names := {"alien_path", "image_replaced"}

_causes_of_lookups := {"connector_unknown", "references_uncounted", "unreadable_processes"}

_auditable if _caller_known

_auditable if _admitted

# One executable, whatever the number of processes.
_known_grades := {"exact", "shared"}

# Everything but "suspect".
_trusted_assurances := {"proven", "observed"}

_destination := sprintf("%s:%d", [input.host, input.port])

# Endpoints for this host and port, whoever may use them.
_matching contains {"policy": name, "endpoint": endpoint} if {
	some name, policy in data.network_policies
	some endpoint in policy.endpoints
	lower(endpoint.host) in _host_names
	_port_matches(endpoint)
}

# Those of them that are for this caller.
_listing contains match if {
	some match in _matching
	_lists_caller(match.policy)
}

# Those that allow what it asks for.
_granting contains match if {
	count(_obstacles) == 0
	some match in _listing
	_admits_caller(match.policy)
	_permits(match.endpoint)
	_requirements_met(match)
}

_admitted if {
	some match in _matching
	_admits_caller(match.policy)
}

_port_matches(endpoint) if endpoint.port == input.port

_port_matches(endpoint) if input.port in endpoint.ports

# What an endpoint may call the host. "*" stands for exactly one label, the first. An address has no
# labels.
_host_names := {_host, concat(".", array.concat(["*"], array.slice(labels, 1, count(labels))))} if {
	not _is_address(_host)
	labels := split(_host, ".")
	count(labels) > 1
} else := {_host}

_host := lower(input.host)

# Any prefix length makes a range of an address, of either family, and of nothing else.
_is_address(host) if net.cidr_is_valid(concat("/", [host, "32"]))

_lists_caller(name) if {
	some binary in data.network_policies[name].binaries
	_is_caller(binary)
}

_admits_caller(name) if {
	some binary in data.network_policies[name].binaries
	_is_caller(binary)
	_well_enough_known(binary)
}

# Every key that is there must match, so that a mistake in one never widens the other.
_is_caller(binary) if {
	keys := object.keys(binary) & {"path", "sha256"}
	count(keys) > 0
	every key in keys {
		_is_caller_by(key, binary[key])
	}
}

# Byte for byte; a caller without a trusted name (null) is in no list.
_is_caller_by("path", path) if {
	is_string(input.binary)
	path == input.binary
}

_is_caller_by("sha256", sha256) if {
	regex.match(`^[0-9a-f]{64}$`, input.sha256)
	lower(sha256) == input.sha256
}

_well_enough_known(_) if _caller_known

_well_enough_known(binary) if {
	not "path" in object.keys(binary)
	_file_known
}

# Said positively again: a requirement that isn't understood isn't met.
_requirements_met(match) if {
	every required in _required(match) {
		is_object(required)
		every key, value in required {
			_met(key, value)
		}
	}
}

# Of the policy and of its endpoint; both count.
_required(match) := [object.get(holder, "require", {}) |
	some holder in [data.network_policies[match.policy], match.endpoint]
]

_met("assurance", "proven") if input.identity.assurance == "proven"

_met("assurance", "observed") if input.identity.assurance in _trusted_assurances

# Known to relay for nobody: where that could not be checked, it is not met.
_met("relays", false) if {
	input.identity.relays == false
	input.identity.via_complete == true
}

_met("container", id) if {
	regex.match(`^[0-9a-f]{12,64}$`, id)
	count(input.identity.processes) > 0
	every process in input.identity.processes {
		startswith(process.container, id)
	}
}

_met("pod", uid) if {
	is_string(uid)
	count(input.identity.processes) > 0
	every process in input.identity.processes {
		process.pod == uid
	}
}

# Deterministic where several policies match.
_first(matches) := min({match.policy | some match in matches})

# An endpoint that names an address has thereby approved it, private or not.
_allowed_ips(matches) := sort({range |
	some match in matches
	listed := object.get(match.endpoint, "allowed_ips", [])
	some range in array.concat(_literal(match.endpoint), listed)
})

_literal(endpoint) := [lower(endpoint.host)] if {
	_is_address(endpoint.host)
} else := []

# "audit" only where every endpoint for this host and port says so: one that enforces wins.
_enforcement := "audit" if {
	count(_matching) > 0
	every match in _matching {
		match.endpoint.enforcement == "audit"
	}
} else := "enforce"

# How long the answer may be given again, in seconds. What is no such number allows none of it.
_max_age(name) := age if {
	age := data.network_policies[name].max_age
	is_number(age)
	age >= 0
	age <= 3600
} else := 0

# Which policies these are: their own word for it, or that of the bundles they came in.
_revision := _short(data.revision) if {
	is_string(data.revision)
} else := _short(concat(" ", _bundle_revisions)) if {
	count(_bundle_revisions) > 0
} else := null

_bundle_revisions := sort({sprintf("%s=%s", [name, bundle.manifest.revision]) |
	some name, bundle in data.system.bundles
	bundle.manifest.revision != ""
})

# Warder takes texts of up to 4096 bytes, and a character has up to four.
_short(text) := substring(text, 0, 1000)
