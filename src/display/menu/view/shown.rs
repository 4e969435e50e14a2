//! What is under the cursor: a file as the viewer prints it, a message, or a transfer's details.

use ratatui::{
    Frame,
    layout::Rect,
    text::Line,
    widgets::{Paragraph, Wrap},
};

use super::{movement, paint::Paint};
use crate::display::{
    bytes,
    menu::{Arrival, Arrived, Movement, Outcome, Pane, State, ansi},
    show::{fit, sanitise},
};

pub(super) fn show(state: &State, from: usize, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(4));
    let inner = usize::from(area.height.saturating_sub(2));
    let (title, lines, wrap) = if state.pane == Pane::Movements {
        match state.movement() {
            Some(it) => ("Details".to_owned(), details(it, state), true),
            None => ("Details".to_owned(), Vec::new(), true),
        }
    } else {
        match state.arrival() {
            Some(arrival) => arrived(state, arrival),
            None => (
                "Preview".to_owned(),
                vec![Line::styled("What arrives is shown here.", paint.dim())],
                true,
            ),
        }
    };
    let block = paint.block(fit(&title, width));
    // The last page stays full.
    let from = from.min(lines.len().saturating_sub(inner));
    let below = lines.len().saturating_sub(from + inner);
    let block = if below > 0 && !wrap {
        block.title_bottom(format!(" {below} more lines "))
    } else {
        block
    };
    let mut text = Paragraph::new(lines.into_iter().skip(from).collect::<Vec<_>>()).block(block);
    if wrap {
        text = text.wrap(Wrap { trim: false });
    }
    frame.render_widget(text, area);
}

fn arrived(state: &State, arrival: &Arrival) -> (String, Vec<Line<'static>>, bool) {
    match &arrival.what {
        Arrived::Message(text) => {
            let lines = text
                .lines()
                .map(|line| Line::from(sanitise(line).into_owned()));
            (format!("{} says", arrival.from), lines.collect(), true)
        }
        Arrived::File(path) => {
            let preview = state.preview.as_ref().filter(|it| it.path == *path);
            let lines = preview.map(|it| ansi::lines(&it.text)).unwrap_or_default();
            (arrival.title.clone(), lines, false)
        }
    }
}

fn details(movement: &Movement, state: &State) -> Vec<Line<'static>> {
    let files = match (movement.files, movement.count) {
        (1, Some(1)) => "1".to_owned(),
        (done, Some(count)) => format!("{done} of {count}"),
        (done, None) => done.to_string(),
    };
    let mut lines = vec![
        format!("{} {}", movement::arrow(movement), movement.what),
        format!("with   {} ({})", movement.name, movement.peer.short()),
        format!("files  {files}, {}", bytes(movement.bytes())),
    ];
    let label = match movement.outcome {
        Outcome::Waiting | Outcome::Running => "now   ",
        Outcome::Done => "done  ",
        Outcome::Failed(_) => "failed",
    };
    lines.push(format!(
        "{label} {}",
        movement::summary(movement, state.now)
    ));
    lines.into_iter().map(Line::from).collect()
}
