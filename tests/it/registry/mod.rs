//! Registry use-cases on a real database and disk.
