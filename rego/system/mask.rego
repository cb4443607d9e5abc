# METADATA
# description: |
#   What OPA's decision log leaves out: what may hold secrets and is the client's own word. The entry's
#   `erased` lists what was there. The decision itself is made with all of it.
package system.log

# A string that is not UTF-8 is under the second name.
_secrets := {"command_line", "command_line_hex", "headers", "query", "query_hex", "query_raw", "query_raw_hex"}

mask contains sprintf("/input/request/%s", [key]) if {
	some key in _secrets
	input.input.request[key] != null
}

mask contains sprintf("/input/identity/%s/%d/%s", [list, i, key]) if {
	some list in ["processes", "via"]
	some i, process in input.input.identity[list]
	some key in _secrets
	process[key] != null
}

mask contains "/input/headers" if input.input.headers
