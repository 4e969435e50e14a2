//! `p2p server`: the relay.

mod address;
mod asked;
mod cluster;
mod reload;
mod settings;
mod status;

use std::{
    convert::Infallible,
    future::pending,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    num::NonZeroUsize,
    path::Path,
    pin::Pin,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use self::{
    address::{loopback, public_addresses},
    asked::{Asked, Asking},
    cluster::Cluster,
    reload::Reloading,
};
use super::{
    CommandError,
    cli::{LogFormat, ServerArgs, ServerCommand, ServerSettings},
    context::Context,
    log::{LogControl, LogOptions},
    output,
};
use crate::{
    cluster::nats::Discovery,
    home::{Home, load_invite, load_or_create_identity, save_invite},
    identity::{HostPort, Invite, RoomSecret},
    operation::{
        AdminListener, AuditFile, Listeners, Operation, PassedSockets, Systemd, bind_metrics,
    },
    quic::{Certificate, Credentials, Tuning},
    relay::{
        Admission, DEFAULT_MAX_PEERS, Relay, RelayConfig, RelayHandle, SHUTDOWN_LIMIT, machine,
    },
};

pub(super) fn run(context: &Context, args: ServerArgs) -> Result<u8, CommandError> {
    if let Some(ServerCommand::Status(args)) = &args.command {
        context.start_log();
        return status::run(context, args);
    }
    let settings = settings::read(&args)?;
    if args.check {
        return settings::check(context, &settings);
    }
    // First of all: what is inherited must be ours before anything else is opened.
    let sockets = PassedSockets::take().map_err(|e| {
        CommandError::other(format!("cannot use the sockets that were passed: {e}"))
    })?;
    let audit = settings.audit.as_ref().map(|path| {
        AuditFile::open(path)
            .map_err(|e| CommandError::other(format!("cannot write {}: {e}", path.display())))
    });
    let log = LogOptions {
        level: settings::level(context, &settings),
        json: settings.log == Some(LogFormat::Json),
        audit: audit.transpose()?,
    };
    let log = context.start_log_with(log);
    let served = context.block_on(serve(context, &args, settings, (sockets, log.as_ref())))?;
    if let Some(log) = log {
        log.flush();
    }
    served
}

/// Binds a relay whose key, rooms and invite are under this home, and says how to reach it.
///
/// Call it inside a runtime.
pub(super) fn open(
    home: &Home,
    args: &ServerSettings,
    sockets: PassedSockets,
) -> Result<(Relay, Invite, Option<Discovery>), CommandError> {
    home.make_directory(&home.relay())
        .map_err(CommandError::other)?;
    let certs = args.certs.clone().unwrap_or_else(|| home.relay());
    home.make_directory(&certs).map_err(CommandError::other)?;
    let identity = load_or_create_identity(&certs.join("relay.pem"))
        .map_err(|e| CommandError::other(format!("no relay key: {e}")))?;
    let certificate = Certificate::of(&identity);
    write_certificate(&certs, &certificate.certificate);
    let mut credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let cluster = Cluster::open(home, args)?;
    if let Some(cluster) = &cluster {
        credentials = credentials.of_node(cluster.directory.node().0.as_bytes());
    }

    let rooms = certs.join("rooms");
    let admission = Admission::load(&rooms, args.open.unwrap_or_default())
        .map_err(|e| CommandError::other(format!("admitted rooms in {}: {e}", rooms.display())))?;
    let secret = match &cluster {
        Some(cluster) => cluster.directory.key().own_room(),
        None => own_room(home)?,
    };
    for room in args.admit.iter().copied().chain([secret.room_id()]) {
        admission
            .admit(room)
            .map_err(|e| CommandError::other(format!("{}: {e}", rooms.display())))?;
    }

    let config = RelayConfig {
        cluster: cluster.as_ref().map(Cluster::config),
        ..config(args, admission, sockets)
    };
    let relay = bind_relay(config, &credentials).map_err(|e| {
        CommandError::other(format!("cannot listen on {}: {e}", settings::bind(args)))
    })?;
    let address = relay.local_addr().map_err(CommandError::other)?;
    let (places, fingerprint) = (args.public.as_deref(), identity.id());
    let invite = |at| Invite::new(at, fingerprint, secret.clone());
    let local = HostPort::new(&loopback(address.ip()).to_string(), address.port())
        .map_err(CommandError::other)?;
    let path = home.relay_invite();
    save_invite(&invite(local), &path).map_err(CommandError::other)?;
    let (own, others) = public_addresses(places, address)?;
    let discovery = cluster.map(|cluster| cluster.start(own.clone()));
    let mut invite = invite(own);
    if let Some(relay) = &mut invite.relay {
        relay.others = others;
    }
    Ok((relay, invite, discovery.transpose()?))
}

fn config(args: &ServerSettings, admission: Admission, sockets: PassedSockets) -> RelayConfig {
    let default = RelayConfig::new(settings::bind(args), admission);
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
        limits: settings::limits(args, default.limits.max_peers),
        memory_limit: args
            .memory_limit
            .unwrap_or_else(|| machine::memory_limit(default.memory_limit)),
        spool_limit: args.spool_limit.unwrap_or(default.spool_limit),
        spool: args.spool.clone().unwrap_or_else(std::env::temp_dir),
        tuning: Tuning::from_env(),
        tcp: args.tcp.unwrap_or_default(),
        udp_socket: sockets.udp,
        tcp_socket: sockets.tcp,
        threads: args.threads.unwrap_or(NonZeroUsize::MIN),
        direct: !args.no_direct.unwrap_or_default(),
        ..default
    }
}

