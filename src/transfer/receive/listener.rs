//! A listener on one connection: what it hears goes to the transfer that it is for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    incoming::{self, Heard, Incoming},
};
use crate::{
    protocol::{
        Answer, Code, DeclineReason, FileHeader, PeerId, PeerMessage, Road, SafeText, SignedOffer,
        TransferId,
    },
    quic::FileReceiver,
    sealing::{Inbox, JobId, OpenKeys, open_offer},
    transfer::{Channel, Error, ErrorKind, Event, PeerEvent},
};

/// Transfers that are received at once.
const TRANSFERS_MAX: usize = 64;
/// From a file stream's first byte to its whole header.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// How one connection of a listener ended.
pub(super) enum Ended {
    Lost(Error),
    Replaced,
    /// UDP has opened to whoever is on TCP: connect anew, then let go of this channel.
    Moving(Box<Channel>),
    Finished(Option<Error>),
}

/// A listener on one connection.
pub(super) struct Listener<'a> {
    shared: &'a Arc<Shared>,
    channel: Channel,
    keys: OpenKeys,
    transfers: HashMap<TransferId, Transfer>,
    tasks: JoinSet<(TransferId, incoming::Ended)>,
    headers: JoinSet<Option<(TransferId, FileReceiver, FileHeader)>>,
    /// With `once`: the one transfer that was accepted.
    only: Option<TransferId>,
}

/// The way to a transfer's task.
struct Transfer {
    from: PeerId,
    job: JobId,
    heard: mpsc::UnboundedSender<Heard>,
    /// Cancelled once everything that the transfer had open is put away.
    over: CancellationToken,
}

