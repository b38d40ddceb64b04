//! What tests share: databases, applications, clients.
