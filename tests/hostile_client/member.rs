//! A member of the room who sends by the rules, and means harm by what it sends.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use p2p::{
    identity::{HpkePublicKey, Identity, Invite, Name},
    protocol::{Answer, CHUNK_SIZE, Code, FileClass, FileHeader, PeerId, PeerMessage, TransferId},
    quic::FileSender,
    sealing::{
        Compression, Head, HeadKind, JobId, Manifest, NewTransfer, ReceiptOpener, Suite,
        TransferSealer, chunk_frame,
    },
    transfer::{Channel, Member, Peer, PeerEvent},
};
use tokio::time::timeout;

/// Longer than anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What became of one file.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// The recipient has signed for it.
    Stored,
    /// The recipient has refused it, and says why.
    Refused(String),
}

/// A file as no honest sender would name it.
pub fn file(path: &str) -> (Head, Vec<u8>) {
    let content = format!("content of {path:?}").into_bytes();
    let head = Head::new(HeadKind::File, path, Some(content.len() as u64));
    (head, content)
}

/// A symbolic link.
pub fn link(path: &str, target: &str) -> (Head, Vec<u8>) {
    let (mut head, _) = file(path);
    head.kind = HeadKind::Symlink;
    head.size = None;
    head.target = Some(target.to_owned());
    (head, Vec::new())
}

/// Another name of a file.
pub fn hard_link(path: &str, target: &str) -> (Head, Vec<u8>) {
    let (mut head, _) = link(path, target);
    head.kind = HeadKind::HardLink;
    (head, Vec::new())
}

/// A directory.
pub fn directory(path: &str) -> (Head, Vec<u8>) {
    let (mut head, _) = file(path);
    head.kind = HeadKind::Dir;
    head.size = None;
    (head, Vec::new())
}

/// Enters a room as a member who sends.
pub struct Mallory {
    member: Member,
    channel: Channel,
    /// Who listens, as it was found first.
    victim: Option<Peer>,
}

impl Mallory {
    pub async fn enter(invite: &Invite, identity: &Arc<Identity>) -> Self {
        let member = Member::new(
            identity.clone(),
            Name::chosen("mallory".parse().unwrap()),
            invite.clone(),
        );
        let channel = member.enter(None).await.unwrap();
        Self {
            member,
            channel,
            victim: None,
        }
    }

    /// Sends these, one after the other, in one transfer whose offer says that it is `announced`
    /// bytes; says what became of each.
    pub async fn send(
        &mut self,
        files: &[(Head, Vec<u8>)],
        announced: Option<u64>,
    ) -> Result<Vec<Fate>, String> {
        let manifest = Manifest {
            bytes: announced,
            ..Manifest::new(JobId::generate())
        };
        self.send_as(&manifest, files).await
    }

    /// Sends these in one transfer whose offer says whatever is wanted.
    pub async fn send_as(
        &mut self,
        manifest: &Manifest,
        files: &[(Head, Vec<u8>)],
    ) -> Result<Vec<Fate>, String> {
        timeout(LIMIT, self.sending(files, manifest))
            .await
            .expect("a transfer ends")
    }

    /// Makes an offer; its transfer, and what is said to it.
    pub async fn offer(&mut self, manifest: &Manifest) -> (TransferId, Answer) {
        let (victim, sealer) = self.make_offer(manifest).await;
        let answering = async {
            loop {
                if let PeerMessage::Answer { answer } = self.hear(victim).await {
                    return answer;
                }
            }
        };
        let answer = timeout(LIMIT, answering).await.expect("an answer");
        (sealer.transfer(), answer)
    }

    /// Makes an offer, and does not care for what is said to it.
    pub async fn ask(&mut self, manifest: &Manifest) {
        self.make_offer(manifest).await;
    }

    /// Makes an offer and, once it is accepted, begins with a file; the stream goes no further while it is held.
    pub async fn begin_and_stand_still(&mut self, manifest: &Manifest) -> FileSender {
        let (head, _) = file("begun.bin");
        self.beginning(manifest, &head).await.0
    }

    /// Sends no more than this head; why the file is refused.
    pub async fn begin(&mut self, head: &Head) -> String {
        let manifest = Manifest::new(JobId::generate());
        let (_stream, victim, mut receipts) = self.beginning(&manifest, head).await;
        let fate = timeout(LIMIT, self.fate(victim, &mut receipts)).await;
        match fate.expect("an end") {
            Ok(Fate::Refused(reason)) | Err(reason) => reason,
            Ok(Fate::Stored) => panic!("it was not sent"),
        }
    }

    /// The same with this head.
    pub async fn beginning(
        &mut self,
        manifest: &Manifest,
        head: &Head,
    ) -> (FileSender, PeerId, ReceiptOpener) {
        let (victim, sealer) = self.make_offer(manifest).await;
        let transfer = sealer.transfer();
        let key = self.victim.as_ref().expect("it was offered to").bundle.key;
        let yes = async {
            while !matches!(
                self.hear(victim).await,
                PeerMessage::Answer {
                    answer: Answer::Accept { .. }
                }
            ) {}
        };
        timeout(LIMIT, yes).await.expect("a yes");
        self.channel.begin(transfer).await;
        let (file, frame) = sealer.seal_file(head).unwrap();
        let class = FileClass::Bulk;
        let header = FileHeader {
            transfer,
            file: file.file(),
            class,
        };
        let mut stream = self.channel.streams().open_stream(class).await.unwrap();
        let beginning = [&header.encode()[..], &frame].concat();
        stream.write(beginning.into()).await.unwrap();
        (stream, victim, sealer.receipts(key))
    }

