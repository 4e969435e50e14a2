//! `p2p peers`: who is in the room.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{
    CommandError, cli::PeersArgs, context::Context, join::enter_error, output, signal::Signals,
};
use crate::{
    protocol::{Code, PeerId, PeerState, Road},
    transfer::{EnterError, ErrorKind, Event, Peer, PeerEvent, PeerRef, WayEvent, WayId, Ways},
};

/// How often it is looked at whether everyone has had the time to answer.
const LOOK: Duration = Duration::from_millis(50);
/// Peers that are left out whom people hear of.
const IGNORED_MAX: usize = 8;

pub(super) fn run(context: &Context, args: &PeersArgs) -> Result<u8, CommandError> {
    let member = context.member()?;
    context.block_on(async {
        let signals = Signals::listen();
        let observer = context.observer();
        let mut ways = Ways::open(&member, args.watch, &observer);
        let mut gathered = Gathering::default().until_settled(&mut ways).await;
        let has_some = !gathered.states.is_empty();
        match gathered.unreachable.take() {
            Some(error) if !has_some => return Err(enter_error(error, &member.invite)),
            Some(error) => {
                let error = enter_error(error, &member.invite);
                context
                    .stage
                    .line(&format!("{error}: only who is on this LAN"));
            }
            None if !ways.relay_has_answered() => return Err(lost()),
            None => {}
        }
        for (peer, reason) in gathered.ignored.drain(..) {
            eprintln!("peer {} is left out: {reason}", peer.short());
        }
        let mut peers = gathered.peers();
        peers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        for peer in &peers {
            print(context, peer)?;
        }
        if peers.is_empty() && !context.global.json && !context.global.quiet {
            context.stage.line("nobody else is in the room");
        }
        drop(peers);
        if args.watch {
            watch(context, &mut ways, &mut gathered, &signals).await?;
        }
        ways.close(Code::Done).await;
        Ok(signals.exit_code().unwrap_or(0))
    })?
}

fn lost() -> CommandError {
    CommandError::new(ErrorKind::Unreachable, "lost the relay")
}

/// Tells every change, until a signal or the loss of the relay.
async fn watch(
    context: &Context,
    ways: &mut Ways<'_>,
    gathered: &mut Gathering,
    signals: &Signals,
) -> Result<(), CommandError> {
    let cancel = signals.token();
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            event = ways.next() => event,
        };
        if matches!(&event, WayEvent::Lost { road, .. } if *road != Road::Lan) {
            return Err(lost());
        }
        for peer in gathered.on_event(event) {
            print(context, &peer)?;
        }
    }
}

/// Who is in the room, as all ways together say.
#[derive(Default)]
pub(super) struct Gathering {
    states: HashMap<PeerId, Seen>,
    unreachable: Option<EnterError>,
    ignored: Vec<(PeerId, String)>,
}

/// One peer, as each way says that it is.
#[derive(Default)]
struct Seen(BTreeMap<WayId, Peer>);

impl Seen {
    /// What it is: a listener, if it listens anywhere.
    fn best(&self) -> Option<&Peer> {
        let listens = |peer: &&Peer| peer.is_listening();
        self.0.values().find(listens).or(self.0.values().next())
    }
}

impl Gathering {
    /// Until everyone has had the time to answer.
    async fn until_settled(mut self, ways: &mut Ways<'_>) -> Self {
        while !ways.has_settled() {
            if let Ok(event) = tokio::time::timeout(LOOK, ways.next()).await {
                self.on_event(event);
            }
        }
        self
    }

    /// Everyone who is there, once.
    pub(super) fn peers(&self) -> Vec<&Peer> {
        self.states.values().filter_map(Seen::best).collect()
    }

    /// Takes in what happens; those for whom it changes something come back.
    pub(super) fn on_event(&mut self, event: WayEvent) -> Vec<Peer> {
        match event {
            WayEvent::Brought(way, PeerEvent::Presence(peer)) => {
                let seen = self.states.entry(peer.id).or_default();
                let before = seen.best().map(|peer| (peer.state, peer.name.clone()));
                match peer.state {
                    PeerState::Gone => drop(seen.0.remove(&way)),
                    _ => drop(seen.0.insert(way, (*peer).clone())),
                }
                let now = seen.best().cloned();
                if now.is_none() {
                    self.states.remove(&peer.id);
                }
                let now = now.unwrap_or(*peer);
                let is_news = before != Some((now.state, now.name.clone()));
                return if is_news { vec![now] } else { vec![] };
            }
            WayEvent::Brought(_, PeerEvent::Ignored { peer, reason })
                if self.ignored.len() < IGNORED_MAX =>
            {
                self.ignored.push((peer, reason));
            }
            WayEvent::Opened { road, .. } if road != Road::Lan => self.unreachable = None,
            WayEvent::Failed { error, .. } => self.unreachable = Some(error),
            WayEvent::Lost { way, .. } => {
                let mut gone = Vec::new();
                self.states.retain(|_, seen| {
                    if let Some(mut peer) = seen.0.remove(&way)
                        && seen.0.is_empty()
                    {
                        peer.state = PeerState::Gone;
                        gone.push(peer);
                    }
                    !seen.0.is_empty()
                });
                return gone;
            }
            _ => {}
        }
        Vec::new()
    }
}

fn print(context: &Context, peer: &Peer) -> Result<(), CommandError> {
    let state = peer.state.as_str();
    if context.global.json {
        output::json(&Event::Peer {
            peer: PeerRef::new(peer.id, peer.name.clone()),
            state: peer.state,
            since: peer.since,
        })
    } else {
        let name = pad(peer.name.as_str(), NAME);
        let since = crate::display::duration(peer.since);
        // Such as a Cyrillic letter that poses as a Latin one.
        let mixed = if peer.name.mixes_scripts() {
            "  (letters of several scripts)"
        } else {
            ""
        };
        output::line(format!(
            "{name}  {state:<9}  {since:>9}  {}{mixed}",
            shown(peer.id)
        ))
    }
}

/// An ID, cut to the window where it is shown in one: its beginning is all that `--to` needs.
fn shown(id: PeerId) -> String {
    let id = id.to_string();
    match console::Term::stdout().size_checked() {
        Some((_, columns)) => {
            let room = usize::from(columns).saturating_sub(NAME + 2 + 9 + 2 + 9 + 2);
            console::truncate_str(&id, room.max(7), "…").into_owned()
        }
        None => id,
    }
}

/// Letters of some scripts take two columns.
fn pad(text: &str, columns: usize) -> String {
    let used = console::measure_text_width(text);
    format!("{text}{}", " ".repeat(columns.saturating_sub(used)))
}

/// Columns of a name; longer ones push the rest to the right.
const NAME: usize = 16;
