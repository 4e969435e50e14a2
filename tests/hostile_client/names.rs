//! Names that a member of the room makes up, against a real listener behind a real relay.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use p2p::{identity::Identity, sealing::Head};

use super::{
    common::{Lab, Proc},
    member::{Fate, Mallory, directory, file, hard_link, link},
};

/// A listener whose directory has a neighbour that nobody may touch.
struct Victim {
    lab: Lab,
    _relay: Proc,
    _alice: Proc,
    mallory: Arc<Identity>,
    before: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Victim {
    fn new() -> Self {
        let (lab, relay) = Lab::new();
        let secret = lab.folder().join("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("key"), "secret").unwrap();
        // What someone planted in the directory before.
        let out = lab.out("alice");
        symlink(&secret, out.join("planted")).unwrap();
        symlink(secret.join("key"), out.join("planted.txt")).unwrap();
        symlink(secret.join("new"), out.join("dangling.txt")).unwrap();
        let alice = lab.listen("alice", &["--conflict", "overwrite"]);
        let mut victim = Self {
            lab,
            _relay: relay,
            _alice: alice,
            mallory: Arc::new(Identity::generate()),
            before: Vec::new(),
        };
        victim.before = victim.outside();
        victim
    }

    fn out(&self) -> PathBuf {
        self.lab.out("alice")
    }

    /// Sends these in one transfer; says what became of each.
    fn gets(&self, files: &[(Head, Vec<u8>)]) -> Vec<Fate> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut mallory =
                Mallory::enter(&self.lab.invite().parse().unwrap(), &self.mallory).await;
            mallory.send(files, None).await.unwrap()
        })
    }

    /// Everything that is neither in the listener's directory nor of the homes.
    fn outside(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let walk = walkdir::WalkDir::new(self.lab.folder()).sort_by_file_name();
        let ours = |path: &Path| path == self.out() || path.starts_with(self.lab.home("alice"));
        for entry in walk.into_iter().filter_entry(|e| !ours(e.path())) {
            let path = entry.unwrap().into_path();
            found.push((path.clone(), fs::read(path).ok()));
        }
        found
    }

    /// Nothing outside was touched, and an honest file arrives.
    fn goes_on(&self) {
        assert_eq!(self.outside(), self.before);
        let honest = self.lab.file("home-honest/honest.txt", 100);
        let mut sender = self.lab.send("honest", &["--to", "alice"], &[&honest]);
        sender.expect(0);
        super::common::assert_same(&honest, &self.out().join("honest.txt"));
    }
}

fn refused(fate: &Fate) -> bool {
    matches!(fate, Fate::Refused(reason) if !reason.is_empty())
}

#[test]
fn a_name_that_no_honest_sender_gives_is_refused() {
    let victim = Victim::new();
    let long = "n".repeat(256);
    let (deep, endless) = (["d"; 65].join("/"), ["dd"; 1400].join("/"));
    let names = [
        // parent, absolute, drive, UNC
        "..",
        "../up",
        "a/../../up",
        "a/..",
        "./a",
        "a/./b",
        "/etc/cron.d/x",
        "//x",
        // also where a backslash is a separator
        "..\\up",
        // control characters and what reorders or hides text
        "a\0b",
        "a\nb",
        "a\u{1b}[2Jb",
        "a\u{9b}2J",
        "gpj.\u{202e}exe",
        "a\u{200b}b",
        "a\u{200d}b",
        "a\u{feff}b",
        "a\u{e0041}b",
        // hidden where it counts, and our own
        ".bashrc",
        ".ssh/authorized_keys",
        ".p2p-x.part",
        "a/.p2p-0123.part",
        ".P2P-x",
        // too long, too deep
        &long,
        &deep,
        &endless,
        // nothing
        "...",
        "",
        "a//b",
        "a/",
    ];
    let files: Vec<_> = names.iter().map(|name| file(name)).collect();
    for (name, fate) in names.iter().zip(victim.gets(&files)) {
        assert!(refused(&fate), "{name:?}: {fate:?}");
    }
    let directories: Vec<_> = names.iter().map(|name| directory(name)).collect();
    for (name, fate) in names.iter().zip(victim.gets(&directories)) {
        assert!(refused(&fate), "directory {name:?}: {fate:?}");
    }
    let links: Vec<_> = names.iter().map(|name| link("l", name)).collect();
    let fine = [
        // Idle parts of a target mean nothing; hidden and private names are only pointed to.
        "a//b",
        "a/",
        "a/.p2p-0123.part",
        ".bashrc",
        ".ssh/authorized_keys",
    ];
    for (target, fate) in names.iter().zip(victim.gets(&links)) {
        assert!(
            refused(&fate) || fine.contains(target),
            "link to {target:?}: {fate:?}"
        );
    }
    victim.goes_on();
}

