package egress_test

import data.egress

# The answer for policies as they are written, which has to be the one for their index alone, as OPA loads
# it from a file. Only the revision is another one.
decided(document, policies_of_test) := {true: answer, false: differing}[same] if {
	answer := egress.decision with input as document with data.network_policies as policies_of_test
	by_index := egress.decision with input as document with data.egress_index as index_of(policies_of_test)
	same := object.union(by_index, {"revision": null}) == object.union(answer, {"revision": null})
}

# Neither allowed nor denied for any test.
differing := {"allow": true, "reason": "the index gives another answer"}

index_of(policies_of_test) := json.unmarshal(json.marshal(index)) if {
	index := egress.index with data.network_policies as policies_of_test
}
