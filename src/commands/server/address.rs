//! Where a relay listens, and what others call that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::{
    commands::CommandError,
    identity::{DEFAULT_PORT, HostPort, RelayAddress},
};

/// Every address of this machine, IPv4 and IPv6.
pub(super) const BIND: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);

/// What the invite calls this machine.
fn public_address(public: Option<&str>, bound: SocketAddr) -> Result<HostPort, CommandError> {
    let text = match public {
        Some(text) if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) => {
            format!("[{text}]:{}", bound.port())
        }
        Some(text)
            if text
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
        {
            text.to_owned()
        }
        Some(text) => format!("{text}:{}", bound.port()),
        None if bound.ip().is_unspecified() => {
            return HostPort::new(&outward().to_string(), bound.port())
                .map_err(CommandError::other);
        }
        None => {
            return HostPort::new(&bound.ip().to_string(), bound.port())
                .map_err(CommandError::other);
        }
    };
    text.parse()
        .map_err(|e| CommandError::usage(format!("--public {text}: {e}")))
}

/// The same, and where other relays of its cluster are: `--public` may name them, with commas between.
pub(super) fn public_addresses(
    public: Option<&str>,
    bound: SocketAddr,
) -> Result<(HostPort, Vec<HostPort>), CommandError> {
    let Some((own, others)) = public.and_then(|public| public.split_once(',')) else {
        return Ok((public_address(public, bound)?, Vec::new()));
    };
    let others = others.split(',').map(|other| {
        let parsed = other.parse();
        parsed.map_err(|e| CommandError::usage(format!("--public {other}: {e}")))
    });
    let others = others.collect::<Result<Vec<_>, _>>()?;
    if others.len() > RelayAddress::OTHERS_MAX {
        return Err(CommandError::usage("--public names too many relays"));
    }
    Ok((public_address(Some(own), bound)?, others))
}

/// The address that this machine uses towards others; connecting a UDP socket sends nothing.
pub(super) fn outward() -> IpAddr {
    let towards = |local: SocketAddr, remote: SocketAddr| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(remote).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    };
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, and nobody's.
    towards(
        (Ipv4Addr::UNSPECIFIED, 0).into(),
        (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
    )
    .or_else(|| {
        towards(
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
        )
    })
    .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// An address at which this machine reaches itself.
pub(super) fn loopback(bound: IpAddr) -> IpAddr {
    match bound {
        ip if !ip.is_unspecified() => ip,
        // A wildcard IPv6 socket takes IPv4 as well.
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}
