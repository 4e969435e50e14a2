//! Processes: their lines, their processor time, their memory.

use std::{
    fs,
    io::{BufRead, BufReader, Lines as IoLines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// Clock ticks a second in /proc (`getconf CLK_TCK`): 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu: f64,
    /// The most memory that was resident at once, in bytes.
    pub peak: u64,
}

impl Usage {
    /// Of a process, from proc(5).
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().unwrap())
            .sum();
        Self {
            cpu: ticks / TICKS,
            peak: status(pid, "VmHWM"),
        }
    }

    /// What was used after `before`; the peak is the whole life's.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            peak: self.peak,
        }
    }
}

/// Bytes that are resident now.
pub fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS")
}

fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// A child whose standard output is read line by line; killed when dropped.
pub struct Lines {
    child: Child,
    lines: Option<IoLines<BufReader<ChildStdout>>>,
}

impl Lines {
    /// Starts it; its standard error is ours.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        Self { child, lines }
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        self.next_line().expect("the process says something")
    }

    /// The next line; `None` at the end.
    pub fn next_line(&mut self) -> Option<String> {
        self.lines.as_mut()?.next().map(Result::unwrap)
    }

    /// Waits for an event of `p2p --json`.
    pub fn event(&mut self, name: &str) -> serde_json::Value {
        loop {
            let value: serde_json::Value = serde_json::from_str(&self.line()).unwrap();
            if value["event"] == name {
                return value;
            }
        }
    }

    /// Reads on in the background, so that the process never waits for us.
    pub fn drain(&mut self) {
        let lines = self.lines.take();
        std::thread::spawn(move || lines.into_iter().flatten().for_each(drop));
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; whether it was a success.
    pub fn wait(&mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of durations, in seconds.
pub fn median_time(values: &[Duration]) -> f64 {
    median(values.iter().map(Duration::as_secs_f64).collect())
}
