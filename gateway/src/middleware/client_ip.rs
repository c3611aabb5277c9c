//! Determines the address of the client: the peer's, or the one that a trusted proxy reports.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use chassis::config::comma_separated;
use hyper::{HeaderMap, header::HeaderName};
use ipnet::IpNet;
use serde::Deserialize;

/// The header in which proxies list the addresses that a request came through.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A list of networks, such as `10.0.0.0/8, ::1`.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// True if `address` lies in one of them. IPv4 addresses and IPv4-mapped IPv6 addresses are equal.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let (v4, v6) = match address.to_canonical() {
            IpAddr::V4(v4) => (Some(v4), v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => (None, v6),
        };
        self.0.iter().any(|network| match network {
            IpNet::V4(network) => v4.is_some_and(|v4| network.contains(&v4)),
            IpNet::V6(network) => network.contains(&v6),
        })
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let invalid = |word| serde::de::Error::custom(format!("`{word}` is not a network"));
        let words = comma_separated(deserializer)?.into_iter();
        words
            .map(|word| parse_network(&word).ok_or_else(|| invalid(word)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
}

/// The address of the client: the peer, or, if that is a trusted proxy, the rightmost address of
/// `X-Forwarded-For` that is not a trusted proxy.
pub(crate) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    if !trusted.contain(peer) {
        return peer;
    }
    let mut nearest = peer;
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    for line in lines.into_iter().rev() {
        let Ok(line) = line.to_str() else {
            return nearest;
        };
        for word in line.rsplit(',') {
            // A trusted proxy writes valid addresses; addresses to the left of an invalid one are not trustworthy.
            let Some(address) = parse_address(word.trim()) else {
                return nearest;
            };
            nearest = address;
            if !trusted.contain(address) {
                return nearest;
            }
        }
    }
    nearest
}

/// Parses an address, with or without a port and brackets.
fn parse_address(word: &str) -> Option<IpAddr> {
    let address = word
        .parse()
        .or_else(|_| word.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| word.trim_matches(['[', ']']).parse());
    address.ok().map(|address| address.to_canonical())
}

/// The unit of rate limits: an IPv4 address, or an IPv6 network of 64 bits, since one subscriber has that
/// many addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(u128);

impl ClientKey {
    /// The client behind `address`.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits() & !u128::from(u64::MAX)),
        }
    }

    /// The address as a number, IPv4 mapped to IPv6.
    pub(crate) fn to_bits(self) -> u128 {
        self.0
    }
}

impl std::fmt::Display for ClientKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let v6 = Ipv6Addr::from_bits(self.0);
        match v6.to_ipv4_mapped() {
            Some(v4) => v4.fmt(formatter),
            None => write!(formatter, "{v6}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;

    use super::*;

    fn parse(text: &str) -> Result<Networks, serde::de::value::Error> {
        Networks::deserialize(text.into_deserializer())
    }

    fn networks(text: &str) -> Networks {
        parse(text).expect("networks")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_contain_the_addresses_of_their_prefix() {
        let some = networks("10.0.0.0/8, 192.168.1.7 ,2001:db8::/32");
        for inside in [
            "10.255.0.1",
            "192.168.1.7",
            "::ffff:10.1.2.3",
            "2001:db8:9::1",
        ] {
            assert!(some.contain(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.168.1.8", "::1", "2001:db9::1"] {
            assert!(!some.contain(ip(outside)), "{outside}");
        }
        assert!(networks("0.0.0.0/0").contain(ip("8.8.8.8")));
        assert!(!networks("0.0.0.0/0").contain(ip("::1")));
        assert!(!networks("").contain(ip("::1")));
        for wrong in ["10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_trusted_proxies_report_the_client() {
        let trusted = networks("10.0.0.0/8");
        let both = &["1.1.1.1, 2.2.2.2", "10.0.0.9"][..];
        for (peer, lines, expected) in [
            ("9.9.9.9", both, "9.9.9.9"),
            ("10.0.0.1", both, "2.2.2.2"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.7"], "10.0.0.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, line.parse().expect("a value"));
            }
            let client = |trusted| client_ip(ip(peer), &headers, trusted);
            assert_eq!(client(&trusted), ip(expected), "{lines:?}");
            assert_eq!(client(&Networks::default()), ip(peer));
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let key = |text| ClientKey::of(ip(text));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("1.2.3.4"), key("::ffff:1.2.3.4"));
        assert_ne!(key("1.2.3.4"), key("1.2.3.5"));
        assert_eq!(key("1.2.3.4").to_string(), "1.2.3.4");
        assert_eq!(key("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }
}
