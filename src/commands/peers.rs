//! `p2p peers`: who is in the room.

use super::{
    CommandError, cli::PeersArgs, context::Context, join::enter_error, output, signal::Signals,
};
use crate::{
    protocol::{Code, PeerId},
    transfer::{ErrorKind, Event, Peer, PeerEvent, PeerRef},
};

pub(super) fn run(context: &Context, args: &PeersArgs) -> Result<u8, CommandError> {
    let member = context.member()?;
    context.block_on(async {
        let signals = Signals::hear();
        let cancel = signals.token();
        let mut channel = context
            .connecting(&member.invite, member.enter_and_list())
            .await
            .map_err(|e| enter_error(e, &member.invite))?;
        let lost = || CommandError::new(ErrorKind::Unreachable, "lost the relay");
        let mut peers = channel.peers(args.watch).await.ok_or_else(lost)?;
        for line in channel.take_ignored() {
            eprintln!("{line}");
        }
        peers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        for peer in &peers {
            print(context, peer)?;
        }
        if peers.is_empty() && !context.global.json && !context.global.quiet {
            context.stage.line("nobody else is in the room");
        }
        if args.watch {
            loop {
                let event = tokio::select! {
                    () = cancel.cancelled() => break,
                    event = channel.recv() => event.ok_or_else(lost)?,
                };
                if let PeerEvent::Presence(peer) = event {
                    print(context, &peer)?;
                }
            }
        }
        channel.close(Code::Done).await;
        Ok(signals.exit_code().unwrap_or(0))
    })?
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
