package egress_test

import data.egress

# One policy for curl with one endpoint on port 443.
hosting(host) := {"p": {"endpoints": [{"host": host, "port": 443}], "binaries": [{"path": "/usr/bin/curl"}]}}

host_allowed(pattern, host) if {
	allowed(decided(question("/usr/bin/curl", host, 443), hosting(pattern)))
	problems_of(hosting(pattern)) == set()
}

host_denied(pattern, host) if not decided(question("/usr/bin/curl", host, 443), hosting(pattern)).allow

problems_of(policies_of_test) := problems if {
	problems := egress.problems with data.network_policies as policies_of_test
	by_index := egress.problems with data.egress_index as index_of(policies_of_test)
	problems == by_index
}

test_which_hosts_a_pattern_stands_for if {
	every row in [
		["a.example.com", "a.example.com"],
		["A.Example.COM", "a.example.com"],
		["localhost", "localhost"],
		["a_b.example", "a_b.example"],
		["xn--bcher-kva.example", "xn--bcher-kva.example"],
		["*.example.com", "a.example.com"],
		["*.Example.com", "a.example.com"],
		["*.b.example.com", "a.b.example.com"],
		["**.example.com", "a.example.com"],
		["**.example.com", "a.b.example.com"],
		["**.example.com", "a.b.c.d.example.com"],
		["**.b.example.com", "a.b.example.com"],
		["api-*.example.com", "api-7.example.com"],
		["api-*.example.com", "api-.example.com"],
		["API-*.example.com", "api-7.example.com"],
		["*-api.example.com", "x-api.example.com"],
		["a*c.example.com", "abc.example.com"],
		["a*b*c.example.com", "axbxc.example.com"],
		["1*.example.com", "10.example.com"],
		["10.1.2.3", "10.1.2.3"],
		["2001:db8::1", "2001:db8::1"],
		["2001:DB8::1", "2001:db8::1"],
	] {
		host_allowed(row[0], row[1])
	}
	every row in [
		["a.example.com", "b.example.com"],
		["example.com", "a.example.com"],
		["*.example.com", "example.com"],
		["*.example.com", "a.b.example.com"],
		["*.example.com", "aexample.com"],
		["*.example.com", "a.example.com.evil.org"],
		["*.example.com", "a.example.org"],
		["**.example.com", "example.com"],
		["**.example.com", "aexample.com"],
		["**.example.com", "a.example.com.evil"],
		["api-*.example.com", "api.example.com"],
		["api-*.example.com", "xapi-7.example.com"],
		["api-*.example.com", "api-7.b.example.com"],
		["api-*.example.com", "b.api-7.example.com"],
		["api-*.example.com", "api-7.example.org"],
		["api-*.example.com", "example.com"],
		["a*c.example.com", "ac.c.example.com"],
		["*-api.example.com", "x-api2.example.com"],
		["*.example.com", "*.example.com"],
		["**.example.com", "**.example.com"],
		["api-*.example.com", "api-*.example.com"],
		["api-*.example.com", "api-**.example.com"],
		["10.1.2.3", "10.1.2.30"],
	] {
		host_denied(row[0], row[1])
	}
}

# [host of the policy, host asked about, what is wrong with it]
refused_hosts := [
	["*", "a.example.com", "which is no pattern: it covers a whole top-level domain, or more"],
	["**", "a.example.com", "which is no pattern: it covers a whole top-level domain, or more"],
	["*.com", "example.com", "which is no pattern: it covers a whole top-level domain, or more"],
	["**.com", "a.example.com", "which is no pattern: it covers a whole top-level domain, or more"],
	["a*", "ab", "which is no pattern: it covers a whole top-level domain, or more"],
	["a*.com", "ab.com", "which is no pattern: it covers a whole top-level domain, or more"],
	["*.*.com", "a.example.com", "which is no pattern: * is for the first label alone"],
	["a.*.example.com", "a.b.example.com", "which is no pattern: * is for the first label alone"],
	["**.**.example.com", "a.b.example.com", "which is no pattern: * is for the first label alone"],
	["*.example..com", "a.example..com", "which is no pattern: the rest of it is not a name"],
	["*.example.com.", "a.example.com", "which is no pattern: the rest of it is not a name"],
	["*.0.0.1", "10.0.0.1", "which is no pattern: the rest of it is not a name"],
	["1*.0.0.1", "10.0.0.1", "which is no pattern: the rest of it is not a name"],
	["**a.example.com", "ba.example.com", concat("", [
		"which is no pattern: its first label is not * or **, ",
		"nor of letters, digits, - and _ around each *",
	])],
	["***.example.com", "a.example.com", "which is no pattern: its first label is not"],
	["a**.example.com", "ab.example.com", "which is no pattern: its first label is not"],
	["[ab]*.example.com", "ab.example.com", "which is no pattern: its first label is not"],
	["{a,b}*.example.com", "ab.example.com", "which is no pattern: its first label is not"],
	["?*.example.com", "ab.example.com", "which is no pattern: its first label is not"],
	["a\\*.example.com", "a*.example.com", "which is no pattern: its first label is not"],
	["a.example.com.", "a.example.com", "which is neither a name nor an address"],
	["a..example.com", "a..example.com", "which is neither a name nor an address"],
	["-a.example.com", "-a.example.com", "which is neither a name nor an address"],
	["a-.example.com", "a-.example.com", "which is neither a name nor an address"],
	["bücher.example", "bücher.example", "which is neither a name nor an address"],
	["http://a.example", "a.example", "which is neither a name nor an address"],
	["a.example:443", "a.example", "which is neither a name nor an address"],
	["a.example/x", "a.example", "which is neither a name nor an address"],
	["[2001:db8::1]", "2001:db8::1", "which is neither a name nor an address"],
	["127.1", "127.1", "which is neither a name nor an address"],
	["2130706433", "2130706433", "which is neither a name nor an address"],
	["0x7f000001", "0x7f000001", "which is neither a name nor an address"],
	["10.0.0.0/8", "10.0.0.0/8", "which is neither a name nor an address"],
	["", "", "which is neither a name nor an address"],
	["2001:db8:0::1", "2001:db8::1", "and that address is written 2001:db8::1"],
	["0:0:0:0:0:0:0:1", "::1", "and that address is written ::1"],
]

