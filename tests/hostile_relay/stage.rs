//! A relay that may lie, and honest people who use it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use p2p::{
    home::{Home, KnownPeers},
    identity::{HostPort, Identity, Invite, Name, RoomSecret},
    protocol::PeerId,
    quic::{Certificate, Credentials},
    relay::{Admission, Relay, RelayConfig},
    storage::Target,
    transfer::{
        Error, ErrorKind, Event, Member, Observer,
        receive::{ListenConfig, Listened, listen},
        send::{SendRequest, SourceSpec, Summary, To, send},
    },
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::relay::Liar;

/// How long a sender waits for a relay that keeps things to itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a test waits for what must happen; only a test that fails waits so long.
const LIMIT: Duration = Duration::from_secs(30);

/// A relay on loopback, and a folder for everybody.
pub struct Stage {
    pub invite: Invite,
    pub liar: Arc<Liar>,
    folder: TempDir,
    end: CancellationToken,
}

impl Stage {
    /// Call it inside a tokio runtime.
    pub fn new() -> Self {
        let identity = Identity::generate();
        let certificate = Certificate::of(&identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let secret = RoomSecret::generate();
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let liar = Arc::new(Liar::default());
        let mut config = RelayConfig::new(bind, Admission::of([secret.room_id()]));
        config.hook = Some(liar.clone());
        let relay = Relay::bind(config, &credentials).unwrap();
        let address = relay.local_addr().unwrap();
        let at = HostPort::new(&address.ip().to_string(), address.port()).unwrap();
        let invite = Invite::new(at, identity.id(), secret);
        let end = CancellationToken::new();
        tokio::spawn(relay.run(end.clone()));
        Self {
            invite,
            liar,
            folder: tempfile::tempdir().unwrap(),
            end,
        }
    }

    /// Somebody new in the room, by this name.
    pub fn peer(&self, name: &str) -> Peer {
        self.peer_at(name, name)
    }

    /// Somebody new by a name that others may have, with a folder of its own.
    pub fn peer_at(&self, folder: &str, name: &str) -> Peer {
        let folder = self.folder.path().join(folder);
        let home = Home::open(Some(folder.clone())).unwrap();
        let member = Arc::new(Member::new(
            Arc::new(Identity::generate()),
            Name::chosen(name.parse().unwrap()),
            self.invite.clone(),
        ));
        let known = KnownPeers::new(home.known_peers(), self.invite.secret.room_id());
        Peer {
            member,
            known,
            folder,
        }
    }

    /// A file to send, and what is in it: bytes that neither repeat nor compress.
    pub fn file(&self, name: &str, len: usize) -> (PathBuf, Vec<u8>) {
        let mut content = vec![0; len];
        blake3::Hasher::new()
            .update(name.as_bytes())
            .finalize_xof()
            .fill(&mut content);
        (self.file_of(name, &content), content)
    }

    pub fn file_of(&self, name: &str, content: &[u8]) -> PathBuf {
        let folder = self.folder.path().join("to send");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// A member of the room.
pub struct Peer {
    pub member: Arc<Member>,
    pub known: KnownPeers,
    folder: PathBuf,
}

impl Peer {
    pub fn id(&self) -> PeerId {
        self.member.id()
    }

    /// Listens, and is in the room when this returns.
    pub async fn listen(&self) -> Listening {
        let out = self.folder.join("received");
        let target = Target::open(&out).unwrap();
        let journal = self.folder.join("journal");
        let config = ListenConfig::new(target, out.clone(), journal, self.known.clone());
        let events = Arc::new(Events::default());
        let end = CancellationToken::new();
        let listening = listen(self.member.clone(), config, events.clone(), end.clone());
        let listening = Listening {
            id: self.id(),
            out,
            events,
            end,
            task: tokio::spawn(listening),
        };
        let joined = |event: &Event| matches!(event, Event::Joined { .. });
        listening.events.wait_for(joined).await;
        listening
    }

    /// Sends files to those who are named.
    pub async fn send(&self, to: &[&str], files: &[&Path]) -> Result<Summary, Error> {
        let to = To::Peers(to.iter().map(|text| (*text).to_owned()).collect());
        self.send_to(to, files).await
    }

    /// Sends files to everyone who listens.
    pub async fn broadcast(&self, files: &[&Path]) -> Result<Summary, Error> {
        self.send_to(To::Everyone, files).await
    }

    async fn send_to(&self, to: To, files: &[&Path]) -> Result<Summary, Error> {
        let source = SourceSpec::Paths {
            roots: files.iter().map(|path| path.to_path_buf()).collect(),
            filter: p2p::storage::Filter::default(),
        };
        self.send_source(to, source).await
    }

    pub async fn send_source(&self, to: To, source: SourceSpec) -> Result<Summary, Error> {
        let request = SendRequest {
            source,
            to,
            wait: Duration::ZERO,
            timeout: PATIENCE,
            limit: None,
            compress: false,
            // Nowhere: each send is a job of its own, so that a lie meets a transfer and no resumed one.
            jobs: "/dev/null/jobs".into(),
        };
        let observer: Arc<dyn Observer> = Arc::new(Events::default());
        let cancel = CancellationToken::new();
        let sending = send(&self.member, &self.known, request, &observer, &cancel);
        timeout(LIMIT, sending).await.expect("a send ends")
    }
}

/// A listener at work.
pub struct Listening {
    pub id: PeerId,
    pub events: Arc<Events>,
    out: PathBuf,
    end: CancellationToken,
    task: JoinHandle<Result<Listened, Error>>,
}

impl Listening {
    /// The files that have their final names, with their content.
    pub fn received(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&self.out).sort_by_file_name() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_file()
                && !(name.starts_with(".p2p-") && name.ends_with(".part"))
            {
                found.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        found
    }

    /// Takes away what was received: what is there already is never stored a second time.
    pub fn clear(&self) {
        for entry in fs::read_dir(&self.out).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Waits until this listener says that something is not what was sent, and why.
    pub async fn refuses(&self) -> String {
        self.fails_with(ErrorKind::Verification).await
    }

    /// Waits for a failure of this kind, and forgets everything that happened before it.
    pub async fn fails_with(&self, expected: ErrorKind) -> String {
        let failed = |event: &Event| matches!(event, Event::Failed { .. } | Event::Declined { .. });
        let (Event::Failed { failure, .. } | Event::Declined { failure, .. }) =
            self.events.take(failed).await
        else {
            unreachable!("that is what was waited for");
        };
        assert_eq!(failure.kind(), expected, "{failure}");
        let reason = format!("{failure:#}");
        assert!(!reason.is_empty(), "a failure says why");
        reason
    }

    /// Ends as by a signal.
    pub async fn stop(self) {
        self.end.cancel();
        let ended = timeout(LIMIT, self.task).await.expect("a listener ends");
        ended.unwrap().unwrap();
    }
}

/// Everything that was told to an observer.
#[derive(Default)]
pub struct Events(watch::Sender<Vec<Event>>);

impl Events {
    pub async fn wait_for(&self, expected: impl Fn(&Event) -> bool) {
        let mut events = self.0.subscribe();
        let waiting = events.wait_for(|events| events.iter().any(&expected));
        let waited = timeout(LIMIT, waiting).await;
        if waited.is_err() {
            panic!("it never happened; what did: {:#?}", self.0.borrow());
        }
    }

    /// Waits for an event, and forgets it with everything before it.
    async fn take(&self, expected: impl Fn(&Event) -> bool) -> Event {
        self.wait_for(&expected).await;
        let mut taken = None;
        self.0.send_modify(|events| {
            let place = events.iter().position(&expected);
            taken = place.and_then(|place| events.drain(..=place).next_back());
        });
        taken.expect("events are taken by one test only")
    }
}

impl Observer for Events {
    fn event(&self, event: Event) {
        self.0.send_modify(|events| events.push(event));
    }
}

/// Asserts that a send failed as a whole because of what a relay did, and said why.
pub fn assert_unverified(summary: Result<Summary, Error>) {
    let failure = failure(summary);
    assert_eq!(failure.kind(), ErrorKind::Verification, "{failure}");
    assert_eq!(failure.kind().exit_code(), 8);
    assert!(!failure.to_string().is_empty(), "a failure says why");
}

/// Asserts that every recipient got everything.
pub fn assert_delivered(summary: Result<Summary, Error>) {
    let summary = summary.unwrap();
    assert_eq!(summary.failure(), None, "{:?}", summary.recipients);
}

/// Asserts that the one failed verification and the other got everything.
pub fn assert_split(summary: Result<Summary, Error>, failed: PeerId, served: PeerId) {
    let summary = summary.unwrap();
    for recipient in &summary.recipients {
        match recipient.failure() {
            None => assert_eq!(recipient.id, served),
            Some(failure) => {
                assert_eq!(recipient.id, failed, "{failure}");
                assert_eq!(failure.kind(), ErrorKind::Verification, "{failure}");
            }
        }
    }
    assert_eq!(summary.recipients.len(), 2);
    assert_eq!(summary.failure().unwrap().kind(), ErrorKind::Partial);
}

/// Why a send failed, if it did.
pub fn failure(summary: Result<Summary, Error>) -> Error {
    match summary {
        Err(error) => error,
        Ok(summary) => summary.failure().expect("nothing of this may be delivered"),
    }
}
