//! What every command needs: the home, the identity, the invite, and how to speak.

use std::{
    io::IsTerminal,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tracing::Level;

use super::{
    CommandError,
    cli::{Global, When},
    log::{self, LogControl, LogOptions},
    signal::{self, Signals},
};
use crate::{
    direct::Policy,
    display::{self, Events, Log, Stage, Style},
    home::{
        Home, KnownPeers, RelayNotes, RoadNotes, Rooms, RoomsError, load_invite,
        load_or_create_identity,
    },
    identity::{BUNDLE_LIFETIME, Identity, Invite, Name},
    lan::Mdns,
    protocol::{PeerName, Road},
    quic::{Proxies, Roads, Tuning},
    transfer::{ErrorKind, Member, Observer, Relays},
};

/// How long a reader of events may take for the last of them once a signal has asked for the end.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// What the global options come to.
pub(super) struct Context {
    pub(super) global: Global,
    home: OnceLock<Home>,
    /// Whether files may go directly; the default unless a command says otherwise.
    direct: OnceLock<Policy>,
    /// The one way to standard error while bars may be on it.
    pub(super) stage: Stage,
    events: OnceLock<Arc<Events>>,
    log: OnceLock<Log>,
}

impl Context {
    pub(super) fn new(global: Global) -> Self {
        Self {
            global,
            home: OnceLock::new(),
            direct: OnceLock::new(),
            stage: Stage::default(),
            events: OnceLock::new(),
            log: OnceLock::new(),
        }
    }

    /// Says whether files may go directly, before anybody is connected.
    pub(super) fn set_direct(&self, policy: Policy) {
        let _ = self.direct.set(policy);
    }

    /// Sends log lines to standard error: warnings, and with `-v` more.
    pub(super) fn start_log(&self) {
        self.start_log_with(LogOptions {
            level: self.level(),
            json: false,
            audit: None,
        });
    }

    /// The same, as a relay's settings have it; nothing where there can be no further thread.
    pub(super) fn start_log_with(&self, options: LogOptions) -> Option<LogControl> {
        let log = Log::start(self.stage.clone()).ok()?;
        Some(log::start(self.log.get_or_init(|| log), options))
    }

    /// How important a line of the log must be.
    pub(super) fn level(&self) -> Level {
        match (self.global.quiet, self.global.verbose) {
            (true, _) => Level::ERROR,
            (_, 0) => Level::WARN,
            (_, 1) => Level::INFO,
            (_, 2) => Level::DEBUG,
            _ => Level::TRACE,
        }
    }

    /// Waits, but not for long, until what was logged is written.
    pub(super) fn flush_log(&self) {
        if let Some(log) = self.log.get() {
            log.flush();
        }
    }

    /// The home directory, made on first use.
    pub(super) fn home(&self) -> Result<&Home, CommandError> {
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let home = self.global.home.clone();
        let home = Home::open(home.filter(|path| !path.as_os_str().is_empty()))
            .map_err(|e| CommandError::caused("no home", e))?;
        Ok(self.home.get_or_init(|| home))
    }

    /// My key, made on first use.
    pub(super) fn identity(&self) -> Result<Identity, CommandError> {
        let path = self.home()?.identity_key();
        load_or_create_identity(&path).map_err(|e| CommandError::caused("no identity", e))
    }

    /// My name.
    pub(super) fn name(&self) -> Result<Name, CommandError> {
        self.home()?
            .name()
            .map_err(|e| CommandError::caused("no name", e))
    }

    /// Chooses my name, for now and later.
    pub(super) fn set_name(&self, name: &PeerName) -> Result<(), CommandError> {
        // What is so already needs no writing, which a read-only home would not take.
        if self.name().is_ok_and(|old| old.chosen && old.name == *name) {
            return Ok(());
        }
        let saved = self.home()?.set_name(name);
        saved.map_err(|e| CommandError::caused("cannot save the name", e))
    }

    /// The invite: of the room that was named, as an option or variable, as saved, or of a relay
    /// under the same home.
    pub(super) fn invite(&self) -> Result<Invite, CommandError> {
        if let Some(name) = &self.global.room {
            let room = Rooms::of(self.home()?).get(name);
            return Ok(room.map_err(rooms_error)?.invite);
        }
        let given = self.global.server.as_ref();
        if let Some(text) = given.filter(|text| !text.as_str().is_empty()) {
            return text
                .parse()
                .map_err(|e| CommandError::usage(format!("--server or P2P_SERVER: {e}")));
        }
        let home = self.home()?;
        for path in [home.invite(), home.relay_invite()] {
            let loaded = load_invite(&path).map_err(|e| CommandError::caused("no invite", e))?;
            if let Some(invite) = loaded {
                return Ok(invite);
            }
        }
        Err(CommandError::new(ErrorKind::Unreachable, "no relay is known here")
            .hint("`p2p join INVITE` with the invite that `p2p server` printed, or start `p2p server` here"))
    }

    /// Who I am and which room I belong to.
    pub(super) fn member(&self) -> Result<Arc<Member>, CommandError> {
        self.member_of(self.invite()?)
    }

    /// Who I am, in the room of this invite.
    pub(super) fn member_of(&self, invite: Invite) -> Result<Arc<Member>, CommandError> {
        let (roads, lan, forced) = roads()?;
        let direct = forced.unwrap_or_else(|| self.direct.get().copied().unwrap_or_default());
        Ok(Arc::new(Member {
            identity: Arc::new(self.identity()?),
            name: self.name()?,
            invite,
            tuning: Tuning::from_env(),
            roads,
            direct,
            lan,
            relays: Arc::new(Relays::with_notes(RelayNotes::new(
                self.home()?.relay_notes(),
            ))),
            road_notes: Some(RoadNotes::new(self.home()?.road_notes())),
            bundle_lifetime: BUNDLE_LIFETIME,
        }))
    }

    /// Whom I know in the invite's room.
    pub(super) fn known(&self, invite: &Invite) -> Result<KnownPeers, CommandError> {
        Ok(KnownPeers::new(
            self.home()?.known_peers(),
            invite.secret.room_id(),
        ))
    }

    /// Whether standard error may be coloured.
    pub(super) fn color(&self) -> bool {
        match self.global.color {
            When::Always => true,
            When::Never => false,
            // https://no-color.org: any value but the empty one.
            When::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && is_terminal()
            }
        }
    }

    /// How to speak.
    pub(super) fn style(&self) -> Style {
        let bars = match self.global.progress {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal() && !self.global.json,
        };
        Style {
            json: self.global.json,
            quiet: self.global.quiet,
            color: self.color(),
            terminal: is_terminal(),
            bars: bars && !self.global.quiet,
        }
    }

    /// Prints events, on a thread of its own.
    pub(super) fn events(&self) -> Arc<Events> {
        let start = || {
            let lists = self.home().ok().map(|home| home.path().to_owned());
            Arc::new(display::events(self.style(), &self.stage, lists))
        };
        self.events.get_or_init(start).clone()
    }

    /// The same, for whoever only observes.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        self.events()
    }

    /// Waits until all events so far are printed, so that what is printed next stands below them.
    ///
    /// However slow the reader is, it gets everything, but for a signal: then it has [`LAST_EVENTS`].
    pub(super) async fn flush_events(&self) {
        let Some(events) = self.events.get().cloned() else {
            return;
        };
        let limit = signal::came().then_some(LAST_EVENTS);
        let flushing = tokio::task::spawn_blocking(move || events.flush(limit));
        let signals = Signals::listen();
        let stop = signals.token();
        tokio::select! {
            _ = flushing => {}
            () = stop.cancelled() => {}
        }
    }

    /// Why events could not be printed, if so.
    pub(super) fn events_failure(&self) -> Option<std::io::Error> {
        self.events.get()?.take_failure()
    }

    pub(super) fn paint_error(&self, text: &str) -> String {
        if self.color() {
            console::Style::new()
                .red()
                .bold()
                .force_styling(true)
                .apply_to(text)
                .to_string()
        } else {
            text.to_owned()
        }
    }

    /// Runs a future to its end on this thread; other threads only seal, hash, and touch disks.
    ///
    /// One thread for the network measured a fifth less processor time than work stealing.
    pub(super) fn block_on<F: Future>(&self, future: F) -> Result<F::Output, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CommandError::other(format!("no runtime: {e}")))?;
        let output = runtime.block_on(async {
            fail_writes_that_are_too_large();
            let output = future.await;
            self.flush_events().await;
            output
        });
        // A thread may still wait for standard input.
        runtime.shutdown_background();
        Ok(output)
    }
}

