package system.log_test

import data.system.log

_nothing := {"method": "GET", "path": "/x", "query": null, "query_raw": null, "path_raw": "/x"}

_process := {"pid": 1, "binary": "/usr/bin/curl", "command_line": null}

_event(request, processes, via) := {"path": "egress/decision", "input": {
	"binary": "/usr/bin/curl",
	"request": request,
	"identity": {"processes": processes, "via": via},
}}

test_queries if {
	request := object.union(_nothing, {"query": "token=1", "query_raw": "token=%31"})
	log.mask == {"/input/request/query", "/input/request/query_raw"} with input as _event(request, [], [])
}

test_queries_that_are_not_utf_8 if {
	request := object.union(_nothing, {"query_hex": "ff", "query_raw_hex": "fe"})
	log.mask == {"/input/request/query_hex", "/input/request/query_raw_hex"} with input as _event(request, [], [])
}

test_an_empty_query if {
	request := object.union(_nothing, {"query": "", "query_raw": ""})
	log.mask == {"/input/request/query", "/input/request/query_raw"} with input as _event(request, [], [])
}

test_command_lines if {
	asked := object.union(_process, {"command_line": ["curl", "-u", "me:secret"]})
	raw := object.union(_process, {"command_line_hex": ["ff"]})
	masked := {
		"/input/identity/processes/1/command_line",
		"/input/identity/processes/2/command_line_hex",
		"/input/identity/via/0/command_line",
	}
	log.mask == masked with input as _event(_nothing, [_process, asked, raw], [asked, _process])
}

test_headers if {
	request := object.union(_nothing, {"headers": {"cookie": ["secret"]}})
	log.mask == {"/input/request/headers"} with input as _event(request, [], [])
	log.mask == {"/input/headers"} with input as {"input": {"headers": {"cookie": ["secret"]}}}
}

test_nothing_to_leave_out if {
	log.mask == set() with input as _event(_nothing, [_process], [])
}

# An error would lose the entry.
test_whatever_was_asked if {
	every asked in [null, 1, "x", [], {}, {"request": null}, {"request": "x", "identity": {"processes": {"a": 1}}}] {
		log.mask == set() with input as {"input": asked}
	}
	log.mask == set() with input as {}
}
