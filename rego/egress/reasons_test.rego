package egress_test

miss(binary, ancestors, host, policies_of_test) := answer.reason if {
	document := object.union(question(binary, host, 443), {"ancestors": ancestors})
	answer := decided(document, policies_of_test)
	not answer.allow
}

reaching(hosts, ports, programs) := {"p": {
	"endpoints": [{"host": host, "port": port} | some host in hosts; some port in ports],
	"binaries": [{"path": program} | some program in programs],
}}

test_the_nearest_program if {
	git := reaching(["github.com"], [443], ["/usr/bin/git"])
	miss("/usr/bin/python3.11", ["/usr/bin/node", "/sbin/init"], "github.com", git) == concat("", [
		"endpoint github.com:443 is allowed for /usr/bin/git, ",
		"not for /usr/bin/python3.11 (started by /usr/bin/node); see policy p",
	])
	every ancestors in [[], [null], null] {
		miss("/usr/bin/python3.11", ancestors, "github.com", git) == concat("", [
			"endpoint github.com:443 is allowed for /usr/bin/git, ",
			"not for /usr/bin/python3.11; see policy p",
		])
	}
	miss("/x", [], "github.com", reaching(["github.com"], [443], [])) == concat("", [
		"endpoint github.com:443 is allowed for nobody, not for /x; see policy p",
	])
	four := ["/a", "/b", "/c", "/d"]
	miss("/x", [], "github.com", reaching(["github.com"], [443], four)) == concat("", [
		"endpoint github.com:443 is allowed for /a, /b, /c, /d, not for /x; see policy p",
	])
	miss("/x", [], "github.com", reaching(["github.com"], [443], array.concat(["/e"], four))) == concat("", [
		"endpoint github.com:443 is allowed for /a, /b, /c, /d and others, not for /x; see policy p",
	])
}

test_programs_of_each_kind if {
	policies_of_test := {"p": {
		"endpoints": [{"host": "github.com", "port": 443}],
		"binaries": [{"path": "/usr/bin/agent", "descendants": true}, {"sha256": hash}, {"path": "/opt/**"}],
	}}
	miss("/x", [], "github.com", policies_of_test) == concat("", [
		"endpoint github.com:443 is allowed for /opt/**, /usr/bin/agent and what it starts, ",
		sprintf("the program with sha256 %s, not for /x; see policy p", [hash]),
	])
	mistaken_path := {"p": {"endpoints": [{"host": "github.com", "port": 443}], "binaries": [{"path": 1, "sha256": hash}]}}
	miss("/x", [], "github.com", mistaken_path) == concat("", [
		"endpoint github.com:443 is allowed for ",
		sprintf("the program with sha256 %s, not for /x; see policy p", [hash]),
	])
}

# An answer with the policies' revision, whatever there is no text of its own for.
test_listed_but_not_admitted if {
	caller := object.union(question("/usr/bin/curl", "github.com", 443), {"sha256": hash})
	observed := object.union(caller, {"identity": object.union(caller.identity, {"assurance": "observed"})})
	every entry in [{"sha256": hash, "assurance": "proven"}, {"sha256": hash, "started_by": ["/usr/bin/bash"]}] {
		policies_of_test := {"p": {"endpoints": [{"host": "github.com", "port": 443}], "binaries": [entry]}}
		answer := decided(observed, policies_of_test) with data.revision as "r-1"
		answer.reason == "policy p lists /usr/bin/curl, and asks for more than is known of this caller"
		[answer.allow, answer.would_deny, answer.enforcement, answer.revision] == [false, false, "enforce", "r-1"]
		audited := {"p": object.union(policies_of_test.p, {"enforcement": "audit"})}
		object.get(decided(observed, audited), "allow", null) == false
	}
	incomplete := decided(object.remove(caller, ["host"]), {"p": {"endpoints": [{"host": "github.com", "port": 443}], "binaries": [{"path": "/x"}]}})
	incomplete.reason == "the input document is not complete"
}

test_many_policies if {
	policies_of_test := {name: policy |
		some name in ["a", "b", "c", "d", "e"]
		policy := reaching(["github.com"], [443], ["/usr/bin/git"]).p
	}
	miss("/x", [], "github.com", policies_of_test) == concat("", [
		"endpoint github.com:443 is allowed for /usr/bin/git, not for /x; see policy a, b, c, d and others",
	])
}

test_the_nearest_port if {
	some_ports := reaching(["github.com", "*.github.com"], [80, 8443], ["/usr/bin/git"])
	every host in ["github.com", "a.github.com"] {
		miss("/usr/bin/git", [], host, some_ports) == sprintf("no endpoint for %s:443: there is one for port 80, 8443", [host])
	}
	many := reaching(["github.com"], [9, 8, 7, 6, 5], ["/usr/bin/git"])
	miss("/usr/bin/git", [], "github.com", many) == concat("", [
		"no endpoint for github.com:443: there is one for port 5, 6, 7, 8 and others",
	])
	miss("/usr/bin/git", [], "gitlab.com", some_ports) == "no endpoint for gitlab.com:443"
	miss("/usr/bin/git", [], "a-1.github.com", reaching(["a-*.github.com"], [80], ["/x"])) == "no endpoint for a-1.github.com:443"
}

test_the_nearest_pattern if {
	one := reaching(["*.github.com"], [443], ["/usr/bin/git"])
	every host in ["github.com", "a.b.github.com"] {
		miss("/usr/bin/git", [], host, one) == sprintf("no endpoint for %s:443: *.github.com does not stand for this host", [host])
	}
	deep := reaching(["**.github.com"], [443], ["/usr/bin/git"])
	miss("/usr/bin/git", [], "github.com", deep) == concat("", [
		"no endpoint for github.com:443: **.github.com does not stand for this host",
	])
	miss("/usr/bin/git", [], "github.com", reaching(["*.github.com"], [80], ["/x"])) == "no endpoint for github.com:443"
	miss("/usr/bin/git", [], "localhost", one) == "no endpoint for localhost:443"
	miss("/usr/bin/git", [], "10.1.2.3", one) == "no endpoint for 10.1.2.3:443"
	both := object.union(one, {"q": reaching(["github.com"], [80], ["/x"]).p})
	miss("/usr/bin/git", [], "github.com", both) == concat("", [
		"no endpoint for github.com:443: there is one for port 80: *.github.com does not stand for this host",
	])
}
