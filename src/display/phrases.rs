//! What events say to people: the one place where they become words, for lines and for the menu.
//!
//! Everything that comes out is safe to print.

use std::time::Duration;

use super::{
    bytes, duration, rate,
    show::{format::counted, sanitise},
};
use crate::{
    protocol::{Code, DeclineReason, PeerName, Road},
    transfer::{Error, Event, PeerRef},
};

/// Below this size and this time, a rate is mostly the time that answers take.
const RATE_LEAST: (u64, Duration) = (1_000_000, Duration::from_secs(1));

/// How something is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Success,
    Failure,
    Plain,
    /// Worth less than the rest.
    Aside,
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Phrase {
    pub(super) fn new(tone: Tone, text: String) -> Self {
        let hint = None;
        Self { tone, text, hint }
    }

    /// The words for an event, with peers by the names that they have here.
    ///
    /// `None` for progress and for files that have arrived: what there is to say of those depends on
    /// the room that there is for it.
    pub(super) fn of(event: &Event, name: impl Fn(&PeerRef) -> String) -> Option<Self> {
        let (tone, text) = match event {
            Event::Joined { me, relay } => {
                let (name, id) = (&me.name, me.id.short());
                let place = match relay.as_str() {
                    "lan" => "on this LAN".to_owned(),
                    relay => format!("at {}", sanitise(relay)),
                };
                (Tone::Success, format!("listening as {name} ({id}) {place}"))
            }
            Event::Connecting { relay } => {
                (Tone::Aside, format!("connecting to {}…", sanitise(relay)))
            }
            Event::Disconnected { reason, retry_in } => {
                let (reason, retry_in) = (sanitise(reason), duration(*retry_in));
                (
                    Tone::Failure,
                    format!("lost the relay: {reason}; retrying in {retry_in}"),
                )
            }
            Event::Waiting { reason, retry_in } => {
                let (reason, retry_in) = (sanitise(reason), duration(*retry_in));
                (
                    Tone::Aside,
                    format!("waiting for the relay: {reason}; retrying in {retry_in}"),
                )
            }
            Event::Peer { peer, state, since } => {
                let PeerRef { id, name } = peer;
                let (state, since) = (state.as_str(), duration(*since));
                (Tone::Plain, format!("{name}  {id}  {state}  {since}"))
            }
            Event::Offer {
                from,
                files,
                bytes,
                text,
                ..
            } => {
                let (name, caution) = (&from.name, from.name.caution());
                (
                    Tone::Aside,
                    format!("{name}{caution} offers {}", contents(*files, *bytes, *text)),
                )
            }
            Event::Offered {
                to,
                files,
                bytes,
                text,
                ..
            } => {
                let whom = match to.as_slice() {
                    [one] => format!("{}{}", name(one), one.name.caution()),
                    several => counted(several.len() as u64, "recipient"),
                };
                (
                    Tone::Aside,
                    format!("offering {} to {whom}", contents(*files, *bytes, *text)),
                )
            }
            Event::Message { from, text, .. } => {
                let lines: Vec<_> = text.lines().map(sanitise).collect();
                (
                    Tone::Plain,
                    format!("{}: {}", from.name, lines.join("\n  ")),
                )
            }
            Event::Failed {
                peer,
                file,
                failure,
                ..
            } => {
                let file = file.as_ref().map(|file| sanitise(file).into_owned());
                let what: Vec<_> = file.into_iter().chain(peer.as_ref().map(name)).collect();
                let what = match what.is_empty() {
                    true => String::new(),
                    false => what.join(" ") + ": ",
                };
                (Tone::Failure, format!("{what}{failure:#}"))
            }
            Event::Declined {
                peer,
                reason,
                failure,
                ..
            } => {
                return Some(Self::declined(peer, *reason, failure));
            }
            Event::Retrying { peer, reason } => {
                let who = peer
                    .as_ref()
                    .map_or_else(String::new, |peer| name(peer) + ": ");
                (
                    Tone::Aside,
                    format!("{who}{}; trying again", sanitise(reason)),
                )
            }
            // What a file's last line says needs no line of its own, but a change for the worse does.
            Event::Road {
                peer,
                road: Road::Relay | Road::Tcp,
                reason,
                ..
            } => {
                let (name, reason) = (name(peer), sanitise(reason));
                (
                    Tone::Aside,
                    format!("{name}: through the relay from here: {reason}"),
                )
            }
            Event::Done {
                files,
                bytes,
                elapsed,
                failed,
                ..
            } => {
                let what = contents(Some(*files), Some(*bytes), false);
                let (took, rate) = (duration(*elapsed), rate(*bytes, *elapsed));
                let tone = if *failed == 0 {
                    Tone::Success
                } else {
                    Tone::Failure
                };
                (tone, format!("{what} in {took}, {rate}"))
            }
            Event::Notice { text } => (Tone::Plain, sanitise(text).into_owned()),
            Event::Dropped { events } => (
                Tone::Plain,
                format!("{} not shown here", counted(*events, "event")),
            ),
            Event::Road { .. }
            | Event::Progress { .. }
            | Event::Received { .. }
            | Event::Delivered { .. } => return None,
        };
        Some(Self::new(tone, text))
    }

    /// A transfer to this machine that the sender or the network broke off, after so many files of so
    /// many.
    pub(super) fn broken_off(
        name: &PeerName,
        (arrived, all): (u64, Option<u64>),
        failure: &Error,
    ) -> Self {
        let text = format!("{failure:#}");
        let why = match text.as_str() {
            text if text == Code::Cancelled.reason() => format!("{name} stopped"),
            text if text == Code::PeerGone.reason() => format!("{name} went away"),
            text => format!("{name}: {text}"),
        };
        let text = match all {
            Some(all) if all > 1 => format!("{arrived} of {all} files arrived, then {why}"),
            _ => why,
        };
        Self::new(Tone::Failure, text)
    }

    /// Why an offer was declined here, for whoever sits here, and what to do about it.
    fn declined(peer: &PeerRef, reason: DeclineReason, failure: &Error) -> Self {
        let PeerRef { id, name } = peer;
        let text = format!("{failure:#}");
        let (why, hint) = match reason {
            DeclineReason::NotTrusted => (
                ": not trusted here".to_owned(),
                Some(format!("`p2p trust add {name} {id}` trusts it")),
            ),
            DeclineReason::KeyChanged => (
                format!(": {text}"),
                Some(format!(
                    "if you know that {name} has a new key: `p2p trust add {name} {id}`"
                )),
            ),
            DeclineReason::Refused if text == "declined" => (String::new(), None),
            _ => (format!(": {text}"), None),
        };
        let text = format!("declined {name}{why}");
        Self {
            tone: Tone::Failure,
            text,
            hint,
        }
    }
}

