//! What the menu is on_news by others than the keyboard.

use super::{Effect, News, events, panels, pick, rows};
use crate::{
    display::menu::{Activity, Link, Mode, Outcome, Pane, PeerRow, State, state::PEERS_MAX},
    protocol::{PeerId, PeerName, PeerState},
    transfer::PeerRef,
};

/// Offers that wait at once; a relay's connection carries no more transfers.
const OFFERS_MAX: usize = 64;

pub(super) fn on_news(state: &mut State, news: News) -> Vec<Effect> {
    match news {
        News::Transfer(send, event) => return events::on_event(state, send, event),
        News::Offer(offer) if state.offers.len() >= OFFERS_MAX => {
            return vec![Effect::Answer(offer.transfer, false)];
        }
        News::Offer(offer) => {
            let transfer = offer.transfer;
            state.offers.push_back(offer);
            if state.takes_all {
                return panels::answer(state, transfer, true);
            }
        }
        News::OfferGone(transfer) => state.offers.retain(|offer| offer.transfer != transfer),
        News::Peers(all) => {
            let here = state.peer().map(|peer| peer.id);
            let old = std::mem::take(&mut state.peers);
            for (id, name, now) in all {
                let marked = old.iter().any(|peer| peer.id == id && peer.marked);
                put(state, id, name, now, marked);
            }
            stay_on(state, here);
        }
        News::Peer(id, name, now) => {
            let here = state.peer().map(|peer| peer.id);
            let old = state.peers.iter().position(|peer| peer.id == id);
            let marked = old.is_some_and(|at| state.peers.remove(at).marked);
            put(state, id, name, now, marked);
            stay_on(state, here);
        }
        News::Sent(send, served, failure) => sent(state, send, served, failure),
        News::Listed(folder, listed) => return pick::listed(state, &folder, listed),
        News::Preview(preview) => state.preview = Some(preview),
        News::Entering {
            invite,
            relay,
            hosting,
        } => {
            if state.invite.as_ref() != Some(&invite) {
                state.peers.clear();
            }
            state.invite = Some(invite);
            state.hosting = hosting;
            state.link = Link::Connecting(relay);
            if matches!(state.mode, Mode::Welcome(_) | Mode::Trying(_)) {
                state.mode = Mode::Main;
            }
        }
        News::Reached(invite) => return vec![Effect::Enter(invite)],
        News::NotJoined(reason) => {
            if let Mode::Trying(text) = &mut state.mode {
                state.mode = Mode::Paste(std::mem::take(text));
            }
            state.warn(reason);
        }
        News::NoRoom(reason) => state.no_room(reason),
        News::Named(name) => {
            state.say(format!("others see this machine as {name}"));
            state.name = name;
        }
        News::Folder(folder) => {
            let text = format!("files go to {}", state.tilde(&folder));
            state.say(text);
            state.folder = folder;
        }
        News::Warning(text) => state.warn(text),
    }
    Vec::new()
}

fn sent(state: &mut State, send: u64, served: Vec<super::Served>, failure: Option<String>) {
    let now = state.now;
    let several = served.len() > 1;
    for (peer, name, why) in served {
        let outcome = why.map_or(Outcome::Done, Outcome::Failed);
        rows::row(state, Activity::Send(send), PeerRef::new(peer, name)).end(outcome, now);
    }
    // Whoever it was not even offered to, since it had gone by then.
    let rest = failure
        .clone()
        .unwrap_or_else(|| "no longer here".to_owned());
    for movement in state
        .movements
        .iter_mut()
        .filter(|m| m.activity == Activity::Send(send))
    {
        movement.end(Outcome::Failed(rest.clone()), now);
    }
    let row = state
        .movements
        .iter()
        .find(|m| m.activity == Activity::Send(send));
    let what = row.map_or_else(String::new, |row| row.what.clone());
    match failure {
        Some(failure) => state.warn(format!("✗ {what}: {failure}")),
        None if several => state.say(format!("✓ {what}: delivered to all")),
        None => state.say(format!("✓ {what}: delivered")),
    }
}

fn put(state: &mut State, id: PeerId, name: PeerName, now: PeerState, marked: bool) {
    if now == PeerState::Gone || id == state.id || state.peers.len() >= PEERS_MAX {
        return;
    }
    let listening = now == PeerState::Listening;
    let row = PeerRow {
        id,
        name,
        listening,
        marked: marked && listening,
    };
    let at = state
        .peers
        .partition_point(|peer| (&peer.name, peer.id) < (&row.name, id));
    state.peers.insert(at, row);
}

/// Keeps the cursor on the same peer: a key must not meet another one than was seen.
fn stay_on(state: &mut State, peer: Option<PeerId>) {
    let cursor = state.cursors[Pane::Peers as usize];
    let found = state.peers.iter().position(|row| Some(row.id) == peer);
    let last = state.peers.len().saturating_sub(1);
    state.cursors[Pane::Peers as usize] = found.unwrap_or(cursor.min(last));
}
