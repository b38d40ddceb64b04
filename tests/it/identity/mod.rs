//! Accounts, RBAC and the catalog on a real database.
