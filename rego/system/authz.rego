# METADATA
# description: |
#   What may be asked of OPA's API (--authorization basic): what Warder asks, and nothing else. Nobody can
#   change policies or data, read them, or evaluate a query of their own.
package system.authz

default allow := false

allow if {
	input.method == "POST"
	input.path == ["v1", "data", "egress", "decision"]
	_plain
}

allow if {
	input.method == "GET"
	input.path in _documents
	_plain
}

# Whether OPA lives, and whether its bundles and plugins are in order.
allow if {
	input.method == "GET"
	input.path == ["health"]
	object.keys(input.params) - {"bundles", "plugins"} == set()
}

_documents := {["v1", "data", "egress", "binaries"], ["v1", "data", "egress", "problems"]}

# `explain` would show the policy at work, `instrument` and `metrics` how long each step takes.
_plain if input.params == {}
