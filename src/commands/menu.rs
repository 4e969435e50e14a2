//! The menu: carries out what it asks for, and tells it what happens.

mod preview;
mod relay;
mod room;
mod screen;
mod sends;
mod shared_state;

use std::{path::Path, sync::Arc, time::Duration};

use crossterm::event::{Event as Terminal, EventStream};
use futures_util::StreamExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    preview::Previews, relay::Hosted, room::Room, screen::Screen, sends::Sends,
    shared_state::SharedState,
};
use super::{CommandError, context::Context, join::enter_error, signal::Signals};
use crate::{
    display::{
        menu::{Effect, Entry, Input, News, State},
        show::sanitise,
    },
    home::{Home, Rooms, RoomsError},
    identity::Invite,
    protocol::{Code, PeerName},
};

/// The screen is drawn so often at the most.
const FRAME: Duration = Duration::from_millis(50);
/// How often rates are drawn anew, and it is looked at whether anything broke.
const SECOND: Duration = Duration::from_secs(1);
/// How long putting away what is open may take after the menu is gone.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Entries of a folder that are listed.
const ENTRIES_MAX: usize = 20_000;

pub(super) fn run(context: &Context) -> Result<u8, CommandError> {
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        let error = CommandError::usage("the menu cannot be drawn on a dumb terminal");
        return Err(error.hint("`p2p --help` tells the commands that do the same"));
    }
    context.block_on(async {
        let signals = Signals::listen();
        let folder = std::env::current_dir()
            .map_err(|e| CommandError::other(format!("no current directory: {e}")))?;
        let (name, id) = (context.name()?.name, context.identity()?.id());
        let mut state = State::new(name, id, folder, context.color());
        state.home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let mut menu = Menu {
            context,
            shared: SharedState::new(state),
            room: None,
            invite: None,
            hosted: None,
            sends: Sends::new(tasks.clone(), end.clone()),
            previews: Previews::default(),
            tasks,
            end,
        };
        // The terminal is given back before anything is waited for.
        let code = menu.play(&signals).await;
        menu.leave();
        menu.end.cancel();
        menu.tasks.close();
        let _ = tokio::time::timeout(END_LIMIT, menu.tasks.wait()).await;
        code
    })?
}

