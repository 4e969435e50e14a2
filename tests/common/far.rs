//! A sender far from its relay, over emulated links, and the links that matter.
#![allow(dead_code, reason = "every binary uses its own part of it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, Proc},
    link::{LongLink, Shape},
    namespace::Namespace,
};

/// A link of the table in `docs/performance.md`.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// By which it is asked for.
    pub name: &'static str,
    /// What it is like, in words.
    pub what: &'static str,
    pub shape: Shape,
    /// What is sent at full scale.
    pub megabytes: u64,
    /// The share of the link that is aimed at, over one link and over two.
    pub aims: (f64, Option<f64>),
}

/// The links of the table.
pub fn rows() -> [Row; 10] {
    let row = |name, what, shape, megabytes, aims| Row {
        name,
        what,
        shape,
        megabytes,
        aims,
    };
    let first = Shape::new(300.0, 80, 50, 0.0);
    [
        row(
            "1",
            "300 Mbit/s, 80 ms, queue 50 ms",
            first,
            200,
            (0.92, Some(0.90)),
        ),
        row(
            "2",
            "the same, 0.5 % loss",
            Shape {
                loss: 0.005,
                ..first
            },
            200,
            (0.85, Some(0.80)),
        ),
        row(
            "3",
            "200 Mbit/s, 150 ms, 1 % loss",
            Shape::new(200.0, 150, 50, 1.0),
            200,
            (0.80, Some(0.75)),
        ),
        row(
            "4",
            "100 Mbit/s, 20 ms, queue 20 ms",
            Shape::new(100.0, 20, 20, 0.0),
            200,
            (0.97, None),
        ),
        row(
            "4b",
            "the same, 0.1 % loss",
            Shape::new(100.0, 20, 20, 0.1),
            200,
            (0.95, None),
        ),
        row(
            "5",
            "500 Mbit/s, 20 ms",
            Shape::new(500.0, 20, 50, 0.0),
            200,
            (0.96, None),
        ),
        row(
            "6",
            "50 Mbit/s, 300 ms, 0.3 % loss",
            Shape::new(50.0, 300, 50, 0.3),
            200,
            (0.75, None),
        ),
        row(
            "7",
            "20 Mbit/s, 30 ms, queue 500 ms",
            Shape::new(20.0, 30, 500, 0.0),
            50,
            (0.95, None),
        ),
        row(
            "8",
            "4 Mbit/s, 200 ms, 2 % loss",
            Shape::new(4.0, 200, 50, 2.0),
            10,
            (0.85, None),
        ),
        row(
            "9",
            "the first, 1 % of packets 5 ms late",
            first.late(1.0, 5),
            200,
            (0.88, None),
        ),
    ]
}

/// A sender, a relay and a listener: one link away from the sender, or the listener two.
pub struct Far {
    pub lab: Lab,
    pub links: Vec<LongLink>,
    pub sender: Namespace,
    pub relay: Namespace,
    pub listener: Option<Namespace>,
    pub relay_process: Proc,
}

/// Where the relay is.
pub const RELAY: &str = "10.9.1.2";

impl Far {
    /// Lays links of this shape, with a relay at the end of the first; the listener is at the end of
    /// the last.
    pub fn new(shapes: &[Shape], options: &[&str]) -> Self {
        Self::with(None, shapes, options)
    }

    /// The same with another binary than this build's.
    pub fn with(binary: Option<PathBuf>, shapes: &[Shape], options: &[&str]) -> Self {
        let (sender, relay) = (Namespace::new("far"), Namespace::new("hub"));
        let mut links = vec![LongLink::new(&sender, &relay, 1, shapes[0])];
        let listener = shapes.get(1).map(|shape| {
            let listener = Namespace::new("end");
            links.push(LongLink::new(&relay, &listener, 2, *shape));
            listener.ip("route add 10.9.1.0/24 via 10.9.2.1");
            listener
        });
        let mut lab = Lab::empty();
        if let Some(binary) = binary {
            lab.use_binary(binary);
        }
        let mut command = lab.command("relay");
        let address = format!("{RELAY}:4433");
        command
            .args(["--json", "server", "--bind", &address])
            .args(options);
        let relay_process = Proc::start(relay.inside(&command));
        let ready = relay_process.wait_event("ready");
        lab.use_invite(ready["invite"].as_str().map(str::to_owned));
        Self {
            lab,
            links,
            sender,
            relay,
            listener,
            relay_process,
        }
    }

    /// Starts a listener at the far end, and waits until it has joined.
    pub fn listen(&self, name: &str) -> Proc {
        self.listen_at(self.listener.as_ref().unwrap_or(&self.relay), name)
    }

    /// The same, elsewhere.
    pub fn listen_at(&self, place: &Namespace, name: &str) -> Proc {
        let mut command = self.lab.command(name);
        command.env("P2P_ROAD", "relay");
        command.args([
            "--json",
            "listen",
            "--conflict",
            "overwrite",
            "--name",
            name,
            "--out",
        ]);
        command.arg(self.lab.out(name));
        let listener = Proc::start(place.inside(&command));
        listener.wait_event("joined");
        listener
    }

    /// `p2p send` from the sender's end.
    pub fn send(&self, options: &[&str], path: &Path) -> Command {
        let mut command = self.lab.command("sender");
        command.env("P2P_ROAD", "relay");
        command
            .args(["--json", "send", "--to", "alice"])
            .args(options)
            .arg(path);
        self.sender.inside(&command)
    }

    /// Sends, and says how long the command took.
    pub fn time(&self, path: &Path) -> Duration {
        time(&mut self.send(&[], path))
    }

    /// The share of the first link that a file of so many bytes got, from the start of `p2p send` to its
    /// end.
    pub fn share(&self, shape: &Shape, file: &Path) -> f64 {
        let bytes = std::fs::metadata(file).unwrap().len();
        bytes as f64 / shape.content_rate() / self.time(file).as_secs_f64()
    }

    /// A file of bytes that do not shrink.
    pub fn file(&self, name: &str, bytes: u64) -> PathBuf {
        self.lab.file(name, bytes)
    }
}

/// Runs a command that must succeed, and says how long it took.
pub fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let elapsed = start.elapsed();
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    elapsed
}
