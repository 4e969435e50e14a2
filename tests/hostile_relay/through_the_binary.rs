//! What a person or a script gets to see of a relay that lies: exit code 8 at both ends.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{relay::Rewritten, stage::Stage};

/// How long a command may take to end.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_file_that_was_tampered_with_exits_8_at_both_ends_and_gets_no_name() {
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut listener = command(&stage, folder.path(), "alice")
        .args(["--json", "listen", "--once", "--name", "alice", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(listener.stdout.take().unwrap()).lines();
    let joined = events.next_line().await.unwrap().unwrap();
    assert!(joined.contains("joined"), "{joined}");
    stage.liar.on_files(|_, _| {
        Some(Rewritten::boxed(|mut stream| {
            let last = stream.len() - 1;
            stream[last] ^= 1;
            stream
        }))
    });
    let (file, _) = stage.file("x.bin", 1_000_000);
    let sender = command(&stage, folder.path(), "bob")
        .args(["send", "--to", "alice"])
        .arg(file)
        .spawn()
        .unwrap();
    // It goes on telling, or it would be held up by a pipe that nobody reads.
    let telling = tokio::spawn(async move { while let Ok(Some(_)) = events.next_line().await {} });
    for (who, command) in [("sender", sender), ("listener", listener)] {
        let output = timeout(LIMIT, command.wait_with_output()).await;
        let output = output.expect("it ends").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(8), "{who}: {said}");
        assert!(
            said.contains("was not sealed for this place"),
            "{who}: {said}"
        );
    }
    telling.await.unwrap();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
}

fn command(stage: &Stage, folder: &Path, who: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command
        .arg("--home")
        .arg(folder.join(who))
        .env("P2P_SERVER", stage.invite.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
