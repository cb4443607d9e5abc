# The schemas know the mistakes that the package knows, but for some of those in paths and hosts. OPA loads both
# files into one document; so one of them is all definitions.
package egress_schemas_test

import data.cases
import data.egress_cases_test
import data.egress_test
import data.schemas

of_policies := {"$ref": schemas["$ref"], "definitions": schemas.definitions}

of_input := object.remove(schemas, ["$ref", "definitions"])

fits(document, schema) := json.match_schema(document, schema)[0]

test_entries if {
	every row in egress_test.wrong_entries {
		fits(egress_test.listing(row[0]), of_policies) == regex.match(`^(path is /|descendants needs)`, row[1])
	}
	every entry in [
		{"path": "/usr/bin/curl"}, {"sha256": egress_test.hash},
		{"path": "/opt/**", "started_by": ["/a"], "uid": 0, "container": "0123456789ab", "assurance": "proven"},
		{"path": "/opt/a", "descendants": true},
	] {
		fits(egress_test.listing(entry), of_policies)
	}
}

test_hosts if {
	every row in egress_test.refused_hosts {
		fits(egress_test.hosting(row[0]), of_policies) == contains(row[2], "that address is written")
	}
	every host in ["a.example", "A_b.example", "*.example.com", "**.a.example.com", "a*b.example.com", "10.1.2.3", "2001:db8::1"] {
		fits(egress_test.hosting(host), of_policies)
	}
}

test_policies if {
	every name, policy in cases.policies {
		fits({name: policy}, of_policies) == is_right(name)
	}
}

is_right(name) := false if {
	regex.match(`^wrong_|^(refused|audit_wrong|audit_typo|misrequired|right_beside_wrong)$`, name)
} else := true

test_questions if {
	every case in cases.questions {
		fits(egress_cases_test.question(case), of_input)
	}
	every change in [{"hots": "a"}, {"port": "443"}, {"request": {"doubts": null}}, {"identity": {"grad": "exact"}}] {
		not fits(object.union(egress_cases_test.question(cases.questions[0]), change), of_input)
	}
}
