//! The registry's HTTP face: the OCI distribution specification and the token service.
