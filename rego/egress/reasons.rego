# Why something is denied, in words.
package egress

# Why nothing grants this. What is wrong with the caller comes first, then with the destination.
_objection := concat("; ", _problems) if count(_problems) > 0

# There is no objection in words for everything that an entry asks of a program that it lists.
_refusal := text if {
	text := _objection
} else := sprintf(
	"policy %s lists %s, and asks for more than is known of this caller",
	[_names(_listing), _program],
) if {
	count(_listing) > 0
}

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
	not _has_index
	not data.network_policies
} else := "the index of the policies was built for another version of the policy package" if {
	_has_index
	not _indexed
} else := concat("", array.concat([sprintf("no endpoint for %s", [_destination])], _near_endpoints)) if {
	count(_matching) == 0
} else := concat("; ", sort(_obstacles)) if {
	count(_obstacles) > 0
} else := concat("; ", array.concat(sort(_limitations), sort(_requirements | _near_entries))) if {
	count(((_limitations | _requirements) | _near_entries)) > 0
} else := sprintf(
	"endpoint %s is allowed for %s, not for %s%s; see policy %s",
	[_destination, _listed_programs, input.binary, _starter, _names(_matching)],
) if {
	is_string(input.binary)
	count(_listing) == 0
}

# Endpoints that it may have been about: this host with other ports, this port of hosts like it.
_near_endpoints := array.concat(
	[sprintf(": there is one for port %s", [_few(ports)]) |
		ports := [sprintf("%d", [port]) | some port in sort(_other_ports)]
		count(ports) > 0
	],
	[sprintf(": %s does not stand for this host", [_few(sort(_near_patterns))]) |
		count(_near_patterns) > 0
	],
)

# Entries for this program that ask for more.
_near_entries contains problem if {
	some match in _matching
	name := match.policy
	not _admits_caller(name)
	some entry in _entries(name)
	_is_caller_by("path", entry.binary)
	some key in _unmet(entry.binary)
	problem := sprintf(
		"policy %s lists %s only with %s %s, not %s",
		[name, entry.binary.path, key, _as_text(entry.binary[key]), _instead_of(key)],
	)
}

_as_text(value) := text if {
	text := _few(value)
} else := sprintf("%v", [value])

_instead_of("sha256") := sprintf("%v", [input.sha256])

_instead_of("assurance") := _explained_causes

_instead_of("uid") := _few(sort({sprintf("%v", [process.uid]) | some process in input.identity.processes}))

_instead_of("container") := _places("container")

_instead_of(key) := concat("", [_few(_parents), _in_doubt]) if key in {"started_by", "descendants"}

_parents := [ancestor | some ancestor in input.identity.processes[0].ancestors]

_in_doubt := "" if {
	every process in input.identity.processes {
		process.ancestors_complete == true
	}
} else := ", as far as that is known"

# How messages name those who may.
_listed_programs := "nobody" if {
	count(_programs_of_policies) == 0
} else := _few(sort(_programs_of_policies))

_programs_of_policies := {program |
	some match in _matching
	some program in _programs(match.policy)
}

_starter := sprintf(" (started by %s)", [input.ancestors[0]]) if {
	is_string(input.ancestors[0])
} else := ""

# How messages name the caller.
_program := input.binary if {
	is_string(input.binary)
} else := sprintf("the program with sha256 %v", [input.sha256])

# What an endpoint of this caller allows instead of this request.
_limitations contains problem if {
	not _is_request
	some match in _listing
	_limits_requests(match.endpoint)
	problem := _too_closed(match.policy)
}

_limitations contains problem if {
	_is_request
	some match in _listing
	access := match.endpoint.access
	not _access_permits(access)
	problem := sprintf(
		"policy %s gives %s %s access to %s, which %v is not part of",
		[match.policy, _program, access, _destination, object.get(input.request, "method", null)],
	)
}

_limitations contains problem if {
	_is_request
	some match in _listing
	not _rules_permit(match.endpoint)
	problem := sprintf(
		"policy %s has no rule that allows %s at %s to %s",
		[match.policy, _program, _destination, _request],
	)
}

_requirements contains problem if {
	some match in _listing
	some required in match.required
	is_object(required)
	some key, value in required
	not _met(key, value)
	problem := sprintf("policy %s requires %s %v of the caller%s", [match.policy, key, value, _instead(key)])
}

_requirements contains problem if {
	some match in _listing
	some required in match.required
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

_names(matches) := _few(sort({match.policy | some match in matches}))

# A list that stays short.
_few(texts) := sprintf("%s and others", [concat(", ", array.slice(texts, 0, _most))]) if {
	count(texts) > _most
} else := concat(", ", texts)

_most := 4

# Of an endpoint that a tunnel can't be held to.
_too_closed(name) := concat("", [
	sprintf("policy %s limits %s at %s to certain requests, which needs request inspection: ", [name, _program, _destination]),
	"send them through the proxy as plain http, or drop access and rules from the endpoint",
])

# How messages tell of a request.
_request := sprintf("%v %v", [object.get(input.request, key, null) | some key in ["method", "path"]])

_doubts := concat(", ", input.request.doubts) if {
	count(input.request.doubts) > 0
} else := "how is not known"
