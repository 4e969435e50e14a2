//! One row of what moves.

use std::time::Duration;

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::paint::{Paint, pad};
use crate::display::{
    bytes, duration,
    menu::{Activity, Movement, Outcome},
    rate,
    show::{columns, fit},
};

/// Columns for the peer's name, and for what moves, where there is room.
const NAME: usize = 10;
const WHAT: usize = 24;
/// Columns for a bar, at least and at most.
const BAR: (usize, usize) = (6, 24);

/// Shorter than this, a rate means nothing.
const MOMENT: Duration = Duration::from_millis(100);

/// Peer, what, and how far: each in its place, so that nothing jumps while it moves.
pub(super) fn row(
    movement: &Movement,
    now: Duration,
    paint: Paint,
    names: usize,
    width: usize,
) -> Line<'static> {
    let arrow = arrow(movement);
    let name = pad(movement.name.as_str(), names);
    let start = format!("{arrow} {name} ");
    let room = width.saturating_sub(columns(&start));
    let (end, style) = end(movement, now, paint, room);
    let room = room.saturating_sub(columns(&end) + 1);
    let ratio = movement
        .ratio()
        .filter(|_| movement.outcome == Outcome::Running);
    let bar = match ratio {
        Some(_) if room > 2 * BAR.0 + 1 => (room - room / 2 - 1).min(BAR.1),
        _ => 0,
    };
    let gap = usize::from(bar > 0);
    let what = pad(
        &movement.what,
        room.saturating_sub(bar + gap)
            .min(if bar > 0 { WHAT } else { room }),
    );
    let mut spans = vec![Span::raw(format!("{start}{what} "))];
    if let (Some(ratio), 1..) = (ratio, bar) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let full = ((ratio * bar as f64) as usize).min(bar);
        spans.push(Span::styled("━".repeat(full), paint.good()));
        spans.push(Span::styled("─".repeat(bar - full), paint.dim()));
        spans.push(Span::raw(" "));
    }
    spans.push(Span::styled(end, style));
    Line::from(spans)
}

/// Columns for the names of these rows' peers, in a list of this width.
pub(super) fn names(movements: &[Movement], width: usize) -> usize {
    let longest = movements.iter().map(|m| columns(m.name.as_str())).max();
    longest.unwrap_or(0).min(NAME).min(width / 4)
}

/// All that is known about a row, in one line.
pub(super) fn summary(movement: &Movement, now: Duration) -> String {
    let done = bytes(movement.bytes());
    match &movement.outcome {
        Outcome::Waiting => "waiting for an answer".to_owned(),
        Outcome::Running => {
            let done = match movement.total {
                Some(total) => format!("{done} of {}", bytes(total)),
                None => done,
            };
            // What matters most first: a narrow window cuts the rest.
            match (movement.rate(now).map(per_second), movement.left(now)) {
                (Some(rate), Some(left)) => format!("{} left at {rate}, {done}", time(left)),
                (Some(rate), None) => format!("{rate}, {done}"),
                (None, _) => done,
            }
        }
        Outcome::Done if movement.took(now) < MOMENT => format!("{done} in a moment"),
        Outcome::Done => {
            let took = movement.took(now);
            format!(
                "{done} in {}, {}",
                duration(took),
                rate(movement.bytes(), took)
            )
        }
        Outcome::Failed(reason) => reason.clone(),
    }
}

pub(super) fn arrow(movement: &Movement) -> &'static str {
    match movement.activity {
        Activity::Send(_) => "↑",
        Activity::Receive(_) => "↓",
    }
}

fn end(movement: &Movement, now: Duration, paint: Paint, room: usize) -> (String, Style) {
    match &movement.outcome {
        Outcome::Waiting => ("not answered yet".to_owned(), paint.dim()),
        Outcome::Done => (format!("✓ {}", bytes(movement.bytes())), paint.good()),
        Outcome::Failed(reason) => {
            let reason = fit(reason, room.saturating_sub(WHAT / 2).max(room / 2)).into_owned();
            (format!("✗ {reason}"), paint.bad())
        }
        Outcome::Running => {
            let rate = movement.rate(now).map(per_second).unwrap_or_default();
            let left = movement.left(now).map(time).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let done = match movement.ratio() {
                Some(ratio) => format!("{:>3}%", (ratio * 100.0) as u64),
                None => format!("{:>9}", bytes(movement.bytes())),
            };
            let text = if room >= 34 {
                format!("{done} {rate:>11} {left:>5}")
            } else if room >= 24 {
                format!("{done} {rate:>11}")
            } else {
                done
            };
            (text, Style::new())
        }
    }
}

fn per_second(count: u64) -> String {
    rate(count, Duration::from_secs(1))
}

/// A short time: `12 s`, `3:04`, `2 h`.
fn time(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        seconds @ 3600..360_000 => format!("{} h", seconds / 3600),
        _ => "long".to_owned(),
    }
}