    /// Says that a transfer has so many files.
    pub async fn end(&self, transfer: TransferId, files: u64) {
        let message = PeerMessage::End { files };
        self.channel.messages().send(None, transfer, message).await;
    }

    /// The key to which the listener wants offers sealed, as it says now, or once it is there.
    pub async fn key_of_listener(&mut self) -> HpkePublicKey {
        let finding = async {
            self.find_listener().await;
            while self.victim.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.find_listener().await;
            }
        };
        timeout(LIMIT, finding).await.expect("somebody listens");
        let victim = self.victim.as_ref().expect("somebody listens");
        victim.bundle.hpke.clone().expect("a listener has a key")
    }

    /// Waits until the listener has published another key than the one that was used so far.
    pub async fn waits_for_another_key(&mut self) {
        let before = self.victim.as_ref().and_then(|v| v.bundle.hpke.clone());
        let before = before.expect("a key was used");
        let waiting = async {
            while self.key_of_listener().await == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, waiting).await.expect("another key");
    }

    async fn find_listener(&mut self) {
        let peers = self.channel.peers(false).await.unwrap();
        self.victim = peers.into_iter().find(|p| p.bundle.hpke.is_some());
    }

    /// Takes a transfer back that was accepted.
    pub async fn cancel(&self, transfer: TransferId) {
        let victim = self.victim.as_ref().expect("it was offered to");
        let code = Code::Cancelled;
        let messages = self.channel.messages();
        messages
            .send(Some(victim.id), transfer, PeerMessage::Cancel { code })
            .await;
        messages.close(transfer).await;
    }

    /// Forgets a transfer.
    pub async fn close(&self, transfer: TransferId) {
        self.channel.messages().close(transfer).await;
    }

    /// Makes an offer and waits for nothing; whom it is to, and its keys.
    async fn make_offer(&mut self, manifest: &Manifest) -> (PeerId, TransferSealer) {
        if self.victim.is_none() {
            self.find_listener().await;
        }
        let victim = self.victim.as_ref().expect("somebody listens");
        let sealer = TransferSealer::new(&NewTransfer {
            identity: &self.member.identity,
            name: &self.member.name,
            room: self.member.room(),
            member_key: &self.member.member_key(),
            suite: Suite::preferred(),
            recipients: NonZeroU32::MIN,
            manifest,
        });
        let offer = sealer.offer_to(&victim.bundle).unwrap();
        let (messages, transfer) = (self.channel.messages(), sealer.transfer());
        messages
            .send(Some(victim.id), transfer, PeerMessage::Offer { offer })
            .await;
        (victim.id, sealer)
    }

    async fn sending(
        &mut self,
        files: &[(Head, Vec<u8>)],
        manifest: &Manifest,
    ) -> Result<Vec<Fate>, String> {
        let (victim, sealer) = self.make_offer(manifest).await;
        let transfer = sealer.transfer();
        let key = self.victim.as_ref().expect("it was offered to").bundle.key;
        let (mut receipts, messages) = (sealer.receipts(key), self.channel.messages());
        loop {
            match self.hear(victim).await {
                PeerMessage::Asking {} => {}
                PeerMessage::Answer {
                    answer: Answer::Accept { .. },
                } => break,
                other => return Err(format!("{other:?}")),
            }
        }
        self.channel.begin(transfer).await;
        let mut fates = Vec::new();
        for (head, content) in files {
            let (mut file, head_frame) = sealer.seal_file(head).unwrap();
            let index = file.file();
            let class = FileClass::Small;
            let header = FileHeader {
                transfer,
                file: index,
                class,
            };
            let mut bytes = [&header.encode()[..], &head_frame].concat();
            for chunk in content.chunks(CHUNK_SIZE) {
                let mut frame = chunk_frame();
                frame.extend_from_slice(chunk);
                file.seal_chunk(&mut frame, Compression::Never).unwrap();
                bytes.extend_from_slice(&frame);
            }
            bytes.extend_from_slice(&file.finish().unwrap().0);
            let mut stream = self.channel.streams().open_stream(class).await.unwrap();
            // It may be refused by its head already.
            let _ = stream.write(bytes.into()).await;
            let _ = stream.finish();
            match self.fate(victim, &mut receipts).await {
                Ok(fate) => fates.push(fate),
                Err(ended) => return Err(ended),
            }
        }
        let files = sealer.files();
        messages
            .send(None, transfer, PeerMessage::End { files })
            .await;
        messages.close(transfer).await;
        Ok(fates)
    }

    async fn fate(&mut self, victim: PeerId, receipts: &mut ReceiptOpener) -> Result<Fate, String> {
        loop {
            match self.hear(victim).await {
                PeerMessage::Receipts { batch } => {
                    let batch = receipts.open(&batch.0).unwrap();
                    assert_eq!(batch.len(), 1);
                    return Ok(Fate::Stored);
                }
                PeerMessage::Failed {
                    file: Some(_),
                    reason,
                    ..
                } => return Ok(Fate::Refused(reason.to_string())),
                PeerMessage::Failed {
                    file: None, reason, ..
                } => return Err(reason.to_string()),
                _ => {}
            }
        }
    }

    async fn hear(&mut self, victim: PeerId) -> PeerMessage {
        loop {
            match self.channel.recv().await.expect("the relay stays") {
                PeerEvent::Message { from, message, .. } if from == victim => return message,
                _ => {}
            }
        }
    }
}
