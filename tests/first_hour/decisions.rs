//! What a listener decides about offers, and how it says so.

use super::{
    common::{Lab, Signal, terminal::Terminal, text},
    plain,
};

/// A listener that somebody looks at.
fn listen(lab: &Lab, options: &[&str]) -> Terminal {
    let out = lab.out("alice");
    let mut command = lab.command("alice");
    command.args(["listen", "--name", "alice", "--out", out.to_str().unwrap()]);
    let mut alice = Terminal::open(command.args(options), (100, 24));
    alice.sees("listening as alice");
    alice
}

#[test]
fn always_and_never_outlive_the_listener_and_are_undone() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    lab.name("bob", "bob");
    lab.name("carol", "carol");
    let mut alice = listen(&lab, &["--accept", "ask"]);
    for (who, answer, said, code) in [
        ("bob", "always", "accepted from now on", 0),
        ("carol", "never", "declined from now on", 6),
    ] {
        let mut sender = lab.send(who, &["--to", "alice"], &[&file]);
        alice.sees(&format!("{who} ("));
        alice.sees("accept? [y/N]");
        alice.press(&format!("{answer}\r"));
        alice.sees(said);
        alice.sees(&format!("`p2p trust rm {who}` undoes it"));
        sender.expect(code);
    }
    alice.press("\x03");
    assert_eq!(alice.ends(), 130);
    let (_, list, _) = plain(&lab, "alice", &["trust", "ls"]);
    assert!(
        list.contains("bob  trusted: you always accept it"),
        "{list}"
    );
    assert!(
        list.contains("carol  shut out: you never accept it"),
        "{list}"
    );
    // Without a terminal there is nobody to ask: what was said before holds.
    let mut later = lab.listen("alice", &["--accept", "ask"]);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    lab.send("dave", &["--to", "alice"], &[&file]).expect(6);
    later.signal(Signal::TERM);
    later.expect(143);
    let _open = lab.listen("alice", &[]);
    lab.send("carol", &["--to", "alice"], &[&file]).expect(6);
    for who in ["bob", "carol"] {
        assert_eq!(plain(&lab, "alice", &["trust", "rm", who]).0, 0);
    }
    lab.send("carol", &["--to", "alice"], &[&file]).expect(0);
}

#[test]
fn whoever_declines_reads_why_and_what_changes_it() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 163);
    let bob = plain(&lab, "bob", &["id", "--name", "bob"]).1;
    let bob = bob.split_whitespace().next().unwrap().to_owned();
    let mut alice = listen(&lab, &["--accept", "trusted"]);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(6);
    alice.sees("declined bob: not trusted here");
    alice.sees(&format!("hint: `p2p trust add bob {bob}` trusts it"));
    alice.press("\x03");
    alice.ends();
    let mut alice = listen(&lab, &["--max-size", "100"]);
    let mut sender = lab.send("bob", &["--to", "alice"], &[&file]);
    sender.expect(6);
    let reason = text(&sender.wait_event("failed"), "reason");
    assert_eq!(reason, "takes at most 100 B (--max-size); this is 163 B");
    alice.sees(&format!("declined bob: {reason}"));
}
