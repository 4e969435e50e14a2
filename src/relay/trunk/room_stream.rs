//! One room's stream to another relay, from its proof to its end.

use std::{
    future::pending,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed},
    time::Duration,
};

use p2p_core::crypto::{mac, same_mac};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{OpenLine, Trunk, Trunks, room_words};
use crate::{
    cluster::RoomKey,
    protocol::{Base64, Code, PeerId, RoomId},
    quic::{ControlReceiver, ControlSender, StreamError},
    relay::{
        Shared,
        line::{Line, LineId},
        rooms::SharedRoom,
        trunk_message::{ROOM_MESSAGE_MAX, RoomMessage},
    },
};

type Stream = (ControlSender<RoomMessage>, ControlReceiver<RoomMessage>);

/// Opens a stream for every room that is shared with the other relay, as soon as it is.
pub(super) async fn open_all(shared: &Arc<Shared>, trunk: &Arc<Trunk>, trunks: &Trunks) {
    let mut pictures = trunks.picture.subscribe();
    let mut streams = JoinSet::new();
    loop {
        let picture = pictures.borrow_and_update().clone();
        for (room, at) in &picture.rooms {
            if at.contains(&trunk.instance) && trunk.rooms().claimed.insert(*room) {
                streams.spawn(open(shared.clone(), trunk.clone(), *room));
            }
        }
        tokio::select! {
            changed = pictures.changed() => if changed.is_err() { return },
            () = trunk.freed.notified() => {}
            Some(_) = streams.join_next() => {}
        }
    }
}

/// Takes the streams that the other relay opens.
pub(super) async fn accept_all(shared: &Arc<Shared>, trunk: &Arc<Trunk>) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = trunk.link.accept_control() => match stream {
                Ok(stream) => drop(streams.spawn(accept(shared.clone(), trunk.clone(), stream))),
                Err(_) => return,
            },
            Some(_) = streams.join_next() => {}
        }
    }
}

async fn open(shared: Arc<Shared>, trunk: Arc<Trunk>, room_id: RoomId) {
    let room = shared.rooms.get(room_id);
    let ended = match room {
        Some(room) => try_open(&shared, &trunk, (room_id, room)).await,
        None => Err(StreamError::Ended(Code::PeerGone)),
    };
    if let Err(error) = ended {
        debug!(name = %trunk.name, %error, "a room's stream to a relay has ended");
        // Where it is refused, the other end may not know yet that it has members.
        sleep(AGAIN).await;
    }
    trunk.rooms().claimed.remove(&room_id);
    trunk.freed.notify_one();
}

async fn try_open(
    shared: &Arc<Shared>,
    trunk: &Trunk,
    room: (RoomId, Arc<SharedRoom>),
) -> Result<(), StreamError> {
    let Some(trunks) = &shared.trunks else {
        return Ok(());
    };
    let (mut sender, mut receiver): Stream = trunk.link.open_control().await?;
    let key = trunks.directory.key().room_key(room.0);
    let opening = async {
        let open = RoomMessage::Open {
            room: key.to_string(),
            proof: proof(trunk, room.0, DIALLER)?,
        };
        sender.send(&open).await?;
        match receiver.receive_within(OPEN_MAX).await? {
            Some(RoomMessage::Opened { proof }) => check(trunk, (room.0, ACCEPTOR), &proof),
            _ => Err(StreamError::Ended(Code::Protocol)),
        }
    };
    let opened = timeout(OPEN_LIMIT, opening).await;
    if let Err(error) = opened.unwrap_or(Err(StreamError::Ended(Code::Timeout))) {
        sender.reset(error.code());
        return Err(error);
    }
    run(shared, trunk, room, (sender, receiver)).await
}