test_hosts_that_are_refused if {
	every row in refused_hosts {
		host_denied(row[0], row[1])
		problems := problems_of(hosting(row[0]))
		count(problems) == 1
		some problem in problems
		problem.path == "network_policies/p/endpoints/0/host"
		problem.severity == "error"
		startswith(problem.problem, sprintf("host is %s, %s", [row[0], row[2]]))
	}
	every host in [null, 1, ["a.example"], {"a": "b"}, true] {
		host_denied(host, "a.example")
		problems_of(hosting(host)) == {{
			"path": "network_policies/p/endpoints/0/host",
			"problem": sprintf("host is %v, not a text", [host]),
			"severity": "error",
		}}
	}
}

test_names_are_of_bounded_length if {
	label := concat("", ["a" | some _ in numbers.range(1, 63)])
	host_allowed(concat(".", [label, "example"]), concat(".", [label, "example"]))
	host_denied(concat(".", [sprintf("%sa", [label]), "example"]), concat(".", [sprintf("%sa", [label]), "example"]))
	long := concat(".", [label, label, label, substring(label, 0, 61)])
	count(long) == 253
	host_allowed(long, long)
	longer := concat(".", [label, label, label, substring(label, 0, 62)])
	host_denied(longer, longer)
}

porting(ports) := {"p": {
	"endpoints": [object.union({"host": "a.example"}, ports)],
	"binaries": [{"path": "/usr/bin/curl"}],
}}

port_allowed(ports, port) if allowed(decided(question("/usr/bin/curl", "a.example", port), porting(ports)))

port_denied(ports, port) if decided(question("/usr/bin/curl", "a.example", port), porting(ports)).allow == false

test_ports if {
	every ports in [{"port": 443}, {"ports": [443]}, {"ports": [80, 443]}] {
		port_allowed(ports, 443)
		port_denied(ports, 8443)
		problems_of(porting(ports)) == set()
	}
	port_allowed({"port": 1}, 1)
	port_allowed({"port": 65535}, 65535)
}

port_problem(ports, at, problem) if {
	problems_of(porting(ports)) == {{
		"path": concat("/", ["network_policies/p/endpoints/0", at]),
		"problem": problem,
		"severity": "error",
	}}
	every port in [0, 1, 80, 443, 65535, 65536] {
		port_denied(ports, port)
	}
}

test_ports_that_are_wrong if {
	port_problem({}, "port", "there is neither port nor ports")
	port_problem({"port": 443, "ports": [80]}, "ports", "port and ports are both there")
	port_problem({"port": "443"}, "port", "port is 443, not an integer from 1 to 65535")
	port_problem({"port": [443]}, "port", "port is [443], not an integer from 1 to 65535")
	port_problem({"port": null}, "port", "port is null, not an integer from 1 to 65535")
	port_problem({"port": 443.5}, "port", "port is 443.5, not an integer from 1 to 65535")
	port_problem({"port": 0}, "port", "port is 0, not an integer from 1 to 65535")
	port_problem({"port": 65536}, "port", "port is 65536, not an integer from 1 to 65535")
	port_problem({"ports": 443}, "ports", "ports is not a list of ports")
	port_problem({"ports": []}, "ports", "ports is not a list of ports")
	port_problem({"ports": {"a": 443}}, "ports", "ports is not a list of ports")
	port_problem({"ports": [443, "80"]}, "ports/1", "ports[1] is 80, not an integer from 1 to 65535")
}

test_a_question_without_a_port_is_denied if {
	every port in ["443", null, 0, 443.5, [443]] {
		every ports in [{"port": 443}, {"ports": [443, port]}, {"port": port}] {
			port_denied(ports, port)
		}
	}
}
