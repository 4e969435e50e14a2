//! The menu: carries out what it asks for, and tells it what happens.

mod room;
mod screen;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use crossterm::event::{Event as Terminal, EventStream};
use futures_util::StreamExt;
use globset::GlobSet;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    room::{Observed, Room},
    screen::Screen,
};
use super::{
    CommandError,
    cli::{Cli, Command},
    context::Context,
    server,
    signal::Signals,
};
use crate::{
    display::{
        menu::{Effect, Entry, Input, News, Preview, State, update},
        show::{ColorLevel, Graphics, ShowOptions, sanitise, show},
    },
    identity::Invite,
    transfer::{
        Observer,
        send::{SendRequest, SourceSpec, To, send},
    },
};

/// The screen is drawn so often at the most; also how often it is looked at whether it broke.
const FRAME: Duration = Duration::from_millis(50);
/// How long a send may stand still, as of `p2p send`.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long putting away what is open may take after the menu is gone.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Entries of a folder that are listed.
const ENTRIES_MAX: usize = 20_000;

pub(super) fn run(context: &Context) -> Result<u8, CommandError> {
    context.block_on(async {
        let signals = Signals::hear();
        let folder = std::env::current_dir()
            .map_err(|e| CommandError::other(format!("no current directory: {e}")))?;
        let (name, id) = (context.name()?.name, context.identity()?.id());
        let state = State::new(name, id, folder, context.color());
        let (news, heard) = unbounded_channel();
        let mut menu = Menu {
            context,
            state,
            news,
            room: None,
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        };
        // The terminal is given back before anything is waited for.
        let code = menu.play(heard, &signals).await;
        menu.end.cancel();
        menu.tasks.close();
        let room = menu.room.take();
        let _ = tokio::time::timeout(END_LIMIT, async {
            if let Some(room) = room {
                room.close().await;
            }
            menu.tasks.wait().await;
        })
        .await;
        code
    })?
}

