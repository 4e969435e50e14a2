//! SIGINT and SIGTERM: first a polite end, then an immediate one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Whether any signal has come.
static CAME: AtomicBool = AtomicBool::new(false);

/// Whether a signal has asked for the end.
pub(super) fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

/// Hears signals for as long as the process lives.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Starts to hear them. Call it inside a runtime.
    pub(super) fn listen() -> Self {
        let signals = Self {
            token: CancellationToken::new(),
            code: Arc::new(AtomicU8::new(0)),
        };
        survive_file_size_limit();
        let hearing = signals.clone();
        // At once: whoever has read that a command is ready may stop it.
        let mut kinds = Kinds::register();
        tokio::spawn(async move {
            loop {
                let code = kinds.next().await;
                if hearing.token.is_cancelled() {
                    // Asked twice: whoever asks does not want to wait for a clean end.
                    let _ = console::Term::stderr().show_cursor();
                    std::process::exit(code.into());
                }
                hearing.code.store(code, Ordering::Relaxed);
                CAME.store(true, Ordering::Relaxed);
                hearing.token.cancel();
            }
        });
        signals
    }

    /// Cancelled at the first signal.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The exit code for the signal that came, if one did.
    pub(super) fn exit_code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::Relaxed)).filter(|code| *code != 0)
    }
}

/// A file that meets the process's size limit is an error of that file (`EFBIG`), not the end of the
/// process, which SIGXFSZ would be: a handler that does nothing is enough.
fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}

/// The signals that ask for the end.
#[cfg(unix)]
struct Kinds(Option<[tokio::signal::unix::Signal; 2]>);

#[cfg(unix)]
impl Kinds {
    fn register() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt());
        let terminate = signal(SignalKind::terminate());
        Self(interrupt.ok().zip(terminate.ok()).map(|(a, b)| [a, b]))
    }

    /// Waits for a signal; its exit code is 128 and its number.
    async fn next(&mut self) -> u8 {
        let Some([interrupt, terminate]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Kinds;

#[cfg(not(unix))]
impl Kinds {
    fn register() -> Self {
        Self
    }

    async fn next(&mut self) -> u8 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}
