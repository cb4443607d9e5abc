package systemtest

# Policies in forms other than the bundled one, for OPA to answer with. Those that decide nothing answer
# Warder's probe all the same: without that answer no request is decided.

probed if input.host == "probe.invalid"

allowed_host := "v4.test"

# An ordinary boolean.
boolean := input.host == allowed_host

# Undefined for every host but one.
undefined := {"allow": true} if input.host == allowed_host

undefined := {"allow": false} if probed

# An evaluation error for every host but one: OPA answers 500.
failing := {"allow": true} if input.host == allowed_host

failing := {"allow": false} if probed

failing := 1 if not input.host in {allowed_host, "probe.invalid"}

failing := 2 if not input.host in {allowed_host, "probe.invalid"}

# Numbers and lists are no decision.
listed := [input.host == allowed_host] if not probed

listed := {"allow": false} if probed
