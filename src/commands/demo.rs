//! `p2p demo`: the whole main job on this machine, verified.

use std::{
    io::{IsTerminal, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{CommandError, cli::DemoArgs, context::Context, output};
use crate::{
    display::{
        self,
        show::{ShowOptions, When as ShowWhen, show},
    },
    home::{Home, KnownPeers},
    identity::{HostPort, Identity, Invite, Name, RoomSecret},
    quic::{Certificate, Credentials, Tuning},
    relay::{Admission, Relay, RelayConfig},
    storage::{EntryKind, Filter, Source, Target},
    transfer::{
        ErrorKind, Event, Member, Observer,
        receive::{ListenConfig, listen},
        send::{SendRequest, SourceSpec, To, send},
    },
};

/// Bytes of the broadcast file.
const BROADCAST_BYTES: usize = 64 << 20;
/// Bytes a second of the broadcast on a terminal, where somebody wants to see it happen.
const BROADCAST_RATE: u64 = 20_000_000;
/// Files that are shown, of many.
const SHOWN_MAX: usize = 5;
/// The demo's own JSON.
const JSON: &str = include_str!("demo/station.json");
/// The demo's own CSV.
const CSV: &str = include_str!("demo/readings.csv");

pub(super) fn run(context: &Context, args: DemoArgs) -> Result<u8, CommandError> {
    let folder = tempfile::Builder::new()
        .prefix("p2p-demo-")
        .tempdir()
        .map_err(|e| {
            CommandError::new(ErrorKind::LocalFile, format!("no temporary directory: {e}"))
        })?;
    let files = if args.files.is_empty() {
        own_files(folder.path()).map_err(disk)?
    } else {
        args.files
    };
    context.block_on(play(context, folder.path(), &files))?
}

async fn play(context: &Context, folder: &Path, files: &[PathBuf]) -> Result<u8, CommandError> {
    let started = Instant::now();
    let say = |text: &str| {
        if !context.global.json && !context.global.quiet {
            eprintln!("{text}");
        }
    };
    let end = CancellationToken::new();
    let (relay, invite) = start_relay()?;
    say(&format!(
        "a relay on {}, and two listeners, alice and bob",
        invite.place()
    ));
    let relaying = tokio::spawn(relay.run(end.clone()));
    let observer = context.observer();
    let mut listeners = Vec::new();
    for name in ["alice", "bob"] {
        let (listening, joined) = start_listener(folder, name, &invite, &observer, &end)?;
        joined
            .await
            .map_err(|_| CommandError::other(format!("{name} did not join")))?;
        listeners.push(listening);
    }
    let member = member(folder, "demo", &invite)?;
    let known = known(folder, "demo", &invite)?;

    context.flush_events().await;
    say("relayed to alice alone:");
    deliver(
        &member,
        &known,
        files,
        (To::Peers(vec!["alice".to_owned()]), None),
        (&observer, folder),
    )
    .await?;
    context.flush_events().await;
    let sent = sent_files(files)?;
    for (n, (disk, path)) in sent.iter().enumerate() {
        let copy = out(folder, "alice").join(path);
        verify(disk, &copy)?;
        if n < SHOWN_MAX {
            show_received(context, &copy)?;
        }
    }
    if sent.len() > SHOWN_MAX {
        say(&format!(
            "and {} more files, not shown",
            sent.len() - SHOWN_MAX
        ));
    }

    context.flush_events().await;
    say("broadcast to both:");
    let large = folder.join("dataset.bin");
    make_large(&large).map_err(disk)?;
    let limit = context.style().bars.then_some(BROADCAST_RATE);
    deliver(
        &member,
        &known,
        std::slice::from_ref(&large),
        (To::Everyone, limit),
        (&observer, folder),
    )
    .await?;
    for name in ["alice", "bob"] {
        verify(&large, &out(folder, name).join("dataset.bin"))?;
    }

    context.flush_events().await;
    end.cancel();
    for listening in listeners {
        let _ = listening.await;
    }
    let _ = relaying.await;
    say(&format!(
        "everything arrived and is identical, in {}",
        display::duration(started.elapsed())
    ));
    Ok(0)
}

fn start_relay() -> Result<(Relay, Invite), CommandError> {
    let identity = Identity::generate();
    let certificate = Certificate::of(&identity);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let secret = RoomSecret::generate();
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = RelayConfig::new(bind, Admission::of([secret.room_id()]));
    let relay = Relay::bind(config, &credentials)
        .map_err(|e| CommandError::other(format!("no relay: {e}")))?;
    let address = relay.local_addr().map_err(CommandError::other)?;
    let at =
        HostPort::new(&address.ip().to_string(), address.port()).map_err(CommandError::other)?;
    Ok((relay, Invite::new(at, identity.id(), secret)))
}

type Listening = tokio::task::JoinHandle<()>;

fn start_listener(
    folder: &Path,
    name: &str,
    invite: &Invite,
    observer: &Arc<dyn Observer>,
    end: &CancellationToken,
) -> Result<(Listening, tokio::sync::oneshot::Receiver<()>), CommandError> {
    let out = out(folder, name);
    let target = Target::open(&out).map_err(CommandError::other)?;
    let journal = folder.join(name).join("journal");
    let config = ListenConfig::new(target, out, journal, known(folder, name, invite)?);
    let (joined, joins) = tokio::sync::oneshot::channel();
    let observer = Arc::new(Joining {
        inner: observer.clone(),
        joined: std::sync::Mutex::new(Some(joined)),
    });
    let (member, end) = (member(folder, name, invite)?, end.clone());
    let listening = tokio::spawn(async move {
        if let Err(failure) = listen(member, config, observer, end).await {
            tracing::error!(%failure, "a listener of the demo ended");
        }
    });
    Ok((listening, joins))
}

/// Passes events on, and tells when the listener is in the room.
struct Joining {
    inner: Arc<dyn Observer>,
    joined: std::sync::Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
}

impl Observer for Joining {
    fn event(&self, event: Event) {
        let first = matches!(event, Event::Joined { .. });
        // What the listeners receive, the sender tells as delivered.
        if first {
            self.inner.event(event);
        }
        if first
            && let Some(joined) = self
                .joined
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take()
        {
            let _ = joined.send(());
        }
    }
}

fn member(folder: &Path, name: &str, invite: &Invite) -> Result<Arc<Member>, CommandError> {
    Home::open(Some(folder.join(name))).map_err(CommandError::other)?;
    Ok(Arc::new(Member {
        tuning: Tuning::from_env(),
        ..Member::new(
            Arc::new(Identity::generate()),
            Name::chosen(name.parse().map_err(CommandError::other)?),
            invite.clone(),
        )
    }))
}

fn known(folder: &Path, name: &str, invite: &Invite) -> Result<KnownPeers, CommandError> {
    let home = Home::open(Some(folder.join(name))).map_err(CommandError::other)?;
    Ok(KnownPeers::new(home.known_peers(), invite.secret.room_id()))
}

async fn deliver(
    member: &Member,
    known: &KnownPeers,
    files: &[PathBuf],
    (to, limit): (To, Option<u64>),
    (observer, jobs): (&Arc<dyn Observer>, &Path),
) -> Result<(), CommandError> {
    let request = SendRequest {
        source: SourceSpec::Paths {
            roots: files.to_vec(),
            filter: Filter::default(),
        },
        to,
        wait: std::time::Duration::ZERO,
        timeout: std::time::Duration::from_secs(30),
        limit,
        compress: true,
        jobs: jobs.to_owned(),
    };
    let summary = send(member, known, request, observer, &CancellationToken::new())
        .await
        .map_err(|e| CommandError::from_failure("the demo cannot send", &e))?;
    match summary.failure() {
        None => Ok(()),
        Some(failure) => Err(CommandError::from_failure("the demo failed", &failure)),
    }
}

fn out(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).join("received")
}

/// The files below these paths, and what each is called where it arrives.
fn sent_files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, CommandError> {
    let failed = |e| CommandError::new(ErrorKind::LocalFile, e);
    let source = Source::new(paths, Filter::default()).map_err(failed)?;
    let files = source.walk().filter_map(|entry| match entry {
        Ok(entry) if matches!(entry.kind, EntryKind::File { .. }) => {
            Some(Ok((entry.disk, entry.path.to_string())))
        }
        Ok(_) => None,
        Err(error) => Some(Err(failed(error))),
    });
    files.collect()
}

/// Compares what arrived with what was sent, byte for byte by their hashes.
fn verify(file: &Path, copy: &Path) -> Result<(), CommandError> {
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
        Ok::<_, std::io::Error>(hasher.finalize())
    };
    if hash(file).map_err(disk)? == hash(copy).map_err(disk)? {
        return Ok(());
    }
    Err(CommandError::new(
        ErrorKind::Verification,
        format!("{} differs from what was sent", copy.display()),
    ))
}

