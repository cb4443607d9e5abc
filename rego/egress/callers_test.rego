package egress_test

listing(binary) := {"p": {"endpoints": [{"host": "a.example", "port": 443}], "binaries": [binary]}}

# A policy that forbids DELETE to whom the entry lists, beside one that allows curl anything.
forbidding(binary) := {
	"open": {"endpoints": [{"host": "a.example", "port": 443}], "binaries": [{"path": "/usr/bin/curl"}]},
	"shut": {
		"endpoints": [{"host": "a.example", "port": 443, "rules": [{"deny": {"method": "DELETE"}}]}],
		"binaries": [binary],
	},
}

process(changes) := object.union(
	{
		"pid": 7, "uid": 1000, "binary": "/usr/bin/curl", "path": "/usr/bin/curl", "names": ["/usr/bin/curl"],
		"ancestors": ["/usr/bin/bash", "/usr/bin/agent", "/sbin/init"], "ancestors_complete": true,
		"container": null, "pod": null,
	},
	changes,
)

asked_by(program, processes, policies_of_test) := answer if {
	document := object.union(question(program, "a.example", 443), {
		"ancestors": ["/usr/bin/bash", "/usr/bin/agent", "/sbin/init"],
		"identity": object.union(known, {"processes": processes}),
	})
	answer := decided(document, policies_of_test)
}

listed(binary, processes) if {
	answer := asked_by("/usr/bin/curl", processes, listing(binary))
	allowed(answer)
	problems_of(listing(binary)) == set()
}

not_listed(binary, processes) if not asked_by("/usr/bin/curl", processes, listing(binary)).allow

# Whom the entry forbids something can't have a tunnel.
forbidden(binary, processes) if not asked_by("/usr/bin/curl", processes, forbidding(binary)).allow

not_forbidden(binary, processes) if allowed(asked_by("/usr/bin/curl", processes, forbidding(binary)))

told(binary, processes, reason) if {
	answer := asked_by("/usr/bin/curl", processes, listing(binary))
	not answer.allow
	answer.reason == reason
}

test_paths_with_patterns if {
	every row in [
		["/usr/bin/*", "/usr/bin/curl"],
		["/usr/bin/c*", "/usr/bin/curl"],
		["/usr/bin/*l", "/usr/bin/curl"],
		["/usr/*/curl", "/usr/bin/curl"],
		["/*/*/*", "/usr/bin/curl"],
		["/usr/**", "/usr/bin/curl"],
		["/**", "/usr/bin/curl"],
		["/**/curl", "/usr/bin/curl"],
		["/opt/**/bin/*", "/opt/a/b/bin/x"],
		["/opt/*/bin/**", "/opt/a/bin/x/y"],
	] {
		allowed(decided(question(row[1], "a.example", 443), listing({"path": row[0]})))
	}
	every row in [
		["/usr/*", "/usr/bin/curl"],
		["/usr/bin/*", "/usr/bin/a/b"],
		["/usr/bin/*", "/opt/usr/bin/curl"],
		["/usr/bin/c*", "/usr/bin/wget"],
		["/usr/bin/**", "/usr/local/bin/curl"],
		["/usr/bin/curl*", "/usr/bin/cur"],
		["/USR/**", "/usr/bin/curl"],
		["/**", null],
		["/**", ""],
		["/usr/bin/curl", "/usr/bin/*"],
	] {
		not decided(question(row[1], "a.example", 443), listing({"path": row[0]})).allow
	}
}

test_other_names_of_the_program if {
	real := process({"names": ["/usr/bin/python3.11", "/usr/bin/python3", "/bin/python3"]})
	every path in ["/usr/bin/python3", "/bin/python3", "/usr/bin/python3.11"] {
		allowed(asked_by("/usr/bin/python3.11", [real], listing({"path": path})))
		allowed(asked_by("/usr/bin/python3.11", [real, real], listing({"path": path})))
	}
	other := process({"names": ["/usr/bin/python3.11"]})
	not asked_by("/usr/bin/python3.11", [real, other], listing({"path": "/usr/bin/python3"})).allow
	not asked_by("/usr/bin/python3.11", [], listing({"path": "/usr/bin/python3"})).allow
	not asked_by("/usr/bin/python3.11", [real], listing({"path": "/usr/bin/python"})).allow
	not asked_by("/usr/bin/python3.11", [real], listing({"path": "/bin/*"})).allow
	not asked_by(null, [real], listing({"path": "/usr/bin/python3"})).allow
	every names in [null, "/usr/bin/python3", {}] {
		not asked_by("/usr/bin/python3.11", [process({"names": names})], listing({"path": "/usr/bin/python3"})).allow
	}
}