/// `3 files, 1.2 MB`, as far as it is known, or a message.
pub(crate) fn contents(files: Option<u64>, size: Option<u64>, text: bool) -> String {
    if text {
        return "a message".to_owned();
    }
    let files = match files {
        Some(0) => return "directories only".to_owned(),
        Some(n) => counted(n, "file"),
        None => "files".to_owned(),
    };
    match size {
        Some(size) => format!("{files}, {}", bytes(size)),
        None => files,
    }
}

/// What there is to say of a file that has arrived: its size first, what matters least last.
pub(super) fn facts(
    (size, resumed_from): (u64, u64),
    elapsed: Duration,
    (already_there, renamed): (bool, bool),
    road: Road,
) -> Vec<String> {
    let mut facts = vec![bytes(size)];
    if already_there {
        facts.push("was there already".to_owned());
        return facts;
    }
    if renamed {
        facts.push("under another name".to_owned());
    }
    if resumed_from > 0 {
        facts.push(format!("resumed from {}", bytes(resumed_from)));
    }
    let moved = size.saturating_sub(resumed_from);
    if moved >= RATE_LEAST.0 || elapsed >= RATE_LEAST.1 {
        facts.push(duration(elapsed));
        facts.push(rate(moved, elapsed));
    }
    match road {
        Road::Relay => {}
        Road::Direct | Road::Lan => facts.push(road.to_string()),
        road => facts.push(format!("by {road}")),
    }
    facts
}
