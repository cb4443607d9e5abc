# Hosts and ports: what an endpoint may call them, and what that stands for.
package egress

_host := lower(input.host)

_port := format_int(input.port, 10) if _is_port(input.port)

_is_port(port) if {
	port == floor(port)
	port >= 1
	port <= 65535
}

_ports(endpoint) := {port |
	some port in array.concat([object.get(endpoint, "port", null)], _list(endpoint, "ports"))
	_is_port(port)
}

# Any prefix length makes a range of an address, of either family, and of nothing else.
_is_address(host) if net.cidr_is_valid(concat("/", [host, "32"]))

# Those of an address are in no pattern: none ends in a number.
_labels := split(_host, ".")

# The host without its first label, without its first two, and so on. The last two stay: no pattern stands
# for a whole top-level domain.
_parents_of(labels) := {concat(".", array.slice(labels, i, count(labels))) |
	some i in numbers.range(1, count(labels) - 2)
} if {
	count(labels) > 2
} else := set()

_parent := concat(".", array.slice(_labels, 1, count(_labels))) if not contains(_host, "*")

# What an endpoint may call the host, but for patterns within its first label.
_patterns := _patterns_for(_host, _labels) if not contains(_host, "*")

_patterns_for(host, labels) := {host} if {
	count(labels) < 3
} else := {host, concat(".", ["*", concat(".", array.slice(labels, 1, count(labels)))])} | {concat(".", ["**", parent]) |
	some parent in _parents_of(labels)
}

# Such as stand for hosts with one more label in front, or fewer.
_patterns_nearby := ({concat(".", ["*", base]) | some base in ({_host} | _parents_of(_labels))} | {concat(".", ["**", _host])}) - _patterns if {
	count(_labels) > 1
} else := set()

_names_host(host) if {
	lower(host) in _patterns
	count(_host_mistakes(host)) == 0
}

_names_host(host) if {
	_is_within_label(host)
	count(_host_mistakes(host)) == 0
	_parent_of(host) == _parent
	_fits_label(host)
}

_is_within_label(host) if {
	contains(host, "*")
	not _first_label(host) in {"*", "**"}
}

_fits_label(host) if glob.match(_first_label(host), ["."], _labels[0])

_first_label(host) := split(lower(host), ".")[0]

_parent_of(host) := concat(".", array.slice(labels, 1, count(labels))) if labels := split(lower(host), ".")