impl<'a> Listener<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, channel: Channel, keys: OpenKeys) -> Self {
        Self {
            shared,
            channel,
            keys,
            transfers: HashMap::new(),
            tasks: JoinSet::new(),
            headers: JoinSet::new(),
            only: None,
        }
    }

    pub(super) async fn run(mut self, cancel: &CancellationToken) -> Ended {
        // A key lives for half of what its bundle promises, and can open for the other half.
        let mut refresh = tokio::time::interval(self.shared.member.bundle_lifetime / 2);
        refresh.tick().await;
        let streams = self.channel.streams();
        let on_tcp = self.channel.road() == Road::Tcp;
        let mut udp_opens = Box::pin(self.shared.member.udp_opens());
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.end_transfers(Code::Shutdown);
                    while self.tasks.join_next().await.is_some() {}
                    self.channel.close(Code::Done).await;
                    return Ended::Finished(None);
                }
                heard = self.channel.recv() => match heard {
                    Some(event) => self.hear(event).await,
                    None => return self.lost().await,
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let Ok((transfer, ended)) = ended else { continue };
                    self.transfers.remove(&transfer);
                    if self.only == Some(transfer) {
                        match ended {
                            // Nobody said yes, or the sender will be back with the rest.
                            incoming::Ended::Declined | incoming::Ended::Interrupted => self.only = None,
                            incoming::Ended::Complete(failure) => {
                                self.channel.close(Code::Done).await;
                                return Ended::Finished(failure);
                            }
                        }
                    }
                }
                file = streams.accept_stream(), if self.headers.len() < crate::quic::STREAMS_MAX as usize => match file {
                    Ok(file) => { self.headers.spawn(read_header(file)); }
                    Err(_) => return self.lost().await,
                },
                Some(header) = self.headers.join_next(), if !self.headers.is_empty() => {
                    if let Ok(Some((transfer, stream, header))) = header {
                        match self.transfers.get(&transfer) {
                            Some(t) => { let _ = t.heard.send(Heard::File(stream, header)); }
                            None => stream.stop(Code::UnknownTransfer),
                        }
                    }
                }
                () = &mut udp_opens, if on_tcp && self.transfers.is_empty() => {
                    return Ended::Moving(Box::new(self.channel));
                }
                _ = refresh.tick() => {
                    self.keys.rotate();
                    let bundle = self.shared.member.bundle(Some(self.keys.current().public().clone()));
                    self.channel.publish(bundle).await;
                }
            }
        }
    }

    async fn hear(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Message {
                transfer,
                from,
                message: PeerMessage::Offer { offer },
            } => {
                self.offer(transfer, from, &offer).await;
            }
            PeerEvent::Message {
                transfer,
                from,
                message,
            } => {
                if let Some(t) = self.transfers.get(&transfer).filter(|t| t.from == from) {
                    let _ = t.heard.send(Heard::Said(message));
                }
            }
            PeerEvent::Gone {
                transfer,
                peer,
                code,
            } => {
                if let Some(t) = self.transfers.get(&transfer).filter(|t| t.from == peer) {
                    let _ = t.heard.send(Heard::Gone(code));
                }
            }
            _ => {}
        }
    }

    /// Opens an offer and gives it a task, or declines it.
    async fn offer(&mut self, transfer: TransferId, from: PeerId, offer: &SignedOffer) {
        let messages = self.channel.messages();
        let decline = |reason, text: &str| {
            let answer = Answer::Decline {
                reason,
                text: SafeText::new(text),
            };
            let messages = messages.clone();
            async move {
                messages
                    .send(Some(from), transfer, PeerMessage::Answer { answer })
                    .await
            }
        };
        if self.transfers.len() >= TRANSFERS_MAX {
            return decline(DeclineReason::Busy, "receives too many transfers already").await;
        }
        if self.only.is_some() {
            return decline(DeclineReason::Finished, "takes one transfer only").await;
        }
        let member = &self.shared.member;
        let inbox = Inbox {
            me: &member.identity,
            room: member.room(),
            member_key: &member.member_key(),
            keys: &self.keys,
        };
        let opened = match open_offer(offer, transfer, from, &inbox) {
            Ok(opened) => opened,
            Err(error) => {
                let failure =
                    Error::new(ErrorKind::Verification, format!("offer refused: {error}"));
                self.shared.observer.event(Event::Failed {
                    transfer,
                    peer: None,
                    file: None,
                    failure,
                });
                return decline(DeclineReason::Verification, &error.to_string()).await;
            }
        };
        let job = opened.manifest.job;
        let (heard, hears) = mpsc::unbounded_channel();
        let incoming = Incoming::new(
            self.shared.clone(),
            transfer,
            opened,
            messages.clone(),
            hears,
        );
        let (incoming, keys) = match incoming {
            Ok(incoming) => incoming,
            Err(error) => return decline(DeclineReason::Busy, &error.to_string()).await,
        };
        if self.shared.config.once {
            self.only = Some(transfer);
        }
        let older = self.supersede(from, job);
        let over = CancellationToken::new();
        self.transfers.insert(
            transfer,
            Transfer {
                from,
                job,
                heard,
                over: over.clone(),
            },
        );
        self.tasks.spawn(async move {
            let _guard = over.drop_guard();
            for older in older {
                older.cancelled().await;
            }
            (transfer, incoming.run(keys).await)
        });
    }

    /// Ends what is still open of a job that its sender begins again.
    ///
    /// The sender's word is enough: it was killed or cut off, and this side has not noticed yet.
    fn supersede(&self, from: PeerId, job: JobId) -> Vec<CancellationToken> {
        let older = self
            .transfers
            .values()
            .filter(|t| t.from == from && t.job == job);
        let end = |t: &Transfer| {
            let _ = t.heard.send(Heard::Gone(Code::Replaced));
            t.over.clone()
        };
        older.map(end).collect()
    }

    fn end_transfers(&self, code: Code) {
        for transfer in self.transfers.values() {
            let _ = transfer.heard.send(Heard::Stop(code));
        }
    }

    /// Lets transfers note what they have, and says why the connection ended.
    async fn lost(mut self) -> Ended {
        let reason = self.channel.ended().await;
        for transfer in self.transfers.values() {
            let _ = transfer.heard.send(Heard::Gone(Code::PeerGone));
        }
        while self.tasks.join_next().await.is_some() {}
        match reason.code() {
            Code::Replaced => Ended::Replaced,
            Code::NotAdmitted => Ended::Lost(Error::new(ErrorKind::NotTrusted, reason)),
            _ => Ended::Lost(Error::new(ErrorKind::Unreachable, reason)),
        }
    }
}

/// Reads a stream's header in a task of its own: a slow one delays no other.
async fn read_header(mut stream: FileReceiver) -> Option<(TransferId, FileReceiver, FileHeader)> {
    match timeout(HEADER_LIMIT, stream.header()).await {
        Ok(Ok(header)) => Some((header.transfer, stream, header)),
        Ok(Err(error)) => {
            stream.stop(error.code());
            None
        }
        Err(_) => {
            stream.stop(Code::Timeout);
            None
        }
    }
}
