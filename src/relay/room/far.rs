//! Members of a room that are at other relays.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Room;
use crate::{
    protocol::{Code, PeerId, PeerState, ServerToClient, SignedBundle, TransferId},
    relay::{
        line::{Line, LineId},
        mailbox::Mailbox,
        session::Session,
        transfer::Transfer,
        trunk_message::RoomMessage,
    },
};

/// Members of one room that one other relay may have.
const MEMBERS_MAX: usize = 16_384;

/// By so much ages have to differ that were measured at two relays.
const AGES_DIFFER: Duration = Duration::from_secs(2);

/// Other relays with members of a room, and those.
#[derive(Debug, Default)]
pub(super) struct Far {
    lines: HashMap<LineId, FarRelay>,
    /// Those of one identity, the newest last.
    members: HashMap<PeerId, Vec<FarMember>>,
}

#[derive(Debug)]
struct FarRelay {
    line: Arc<Line>,
    members: HashSet<PeerId>,
    /// Whether it has shown everybody.
    is_complete: bool,
}

/// A member that is at another relay, as that one shows it.
#[derive(Debug)]
pub(super) struct FarMember {
    mailbox: Arc<Mailbox>,
    line: LineId,
    bundle: SignedBundle,
    state: PeerState,
    since: Instant,
}

/// What another relay shows of a member.
#[derive(Debug)]
pub(in crate::relay) struct Shown {
    pub(in crate::relay) peer: PeerId,
    pub(in crate::relay) bundle: SignedBundle,
    pub(in crate::relay) state: PeerState,
    pub(in crate::relay) since_secs: u64,
}

/// Who speaks for an identity.
pub(super) enum Face<'a> {
    /// A connection to this relay.
    Here(&'a Arc<Session>),
    /// One to another.
    There(&'a FarMember),
}

impl Far {
    /// Everybody who is elsewhere.
    pub(super) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.members.keys()
    }

    /// Where `peer` listens.
    pub(super) fn listener(&self, peer: PeerId) -> Option<&FarMember> {
        let listening = self.members.get(&peer)?.iter().filter(|it| it.listens());
        listening.max_by_key(|member| member.since)
    }

    fn face(&self, peer: PeerId) -> Option<&FarMember> {
        let listening = self.listener(peer);
        listening.or_else(|| self.members.get(&peer)?.last())
    }

    /// Tells all other relays of somebody who is here, or was.
    pub(super) fn show(&self, presence: ServerToClient) {
        if self.lines.is_empty() {
            return;
        }
        if let Some(member) = member_message(presence) {
            self.lines
                .values()
                .for_each(|relay| relay.line.say(&member));
        }
    }
}

impl FarMember {
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether it came later than a connection of the same identity to this relay, which may be one that
    /// was lost without either end knowing yet. Each relay has measured how long its own is there.
    pub(super) fn is_newer_than(&self, here: &Session) -> bool {
        here.age() > self.since.elapsed() + AGES_DIFFER
    }

    fn listens(&self) -> bool {
        self.state == PeerState::Listening
    }

    fn presence(&self, state: PeerState) -> ServerToClient {
        ServerToClient::Peer {
            id: self.mailbox.peer,
            bundle: self.bundle.clone(),
            state,
            since_secs: self.since.elapsed().as_secs(),
        }
    }
}

impl Face<'_> {
    pub(super) fn presence(&self) -> ServerToClient {
        match self {
            Self::Here(session) => session.presence(session.state()),
            Self::There(member) => member.presence(member.state),
        }
    }

    /// Whether it is this connection.
    pub(super) fn is(&self, session: &Session) -> bool {
        matches!(self, Self::Here(face) if face.id() == session.id())
    }
}

