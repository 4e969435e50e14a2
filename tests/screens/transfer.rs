//! What sending, receiving and looking around show.

use std::fs;

use super::{
    capture,
    common::{Lab, MIB, Proc, Signal, terminal::Terminal},
};

/// A terminal in which `who` runs `p2p` with these arguments.
fn open(lab: &Lab, who: &str, args: &[&str], size: (u16, u16)) -> Terminal {
    lab.name(who, who);
    let mut command = lab.command(who);
    command.args(args);
    Terminal::open(&command, size)
}

/// Whether every one of these is on the screen.
fn has(screen: &vt100::Screen, parts: &[&str]) -> bool {
    let text = screen.contents();
    parts.iter().all(|part| text.contains(part))
}

fn listeners(lab: &Lab) -> Vec<Proc> {
    ["alice", "bob"].map(|name| lab.listen(name, &[])).into()
}

#[test]
#[ignore = "writes docs/screens"]
fn send_one_file() {
    let (lab, _relay) = Lab::new();
    let _listening = listeners(&lab);
    lab.file("dataset.tar", 12 * MIB);
    for (columns, name) in [(80, "send"), (40, "send-narrow")] {
        let args = ["send", "--to", "alice", "--limit", "4M", "dataset.tar"];
        let mut sender = open(&lab, "carol", &args, (columns, 10));
        sender.until("a bar", |screen| has(screen, &["━━━", "MB/s"]));
        capture(name, &sender, &[]);
        assert_eq!(sender.ends(), 0);
        capture(&format!("{name}-done"), &sender, &[]);
        fs::remove_file(lab.out("alice").join("dataset.tar")).unwrap();
    }
}

#[test]
#[ignore = "writes docs/screens"]
fn broadcast_while_one_goes_away_and_comes_back() {
    let (lab, _relay) = Lab::new();
    let _carol = lab.listen("carol", &[]);
    let mut listening = listeners(&lab);
    lab.file("dataset.tar", 16 * MIB);
    let args = ["broadcast", "--limit", "4M", "dataset.tar"];
    let mut sender = open(&lab, "dave", &args, (80, 10));
    sender.until("bars", |screen| has(screen, &["alice  ", "━━━", "MB/s"]));
    capture("broadcast", &sender, &[]);
    let mut bob = listening.pop().unwrap();
    bob.signal(Signal::TERM);
    bob.expect(143);
    sender.until("bob's state", |screen| {
        let text = screen.contents();
        let mut rows = text.lines();
        rows.any(|row| row.starts_with("bob  ") && row.contains("trying again"))
    });
    capture("broadcast-away", &sender, &[]);
    let _bob = lab.listen("bob", &[]);
    assert_eq!(sender.ends(), 0);
    capture("broadcast-done", &sender, &[]);
}

#[test]
#[ignore = "writes docs/screens"]
fn receive_and_show() {
    let (lab, _relay) = Lab::new();
    let out = lab.out("alice");
    let args = ["listen", "--out", out.to_str().unwrap()];
    let mut alice = open(&lab, "alice", &args, (80, 24));
    alice.sees("listening as alice");
    let hide = [
        (out.to_str().unwrap(), "inbox"),
        (lab.address(), "relay.example.org:4433"),
    ];
    lab.name("carol", "carol");
    let table = lab.folder().join("readings.csv");
    fs::write(
        &table,
        "city,temperature,humidity\nOslo,-3.5,81\nLisbon,17.25,64\nQuito,14,\n東京,9.75,52\n",
    )
    .unwrap();
    lab.send("carol", &["--to", "alice"], &[&table]).expect(0);
    for i in 0..300 {
        lab.file(&format!("photos/{i}.jpg"), 20_000);
    }
    let photos = [lab.folder().join("photos")];
    let mut sending = lab.send("carol", &["--to", "alice", "--limit", "2M"], &photos);
    alice.until("the bar of all files", |screen| {
        has(screen, &["/300 files", "MB/s"])
    });
    capture("listen", &alice, &hide);
    sending.expect(0);
    alice.sees("✓ 300 files");
    capture("listen-done", &alice, &hide);
}

#[test]
#[ignore = "writes docs/screens"]
fn peers() {
    let (lab, _relay) = Lab::new();
    let _listening = listeners(&lab);
    let mut terminal = open(&lab, "carol", &["peers"], (100, 6));
    assert_eq!(terminal.ends(), 0);
    capture("peers", &terminal, &[]);
}
