# Which programs an entry in `binaries` is about.
package egress

_admits_caller(policy) if {
	some entry in _entries(policy)
	_admits(entry)
}

# About this caller, in all that forbids and limits: also where something isn't known of it, or the entry
# is written wrong.
_lists(entry) if {
	_names_program(entry.binary)
	not _excludes(entry)
}

# About this caller, and all it asks for is proven: only then it allows anything. An entry that is written
# wrong never does: it stands in the way of whom it lists.
_admits(entry) if {
	_names_program(entry.binary)
	count(_unmet(entry.binary)) == 0
	_well_enough_known(entry.binary)
}

# Both path and sha256 must match, so that a mistake in one never widens the other. What can't be read of an
# entry that is written wrong doesn't count: with neither of them it may be meant for anybody.
_names_program(binary) if {
	_may_be_at_path(binary)
	_may_hold(binary)
}

_may_be_at_path(binary) if _is_caller_by("path", binary)

_may_be_at_path(binary) if not _is_readable("path", binary)

_may_hold(binary) if not _is_readable("sha256", binary)

_may_hold(binary) if _is_caller_by("sha256", binary)

_is_readable("path", binary) if _is_path(binary.path)

_is_readable("sha256", binary) if _is_sha256(binary.sha256)

_is_caller_by("path", binary) if _runs(binary.path)

_is_caller_by("path", binary) if {
	binary.descendants == true
	some process in input.identity.processes
	_descends(process, binary.path)
}

_is_caller_by("sha256", binary) if lower(binary.sha256) == input.sha256

# Byte for byte; a caller without a trusted name (null) is in no list.
_runs(path) if path == input.binary

_runs(path) if path in _other_names

_runs(pattern) if _fits(pattern, input.binary)

# Other names of the same file.
_other_names contains name if {
	is_string(input.binary)
	some name in input.identity.processes[0].names

	# For speed alone.
	name != input.binary
	every process in input.identity.processes {
		name in process.names
	}
}

# "*" stands for any bytes of one segment, "**" for any bytes.
_fits(pattern, path) if {
	contains(pattern, "*")
	glob.match(pattern, ["/"], path)
}

_descends(process, path) if {
	some ancestor in process.ancestors
	_is_or_fits(path, ancestor)
}

_is_or_fits(path, path)

_is_or_fits(pattern, path) if _fits(pattern, path)

# What an entry asks for beside the program, and this caller isn't known to have.
_unmet(binary) := {key |
	some key, value in binary
	key != "path"
	not _has(binary, key, value)
}

_has(_, key, value) if _every_process_has(key, value)

_has(_, "assurance", value) if _met("assurance", value)

_has(binary, "sha256", _) if _is_caller_by("sha256", binary)

_has(_, "descendants", false)

_has(binary, "descendants", true) if _runs(binary.path)

_has(binary, "descendants", true) if _every_process_has("started_by", [binary.path])

_every_process_has(key, value) if {
	count(input.identity.processes) > 0
	every process in input.identity.processes {
		_process_has(process, key, value)
	}
}

_process_has(process, "uid", uid) if process.uid == uid

_process_has(process, "container", id) if {
	regex.match(`^[0-9a-f]{12,64}$`, id)
	startswith(process.container, id)
}

_process_has(process, "pod", uid) if {
	is_string(uid)
	process.pod == uid
}

# Without the kernel's word for all of them, another program may have stepped in between, or have stepped
# aside for one of these.
_process_has(process, "started_by", programs) if {
	process.ancestors_complete == true
	some program in programs
	_descends(process, program)
}

# Known to be another one than the entry is about.
_excludes(entry) if {
	some key, value in entry.binary

	# For speed alone.
	key in {"uid", "container", "started_by"}
	count(_mistakes_of(entry)) == 0
	count(input.identity.processes) > 0
	every process in input.identity.processes {
		_is_known(process, key)
		not _process_has(process, key, value)
	}
}

_is_known(process, "uid") if is_number(process.uid)

_is_known(process, "container") if is_string(process.container)

_is_known(process, "started_by") if process.ancestors_complete == true

_well_enough_known(_) if _caller_known

_well_enough_known(binary) if {
	not binary.path
	_file_known
}