fn show_received(context: &Context, path: &Path) -> Result<(), CommandError> {
    if context.global.json {
        let kind = display::show::detect_kind(path).map_err(disk)?;
        return output::json(
            &serde_json::json!({"event": "shown", "path": path.to_string_lossy(), "kind": kind.as_str()}),
        );
    }
    let options = ShowOptions::detect(std::io::stdout().is_terminal(), ShowWhen::Auto);
    let mut out = std::io::stdout().lock();
    show(path, &options, &mut out).map_err(|e| CommandError::new(ErrorKind::LocalFile, e))?;
    writeln!(out).map_err(CommandError::output)
}

/// A JSON, a CSV and a picture.
fn own_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let place = |name: &str| folder.join(name);
    std::fs::write(place("station.json"), JSON)?;
    std::fs::write(place("readings.csv"), CSV)?;
    picture()
        .save(place("sunset.png"))
        .map_err(std::io::Error::other)?;
    Ok(["station.json", "readings.csv", "sunset.png"]
        .map(place)
        .to_vec())
}

/// A sun over water, computed so that no binary needs to be kept.
fn picture() -> image::RgbImage {
    const WIDTH: u32 = 240;
    const HEIGHT: u32 = 135;
    image::RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (fx, fy) = (
            f64::from(x) / f64::from(WIDTH),
            f64::from(y) / f64::from(HEIGHT),
        );
        let (dx, dy) = ((fx - 0.5) * 16.0 / 9.0, fy - 0.52);
        let sky = fy < 0.62;
        let glow = (-(dx * dx + dy * dy) * if sky { 9.0 } else { 5.0 }).exp();
        let ripple = if sky {
            0.0
        } else {
            ((fy - 0.62) * 220.0).sin() * 0.10
        };
        let sun = sky && dx * dx + dy * dy < 0.022;
        let tone = |base: f64, gain: f64| {
            let value = if sun {
                250.0
            } else {
                255.0 * (base + gain * (glow + ripple))
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let value = value.clamp(0.0, 255.0) as u8;
            value
        };
        let depth = if sky { 1.0 - fy } else { 0.35 };
        image::Rgb([
            tone(0.18 + fy * 0.35, 0.75),
            tone(0.10 + fy * 0.12, 0.50),
            tone(0.30 * depth + 0.12, 0.22),
        ])
    })
}

/// A file that neither compresses nor repeats, so that what is measured is not luck.
fn make_large(path: &Path) -> std::io::Result<()> {
    let mut output = blake3::Hasher::new_derive_key("p2p demo").finalize_xof();
    let mut file = std::fs::File::create(path)?;
    let mut block = vec![0; 1 << 20];
    for _ in 0..BROADCAST_BYTES / block.len() {
        output.fill(&mut block);
        file.write_all(&block)?;
    }
    Ok(())
}

fn disk(error: std::io::Error) -> CommandError {
    CommandError::new(ErrorKind::LocalFile, error)
}
