//! A member of the room against a listener: its places, its memory, its disk, its person.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use p2p::{
    home::KnownPeers,
    identity::{Identity, Invite, Name},
    protocol::{Answer, DeclineReason, SafeText},
    sealing::{Head, JobId, Manifest, ManifestEntry, ModifiedTime},
    storage::Target,
    transfer::{
        Event, Member, Observer,
        receive::{ListenConfig, listen},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    common::{Lab, MIB, PATIENCE, Proc, Signal, assert_same, person::Person, scaled, text},
    member::{Fate, Mallory, directory, file},
};

/// Watches nothing.
struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event) {}
}

/// Runs an attack to its end.
pub fn run<T>(attack: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(attack)
}

async fn enter(lab: &Lab) -> Mallory {
    Mallory::enter(
        &lab.invite().parse().unwrap(),
        &Arc::new(Identity::generate()),
    )
    .await
}

fn shown(job: JobId, names: &[(&str, u64)]) -> Manifest {
    Manifest {
        files: Some(names.len() as u64),
        bytes: Some(names.iter().map(|(_, size)| size).sum()),
        names: names
            .iter()
            .map(|(path, size)| ManifestEntry {
                path: SafeText::new(path),
                size: Some(*size),
            })
            .collect(),
        ..Manifest::new(job)
    }
}

fn script(path: &str, size: usize) -> (Head, Vec<u8>) {
    let (mut head, _) = file(path);
    head.exec = true;
    head.size = Some(size as u64);
    (head, vec![b'#'; size])
}

/// Sends an honest file and says how long that took.
#[track_caller]
fn honest(lab: &Lab, who: &str) -> Duration {
    let file = lab.file(&format!("{who}.bin"), MIB);
    let start = Instant::now();
    lab.send(who, &["--to", "alice"], &[&file]).expect(0);
    assert_same(&file, &lab.out("alice").join(format!("{who}.bin")));
    start.elapsed()
}

#[test]
fn a_yes_is_for_exactly_the_files_that_were_shown_and_once() {
    let (lab, _relay) = Lab::new();
    let mut alice = Person::listen(&lab, "alice");
    let job = JobId::generate();
    let holiday = [("holiday.jpg", 5)];
    let first = std::thread::scope(|scope| {
        let lab = &lab;
        let sending = scope.spawn(move || {
            run(async {
                let mut mallory = enter(lab).await;
                let mut all: Vec<_> = (0..5).map(|i| script(&format!("s{i}.sh"), 5)).collect();
                all.push(script("holiday.jpg", 6));
                all.push(script("holiday.jpg", 5));
                all.push(script("holiday.jpg", 5));
                all.push(script("more.sh", 5));
                let fates = mallory.send_as(&shown(job, &holiday), &all).await.unwrap();
                // The same job again, and with another list: a person is asked about each.
                let asked = async {
                    let again = [script("again.sh", 5)];
                    mallory.send_as(&shown(job, &holiday), &again).await
                };
                let again = tokio::time::timeout(Duration::from_secs(2), asked).await;
                (fates, again.is_err())
            })
        });
        alice.sees("holiday.jpg");
        alice.sees("accept? [y/N]");
        alice.types("y\n");
        sending.join().unwrap()
    });
    let (fates, waits_for_a_person) = first;
    let stored: Vec<_> = fates.iter().map(|fate| *fate == Fate::Stored).collect();
    let only_what_was_shown = [false, false, false, false, false, false, true, false, false];
    assert_eq!(stored, only_what_was_shown, "{fates:?}");
    assert!(waits_for_a_person, "a yes is for one time");
    assert_eq!(lab.stored("alice"), ["holiday.jpg"]);
    assert_eq!(alice.questions(), 2);
    let arrived = lab.out("alice").join("holiday.jpg");
    assert_eq!(fs::read(arrived).unwrap(), b"#####");
}