/// The menu and all that runs for it.
struct Menu<'a> {
    context: &'a Context,
    state: State,
    news: UnboundedSender<News>,
    room: Option<Room>,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Menu<'_> {
    async fn play(
        &mut self,
        mut heard: tokio::sync::mpsc::UnboundedReceiver<News>,
        signals: &Signals,
    ) -> Result<u8, CommandError> {
        let mut screen = Screen::open().map_err(CommandError::other)?;
        if let Ok(invite) = self.context.invite() {
            self.enter(invite).await?;
        }
        let mut keys = EventStream::new();
        let stop = signals.token();
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut changed = true;
        loop {
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(signals.exit_code().unwrap_or(0)),
                _ = frames.tick() => {
                    if Screen::is_broken() {
                        return Err(CommandError::other("the menu ended by a fault of its own"));
                    }
                    if changed {
                        screen.draw(&self.state).map_err(CommandError::other)?;
                        changed = false;
                    }
                    continue;
                }
                key = keys.next() => match key {
                    Some(Ok(Terminal::Key(key))) => Input::Key(key),
                    Some(Ok(Terminal::Paste(text))) => Input::Paste(text),
                    Some(Ok(_)) => { changed = true; continue }
                    // The terminal is gone.
                    Some(Err(_)) | None => return Ok(0),
                },
                Some(news) = heard.recv() => Input::News(news),
            };
            changed = true;
            for effect in update(&mut self.state, input) {
                match effect {
                    Effect::Quit(code) => return Ok(code),
                    Effect::Copy(text) => screen.copy(&text).map_err(CommandError::other)?,
                    effect => {
                        if let Err(error) = self.carry_out(effect).await {
                            self.tell(News::NoRoom(error.to_string()));
                        }
                    }
                }
            }
        }
    }

    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<(), CommandError> {
        match effect {
            Effect::Send(number, to, paths) => self.send(number, to, paths),
            Effect::Answer(transfer, yes) => {
                if let Some(room) = &self.room {
                    room.answer(transfer, yes);
                }
            }
            Effect::List(folder) => {
                let news = self.news.clone();
                tokio::task::spawn_blocking(move || {
                    let listed = entries(&folder).map_err(|e| sanitise(&e.to_string()).into());
                    let _ = news.send(News::Listed(folder, listed));
                });
            }
            Effect::Preview(path) => self.preview(path),
            Effect::Folder(folder) => {
                let old = std::mem::replace(&mut self.state.folder, folder.clone());
                match self.context.invite() {
                    Ok(invite) => match self.enter(invite).await {
                        Ok(()) => self.tell(News::Folder(folder)),
                        Err(error) => {
                            self.state.folder = old;
                            self.tell(News::Notice(error.to_string(), true));
                            self.enter(self.context.invite()?).await?;
                        }
                    },
                    Err(_) => self.tell(News::Folder(folder)),
                }
            }
            Effect::Join(text) => {
                let invite: Invite = text
                    .trim()
                    .parse()
                    .map_err(|e| CommandError::usage(format!("not an invite: {e}")))?;
                invite
                    .save(&self.context.home()?.invite())
                    .map_err(CommandError::other)?;
                self.enter(invite).await?;
            }
            Effect::StartRelay => {
                let invite = self.start_relay()?;
                self.enter(invite).await?;
            }
            Effect::Retry => self.enter(self.context.invite()?).await?,
            Effect::Copy(_) | Effect::Quit(_) => {}
        }
        Ok(())
    }

    /// Leaves the room, if there is one, and enters that of this invite.
    async fn enter(&mut self, invite: Invite) -> Result<(), CommandError> {
        if let Some(room) = self.room.take() {
            room.close().await;
        }
        self.tell(News::PeersUnknown);
        let text = invite.to_string();
        let room = Room::enter(self.context, invite, &self.state.folder, &self.news)?;
        self.room = Some(room);
        self.tell(News::Entering(text));
        Ok(())
    }

    /// Starts a relay as `p2p server` does; it ends with the menu.
    fn start_relay(&mut self) -> Result<Invite, CommandError> {
        let home = self.context.home()?;
        let open = |bind: &[&str]| {
            let line = ["p2p", "server"].iter().chain(bind);
            match Cli::try_parse_from(line).map(|cli| cli.command) {
                Ok(Some(Command::Server(args))) => server::open(home, &args),
                _ => Err(CommandError::other("no relay can be started")),
            }
        };
        // Where the usual port is taken, any other serves.
        let (relay, invite) = open(&[]).or_else(|_| open(&["--bind", "[::]:0"]))?;
        self.tasks.spawn(relay.run(self.end.clone()));
        Ok(invite)
    }

    fn send(&self, number: u64, to: Option<Vec<crate::protocol::PeerId>>, roots: Vec<PathBuf>) {
        let Some(room) = &self.room else { return };
        let Ok(home) = self.context.home() else {
            return;
        };
        let request = SendRequest {
            source: SourceSpec::Paths {
                roots,
                exclude: GlobSet::empty(),
            },
            to: to.map_or(To::Everyone, |ids| {
                To::Peers(ids.iter().map(ToString::to_string).collect())
            }),
            wait: Duration::ZERO,
            timeout: PATIENCE,
            limit: None,
            compress: true,
            jobs: home.path().join("jobs"),
        };
        let (member, known) = (room.member.clone(), room.known.clone());
        let (news, end) = (self.news.clone(), self.end.clone());
        self.tasks.spawn(async move {
            let observer: Arc<dyn Observer> = Arc::new(Observed(Some(number), news.clone()));
            let failure = match send(&member, &known, request, &observer, &end).await {
                Ok(summary) => summary.failure(),
                Err(error) => Some(error.failure()),
            };
            let failure = failure.map(|failure| format!("✗ not sent: {failure}"));
            let _ = news.send(News::Sent(number, failure));
        });
    }

    fn preview(&self, path: PathBuf) {
        let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
        let mut options = ShowOptions::plain();
        options.width = if width >= 64 && height >= 16 {
            width - width / 3 - 2
        } else {
            width.saturating_sub(2)
        };
        options.height = height.saturating_sub(5);
        if self.state.color {
            options.color = ColorLevel::Ansi256;
            options.graphics = Graphics::HalfBlocks;
        }
        let news = self.news.clone();
        tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            let text = match show(&path, &options, &mut out) {
                Ok(_) => String::from_utf8_lossy(&out).into_owned(),
                Err(error) => sanitise(&error.to_string()).into_owned(),
            };
            let _ = news.send(News::Preview(Preview { path, text }));
        });
    }
}

fn entries(folder: &Path) -> std::io::Result<Vec<Entry>> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok(Entry {
            is_file: !entry.path().is_dir(),
            name: entry.file_name().to_string_lossy().into_owned(),
        })
    };
    std::fs::read_dir(folder)?
        .take(ENTRIES_MAX)
        .map(entry)
        .collect()
}
