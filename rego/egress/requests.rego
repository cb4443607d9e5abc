# Which requests an endpoint allows: its access and its rules.
package egress

# A tunnel can't be held to single requests: only an endpoint that sets them no limits opens one.
_permits(endpoint) if not _limits_requests(endpoint)

_permits(endpoint) if {
	_is_request
	is_string(input.request.method)
	_access_permits(object.get(endpoint, "access", "full"))
	_rules_permit(endpoint)
}

_is_request if input.request.kind == "forward"

_limits_requests(endpoint) if endpoint.access != "full"

_limits_requests(endpoint) if "rules" in object.keys(endpoint)

_access_permits("full")

_access_permits(access) if input.request.method in _methods[access]

_reading := {"GET", "HEAD", "OPTIONS"}

_methods := {
	"read-only": _reading,
	"read-write": (_reading | {"POST", "PUT", "PATCH", "DELETE"}),
}

_rules_permit(endpoint) if not "rules" in object.keys(endpoint)

_rules_permit(endpoint) if {
	some rule in endpoint.rules
	_is_about(rule.allow)
}

# Rules that only deny leave the rest as it is.
_rules_permit(endpoint) if {
	every rule in endpoint.rules {
		"deny" in object.keys(rule)
	}
}

_is_about(limits) if {
	every key, value in limits {
		_matches(key, value)
	}
}

_matches("method", "*")

_matches("method", method) if method == input.request.method

_matches("path", pattern) if glob.match(pattern, ["/"], input.request.path)

# What denies this caller's request whatever other endpoints allow. The texts have only parts that
# are never undefined: one that is would be an obstacle less.
_obstacles contains problem if {
	some match in _listing
	some mistake in match.mistakes
	problem := sprintf("policy %s has an endpoint for %s that is written wrong: %s", [match.policy, _destination, mistake.problem])
}

_obstacles contains problem if {
	some match in _listing
	some mistake in match.policy_mistakes
	problem := sprintf("policy %s is written wrong: %s", [match.policy, mistake.problem])
}

_obstacles contains problem if {
	some match in _listing
	some entry in _entries(match.policy)
	_lists(entry)
	some mistake in _mistakes_of(entry)
	problem := sprintf("policy %s has an entry in binaries that is written wrong: %s", [match.policy, mistake.problem])
}

_obstacles contains problem if {
	some match in _listing
	some rule in match.endpoint.rules
	some problem in _forbids(rule, match.policy)
}

_forbids(rule, policy) := {_too_closed(policy) | "deny" in object.keys(rule)} if {
	not _is_request
} else := {sprintf("policy %s denies %s at %s to %s", [policy, _program, _destination, _request]) |
	_is_about(rule.deny)
} | {_unclear(policy) |
	not _path_is_clear
	_names_path(rule)
}

_unclear(policy) := sprintf(
	"policy %s names paths at %s, and that of this request can be read in more than one way: %s",
	[policy, _destination, _doubts],
)

_path_is_clear if {
	is_string(input.request.path)
	input.request.doubts == []
}

_names_path(rule) if {
	some limits in rule
	"path" in object.keys(limits)
}

# The strictest endpoint of a caller decides over the ClientHello and over method overrides: what one
# asks for, no other one hides. A request is no tunnel, and a tunnel no request.
_sni(matches) := "match" if {
	not _is_request
	some match in matches
	"sni" in object.keys(match.endpoint)
} else := null

_read_only if {
	_is_request
	some match in _listing
	_limits_requests(match.endpoint)
} else := false