test_a_user if {
	entry := {"path": "/usr/bin/curl", "uid": 1000}
	listed(entry, [process({})])
	listed(entry, [process({}), process({"pid": 8})])
	listed({"path": "/usr/bin/curl", "uid": 0}, [process({"uid": 0})])
	every processes in [[], [process({"uid": 0})], [process({}), process({"uid": 0})], [process({"uid": null})], [{}]] {
		not_listed(entry, processes)
	}
	told(entry, [process({"uid": 0})], "policy p lists /usr/bin/curl only with uid 1000, not 0")
	told(
		entry, [process({"uid": 0}), process({"uid": 1000})],
		"policy p lists /usr/bin/curl only with uid 1000, not 0, 1000",
	)
	forbidden(entry, [process({})])
	forbidden(entry, [process({}), process({"uid": 0})])
	forbidden(entry, [process({"uid": null})])
	forbidden(entry, [])
	not_forbidden(entry, [process({"uid": 0})])
}

test_a_container if {
	entry := {"path": "/usr/bin/curl", "container": substring(container, 0, 12)}
	listed(entry, [process({"container": container})])
	other := "aaaa00000000000000000000000000000000000000000000000000000000beef"
	every processes in [[], [process({})], [process({"container": other})], [process({"container": container}), process({})]] {
		not_listed(entry, processes)
	}
	told(entry, [process({})], "policy p lists /usr/bin/curl only with container 4f5a00000000, not none")
	forbidden(entry, [process({"container": container})])
	forbidden(entry, [process({"container": other}), process({"container": container})])
	forbidden(entry, [process({})])
	not_forbidden(entry, [process({"container": other})])
}

test_started_by if {
	entry := {"path": "/usr/bin/curl", "started_by": ["/usr/bin/other", "/usr/bin/agent"]}
	pattern := {"path": "/usr/bin/curl", "started_by": ["/usr/bin/ag*"]}
	every one in [entry, pattern] {
		listed(one, [process({})])
		listed(one, [process({}), process({"ancestors": ["/usr/bin/agent"]})])
		every processes in [
			[],
			[process({"ancestors": ["/usr/bin/bash"]})],
			[process({"ancestors": []})],
			[process({"ancestors": null})],
			[process({"ancestors_complete": false})],
			[process({"ancestors_complete": null})],
			[json.remove(process({}), ["/ancestors_complete"])],
			[json.remove(process({}), ["/ancestors"])],
			[process({}), process({"ancestors": ["/usr/bin/bash"]})],
		] {
			not_listed(one, processes)
		}
		forbidden(one, [process({})])
		forbidden(one, [process({"ancestors": ["/usr/bin/bash"], "ancestors_complete": false})])
		forbidden(one, [process({"ancestors": ["/usr/bin/bash"]}), process({})])
		not_forbidden(one, [process({"ancestors": ["/usr/bin/bash"]})])
	}
	told(
		entry, [process({"ancestors": ["/usr/bin/bash", "/sbin/init"]})],
		"policy p lists /usr/bin/curl only with started_by /usr/bin/other, /usr/bin/agent, not /usr/bin/bash, /sbin/init",
	)
	told(pattern, [process({"ancestors_complete": false})], concat("", [
		"policy p lists /usr/bin/curl only with started_by /usr/bin/ag*, ",
		"not /usr/bin/bash, /usr/bin/agent, /sbin/init, as far as that is known",
	]))
	not_listed({"path": "/usr/bin/curl", "started_by": ["/usr/bin/curl"]}, [process({})])
}

test_descendants if {
	every path in ["/usr/bin/agent", "/usr/bin/a*"] {
		entry := {"path": path, "descendants": true}
		listed(entry, [process({})])
		listed(entry, [process({}), process({"ancestors": ["/usr/bin/agent"]})])
		allowed(asked_by("/usr/bin/agent", [process({"ancestors": []})], listing(entry)))
		every processes in [
			[],
			[process({"ancestors": ["/usr/bin/bash"]})],
			[process({"ancestors_complete": false})],
			[process({"ancestors": null})],
			[process({}), process({"ancestors": ["/usr/bin/bash"]})],
		] {
			not_listed(entry, processes)
		}
		not_listed({"path": path, "descendants": false}, [process({})])
		not_listed({"path": path}, [process({})])
		forbidden(entry, [process({})])
		forbidden(entry, [process({"ancestors_complete": false})])
		forbidden(entry, [process({}), process({"ancestors": []})])
		not_forbidden(entry, [process({"ancestors": ["/usr/bin/bash"]})])
		not_forbidden({"path": path, "descendants": false}, [process({})])
	}
	told({"path": "/usr/bin/agent", "descendants": true}, [process({"ancestors_complete": false})], concat("", [
		"policy p lists /usr/bin/agent only with descendants true, ",
		"not /usr/bin/bash, /usr/bin/agent, /sbin/init, as far as that is known",
	]))
	allowed(asked_by("/usr/bin/curl", [process({})], listing({"path": "/usr/bin/curl", "descendants": false})))
}

