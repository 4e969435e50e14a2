//! What happens to files, as rows and arrivals.

use super::{Effect, lists, rows::row};
use crate::{
    display::{
        bytes,
        menu::{
            Activity, Arrival, Arrived, Link, Mode, Movement, Outcome, Pane, State, state::KEPT,
        },
        phrases::Phrase,
        show::sanitise,
    },
    protocol::DeclineReason,
    transfer::Event,
};

pub(super) fn on_event(state: &mut State, send: Option<u64>, event: Event) -> Vec<Effect> {
    let now = state.now;
    let phrase = Phrase::of(&event, |peer| peer.name.to_string());
    let activity = |transfer| send.map_or(Activity::Receive(transfer), Activity::Send);
    match event {
        Event::Joined { relay, .. } => {
            state.link = Link::Joined(relay);
            state.notice = None;
            if matches!(state.mode, Mode::Welcome(_)) {
                state.mode = Mode::Main;
            }
        }
        Event::Disconnected { .. } => {
            state.link = Link::Lost;
            state.tell(phrase);
        }
        Event::Offered { files, bytes, .. } => {
            if let Some(send) = send {
                let mine = |m: &&mut Movement| m.activity == Activity::Send(send);
                for movement in state.movements.iter_mut().filter(mine) {
                    movement.expect(files, bytes);
                }
            }
        }
        Event::Progress {
            transfer,
            peer,
            file,
            bytes,
            total,
            ..
        } => {
            let movement = row(state, activity(transfer), peer);
            if movement.count == Some(1) {
                movement.expect(None, total);
            }
            movement.progress(file, bytes, now);
        }
        Event::Delivered {
            transfer,
            peer,
            file,
            bytes,
            ..
        } => row(state, activity(transfer), peer).arrive(file.as_ref(), bytes, now),
        Event::Received {
            transfer,
            path,
            bytes,
            from,
            ..
        } => {
            row(state, activity(transfer), from.clone()).arrive(&path, bytes, now);
            let name = path.file_name().unwrap_or(path.as_os_str());
            let title = sanitise(&name.to_string_lossy()).into_owned();
            let arrival = Arrival {
                what: Arrived::File(path),
                title,
                from: from.name,
                bytes,
            };
            return arrive(state, arrival);
        }
        Event::Message { from, text, .. } => {
            let title = sanitise(text.lines().next().unwrap_or_default()).into_owned();
            let arrival = Arrival {
                title,
                bytes: text.len() as u64,
                what: Arrived::Message(text),
                from: from.name,
            };
            return arrive(state, arrival);
        }
        // Said already, when a person here said no.
        Event::Declined {
            reason: DeclineReason::Refused,
            ..
        } => {}
        Event::Failed {
            transfer,
            peer: Some(peer),
            file: None,
            failure,
        } => {
            state.tell(phrase);
            let reason = sanitise(&format!("{failure:#}")).into_owned();
            row(state, activity(transfer), peer).end(Outcome::Failed(reason), now);
        }
        // The others of several files go on.
        Event::Failed { .. }
        | Event::Declined { .. }
        | Event::Retrying { .. }
        | Event::Notice { .. } => state.tell(phrase),
        // A send goes on after a transfer that failed; its end is on_news by itself.
        Event::Done {
            transfer,
            failed,
            bytes: size,
            ..
        } if send.is_none() => {
            let outcome = match failed {
                0 => Outcome::Done,
                _ => Outcome::Failed("not received whole".to_owned()),
            };
            let mine = |m: &&mut Movement| m.activity == Activity::Receive(transfer);
            for movement in state.movements.iter_mut().filter(mine) {
                movement.end(outcome.clone(), now);
            }
            if failed == 0 {
                state.say(format!("✓ received {}", bytes(size)));
            }
        }
        Event::Waiting { reason, .. } => {
            state.no_room(sanitise(&reason).into_owned());
        }
        _ => {}
    }
    Vec::new()
}

/// Adds an arrival; the cursor stays on what it is on, unless it follows the newest.
fn arrive(state: &mut State, arrival: Arrival) -> Vec<Effect> {
    state.arrivals.insert(0, arrival);
    state.arrivals.truncate(KEPT);
    let cursor = &mut state.cursors[Pane::Arrivals as usize];
    let looks = matches!(state.mode, Mode::Show(_)) && state.pane == Pane::Arrivals;
    if (*cursor > 0 || looks) && state.arrivals.len() > 1 {
        *cursor = (*cursor + 1).min(state.arrivals.len() - 1);
        return Vec::new();
    }
    lists::preview(state)
}
