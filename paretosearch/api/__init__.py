"""The verbs of the command line as functions; each module imports only what its verb needs."""