assured(assurance) := {"path": "/usr/bin/curl", "assurance": assurance}

test_the_least_assurance if {
	every row in [["proven", "proven"], ["observed", "proven"], ["observed", "observed"]] {
		document := object.union(question("/usr/bin/curl", "a.example", 443), {"identity": {"assurance": row[1]}})
		allowed(decided(document, listing(assured(row[0]))))
	}
	told(
		assured("proven"), [process({})],
		"policy p lists /usr/bin/curl only with assurance proven, not observed",
	)
	suspect := object.union(question("/usr/bin/curl", "a.example", 443), {"identity": {"assurance": "suspect"}})
	not decided(suspect, listing(assured("observed"))).allow
	forbidden(assured("proven"), [process({})])
}

test_assurance_of_one_that_is_listed_by_its_file if {
	document := object.union(question(null, "a.example", 443), {
		"sha256": hash,
		"identity": object.union(known, nameless("alien_path")),
	})
	allowed(decided(document, listing({"sha256": hash})))
	not decided(document, listing({"sha256": hash, "assurance": "observed"})).allow
	not decided(document, listing({"sha256": hash, "assurance": "suspect"})).allow
}

test_the_hash_is_told if {
	told(
		{"path": "/usr/bin/curl", "sha256": hash}, [process({})],
		sprintf("policy p lists /usr/bin/curl only with sha256 %s, not null", [hash]),
	)
}

test_several_points_are_told_in_one_sentence if {
	told(
		{"path": "/usr/bin/curl", "uid": 1, "assurance": "proven"}, [process({})],
		concat("; ", [
			"policy p lists /usr/bin/curl only with assurance proven, not observed",
			"policy p lists /usr/bin/curl only with uid 1, not 1000",
		]),
	)
}

test_only_what_is_missing_is_told if {
	told(
		{"path": "/usr/bin/curl", "uid": 1000, "assurance": "proven"}, [process({})],
		"policy p lists /usr/bin/curl only with assurance proven, not observed",
	)
	listed_twice := {"p": {
		"endpoints": [{"host": "a.example", "port": 443, "access": "read-only"}],
		"binaries": [{"path": "/usr/bin/curl"}, {"path": "/usr/bin/curl", "uid": 1}],
	}}
	startswith(asked_by("/usr/bin/curl", [process({})], listed_twice).reason, "policy p limits /usr/bin/curl at a.example:443")
	not contains(asked_by("/usr/bin/curl", [process({})], listed_twice).reason, "only with")
}

test_of_several_entries_one_is_enough if {
	policy := {"p": {
		"endpoints": [{"host": "a.example", "port": 443}],
		"binaries": [{"path": "/usr/bin/curl", "uid": 1}, {"path": "/usr/bin/wget"}, {"path": "/usr/bin/curl", "uid": 1000}],
	}}
	allowed(asked_by("/usr/bin/curl", [process({})], policy))
	answer := asked_by("/usr/bin/curl", [process({})], object.union(policy, {"q": {
		"endpoints": [{"host": "a.example", "port": 443, "access": "read-only"}],
		"binaries": [{"path": "/usr/bin/curl"}],
	}}))
	allowed(answer)
	not contains(answer.reason, "only with")
}

