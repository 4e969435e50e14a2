//! `p2p server`: the relay.

mod status;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    num::NonZeroUsize,
    path::Path,
};

use super::{
    CommandError,
    cli::{ServerArgs, ServerCommand, ServerSettings},
    context::Context,
    output,
    signal::Signals,
};
use crate::{
    home::{Home, load_invite, load_or_create_identity, save_invite},
    identity::{DEFAULT_PORT, HostPort, Invite, RoomSecret},
    operation::{AdminListener, Listeners, Operation, bind_metrics},
    quic::{Certificate, Credentials, Tuning},
    relay::{Admission, Relay, RelayConfig, machine},
};

/// Every address of this machine, IPv4 and IPv6.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);

pub(super) fn run(context: &Context, args: ServerArgs) -> Result<u8, CommandError> {
    if let Some(ServerCommand::Status(args)) = &args.command {
        return status::run(context, args);
    }
    let mut settings = args.settings;
    if let Some(path) = &args.config {
        settings = settings.over(read_config(path)?);
    }
    if args.check {
        return check(context, &settings);
    }
    context.block_on(serve(context, &settings))?
}

/// Reads a file of settings.
fn read_config(path: &Path) -> Result<ServerSettings, CommandError> {
    let wrong = |e: String| CommandError::usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    toml::from_str(&text).map_err(|e| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        wrong(format!("line {line}: {}", e.message()))
    })
}

/// Says whether a relay could start so. Binds nothing, makes nothing.
fn check(context: &Context, settings: &ServerSettings) -> Result<u8, CommandError> {
    let bind = settings.bind.unwrap_or(BIND);
    public_address(settings.public.as_deref(), bind)?;
    for (option, directory) in [("certs", &settings.certs), ("spool", &settings.spool)] {
        if let Some(directory) = directory
            && !directory.is_dir()
        {
            let directory = directory.display();
            return Err(CommandError::usage(format!(
                "{option}: {directory} is no directory"
            )));
        }
    }
    if !context.global.quiet {
        eprintln!("the settings are right; a relay with them listens on {bind}");
    }
    Ok(0)
}

/// Binds a relay whose key, rooms and invite are under this home, and says how to reach it.
///
/// Call it inside a runtime.
pub(super) fn open(home: &Home, args: &ServerSettings) -> Result<(Relay, Invite), CommandError> {
    home.make_directory(&home.relay())
        .map_err(CommandError::other)?;
    let certs = args.certs.clone().unwrap_or_else(|| home.relay());
    home.make_directory(&certs).map_err(CommandError::other)?;
    let identity = load_or_create_identity(&certs.join("relay.pem"))
        .map_err(|e| CommandError::other(format!("no relay key: {e}")))?;
    let certificate = Certificate::of(&identity);
    write_certificate(&certs, &certificate.certificate);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);

    let rooms = certs.join("rooms");
    let admission = Admission::load(&rooms, args.open.unwrap_or_default())
        .map_err(|e| CommandError::other(format!("admitted rooms in {}: {e}", rooms.display())))?;
    let secret = own_room(home)?;
    for room in args.admit.iter().copied().chain([secret.room_id()]) {
        admission
            .admit(room)
            .map_err(|e| CommandError::other(format!("{}: {e}", rooms.display())))?;
    }

    let relay = bind_relay(config(args, admission), &credentials).map_err(|e| {
        CommandError::other(format!(
            "cannot listen on {}: {e}",
            args.bind.unwrap_or(BIND)
        ))
    })?;
    let address = relay.local_addr().map_err(CommandError::other)?;
    let invite = |relay| Invite::new(relay, identity.id(), secret.clone());
    let local = HostPort::new(&loopback(address.ip()).to_string(), address.port())
        .map_err(CommandError::other)?;
    let path = home.relay_invite();
    save_invite(&invite(local), &path).map_err(CommandError::other)?;
    let invite = invite(public_address(args.public.as_deref(), address)?);
    Ok((relay, invite))
}

fn config(args: &ServerSettings, admission: Admission) -> RelayConfig {
    let default = RelayConfig::new(args.bind.unwrap_or(BIND), admission);
    let open_files = machine::open_files();
    let spool_files = machine::spool_files(open_files);
    if open_files < FEW_FILES {
        tracing::warn!(
            "open files are limited to {open_files} (ulimit -n): the spool has at most {spool_files} of \
             them, and recipients that fall behind beyond that are cut off"
        );
    }
    RelayConfig {
        spool_files,
        max_peers: args.max_peers.unwrap_or(default.max_peers),
        memory_limit: args
            .memory_limit
            .unwrap_or_else(|| machine::memory_limit(default.memory_limit)),
        spool_limit: args.spool_limit.unwrap_or(default.spool_limit),
        spool: args.spool.clone().unwrap_or_else(std::env::temp_dir),
        limit_per_peer: args.limit,
        tuning: Tuning::from_env(),
        tcp: args.tcp.unwrap_or_default(),
        threads: args.threads.unwrap_or(NonZeroUsize::MIN),
        ..default
    }
}

