//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use crate::base::{Error, Result};

/// Ranges of IPv4 that are not the public internet (IANA special-purpose registry).
const SPECIAL_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Ranges inside 2000::/3 that lead elsewhere: special assignments with Teredo, documentation,
/// and 6to4, which carries any IPv4 address.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn in_v4(ip: Ipv4Addr, (net, bits): (Ipv4Addr, u8)) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    u32::from(ip) & mask == u32::from(net) & mask
}

fn in_v6(ip: Ipv6Addr, (net, bits): (Ipv6Addr, u8)) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    u128::from(ip) & mask == u128::from(net) & mask
}

/// Whether an address is the public internet's. An IPv4 address inside IPv6 counts as itself.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|net| in_v4(ip, *net)),
        IpAddr::V6(ip) => {
            let unicast = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
            in_v6(ip, unicast) && !SPECIAL_V6.iter().any(|net| in_v6(ip, *net))
        }
    }
}

/// Networks an administrator allows beyond the public internet.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNetwork>);

impl Networks {
    /// Whether `ip` lies in one of them.
    pub fn hold(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(ip))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::str::FromStr for Networks {
    type Err = Error;

    /// Reads `10.0.0.0/8, fd00::/8`; empty text names none.
    fn from_str(text: &str) -> Result<Self> {
        text.split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse::<IpNetwork>().map_err(|_| {
                    Error::invalid(
                        "PORTOLAN_IMPORT_ALLOW",
                        format!("\"{part}\" is not a network; write networks such as 10.1.0.0/16 or fd00::/8, separated by commas"),
                    )
                })
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().expect("an address"))
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(public(ip), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(ip), "{ip}");
        }
    }

    #[test]
    fn networks_are_read_from_a_list_and_hold_mapped_addresses() {
        let networks: Networks = "127.0.0.0/8, fd00::/8".parse().expect("networks");
        for ip in ["127.0.0.1", "::ffff:127.0.0.1", "fd12::1"] {
            assert!(networks.hold(ip.parse().expect("an address")), "{ip}");
        }
        assert!(!networks.hold("10.0.0.1".parse().expect("an address")));
        assert!("".parse::<Networks>().expect("none").is_empty());
        assert!("10.0.0.0/33".parse::<Networks>().is_err());
        assert!("localhost".parse::<Networks>().is_err());
    }
}
