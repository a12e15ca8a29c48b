"""Who is there, what they are, and who may do what: things, groups, certificates, policies, audit."""