# [entry, what is wrong with it, where]
wrong_entries := [
	[null, "it is not a mapping", ""],
	["/usr/bin/curl", "it is not a mapping", ""],
	[["/usr/bin/curl"], "it is not a mapping", ""],
	[{}, "there is neither path nor sha256", "/path"],
	[{"uid": 1000}, "there is neither path nor sha256", "/path"],
	[{"path": null}, "path is null, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "curl"}, "path is curl, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "*/curl"}, "path is */curl, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/"}, "path is /usr/bin/, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr//bin/curl"}, "path is /usr//bin/curl, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/./curl"}, "path is /usr/./curl, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/.."}, "path is /usr/bin/.., not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/***"}, "path is /usr/***, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/[ab]*"}, "path is /usr/bin/[ab]*, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/*{a,b}"}, "path is /usr/bin/*{a,b}, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/?*"}, "path is /usr/bin/?*, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/\\*"}, "path is /usr/bin/\\*, not an absolute path, or a pattern with * and **", "/path"],
	[{"path": "/usr/bin/curl", "sha256": "00"}, "sha256 is 00, not 64 hexadecimal digits", "/sha256"],
	[{"path": "/usr/bin/curl", "sha256": null}, "sha256 is null, not 64 hexadecimal digits", "/sha256"],
	[{"path": "/usr/bin/curl", "descendents": true}, "descendents is not a key", "/descendents"],
	[{"path": "/usr/bin/curl", "descendants": "true"}, "descendants is true, not true or false", "/descendants"],
	[{"path": "/usr/bin/curl", "started_by": []}, "started_by is [], not a list of absolute paths", "/started_by"],
	[
		{"path": "/usr/bin/curl", "started_by": "/usr/bin/agent"},
		"started_by is /usr/bin/agent, not a list of absolute paths", "/started_by",
	],
	[{"path": "/usr/bin/curl", "started_by": ["agent"]}, `started_by is ["agent"], not a list of absolute paths`, "/started_by"],
	[{"path": "/usr/bin/curl", "uid": "root"}, "uid is root, not a number", "/uid"],
	[{"path": "/usr/bin/curl", "uid": -1}, "uid is -1, not a number", "/uid"],
	[{"path": "/usr/bin/curl", "uid": 1.5}, "uid is 1.5, not a number", "/uid"],
	[
		{"path": "/usr/bin/curl", "container": "web"},
		"container is web, not a container's id, or its first 12 or more digits", "/container",
	],
	[{"path": "/usr/bin/curl", "assurance": "suspect"}, "assurance is suspect, not proven or observed", "/assurance"],
	[{"path": "/usr/bin/curl", "assurance": null}, "assurance is null, not proven or observed", "/assurance"],
	[
		{"path": "/usr/bin/curl", "sha256": hash, "descendants": true},
		"descendants needs a path, and goes with no sha256", "/descendants",
	],
	[{"sha256": hash, "descendants": true}, "descendants needs a path, and goes with no sha256", "/descendants"],
]

test_an_entry_that_is_written_wrong_allows_nothing if {
	every row in wrong_entries {
		document := object.union(question("/usr/bin/curl", "a.example", 443), {
			"sha256": hash,
			"identity": object.union(known, {"processes": [process({})]}),
		})
		every policies_of_test in [listing(row[0]), forbidding(row[0])] {
			answer := decided(document, policies_of_test)
			not answer.allow
			contains(answer.reason, sprintf("has an entry in binaries that is written wrong: %s", [row[1]]))
		}
		problems_of(listing(row[0])) == {{
			"path": sprintf("network_policies/p/binaries/0%s", [row[2]]),
			"problem": row[1],
			"severity": "error",
		}}
	}
}

test_an_entry_that_is_written_wrong_is_for_whom_it_can_be_read_to_be if {
	every row in wrong_entries {
		document := question("/usr/bin/other", "a.example", 443)
		answer := decided(document, listing(row[0]))
		not answer.allow
		contains(answer.reason, "written wrong") == is_for_anybody(row[0])
	}
}

is_for_anybody(entry) := false if {
	some key, value in entry
	key in {"path", "sha256"}
	value in {"/usr/bin/curl", hash}
} else := true

test_a_path_with_any_bytes_is_one_path if {
	every path in ["/usr/bin/[", "/opt/a b", "/opt/ä", "/opt/x?", "/opt/{a}", "/opt/a\\b", "/opt/.../a", "/a\nb"] {
		allowed(decided(question(path, "a.example", 443), listing({"path": path})))
		problems_of(listing({"path": path})) == set()
	}
	not decided(question("/opt/xy", "a.example", 443), listing({"path": "/opt/x?"})).allow
	not decided(question("/opt/a", "a.example", 443), listing({"path": "/opt/{a}"})).allow
}

test_where_binaries_is_not_a_list if {
	every binaries in [{"path": "/usr/bin/curl"}, {"a": {"path": "/usr/bin/curl"}}, "/usr/bin/curl", null] {
		policies_of_test := {"p": {"endpoints": [{"host": "a.example", "port": 443}], "binaries": binaries}}
		not asked_by("/usr/bin/curl", [process({})], policies_of_test).allow
		problems_of(policies_of_test) == {{
			"path": "network_policies/p/binaries",
			"problem": "binaries is not a list",
			"severity": "error",
		}}
	}
}
