//! `listen --notify`: the desktop says what has come.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, time::Instant};

use crate::{
    display::{bytes, show::sanitise},
    transfer::receive::ReceivedFile,
};

/// Files that come so close together are one notification.
const GATHER: Duration = Duration::from_secs(1);
/// How long the desktop may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Gathers files, and says what has come in one notification.
#[derive(Debug)]
pub(super) struct Notifier {
    program: PathBuf,
    gathered: Option<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    due: Instant,
    files: u64,
    bytes: u64,
    /// The last one, and who sent it.
    name: String,
    from: String,
}

impl Notifier {
    /// The desktop's way to notify; `None` where there is none.
    pub(super) fn find() -> Option<Self> {
        let program = if cfg!(target_os = "macos") {
            "osascript"
        } else {
            "notify-send"
        };
        let path = std::env::var_os("PATH")?;
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|program| program.is_file())?;
        Some(Self {
            program,
            gathered: None,
        })
    }

    /// Notes a file for the next notification.
    pub(super) fn add(&mut self, file: &ReceivedFile) {
        let gathered = self.gathered.get_or_insert_with(|| Gathered {
            due: Instant::now() + GATHER,
            files: 0,
            bytes: 0,
            name: String::new(),
            from: String::new(),
        });
        gathered.files += 1;
        gathered.bytes += file.bytes;
        gathered.name = file
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        gathered.from = file.from.name.to_string();
    }

    /// When the next notification is due, if one is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.gathered.as_ref().map(|gathered| gathered.due)
    }

    /// Says what has been gathered.
    pub(super) async fn notify(&mut self) {
        let Some(gathered) = self.gathered.take() else {
            return;
        };
        let (title, body) = gathered.text();
        let mut child = Command::new(&self.program);
        if cfg!(target_os = "macos") {
            // As arguments: nothing of a name is ever read as a script.
            child.args([
                "-e",
                "on run a\ndisplay notification (item 2 of a) with title (item 1 of a)\nend run",
            ]);
        } else {
            child.args(["--app-name=p2p", "--"]);
        }
        child
            .args([title, body])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(LIMIT, child.status()).await {
            Ok(Ok(status)) if status.success() => {}
            other => tracing::debug!(?other, "no notification"),
        }
    }
}

impl Gathered {
    /// Title and body; what comes from outside can neither move a cursor nor be read as markup.
    fn text(&self) -> (String, String) {
        let clean = |text: &str| {
            let text = sanitise(text).to_string();
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let what = match self.files {
            1 => clean(&self.name),
            n => format!("{n} files, the last one {}", clean(&self.name)),
        };
        let title = format!("From {}", clean(&self.from));
        (title, format!("{what}, {}", bytes(self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_text_and_nothing_else() {
        let gathered = Gathered {
            due: Instant::now(),
            files: 2,
            bytes: 5,
            name: "<b>a\u{1b}[2J&\n".to_owned(),
            from: "al<i>ce".to_owned(),
        };
        let (title, body) = gathered.text();
        assert_eq!(title, "From al&lt;i&gt;ce");
        assert!(
            body.starts_with("2 files, the last one &lt;b&gt;a"),
            "{body}"
        );
        assert!(!body.contains(char::is_control), "{body:?}");
    }
}
