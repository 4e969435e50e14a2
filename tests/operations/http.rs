//! Asks a relay over HTTP, as simply as possible.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::common::{PATIENCE, Proc, text};

/// Status code and body of the page at `path` of a relay that said where its metrics are.
pub fn get(relay: &Proc, path: &str) -> (u16, String) {
    let address = text(&relay.wait_event("ready"), "metrics");
    ask(&address, path, "*/*").expect("an answer")
}

/// The same as OpenMetrics.
pub fn get_open_metrics(relay: &Proc) -> String {
    let address = text(&relay.wait_event("ready"), "metrics");
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    ask(&address, "/metrics", accept).expect("an answer").1
}

/// Asks once.
pub fn ask(address: &str, path: &str, accept: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: relay\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let bad = || std::io::Error::other(format!("no answer: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(bad)?, body.to_owned()))
}

/// The sample of this name and these labels on a page of metrics.
pub fn sample(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|l| l.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until a sample is as it should be.
#[track_caller]
pub fn wait_sample(relay: &Proc, series: &str, is_right: impl Fn(f64) -> bool) -> f64 {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let page = get(relay, "/metrics").1;
        match sample(&page, series) {
            Some(value) if is_right(value) => return value,
            other => assert!(
                std::time::Instant::now() < end,
                "{series} is {other:?}:\n{page}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
