package systemtest

# Policies in forms other than the bundled one, for OPA to answer with.

allowed_host := "v4.test"

# An ordinary boolean.
boolean := input.host == allowed_host

# Undefined for every host but one.
undefined := {"allow": true} if input.host == allowed_host

# An evaluation error for every host but one: OPA answers 500.
failing := {"allow": true} if input.host == allowed_host

failing := 1 if input.host != allowed_host

failing := 2 if input.host != allowed_host

# Numbers and lists are no decision.
listed := [input.host == allowed_host]
