//! The rows of what is sent and received.

use super::{Content, Effect};
use crate::{
    display::menu::{Activity, Audience, Movement, Pane, State, state::KEPT},
    transfer::PeerRef,
};

/// Begins a send: a row for everyone whom it is for.
pub(super) fn sending(
    state: &mut State,
    to: Audience,
    what: String,
    content: Content,
) -> Vec<Effect> {
    state.sends += 1;
    let number = state.sends;
    let peers = match &to {
        Audience::Peers(peers) => peers.clone(),
        Audience::Everyone => state
            .peers
            .iter()
            .filter(|peer| peer.listening)
            .map(|peer| (peer.id, peer.name.clone()))
            .collect(),
    };
    for peer in peers.into_iter().rev() {
        add(
            state,
            Movement::new(Activity::Send(number), peer, what.clone(), state.now),
        );
    }
    for peer in &mut state.peers {
        peer.marked = false;
    }
    vec![Effect::Send(number, to, content)]
}

/// Adds a row; the cursor stays on the row that it is on, unless that is the newest.
pub(super) fn add(state: &mut State, movement: Movement) {
    state.movements.insert(0, movement);
    let cursor = &mut state.cursors[Pane::Movements as usize];
    if *cursor > 0 {
        *cursor += 1;
    }
    if state.movements.len() > KEPT
        && let Some(last) = state.movements.iter().rposition(|m| !m.is_open())
    {
        state.movements.remove(last);
        if *cursor >= last {
            *cursor = cursor.saturating_sub(1);
        }
    }
}

/// The row of this activity and peer; made where there is none.
pub(super) fn row(state: &mut State, activity: Activity, peer: PeerRef) -> &mut Movement {
    let at = state
        .movements
        .iter()
        .position(|m| m.activity == activity && m.peer == peer.id);
    let at = at.unwrap_or_else(|| {
        let same = state.movements.iter().find(|m| m.activity == activity);
        let what = same.map_or_else(|| "files".to_owned(), |same| same.what.clone());
        let movement = Movement::new(activity, (peer.id, peer.name), what, state.now);
        add(state, movement);
        0
    });
    &mut state.movements[at]
}
