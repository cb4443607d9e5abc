package system.authz_test

import data.system.authz

_asks(method, path) := {"method": method, "path": path, "params": {}, "headers": {}}

_decision := ["v1", "data", "egress", "decision"]

_methods := {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", ""}

_allowed := {
	["POST", _decision],
	["GET", ["v1", "data", "egress", "binaries"]],
	["GET", ["v1", "data", "egress", "problems"]],
	["GET", ["health"]],
}

_paths := {path | some [_, path] in _allowed} | {
	[], [""], ["v1"], ["v1", "data"], ["v1", "data", "egress"], ["v1", "data", "egress", ""],
	["v1", "data", "egress", "decision", ""], ["v1", "data", "egress", "decision", "allow"],
	["", "v1", "data", "egress", "decision"], ["v1", "data", "Egress", "decision"],
	["v1", "data", "egress/decision"], ["v1", "data", "network_policies"], ["v1", "data", "system"],
	["v0", "data", "egress", "decision"], ["v1", "policies"], ["v1", "policies", "egress"],
	["v1", "query"], ["v1", "compile"], ["v1", "compile", "egress", "decision"], ["v1", "config"],
	["v1", "status"], ["metrics"], ["health", "live"], ["health", "ready"], ["debug", "pprof"],
}

test_exactly_these_requests if {
	got := {[method, path] |
		some method in _methods
		some path in _paths
		authz.allow with input as _asks(method, path)
	}
	got == _allowed
}

test_no_parameters if {
	every request in _allowed - {["GET", ["health"]]} {
		every name in ["explain", "pretty", "metrics", "instrument", "provenance", "strict-builtin-errors", "input"] {
			asked := object.union(_asks(request[0], request[1]), {"params": {name: [""]}})
			not authz.allow with input as asked
		}
	}
}

test_health_of_bundles_and_plugins if {
	every params in [{"bundles": [""]}, {"plugins": ["true"]}, {"bundles": [""], "plugins": [""]}] {
		authz.allow with input as object.union(_asks("GET", ["health"]), {"params": params})
	}
	every name in ["exclude-plugin", "bundle", "explain"] {
		asked := object.union(_asks("GET", ["health"]), {"params": {"bundles": [""], name: ["x"]}})
		not authz.allow with input as asked
	}
}

test_nothing_for_a_token if {
	asked := object.union(_asks("GET", ["v1", "policies"]), {"identity": "admin"})
	not authz.allow with input as asked
}

test_nothing_without_a_question if {
	not authz.allow with input as {}
	not authz.allow with input as null
	not authz.allow with input as {"method": "POST"}
	not authz.allow with input as {"method": "POST", "path": _decision}
}