async fn serve(context: &Context, args: &ServerSettings) -> Result<u8, CommandError> {
    let signals = Signals::hear();
    let (relay, invite) = open(context.home()?, args)?;
    let metrics = args.metrics.map(|address| {
        bind_metrics(address)
            .map_err(|e| CommandError::other(format!("cannot serve metrics at {address}: {e}")))
    });
    let metrics = metrics.transpose()?;
    let metrics_address = metrics
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let listeners = Listeners {
        metrics,
        #[cfg(unix)]
        admin: admin_socket(context.home()?),
    };
    let _operation = Operation::start(relay.handle(), listeners).map_err(CommandError::other)?;
    let address = relay.local_addr().map_err(CommandError::other)?;
    if let Some(limit) = relay.buffers().limited_by() {
        tracing::warn!(
            "UDP socket buffers are small, bursts will be lost: raise {limit} to 4194304"
        );
    }
    if context.global.json {
        output::json(&serde_json::json!({
            "event": "ready", "address": address.to_string(), "invite": invite.to_string(),
            "tcp": relay.tcp_addr().map(|tcp| tcp.to_string()),
            "metrics": metrics_address.map(|address| address.to_string()),
        }))?;
    } else {
        output::line(&invite)?;
        if !context.global.quiet {
            let tcp = match relay.tcp_addr() {
                Some(tcp) if tcp == address => " (UDP and TCP)".to_owned(),
                Some(tcp) => format!(" (UDP) and {tcp} (TCP)"),
                None => " (UDP)".to_owned(),
            };
            eprintln!(
                "relay listening on {address}{tcp}; the line above is the invite: `p2p join` it on every machine"
            );
        }
    }
    if let Some(address) = metrics_address.filter(|_| !context.global.json && !context.global.quiet)
    {
        eprintln!("metrics at http://{address}/metrics");
    }
    relay.run(signals.token()).await;
    Ok(0)
}

/// Where this home asks its relay how it is. A relay does without where it cannot be had.
#[cfg(unix)]
fn admin_socket(home: &Home) -> Option<AdminListener> {
    let path = home.relay_socket();
    AdminListener::bind(path.clone())
        .inspect_err(|error| tracing::warn!("no `p2p server status`: {}: {error}", path.display()))
        .ok()
}

/// Binds; where the machine has no IPv6, the IPv6 wildcard means the IPv4 one.
fn bind_relay(config: RelayConfig, credentials: &Credentials) -> std::io::Result<Relay> {
    let bind = config.bind;
    let no_ipv6 = bind.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_err();
    let bind = if no_ipv6 {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, bind.port()))
    } else {
        bind
    };
    Relay::bind(RelayConfig { bind, ..config }, credentials)
}

/// The room that every relay makes for its operator on its first start.
fn own_room(home: &Home) -> Result<RoomSecret, CommandError> {
    let saved = load_invite(&home.relay_invite()).map_err(CommandError::other)?;
    Ok(saved.map_or_else(RoomSecret::generate, |invite| invite.secret))
}

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

/// The address that this machine uses towards others; connecting a UDP socket sends nothing.
fn outward() -> IpAddr {
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

fn loopback(bound: IpAddr) -> IpAddr {
    match bound {
        ip if !ip.is_unspecified() => ip,
        // A wildcard IPv6 socket takes IPv4 as well.
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// With fewer open files than this a relay says so, at its start.
const FEW_FILES: u64 = 256;

/// Leaves the certificate where people can look at it; it is made anew from the key at each start.
///
/// Nobody needs the file: where it cannot be written, as on a read-only mount, the relay starts.
fn write_certificate(certs: &Path, certificate: &[u8]) {
    let (pem, path) = (pem(certificate), certs.join("relay.crt"));
    if std::fs::read(&path).is_ok_and(|there| there == pem.as_bytes()) {
        return;
    }
    if let Err(error) = std::fs::write(&path, pem) {
        tracing::info!("{} stays as it is: {error}", path.display());
    }
}

/// PEM (RFC 7468) of a certificate.
fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line))
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