impl Room {
    /// Who speaks for `peer`: who listens before who does not, of two that do the one that came later, and
    /// who is here before who is elsewhere.
    pub(super) fn face(&self, peer: PeerId) -> Option<Face<'_>> {
        let here = self.face_here(peer);
        let is_better = |there: &FarMember| match here {
            Some(here) if here.listening => there.listens() && there.is_newer_than(here),
            Some(_) => there.listens(),
            None => true,
        };
        match self.far.face(peer).filter(|there| is_better(there)) {
            Some(there) => Some(Face::There(there)),
            None => here.map(Face::Here),
        }
    }

    /// Tells other relays that a connection has ended, unless its peer is here by another in the same way.
    pub(super) fn tell_lines_of_end(&self, session: &Session, was_listener: bool) {
        match self.face_here(session.peer()) {
            None => self.far.show(session.presence(PeerState::Gone)),
            Some(face) if was_listener => self.far.show(face.presence(face.state())),
            Some(_) => {}
        }
    }

    /// Another relay has members of this room as well; everybody here, of whom it is still to be told.
    ///
    /// # Errors
    /// [`Code::PeerGone`] where nobody is here any more.
    pub(in crate::relay) fn attach(&mut self, line: &Arc<Line>) -> Result<Vec<PeerId>, Code> {
        if self.is_empty() {
            return Err(Code::PeerGone);
        }
        let relay = FarRelay {
            line: line.clone(),
            members: HashSet::new(),
            is_complete: false,
        };
        self.far.lines.insert(line.id(), relay);
        Ok(self.peers.keys().copied().collect())
    }

    /// Tells one other relay of a peer, if it is still here.
    pub(in crate::relay) fn show_to(&self, line: &Line, peer: PeerId) {
        let face = self.face_here(peer);
        let presence = face.map(|face| face.presence(face.state()));
        let member = presence.and_then(member_message);
        member.iter().for_each(|member| line.say(member));
    }

    /// Another relay has shown everybody who was there.
    pub(in crate::relay) fn complete(&mut self, line: LineId) {
        if let Some(relay) = self.far.lines.get_mut(&line) {
            relay.is_complete = true;
        }
    }

    /// Whether all that another relay has of this room is known here.
    pub(in crate::relay) fn knows_all_of(&self, node: PeerId) -> bool {
        let mut lines = self.far.lines.values();
        lines.any(|relay| relay.line.node() == node && relay.is_complete)
    }

    /// Another relay has no more members of this room, or is gone.
    pub(in crate::relay) fn detach(&mut self, line: &Line, code: Code) {
        let relay = self.far.lines.get(&line.id());
        let members: Vec<_> = relay.iter().flat_map(|r| &r.members).copied().collect();
        for peer in members {
            self.far_left(line.id(), peer, code);
        }
        self.far.lines.remove(&line.id());
    }

    /// Nobody is here any more: other relays need to say nothing more of this room.
    pub(in crate::relay) fn hang_up(&self) {
        self.far
            .lines
            .values()
            .for_each(|relay| relay.line.hang_up());
    }

    /// Another relay says what a member of its own does.
    ///
    /// # Errors
    /// [`Code::Busy`] where it has shown too many.
    pub(in crate::relay) fn far_member(
        &mut self,
        line: LineId,
        shown: Shown,
        mailbox: impl FnOnce() -> Mailbox,
    ) -> Result<(), Code> {
        let peer = shown.peer;
        if shown.state == PeerState::Gone {
            self.far_left(line, peer, Code::PeerGone);
            return Ok(());
        }
        let relay = self.far.lines.get_mut(&line).ok_or(Code::PeerGone)?;
        if relay.members.len() >= MEMBERS_MAX && !relay.members.contains(&peer) {
            return Err(Code::Busy);
        }
        relay.members.insert(peer);
        let age = Duration::from_secs(shown.since_secs);
        let members = self.far.members.entry(peer).or_default();
        let known = members.iter().position(|member| member.line == line);
        let known = known.map(|at| members.remove(at).mailbox);
        let now = Instant::now();
        members.push(FarMember {
            mailbox: known.unwrap_or_else(|| Arc::new(mailbox())),
            line,
            bundle: shown.bundle,
            state: shown.state,
            since: now.checked_sub(age).unwrap_or(now),
        });
        if let Some(face @ Face::There(_)) = self.face(peer) {
            self.tell_watchers(&face.presence());
        }
        Ok(())
    }

    fn far_left(&mut self, line: LineId, peer: PeerId, code: Code) {
        if let Some(relay) = self.far.lines.get_mut(&line) {
            relay.members.remove(&peer);
        }
        let Some(members) = self.far.members.get_mut(&peer) else {
            return;
        };
        let Some(at) = members.iter().position(|member| member.line == line) else {
            return;
        };
        let member = members.remove(at);
        if members.is_empty() {
            self.far.members.remove(&peer);
        }
        let now = match self.face(peer) {
            None => Some(member.presence(PeerState::Gone)),
            Some(face) => Some(face.presence()),
        };
        now.into_iter().for_each(|now| self.tell_watchers(&now));
        self.end_transfers(&member.mailbox, code);
    }

    /// The mailbox of a member that another relay has shown.
    pub(in crate::relay) fn far_mailbox(
        &self,
        line: LineId,
        peer: PeerId,
    ) -> Option<&Arc<Mailbox>> {
        let members = self.far.members.get(&peer)?;
        let member = members.iter().find(|member| member.line == line)?;
        Some(&member.mailbox)
    }

    /// Where `peer` listens here: whom another relay may offer something.
    pub(in crate::relay) fn near_listener(&self, peer: PeerId) -> Option<&Arc<Mailbox>> {
        self.listener_here(peer).map(|session| &session.mailbox)
    }

    /// A transfer that somebody at another relay sends.
    pub(in crate::relay) fn sent_from(
        &mut self,
        line: LineId,
        id: TransferId,
    ) -> Option<&mut Transfer> {
        let transfer = self.transfers.get_mut(&id);
        transfer.filter(|transfer| transfer.sender_line() == Some(line))
    }

    /// Another relay says that somebody's part in a transfer has ended: its sender's, or a recipient's.
    pub(in crate::relay) fn far_gone(
        &mut self,
        line: LineId,
        (id, to): (TransferId, Option<PeerId>),
        (peer, code): (PeerId, Code),
    ) {
        match (self.sent_from(line, id), to) {
            (Some(transfer), None) => {
                transfer.sender_is_gone(id, code);
                self.remove_transfer(id);
            }
            (Some(transfer), Some(to)) => {
                let dismissed = transfer.dismiss(id, to, code);
                dismissed.iter().for_each(|mailbox| self.note(id, mailbox));
            }
            (None, _) => {
                let Some(mailbox) = self.far_mailbox(line, peer).cloned() else {
                    return;
                };
                if let Some(transfer) = self.transfers.get_mut(&id)
                    && !transfer.is_sent_by(&mailbox)
                {
                    transfer.recipient_is_gone(id, &mailbox, code);
                    self.note(id, &mailbox);
                }
            }
        }
    }
}

fn member_message(presence: ServerToClient) -> Option<RoomMessage> {
    let ServerToClient::Peer {
        id,
        bundle,
        state,
        since_secs,
    } = presence
    else {
        return None;
    };
    Some(RoomMessage::Member {
        id,
        bundle,
        state,
        since_secs,
    })
}