/// What other systems give a meaning lands under its own name, in the directory, where this one gives
/// it none.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_only_other_systems_give_a_meaning_is_stored_as_it_is() {
    let victim = Victim::new();
    let names = [
        "C:\\x",
        "c:/x",
        "C:x",
        "\\\\host\\share\\x",
        "a\\..\\..\\up",
        "CON",
        "nul.txt",
        "aux",
        "x/COM1.log",
        "lpt9 .txt",
        "b/conin$",
        "a.",
        "a ",
        "x/a.",
        " . ",
        "file:stream",
        "<>|?*\"",
    ];
    let files: Vec<_> = names.iter().map(|name| file(name)).collect();
    for (name, fate) in names.iter().zip(victim.gets(&files)) {
        assert_eq!(fate, Fate::Stored, "{name:?}");
        assert_eq!(fs::read(victim.out().join(name)).unwrap(), file(name).1);
    }
    victim.goes_on();
}

#[test]
fn a_file_never_becomes_the_parent_of_another() {
    let victim = Victim::new();
    let fates = victim.gets(&[file("x"), file("x/y"), directory("x"), file("x")]);
    assert_eq!(fates[0], Fate::Stored);
    assert!(refused(&fates[1]) && refused(&fates[2]), "{fates:?}");
    assert_eq!(fs::read(victim.out().join("x")).unwrap(), file("x").1);
    let fates = victim.gets(&[directory("d"), file("d"), link("d", "elsewhere")]);
    assert_eq!(fates[0], Fate::Stored);
    assert!(victim.out().join("d").is_dir(), "{fates:?}");
    victim.goes_on();
}

#[test]
fn nothing_goes_through_a_link_that_was_sent_before_it() {
    let victim = Victim::new();
    let fates = victim.gets(&[
        directory("t"),
        directory("t/real"),
        // Both stay inside, so the links are made; what follows must not go through them.
        link("t/l", "real"),
        file("t/l/through"),
        link("t/f.txt", "real/made.txt"),
        file("t/f.txt"),
        // These lead out.
        link("t/up", "../../secret"),
        file("t/up/new"),
        link("top", "secret"),
        link("abs", "/etc/passwd"),
        link("t/far", "real/../../../secret/key"),
    ]);
    let made = |path: &str| victim.out().join(path);
    assert!(refused(&fates[3]), "{fates:?}");
    assert!(!made("t/real/through").exists());
    // Replaced by the file, not written through to what it led to.
    assert!(!made("t/real/made.txt").exists(), "{fates:?}");
    assert!(
        fates[5] == Fate::Stored && !made("t/f.txt").is_symlink(),
        "{fates:?}"
    );
    assert!(
        refused(&fates[6]) && refused(&fates[9]) && refused(&fates[10]),
        "{fates:?}"
    );
    for path in ["t/up", "abs", "t/far"] {
        assert!(!made(path).is_symlink(), "{path}");
    }
    victim.goes_on();
}

