//! One copy, one event and one run of the program for each file, whatever is killed when.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::common::{Lab, PATIENCE, Proc, Signal, text};

/// Files of the tree, of which the last one has several chunks.
const FILES: usize = 8;

/// A listener whose program notes each of its runs.
struct Noting {
    lab: Lab,
    _relay: Proc,
    runs: PathBuf,
    script: PathBuf,
}

impl Noting {
    fn new(then: &str) -> Self {
        let (lab, relay) = Lab::new();
        let (runs, script) = (lab.folder().join("runs"), lab.folder().join("note.sh"));
        let note = format!("echo \"${{1##*/}}\" >> {}\n{then}\n", runs.display());
        fs::write(&script, note).unwrap();
        for i in 0..FILES {
            let size = if i + 1 == FILES { 700_000 } else { 2_000 };
            lab.file(&format!("tree/f{i}"), size);
        }
        Self {
            lab,
            _relay: relay,
            runs,
            script,
        }
    }

    fn listener(&self) -> Command {
        let mut command = self.lab.command("alice");
        let exec = format!("sh {}", self.script.display());
        command
            .args([
                "--json", "listen", "--name", "alice", "--exec", &exec, "--out",
            ])
            .arg(self.lab.out("alice"));
        command
    }

    /// Starts a listener that is killed when it passes this point.
    fn listen(&self, crash: Option<&str>) -> Proc {
        let mut command = self.listener();
        if let Some(point) = crash {
            command.env("P2P_TEST_CRASH", point);
        }
        let listener = Proc::start(command);
        listener.wait_event("joined");
        listener
    }

    fn send(&self) -> Proc {
        let tree = self.lab.folder().join("tree");
        self.lab.send("sender", &["--to", "alice"], &[tree])
    }

    /// How often the program ran on each file, once it has run on all of them.
    fn runs(&self) -> BTreeMap<String, usize> {
        let end = Instant::now() + PATIENCE;
        loop {
            let lines = fs::read_to_string(&self.runs).unwrap_or_default();
            let mut runs = BTreeMap::new();
            for line in lines.lines() {
                *runs.entry(line.to_owned()).or_default() += 1;
            }
            if runs.len() >= FILES || Instant::now() > end {
                return runs;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asserts that each file was stored, told and run once by all these listeners together.
    #[track_caller]
    fn once(&self, case: &str, listeners: &[&Proc]) {
        let names: Vec<_> = (0..FILES).map(|i| format!("f{i}")).collect();
        let each: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), 1)).collect();
        let runs = self.runs();
        assert_eq!(runs, each, "runs of the program, {case}");
        let mut told = BTreeMap::new();
        for event in listeners.iter().flat_map(|l| l.events("received")) {
            let path = text(&event, "path");
            let name = Path::new(&path).file_name().unwrap();
            *told.entry(name.to_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(told, each, "events, {case}");
        let stored: Vec<_> = names.iter().map(|name| format!("tree/{name}")).collect();
        assert_eq!(self.lab.stored("alice"), stored, "{case}");
    }
}

/// Ends a listener as a person does, so that it has printed what it had to.
fn end(mut listener: Proc) -> Proc {
    listener.signal(Signal::TERM);
    listener.expect(143);
    listener
}

#[test]
fn a_listener_killed_at_any_step_stores_tells_and_runs_once() {
    let steps = [
        "named",
        "placed",
        "placed:3",
        "noted",
        "noted:3",
        "told",
        "told:8",
        "unstarted:2",
        "started",
        "started:3",
        "signed",
        "receipted",
    ];
    std::thread::scope(|scope| {
        for step in steps {
            scope.spawn(move || {
                let noting = Noting::new("");
                let mut first = noting.listen(Some(step));
                let mut sender = noting.send();
                assert_eq!(first.wait(), -9, "{step} is passed");
                let second = noting.listen(None);
                sender.expect(0);
                assert_eq!(sender.events("delivered").len(), FILES, "{step}");
                // Before it is ended, since it runs the program only until then.
                noting.runs();
                let second = end(second);
                noting.once(step, &[&first, &second]);
            });
        }
    });
}

#[test]
fn a_program_that_kills_its_listener_runs_once_on_each_file() {
    let noting = Noting::new("case $1 in *f3|*f7) kill -9 $PPID ;; esac");
    let mut sender = None;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let listener = noting.listen(None);
        sender.get_or_insert_with(|| noting.send());
        listeners.push(listener);
        if listeners.len() < 3 {
            assert_eq!(listeners.last_mut().unwrap().wait(), -9);
        }
    }
    sender.unwrap().expect(0);
    noting.runs();
    let last = end(listeners.pop().unwrap());
    noting.once(
        "killed by its program",
        &[&listeners[0], &listeners[1], &last],
    );
}

#[test]
fn what_a_slow_program_has_not_seen_it_sees_after_the_next_start() {
    let noting = Noting::new("test -e go || exec sleep 60 >/dev/null 2>&1");
    let first = noting.listen(None);
    noting.send().expect(0);
    // It has run on one file, and sleeps.
    let first = end(first);
    fs::write(noting.lab.folder().join("go"), "").unwrap();
    let second = noting.listen(None);
    noting.runs();
    let second = end(second);
    noting.once("after a slow program", &[&first, &second]);
    // Nothing is left of a job that is complete and told.
    let journal = noting.lab.home("alice").join("journal");
    let left: Vec<_> = fs::read_dir(journal)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(left, [] as [PathBuf; 0]);
}
