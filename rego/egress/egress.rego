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
}

decision := {
	"allow": true,
	"reason": _short(sprintf("policy %s allows %s to reach %s", [name, _program, _destination])),
	"policy": name,
	"enforcement": _enforcement,
	"would_deny": false,
	"allowed_ips": _allowed_ips(_granting),
	"max_age": 0,
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
	_port_matches(endpoint)
	_host_matches(lower(endpoint.host), lower(input.host))
}

# Those of them that open a tunnel for this caller.
_granting contains match if {
	some match in _matching
	_admits_caller(match.policy)
	not _needs_inspection(match.endpoint)
	_requirements_met(match)
}

_admitted if {
	some match in _matching
	_admits_caller(match.policy)
}

_port_matches(endpoint) if endpoint.port == input.port

_port_matches(endpoint) if input.port in endpoint.ports

_host_matches(wanted, host) if wanted == host

# "*" stands for exactly one label, the first. An address has no labels.
_host_matches(wanted, host) if {
	startswith(wanted, "*.")
	not _is_address(host)
	labels := split(host, ".")
	wanted == concat(".", array.concat(["*"], array.slice(labels, 1, count(labels))))
}

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

# A tunnel can't be held to single requests, so an endpoint that asks for it isn't opened at all.
_needs_inspection(endpoint) if object.get(endpoint, "access", "full") != "full"

_needs_inspection(endpoint) if count(object.keys(endpoint) & {"rules", "deny_rules", "path"}) > 0

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

# Why nothing grants this. What is wrong with the caller comes first, then with the destination.
_objection := concat("; ", _problems) if count(_problems) > 0

_problems := array.concat(
	[problem | not _admitted; problem := _caller_problem],
	[problem | problem := _endpoint_problem],
)

_caller_problem := _explained(sprintf("the caller is unknown (%s)", [input.identity.grade])) if {
	not input.identity.grade in _known_grades
} else := _explained(sprintf("the caller's identity is %s", [input.identity.assurance])) if {
	not input.identity.assurance in _trusted_assurances
} else := _explained("the caller's program has no name that can be trusted") if {
	not is_string(input.binary)
}

_explained(problem) := concat(": ", [part |
	some part in [
		problem,
		input.identity.reason,
		concat(", ", input.identity.causes),
		input.identity.detail,
	]
	not part in {null, ""}
])

_endpoint_problem := "no network_policies are loaded" if {
	not data.network_policies
} else := sprintf("no endpoint for %s", [_destination]) if {
	count(_matching) == 0
} else := sprintf(
	"policy %s limits %s at %s to certain requests, which needs request inspection",
	[_names(_inspecting), _program, _destination],
) if {
	count(_inspecting) > 0
} else := concat("; ", sort(_requirements)) if {
	count(_requirements) > 0
} else := sprintf(
	"an endpoint for %s is in policy %s, but not for %s",
	[_destination, _names(_matching), input.binary],
) if {
	is_string(input.binary)
	count(_listing) == 0
}

# How messages name the caller.
_program := input.binary if {
	is_string(input.binary)
} else := sprintf("the program with sha256 %v", [input.sha256])

_inspecting contains match if {
	some match in _listing
	_needs_inspection(match.endpoint)
}

_requirements contains problem if {
	some match in _listing
	some required in _required(match)
	is_object(required)
	some key, value in required
	not _met(key, value)
	problem := sprintf("policy %s requires %s %v of the caller%s", [match.policy, key, value, _instead(key)])
}

_requirements contains problem if {
	some match in _listing
	some required in _required(match)
	not is_object(required)
	problem := sprintf("policy %s has a require that is not a mapping", [match.policy])
}

# What is there in its place.
_instead(key) := sprintf(", which is %s", [_explained_causes]) if {
	key == "assurance"
} else := ", of which that is not known" if {
	key == "relays"
	not input.identity.relays == true
} else := sprintf(", which carries connections of other programs: %s", [_relayed]) if {
	key == "relays"
} else := sprintf(", which runs in %s", [_places(key)]) if {
	key in {"container", "pod"}
} else := ", and that is no requirement known here"

_explained_causes := concat(": ", [part |
	some part in [input.identity.assurance, concat(", ", input.identity.causes)]
	part != ""
])

_relayed := concat(", ", sort({via.path | some via in input.identity.via; is_string(via.path)}))

_places(key) := concat(", ", sort({place |
	some process in input.identity.processes
	place := object.get({null: "none"}, process[key], process[key])
}))

_listing contains match if {
	some match in _matching
	_lists_caller(match.policy)
}

_names(matches) := concat(", ", sort({match.policy | some match in matches}))

# Warder takes texts of up to 4096 bytes, and a character has up to four.
_short(text) := substring(text, 0, 1000)