async fn serve(
    context: &Context,
    args: &ServerArgs,
    settings: ServerSettings,
    (sockets, log): (PassedSockets, Option<&LogControl>),
) -> Result<u8, CommandError> {
    let asking = Asking::listen().map_err(CommandError::other)?;
    let home = context.home()?;
    let (relay, invite, _discovery) = open(home, &settings, sockets)?;
    let metrics = settings.metrics.map(|address| {
        bind_metrics(address)
            .map_err(|e| CommandError::other(format!("cannot serve metrics at {address}: {e}")))
    });
    let metrics = metrics.transpose()?;
    let metrics_address = metrics.as_ref().and_then(|m| m.local_addr().ok());
    let listeners = Listeners {
        metrics,
        #[cfg(unix)]
        admin: admin_socket(home),
    };
    let handle = relay.handle();
    let _operation = Operation::start(handle.clone(), listeners).map_err(CommandError::other)?;
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
            eprintln!("relay listening on {address}{tcp}");
            eprintln!("the line above is the invite: `p2p join` it on every machine");
        }
    }
    if let Some(address) = metrics_address.filter(|_| !context.global.json && !context.global.quiet)
    {
        eprintln!("metrics at http://{address}/metrics");
    }
    let status = format!("listening on {address}");
    Systemd.ready(&status);
    let shutdown = CancellationToken::new();
    let serving = relay.run(shutdown.clone());
    let operating = Operating {
        handle,
        shutdown,
        reloading: Reloading {
            context,
            args,
            settings,
            log,
            max_peers: DEFAULT_MAX_PEERS,
            own_room: invite.secret.room_id(),
            status,
        },
    };
    tokio::select! {
        () = serving => {}
        never = operating.follow(asking) => match never {},
    }
    Ok(0)
}

/// A relay that runs, and what is done about it.
struct Operating<'a> {
    handle: RelayHandle,
    shutdown: CancellationToken,
    reloading: Reloading<'a>,
}

impl Operating<'_> {
    /// Does what signals ask for.
    async fn follow(mut self, mut asking: Asking) -> Infallible {
        let mut draining: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
        loop {
            let drained = async {
                match &mut draining {
                    Some(draining) => draining.await,
                    None => pending().await,
                }
            };
            let asked = tokio::select! {
                asked = asking.next() => asked,
                () = drained => {
                    draining = None;
                    self.shutdown.cancel();
                    continue;
                }
            };
            match asked {
                Asked::Reload => self.reloading.reload(&self.handle),
                // Whoever asks again while it ends does not want to wait.
                _ if self.shutdown.is_cancelled() => std::process::exit(1),
                Asked::Drain if draining.is_none() => {
                    let limit = self.reloading.settings.drain.unwrap_or(DRAIN);
                    Systemd.stopping(limit + 2 * SHUTDOWN_LIMIT);
                    let handle = self.handle.clone();
                    draining = Some(Box::pin(async move { handle.drain(limit).await }));
                }
                Asked::Drain | Asked::End => {
                    draining = None;
                    self.shutdown.cancel();
                }
            }
        }
    }
}

/// How long transfers that are under way may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(60);

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
