//! Outgoing HTTP to addresses that users name.
//!
//! An address is *public* when it belongs to global unicast space that no standard reserves; an
//! administrator may allow other networks by name. What is neither is refused, whatever name it
//! hides behind: the resolver hands the connector only addresses that passed, so the address
//! checked is the address connected to, and an answer that changes later changes nothing.
//!
//! Rules: no redirects are followed by the library; [`Egress::get`] follows at most
//! [`MAX_REDIRECTS`] and checks each as if it were the first. A credential stays with the origin
//! (scheme, host, port) it was given for. HTTP without TLS is for allowed networks only. Proxies
//! of the environment are ignored, because they would connect in our stead.

mod address;
mod client;

pub use address::{Networks, is_public};
pub use client::{Answer, Egress, MAX_REDIRECTS, Pace, same_origin};