async fn accept(shared: Arc<Shared>, trunk: Arc<Trunk>, (mut sender, mut receiver): Stream) {
    let answering = async {
        let Some(RoomMessage::Open { room, proof: shown }) =
            receiver.receive_within(OPEN_MAX).await?
        else {
            return Err(StreamError::Ended(Code::Protocol));
        };
        let room = RoomKey::parse(&room).and_then(|key| shared.rooms.by_key(&key));
        let room = room.ok_or(StreamError::Ended(Code::NotAdmitted))?;
        check(&trunk, (room.0, DIALLER), &shown)?;
        let proof = proof(&trunk, room.0, ACCEPTOR)?;
        sender.send(&RoomMessage::Opened { proof }).await?;
        Ok(room)
    };
    let answered = timeout(OPEN_LIMIT, answering).await;
    let ended = match answered.unwrap_or(Err(StreamError::Ended(Code::Timeout))) {
        Ok(room) => run(&shared, &trunk, room, (sender, receiver)).await,
        Err(error) => {
            sender.reset(error.code());
            receiver.stop(error.code());
            Err(error)
        }
    };
    if let Err(error) = ended {
        debug!(name = %trunk.name, %error, "a room's stream from a relay has ended");
    }
}

/// Carries what is said until either end has no more members of the room, or the connection ends.
async fn run(
    shared: &Arc<Shared>,
    trunk: &Trunk,
    (room_id, room): (RoomId, Arc<SharedRoom>),
    (mut sender, mut receiver): Stream,
) -> Result<(), StreamError> {
    let stream = (trunk.link.clone(), sender.number());
    let share = shared
        .budget
        .share_of(room_id, trunk.link.peer(), &room.quota.spool);
    let id = LineId(shared.sessions.fetch_add(1, Relaxed));
    let line = Arc::new(Line::new(id, stream, share));
    let here = room.lock().attach(&line).map_err(StreamError::Ended)?;
    let open = Arc::new(OpenLine {
        line: line.clone(),
        room,
        room_id,
        files: AtomicUsize::new(0),
    });
    trunk.rooms().open.insert(line.stream(), open.clone());
    let _detached = Detached {
        trunk,
        open: open.clone(),
    };
    let reading = async {
        while let Some(message) = receiver.receive_within(ROOM_MESSAGE_MAX).await? {
            room_words::on_message(shared, &open, message)?;
        }
        Ok(())
    };
    let showing = async {
        show(&open, here).await;
        pending().await
    };
    let ended = tokio::select! {
        ended = reading => ended,
        ended = line.outbox().write_to(&mut sender) => ended,
        ended = showing => ended,
        () = async {
            line.hung_up().await;
            sleep(LAST_WORDS).await;
        } => Ok(()),
    };
    match &ended {
        Ok(()) => drop(sender),
        Err(error) => sender.reset(error.code()),
    }
    ended
}

/// Tells the other relay of everybody who is here: who has left or changed meanwhile, as that is now.
async fn show(open: &OpenLine, here: Vec<PeerId>) {
    for peer in here {
        open.line.outbox().room().await;
        open.room.lock().show_to(&open.line, peer);
    }
    open.line.say(&RoomMessage::MembersEnd {});
}

/// The room and the trunk forget a line whose stream has ended.
struct Detached<'a> {
    trunk: &'a Trunk,
    open: Arc<OpenLine>,
}

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        let line = &self.open.line;
        self.open.room.lock().detach(line, Code::PeerGone);
        self.trunk.rooms().open.remove(&line.stream());
    }
}

/// That this end knows the room's ID, for nobody but the other end of this connection.
fn proof(trunk: &Trunk, room: RoomId, of: &[u8]) -> Result<Base64, StreamError> {
    let secret = trunk.link.export_secret(LABEL)?;
    Ok(Base64(mac(room.as_bytes(), &[of, &secret]).to_vec()))
}

fn check(trunk: &Trunk, (room, of): (RoomId, &[u8]), shown: &Base64) -> Result<(), StreamError> {
    let secret = trunk.link.export_secret(LABEL)?;
    match same_mac(&mac(room.as_bytes(), &[of, &secret]), &shown.0) {
        true => Ok(()),
        false => Err(StreamError::Ended(Code::NotAdmitted)),
    }
}

const LABEL: &[u8] = b"EXPORTER-p2p-trunk-room";
const DIALLER: &[u8] = b"dialler";
const ACCEPTOR: &[u8] = b"acceptor";
/// From a stream's first byte to both proofs.
const OPEN_LIMIT: Duration = Duration::from_secs(5);
/// The longest first message, in bytes.
const OPEN_MAX: usize = 1024;
/// How long it may take to say what waits, after the last member has left.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Before a room that was refused is tried again.
const AGAIN: Duration = Duration::from_millis(250);
