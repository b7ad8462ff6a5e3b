"""HQ over HTTP: requests in, answers out; what they mean is decided one room below."""