#[test]
fn a_member_that_is_not_trusted_makes_nobody_deaf() {
    let (lab, _relay) = Lab::new();
    let trusted = text(&lab.run("trusted", ["id"]).wait_event("peer"), "id");
    lab.run("alice", ["trust", "add", "trusted", &trusted])
        .expect(0);
    let alice = lab.listen("alice", &["--accept", "trusted"]);
    let offers = scaled(300, 18_500);
    let (before, refused) = run(async {
        let mut mallory = enter(&lab).await;
        let manifest = shown(JobId::generate(), &[("x", 5)]);
        let (mut before, mut refused) = (0, 0);
        for number in 0..offers {
            let (transfer, answer) = mallory.offer(&manifest).await;
            let no = matches!(
                answer,
                Answer::Decline {
                    reason: DeclineReason::NotTrusted,
                    ..
                }
            );
            refused += u64::from(no);
            mallory.close(transfer).await;
            if number == offers / 3 {
                before = alice.rss();
            }
        }
        (before, refused)
    });
    assert_eq!(refused, offers);
    let after = alice.rss();
    println!("{offers} offers: from {before} to {after} bytes");
    assert!(after < before + 8 * MIB, "from {before} to {after}");
    let took = honest(&lab, "trusted");
    println!("then a trusted one took {took:.1?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_key_that_is_worn_by_offers_is_replaced_and_the_sender_goes_on() {
    let (lab, _relay) = Lab::new();
    run(async {
        let invite: Invite = lab.invite().parse().unwrap();
        let end = CancellationToken::new();
        let listening = tokio::spawn(listen(
            Arc::new(Member::new(
                Arc::new(Identity::generate()),
                Name::chosen("alice".parse().unwrap()),
                invite.clone(),
            )),
            ListenConfig {
                // Else a worn key is kept for half a minute, for offers that are on their way.
                between_keys: Duration::ZERO,
                ..ListenConfig::new(
                    Target::open(&lab.out("alice")).unwrap(),
                    lab.out("alice"),
                    lab.folder().join("journal"),
                    KnownPeers::new(lab.folder().join("known"), invite.secret.room_id()),
                )
            },
            Arc::new(Silent),
            end.clone(),
        ));
        let mut mallory = enter(&lab).await;
        let first = mallory.key_of_listener().await;
        // One sender wears a key at 512 of them, and 1,024 are all that are taken up under one key.
        let offers = scaled(516, 3000);
        let mut taken = 0;
        while taken < offers {
            let manifest = shown(JobId::generate(), &[("x", 5)]);
            let (transfer, answer) = mallory.offer(&manifest).await;
            mallory.cancel(transfer).await;
            match answer {
                Answer::Accept { .. } => taken += 1,
                // Those before it are put away.
                Answer::Decline { text, .. } if text.as_str().contains("transfers as it takes") => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                other => panic!("offer {taken} of {offers}: {other:?}"),
            }
            if taken % 512 == 0 {
                mallory.waits_for_another_key().await;
            }
        }
        assert_ne!(mallory.key_of_listener().await, first);
        tokio::task::spawn_blocking(move || honest(&lab, "honest"))
            .await
            .unwrap();
        end.cancel();
        listening.await.unwrap().unwrap();
    });
}

#[test]
fn transfers_that_were_accepted_and_never_begun_block_nobody() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    run(async {
        // With one identity; in full with as many as there are places for.
        for _ in 0..scaled(1, 5) {
            let mut mallory = enter(&lab).await;
            for number in 0..16 {
                let manifest = shown(JobId::generate(), &[(&format!("f{number}"), 5)]);
                let (_, answer) = mallory.offer(&manifest).await;
                assert!(matches!(answer, Answer::Accept { .. }), "{answer:?}");
            }
            // What is beyond its share waits, and takes nobody's place.
            let manifest = shown(JobId::generate(), &[("more", 5)]);
            let more = tokio::time::timeout(Duration::from_millis(500), mallory.offer(&manifest));
            assert!(more.await.is_err());
            // It stays: what it has open is not closed by its end.
            std::mem::forget(mallory);
        }
        tokio::task::spawn_blocking({
            let lab = Arc::new(lab);
            move || {
                let took = honest(&lab, "honest");
                println!("beside them an honest one took {took:.1?}");
                assert!(took < Duration::from_secs(20), "{took:?}");
            }
        })
        .await
        .unwrap();
    });
}