/// A file that would outgrow the system's limit on file sizes is an error to whoever writes it, as on
/// a full disk; without this, SIGXFSZ ends the process.
fn fail_writes_that_are_too_large() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // It stays caught when what receives it is dropped.
        let _ = signal(too_large);
    }
}

/// What is wrong with the rooms that are saved, with what to do about it.
pub(super) fn rooms_error(error: RoomsError) -> CommandError {
    match error {
        RoomsError::Unknown(_) => CommandError::usage(error).hint("`p2p rooms` lists them"),
        RoomsError::Default(_) => CommandError::usage(error)
            .hint("make another one the default: `p2p rooms --default NAME`"),
        error => CommandError::caused("cannot use the saved rooms", error),
    }
}

/// The roads to the relay that may be taken, whether the LAN is one, and what is to be thought of direct
/// paths where that is given: all, or the one that `P2P_ROAD` names.
fn roads() -> Result<(Roads, Option<Mdns>, Option<Policy>), CommandError> {
    let roads = Roads {
        proxies: Arc::new(Proxies::from_env()),
        ..Roads::default()
    };
    let named = std::env::var_os("P2P_ROAD").unwrap_or_default();
    match named.to_str() {
        Some("") => Ok((roads, Some(Mdns::default()), None)),
        Some("relay") => Ok((roads.only(Road::Relay), None, Some(Policy::Never))),
        Some("tcp") => Ok((roads.only(Road::Tcp), None, Some(Policy::Never))),
        Some("lan") => Ok((
            roads.only(Road::Lan),
            Some(Mdns::default()),
            Some(Policy::Never),
        )),
        // What is said to the relay still needs a way there, and a direct path needs that on UDP.
        Some("direct") => Ok((roads.only(Road::Relay), None, Some(Policy::Only))),
        _ => Err(CommandError::usage(format!(
            "P2P_ROAD={}: expected relay, tcp, direct or lan",
            named.to_string_lossy()
        ))),
    }
}

/// Whether standard error is a terminal that can do more than a typewriter.
fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
