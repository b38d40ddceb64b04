//! The composition root: configuration in, services and routers out.