/// The menu and all that runs for it.
struct Menu<'a> {
    context: &'a Context,
    shared: Arc<SharedState>,
    room: Option<Room>,
    /// Of the room that was entered last: what was chosen here goes before what is saved.
    invite: Option<Invite>,
    hosted: Option<Hosted>,
    sends: Sends,
    previews: Previews,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Menu<'_> {
    async fn play(&mut self, signals: &Signals) -> Result<u8, CommandError> {
        let mut screen = Screen::open().map_err(CommandError::other)?;
        if let Ok(invite) = self.context.invite()
            && let Err(error) = self.enter(invite)
        {
            self.shared.notify(News::NoRoom(error.to_string()));
        }
        let mut keys = EventStream::new();
        let stop = signals.token();
        let (mut frames, mut seconds) = (interval(FRAME), interval(SECOND));
        let mut changed = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(signals.exit_code().unwrap_or(0)),
                _ = seconds.tick() => changed |= Screen::is_broken() || self.shared.read(State::is_busy),
                _ = frames.tick(), if changed => {
                    if Screen::is_broken() {
                        return Err(CommandError::other("the menu ended by a fault of its own"));
                    }
                    let drawn = self.shared.read(|state| screen.draw(state));
                    drawn.map_err(CommandError::other)?;
                    changed = false;
                }
                key = keys.next() => match key {
                    Some(Ok(Terminal::Key(key))) => self.shared.put(Input::Key(key)),
                    Some(Ok(Terminal::Paste(text))) => self.shared.put(Input::Paste(text)),
                    Some(Ok(Terminal::Resize(..))) => self.shared.put(Input::Resized),
                    Some(Ok(_)) => {}
                    // The terminal is gone.
                    Some(Err(_)) | None => return Ok(0),
                },
                () = self.shared.changed() => changed = true,
            }
            for effect in self.shared.take_effects() {
                match effect {
                    Effect::Quit(code) => return Ok(code),
                    Effect::Copy(text) => screen.copy(&text).map_err(CommandError::other)?,
                    Effect::Suspend => screen.suspend().map_err(CommandError::other)?,
                    effect => {
                        if let Err(error) = self.carry_out(effect) {
                            self.shared.notify(News::Warning(error.to_string()));
                        }
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), CommandError> {
        match effect {
            Effect::Send(number, to, content) => match &self.room {
                Some(room) => {
                    let home = self.context.home()?;
                    self.sends
                        .begin(number, to, content, home, room, &self.shared);
                }
                None => {
                    self.shared
                        .notify(News::Sent(number, Vec::new(), Some("no room".to_owned())))
                }
            },
            Effect::Stop(number) => self.sends.stop(number),
            Effect::Answer(transfer, yes) => {
                if let Some(room) = &self.room {
                    room.answer(transfer, yes);
                }
            }
            Effect::List(folder) => {
                let shared = self.shared.clone();
                tokio::task::spawn_blocking(move || {
                    let listed = entries(&folder).map_err(|e| sanitise(&e.to_string()).into());
                    shared.notify(News::Listed(folder, listed));
                });
            }
            Effect::Preview(path) => self.previews.show(path, &self.shared),
            Effect::Folder(folder) => self.receive_into(&folder)?,
            Effect::Rename(name) => self.rename(&name)?,
            Effect::Join(text) => self.join(&text),
            Effect::Enter(text) => self.enter(text.parse().map_err(CommandError::usage)?)?,
            Effect::StartRelay => {
                let hosted = match self.hosted.clone() {
                    Some(hosted) => hosted,
                    None => relay::start(self.context.home()?, &self.tasks, &self.end)?,
                };
                self.hosted = Some(hosted.clone());
                self.enter(hosted.here)?;
            }
            Effect::Retry => {
                let invite = match self.invite.clone() {
                    Some(invite) => invite,
                    None => self.context.invite()?,
                };
                self.enter(invite)?;
            }
            Effect::Copy(_) | Effect::Suspend | Effect::Quit(_) => {}
        }
        Ok(())
    }

    /// Leaves the room, if there is one, and enters that of this invite.
    fn enter(&mut self, invite: Invite) -> Result<(), CommandError> {
        let folder = self.shared.read(|state| state.folder.clone());
        self.enter_into(invite, &folder)
    }

    fn enter_into(&mut self, invite: Invite, folder: &Path) -> Result<(), CommandError> {
        let room = Room::enter(
            self.context,
            invite.clone(),
            folder,
            &self.shared,
            self.room.as_ref(),
        )?;
        self.leave();
        self.room = Some(room);
        let hosted = self.hosted.as_ref().filter(|hosted| hosted.here == invite);
        self.shared.notify(News::Entering {
            invite: hosted
                .map_or(&invite, |hosted| &hosted.elsewhere)
                .to_string(),
            relay: invite.place(),
            hosting: hosted.is_some(),
        });
        self.invite = Some(invite);
        Ok(())
    }

    /// Leaves the room; what is open there is put away meanwhile.
    fn leave(&mut self) {
        if let Some(room) = self.room.take() {
            self.tasks.spawn(room.close());
        }
    }

    /// Tries a pasted invite; it is saved, and entered, once its relay has let this machine in.
    fn join(&self, text: &str) {
        let shared = self.shared.clone();
        let tried: Result<_, CommandError> = (|| {
            let invite: Invite = text
                .trim()
                .parse()
                .map_err(|e| CommandError::usage(format!("not an invite: {e}")))?;
            let home = self.context.home()?.clone();
            Ok((self.context.member_of(invite.clone())?, invite, home))
        })();
        let (member, invite, home) = match tried {
            Ok(tried) => tried,
            Err(error) => return shared.notify(News::NotJoined(error.to_string())),
        };
        self.tasks.spawn(async move {
            // There is nothing to reach where members find each other.
            let entered = match invite.relay {
                Some(_) => member.enter(None).await.map(Some),
                None => Ok(None),
            };
            match entered {
                Ok(connection) => {
                    if let Some(connection) = connection {
                        connection.close(Code::Done).await;
                    }
                    match add_default(&home, &invite) {
                        Ok(()) => shared.notify(News::Reached(invite.to_string())),
                        Err(error) => shared.notify(News::NotJoined(error.to_string())),
                    }
                }
                Err(error) => {
                    shared.notify(News::NotJoined(enter_error(error, &invite).to_string()));
                }
            }
        });
    }

    /// Goes by another name, now and later: the room is entered anew, so that others see it.
    fn rename(&mut self, name: &str) -> Result<(), CommandError> {
        let name: PeerName = name.parse().map_err(CommandError::usage)?;
        self.context.set_name(&name)?;
        if let Some(invite) = self.invite.clone() {
            self.enter(invite)?;
        }
        self.shared.notify(News::Named(name));
        Ok(())
    }

    /// Receives into another folder: the old one stays where the new one cannot be opened.
    fn receive_into(&mut self, folder: &Path) -> Result<(), CommandError> {
        if let Some(invite) = self.invite.clone() {
            self.enter_into(invite, folder)?;
        }
        self.shared.notify(News::Folder(folder.to_owned()));
        Ok(())
    }
}

/// What is pasted here is where the menu goes next time, too.
fn add_default(home: &Home, invite: &Invite) -> Result<(), RoomsError> {
    let rooms = Rooms::of(home);
    let room = rooms.add(invite, None)?;
    rooms.make_default(&room.name)
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

fn entries(folder: &Path) -> std::io::Result<Vec<Entry>> {
    let listed = std::fs::read_dir(folder)?.take(ENTRIES_MAX);
    // An entry that cannot be looked at hides no other.
    let entry = |entry: std::fs::DirEntry| {
        let metadata = std::fs::metadata(entry.path()).ok();
        let is_file = !metadata.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let bytes = metadata.map_or(0, |metadata| metadata.len());
        Entry::new(entry.file_name(), is_file, bytes)
    };
    Ok(listed.filter_map(Result::ok).map(entry).collect())
}