/// A repository that a person works in is not a place for a stranger's hooks.
#[test]
fn a_hard_link_leads_only_to_what_the_same_transfer_delivered() {
    let victim = Victim::new();
    fs::write(victim.out().join("mine.txt"), "mine").unwrap();
    let earlier = file("earlier.txt");
    assert_eq!(victim.gets(&[earlier]), [Fate::Stored]);
    let (mut shared, content) = file("t/shared");
    shared.linked = true;
    let files = [
        (shared, content.clone()),
        file("t/not-shared"),
        hard_link("t/good", "t/shared"),
        hard_link("t/a", "t/not-shared"),
        hard_link("t/b", "mine.txt"),
        hard_link("t/c", "earlier.txt"),
        hard_link("t/d", "planted.txt"),
        hard_link("t/e", "planted/key"),
        hard_link("t/f", "../secret/key"),
        hard_link("t/g", "/etc/passwd"),
        hard_link("t/h", "t/h"),
        hard_link("t/i", ""),
        hard_link("../j", "t/shared"),
        hard_link("planted/k", "t/shared"),
        hard_link("planted.txt", "t/shared"),
    ];
    let fates = victim.gets(&files);
    assert_eq!(fates[..3], [Fate::Stored, Fate::Stored, Fate::Stored]);
    for ((head, _), fate) in files.iter().zip(&fates).skip(3).take(11) {
        assert!(
            refused(fate),
            "{} to {:?}: {fate:?}",
            head.path,
            head.target
        );
    }
    // What was planted is replaced, as by any file under `--conflict overwrite`, and not followed.
    assert_eq!(fates[14], Fate::Stored);
    assert_eq!(fs::read(victim.out().join("planted.txt")).unwrap(), content);
    assert_eq!(fs::read(victim.out().join("t/good")).unwrap(), content);
    assert_eq!(fs::read(victim.out().join("mine.txt")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(victim.out().join("t")).unwrap().count(), 3);
    victim.goes_on();
}

#[test]
fn a_tree_is_never_merged_into_a_directory_that_is_there() {
    let (lab, _relay) = Lab::new();
    let hooks = lab.out("alice").join("repo/.git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    fs::write(lab.out("alice").join("repo/README"), "mine").unwrap();
    let _alice = lab.listen("alice", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let evil = "repo/.git/hooks/post-checkout";
    let fates = runtime.block_on(async {
        let mut mallory = enter(&lab).await;
        let sent = [
            directory("repo"),
            directory("repo/.git"),
            directory("repo/.git/hooks"),
            file(evil),
            link("repo/l", "README"),
            directory("repo/empty"),
        ];
        mallory.send(&sent, None).await.unwrap()
    });
    assert!(fates.iter().all(|fate| *fate == Fate::Stored), "{fates:?}");
    assert_eq!(fs::read_dir(&hooks).unwrap().count(), 0);
    let beside = lab.out("alice").join("repo (1)");
    assert_eq!(
        fs::read(beside.join(".git/hooks/post-checkout")).unwrap(),
        file(evil).1
    );
    let mut left: Vec<_> = fs::read_dir(lab.out("alice").join("repo"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".git", "README"]);
}

#[test]
fn nothing_goes_through_a_link_that_was_planted() {
    let victim = Victim::new();
    let fates = victim.gets(&[
        file("planted/new"),
        file("planted/key"),
        file("planted"),
        file("planted.txt"),
        file("dangling.txt"),
    ]);
    assert!(refused(&fates[0]) && refused(&fates[1]), "{fates:?}");
    for name in ["planted.txt", "dangling.txt"] {
        let path = victim.out().join(name);
        assert!(!path.is_symlink(), "{name} is replaced, not followed");
        assert_eq!(fs::read(path).unwrap(), file(name).1);
    }
    victim.goes_on();
}

#[test]
fn names_that_some_file_systems_make_one_are_both_kept() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let twins = [
        "Case.txt",
        "case.txt",
        "\u{e9}.txt",
        "e\u{301}.txt",
        "ß",
        "SS",
    ];
    let files: Vec<_> = twins.iter().map(|name| file(name)).collect();
    let fates = runtime.block_on(async {
        let mut mallory = enter(&lab).await;
        mallory.send(&files, None).await.unwrap()
    });
    assert!(fates.iter().all(|fate| *fate == Fate::Stored), "{fates:?}");
    let stored = lab.stored("alice");
    let mut contents: Vec<_> = stored
        .iter()
        .map(|name| fs::read(lab.out("alice").join(name)).unwrap())
        .collect();
    let mut sent: Vec<_> = files.into_iter().map(|(_, content)| content).collect();
    contents.sort();
    sent.sort();
    assert_eq!(contents, sent, "{stored:?}");
}

#[test]
fn a_tree_of_unknown_size_is_held_to_the_limit_as_a_whole() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &["--max-size", "100k"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let files: Vec<_> = (0..10)
        .map(|i| {
            let (mut head, _) = file(&format!("{i}.bin"));
            head.size = Some(30_000);
            (head, vec![7; 30_000])
        })
        .collect();
    let ended = runtime.block_on(async {
        let mut mallory = enter(&lab).await;
        mallory.send(&files, None).await
    });
    let reason = ended.expect_err("it stops");
    assert!(
        reason.contains("takes at most 100 kB (--max-size); this is 120 kB"),
        "{reason}"
    );
    assert_eq!(lab.stored("alice"), ["0.bin", "1.bin", "2.bin"]);
    assert_eq!(alice.wait_event("done")["failed"], 1);
    let honest = lab.file("honest.txt", 100);
    lab.send("honest", &["--to", "alice"], &[&honest]).expect(0);
}

async fn enter(lab: &Lab) -> Mallory {
    let identity = Arc::new(Identity::generate());
    Mallory::enter(&lab.invite().parse().unwrap(), &identity).await
}
