//! A private PostgreSQL in the data directory.
