//! What the tests start and speak to: databases, the application, real clients.

pub mod db;
pub mod docker;
pub mod engine;
pub mod images;
pub mod imports;
pub mod machine;
pub mod oci;
pub mod registry;
pub mod server;
pub mod statements;

pub use db::test_db;

pub mod portal;
