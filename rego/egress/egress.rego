# METADATA
# scope: package
# title: Who may reach what
# description: >-
#   Answers Warder's question at data.egress.decision from the policies in data.network_policies.
#   Input, answer and policy format are described in rego/README.md.
# schemas:
#   - input: schema.input
#   - data.network_policies: schema.network_policies
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
	"max_age": min({match.max_age | some match in _granting}),
	"sni": _sni(_listing),
	"read_only": _read_only,
	"revision": _revision,
} if {
	name := min({match.policy | some match in _granting})
} else := {
	"allow": true,
	"reason": _short(_objection),
	"policy": min({match.policy | some match in _matching}),
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
	"reason": _short(_refusal),
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

# Those of them that are for this caller.
_listing contains match if {
	some match in _matching
	some entry in _entries(match.policy)
	_lists(entry)
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

# Those of the policy and of the endpoint. Said positively again: a requirement that isn't understood isn't
# met. Where most decisions come by, a comprehension stands in place of "every", which takes OPA several
# times as long.
_requirements_met(match) if {
	[required | some required in match.required; not _is_met(required)] == []
}

_is_met(required) if {
	is_object(required)
	[key | some key, value in required; not _met(key, value)] == []
}

_met("assurance", "proven") if input.identity.assurance == "proven"

_met("assurance", "observed") if input.identity.assurance in _trusted_assurances

# Known to relay for nobody: where that could not be checked, it is not met.
_met("relays", false) if {
	input.identity.relays == false
	input.identity.via_complete == true
}

_met("container", id) if _every_process_has("container", id)

_met("pod", uid) if _every_process_has("pod", uid)

_allowed_ips(matches) := sort({range |
	some match in matches
	some range in match.allowed_ips
})

# "audit" only where every endpoint for this host and port says so: one that enforces wins. Audit lets
# through what nothing allows, so it holds only where nothing is written wrong.
_enforcement := "audit" if {
	count(_matching) > 0
	[match | some match in _matching; not _audits(match)] == []
} else := "enforce"

_audits(match) if {
	match.endpoint.enforcement == "audit"
	count(match.mistakes) == 0
	_sound(match.policy)
}

# Which policies these are: their own word for it, or that of the bundles they came in, or what the
# index was made from.
_revision := _short(data.revision) if {
	_is_revision(data.revision)
} else := _short(data.egress_index.declared) if {
	_is_revision(data.egress_index.declared)
} else := _short(concat(" ", _bundle_revisions)) if {
	_bundles_hold_all
} else := revision if {
	revision := _short(data.egress_index.revision)
} else := null

_is_revision(text) if {
	is_string(text)
	text != ""
}

# A bundle holds what is below its roots, and "" is the root of everything.
_bundle_roots := {name: object.get(bundle.manifest, "roots", [""]) |
	some name, bundle in data.system.bundles
	_is_revision(bundle.manifest.revision)
}

_bundle_revisions := sort({sprintf("%s=%s", [name, data.system.bundles[name].manifest.revision]) |
	some name, roots in _bundle_roots
	some root in roots
	split(root, "/")[0] in {"", "egress", "egress_index", "network_policies"}
})

# The policies, or the index that counts in their place. What came by another way can change and the bundles'
# revisions stay.
_bundles_hold_all if {
	some roots in _bundle_roots
	some root in roots
	root in {"", _policies_document}
}

# One bundle or more, each with some policies.
_bundles_hold_all if {
	not _has_index
	held := {name |
		some roots in _bundle_roots
		some root in roots
		["network_policies", name] = split(root, "/")
	}
	count(held) > 0
	object.keys(data.network_policies) - held == set()
}

_policies_document := "egress_index" if {
	_has_index
} else := "network_policies"

# Warder takes texts of up to 4096 bytes, and a character has up to four.
_short(text) := substring(text, 0, 1000)
