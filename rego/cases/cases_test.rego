# The table of cases, which tests/system/test_policy_cases.py puts to a running gate as well.
package egress_cases_test

import data.cases
import data.egress

caller_of(case) := object.union(
	{"sha256": null, "ancestors": [], "ancestors_complete": false},
	cases.callers[case.caller],
)

request_of(case) := {
	"kind": "forward",
	"method": case.request.method,
	"scheme": "http",
	"path": case.request.path,
	"path_raw": object.get(case.request, "raw", case.request.path),
	"query": null,
	"query_raw": null,
	"doubts": object.get(case.request, "doubts", []),
} if {
	case.request
} else := {
	"kind": "connect",
	"method": "CONNECT",
	"scheme": null,
	"path": null,
	"path_raw": null,
	"query": null,
	"query_raw": null,
	"doubts": [],
}

question(case) := {
	"binary": caller.path,
	"host": case.host,
	"port": case.port,
	"request_id": "r",
	"ancestors": caller.ancestors,
	"sha256": caller.sha256,
	"request": request_of(case),
	"client": {"address": "10.200.0.2", "port": 43210},
	"identity": {
		"grade": "exact",
		"assurance": "proven",
		"causes": [],
		"reason": null,
		"detail": null,
		"scope": "pid:1",
		"method": "sock_diag",
		"relays": false,
		"via": [],
		"via_complete": true,
		"processes": [{
			"pid": 7,
			"uid": caller.uid,
			"gid": caller.uid,
			"role": ["connector", "holder"],
			"start_time": 1,
			"binary": caller.path,
			"path": caller.path,
			"names": [caller.path],
			"sha256": caller.sha256,
			"deleted": false,
			"image_writable": false,
			"traced": false,
			"ancestors": caller.ancestors,
			"ancestors_complete": count(caller.ancestors) > 0,
			"container": null,
			"pod": null,
			"command_line": null,
		}],
	},
} if {
	caller := caller_of(case)
}

# The reason has to hold what is expected of it, the rest has to be equal.
as_expected(case, answer) if {
	every key, value in object.remove(case.answer, ["reason"]) {
		answer[key] == value
	}
	contains(answer.reason, object.get(case.answer, "reason", ""))
}

# By the policies as they are written, and by their index alone.
wrong := {{"case": i, "question": case, "answers": answers} |
	index := egress.index with data.network_policies as cases.policies
	loaded := json.unmarshal(json.marshal(index))
	some i, case in cases.questions
	written := egress.decision with input as question(case) with data.network_policies as cases.policies
	indexed := egress.decision with input as question(case) with data.egress_index as loaded
	answers := {written, object.union(indexed, {"revision": null})}
	not all_as_expected(case, answers)
}

all_as_expected(case, answers) if {
	count(answers) == 1
	every answer in answers {
		as_expected(case, answer)
	}
}

test_every_case_has_its_answer if {
	count(cases.questions) >= 150
	print(count(wrong))
	wrong == set()
}
