//! A relay's status over a Unix socket, for its own user and root.

use std::{
    io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tracing::warn;

use super::http::{self, Accept, Answer, Page};
use crate::relay::{RelayHandle, RelayStatus};

/// How long a relay may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes: some 100,000 peers.
const ANSWER_MAX: usize = 64 << 20;
/// The path of the status.
const STATUS: &str = "/status";

/// A Unix socket that is bound; its file goes when this is dropped.
#[derive(Debug)]
pub struct AdminListener {
    listener: StdListener,
    path: PathBuf,
}

/// Why a relay's status cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no relay.
    #[error("no relay runs here")]
    None,
    /// One runs, and this user may not ask it.
    #[error("this user may not read it")]
    Denied,
    /// It did not answer in time.
    #[error("the relay does not answer")]
    Timeout,
    /// It answered something else.
    #[error("the relay's answer cannot be read: {0}")]
    Answer(String),
    /// The system refused.
    #[error(transparent)]
    Io(io::Error),
}

impl AdminListener {
    /// Binds `path`, for this user alone (mode 0600); what an earlier relay left there goes first.
    ///
    /// # Errors
    /// When it cannot be bound, something else is there, or a relay answers there.
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        if let Ok(there) = std::fs::symlink_metadata(&path) {
            if !there.file_type().is_socket() {
                let what = format!("{} is no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(&path)?;
        }
        // The directory is this user's own as well (0700): nobody connects before the mode is set.
        let listener = StdListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connections of this user and of root; others end at once.
struct Own {
    listener: UnixListener,
    user: u32,
}

impl Accept for Own {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let user = stream.peer_cred()?.uid();
            if user == self.user || user == 0 {
                return Ok(stream);
            }
            warn!(user, "another user asked for the relay's status");
        }
    }
}

struct StatusPage(RelayHandle);

impl Answer for StatusPage {
    fn page(&self, path: &str, _accept: &str) -> Option<Page> {
        if path != STATUS {
            return None;
        }
        let body = serde_json::to_vec(&self.0.status()).unwrap_or_default();
        Some(Page {
            status: StatusCode::OK,
            content_type: "application/json",
            body: Bytes::from(body),
        })
    }
}

/// Answers for ever.
pub(super) async fn serve(admin: AdminListener, relay: RelayHandle) -> io::Result<()> {
    let own = Own {
        listener: UnixListener::from_std(admin.listener.try_clone()?)?,
        user: rustix::process::geteuid().as_raw(),
    };
    http::serve(&own, Arc::new(StatusPage(relay))).await;
    Ok(())
}

/// Asks the relay at `path` for its status. Call it inside a runtime.
///
/// # Errors
/// When there is none, it refuses, or its answer makes no sense.
pub async fn ask_status(path: &Path) -> Result<RelayStatus, AdminError> {
    let asked = timeout(ANSWER_LIMIT, ask(path)).await;
    asked.map_err(|_| AdminError::Timeout)?
}

async fn ask(path: &Path) -> Result<RelayStatus, AdminError> {
    let unreadable = |e: &dyn std::fmt::Display| AdminError::Answer(e.to_string());
    let stream = UnixStream::connect(path)
        .await
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AdminError::None,
            io::ErrorKind::PermissionDenied => AdminError::Denied,
            _ => AdminError::Io(e),
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| unreadable(&e))?;
    let asking = async {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = hyper::Uri::from_static(STATUS);
        let host = hyper::header::HeaderValue::from_static("relay");
        request.headers_mut().insert(hyper::header::HOST, host);
        let response = sender.send_request(request).await;
        // A relay that does not take us hangs up without a word.
        let response = response.map_err(|_| AdminError::Denied)?;
        if response.status() != StatusCode::OK {
            return Err(unreadable(&response.status()));
        }
        let body = Limited::new(response.into_body(), ANSWER_MAX);
        let body = body.collect().await.map_err(|e| unreadable(&e))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|e| unreadable(&e))
    };
    tokio::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // It drives the question; when it ends first, what has come is still there.
        _ = connection => asking.await,
    }
}
