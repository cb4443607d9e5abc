# Hosts and ports: what an endpoint may call them, and what that stands for.
package egress

_host := lower(input.host)

# As the index has it.
_port := format_int(input.port, 10) if input.port == floor(input.port)

_is_port(port) if {
	port == floor(port)
	port >= 1
	port <= 65535
}

_has_port(endpoint) if {
	endpoint.port == input.port
	_is_port(input.port)
}

_has_port(endpoint) if {
	is_array(endpoint.ports)
	input.port in endpoint.ports
	_is_port(input.port)
}

_ports(endpoint) := {port |
	some port in array.concat([object.get(endpoint, "port", null)], _list(endpoint, "ports"))
	_is_port(port)
}

# Any prefix length makes a range of an address, of either family, and of nothing else.
_is_address(host) if net.cidr_is_valid(concat("/", [host, "32"]))

# Those of an address are in no pattern: none ends in a number. No pattern stands for what looks like one.
_labels := split(_host, ".") if not contains(_host, "*")

# The host without its first label, without its first two, and so on. The last two stay: no pattern stands
# for a whole top-level domain.
_parents_of(labels) := {concat(".", array.slice(labels, i, count(labels))) |
	some i in numbers.range(1, count(labels) - 2)
} if {
	count(labels) > 2
} else := set()

_parent := concat(".", array.slice(_labels, 1, count(_labels)))

# What an endpoint may call the host, but for patterns within its first label.
_patterns := _patterns_for(_host, _labels)

_patterns_for(host, labels) := [host] if {
	count(labels) < 3
} else := array.concat(
	[host, concat(".", ["*", concat(".", array.slice(labels, 1, n))])],
	[concat(".", ["**", concat(".", array.slice(labels, i, n))]) | some i in numbers.range(1, n - 2)],
) if {
	n := count(labels)
}

# Such as stand for hosts with one more label in front, or fewer.
_patterns_nearby := ({concat(".", ["*", base]) | some base in ({_host} | _parents_of(_labels))} | {concat(".", ["**", _host])}) - {pattern | some pattern in _patterns} if {
	count(_labels) > 1
} else := set()

_last_labels := concat(".", array.slice(_labels, count(_labels) - 2, count(_labels)))

_stands_for_host(pattern) if {
	lower(pattern) in _patterns
	_is_host(pattern)
}

_stands_for_host(pattern) if {
	_parent_of(pattern) == _parent
	_fits_label(pattern, _labels[0])
	_is_host(pattern)
}

_is_within_label(host) if {
	contains(host, "*")
	not _first_label(host) in {"*", "**"}
}

_fits_label(pattern, label) if glob.match(_first_label(pattern), ["."], label)

_first_label(host) := split(lower(host), ".")[0]

_parent_of(host) := concat(".", array.slice(labels, 1, count(labels))) if labels := split(lower(host), ".")