#[test]
fn one_directory_sent_thousands_of_times_costs_one() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &["--max-size", "1"]);
    let count = usize::try_from(scaled(1500, 6000)).unwrap();
    // As long as a path may be.
    let path = ["d".repeat(200).as_str(); 20].join("/");
    run(async {
        let mut mallory = enter(&lab).await;
        let (mut head, none) = directory(&path);
        head.mtime = Some(ModifiedTime(1, 0));
        let some = vec![(head.clone(), none.clone()); 100];
        mallory.send(&some, Some(0)).await.unwrap();
        let before = alice.rss();
        let all = vec![(head, none); count];
        mallory.send(&all, Some(0)).await.unwrap();
        let after = alice.peak_rss();
        println!("{count} times one directory: from {before} to {after} bytes");
        // 224 are under way at once; of 1,500, the paths alone would be 6 MB, if they were kept.
        assert!(after < before + 7 * MIB, "from {before} to {after}");
    });
}

#[test]
fn a_slow_program_holds_up_neither_files_nor_the_end() {
    let (lab, _relay) = Lab::new();
    let count = scaled(600, 15_000);
    for i in 0..count {
        lab.file(&format!("tree/{}/{i}", i / 500), 10);
    }
    let mut alice = lab.listen("alice", &["--exec", "sleep 60"]);
    let before = alice.rss();
    lab.send("sender", &["--to", "alice"], &[lab.folder().join("tree")])
        .expect(0);
    assert_eq!(lab.stored("alice").len() as u64, count);
    let after = alice.rss();
    println!("{count} files beside a slow program: from {before} to {after} bytes");
    assert!(after < before + 24 * MIB, "from {before} to {after}");
    let start = Instant::now();
    alice.signal(Signal::TERM);
    // Its pipes are open for as long as the program runs, which nobody kills.
    let gone = || fs::read_to_string(alice.proc_file("stat")).map_or(true, |s| s.contains(") Z "));
    while !gone() {
        assert!(
            start.elapsed() < Duration::from_secs(12),
            "SIGTERM is obeyed"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    alice.kill();
}

#[test]
fn what_the_recipients_own_disk_refuses_is_7_and_tells_no_paths() {
    type Spoil = fn(&Lab);
    let journal: Spoil = |lab| {
        // As where the home became read-only, which root would not notice.
        let journal = lab.home("alice").join("journal");
        fs::remove_dir_all(&journal).unwrap();
        fs::write(journal, "").unwrap();
    };
    let known: Spoil = |lab| {
        let known: Vec<PathBuf> = fs::read_dir(lab.home("alice"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.ends_with("known-peers.json"))
            .collect();
        assert_eq!(known.len(), 1);
        fs::write(&known[0], "{").unwrap();
    };
    for (what, spoil) in [("notes", journal), ("known peers", known)] {
        let (lab, _relay) = Lab::new();
        // A name that was chosen is noted.
        lab.name("sender", "bob");
        let alice = lab.listen("alice", &[]);
        let file = lab.file("x.txt", 10);
        lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
        alice.wait_event("done");
        // The notes on it go a moment later.
        let end = Instant::now() + PATIENCE;
        let notes = || {
            fs::read_dir(lab.home("alice").join("journal"))
                .unwrap()
                .count()
        };
        while notes() > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        spoil(&lab);
        let next = lab.file("y.txt", 10);
        let mut sender = lab.send("sender", &["--to", "alice"], &[&next]);
        sender.expect(7);
        let said = sender.stderr() + &sender.raw();
        assert!(!said.contains("home-alice"), "{what}: {said}");
        assert!(said.contains("the recipient cannot"), "{what}: {said}");
        drop::<Proc>(alice);
    }
}
