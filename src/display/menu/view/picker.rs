//! The file picker.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::{List, ListItem, ListState, Paragraph, Wrap},
};

use super::{
    paint::{Paint, pad, tail},
    panels,
};
use crate::display::{
    bytes,
    menu::{Picker, Purpose, State},
    show::{columns, fit, sanitise},
};

pub(super) fn pick(
    state: &State,
    picker: &Picker,
    paint: Paint,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let width = usize::from(area.width.saturating_sub(4));
    let what = match &picker.purpose {
        Purpose::Folder => "Receive into".to_owned(),
        Purpose::Send(to) => format!("Send to {}", panels::names(to)),
    };
    let mut block = paint.block(fit(&what, width));
    if !picker.marked.is_empty() {
        block = block.title_bottom(format!(" {} marked ", picker.marked.len()));
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [line, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    // What is typed matters more than where: the front gives way.
    let folder = state.tilde(&picker.folder);
    let path = format!(
        "{}/{}▏",
        folder.trim_end_matches('/'),
        sanitise(&picker.filter)
    );
    let path = tail(&path, usize::from(line.width));
    frame.render_widget(Span::styled(path, Modifier::BOLD), line);

    let matching = picker.matching();
    let problem = match &picker.problem {
        Some(problem) => Some(Line::styled(problem.clone(), paint.bad())),
        None if !matching.is_empty() => None,
        None if picker.reading => Some(Line::from("reading…")),
        None if picker.filter.is_empty() => Some(Line::styled("nothing here", paint.dim())),
        None if picker.purpose == Purpose::Folder => {
            Some(Line::styled("⏎ makes this folder", paint.dim()))
        }
        None => Some(Line::styled("nothing here is called so", paint.dim())),
    };
    if let Some(problem) = problem {
        return frame.render_widget(Paragraph::new(problem).wrap(Wrap { trim: true }), rest);
    }
    // Only what can be seen is laid out: a folder may have thousands of entries.
    let height = usize::from(rest.height).max(1);
    let first = picker.cursor.saturating_sub(height - 1);
    let rows = matching.into_iter().skip(first).take(height).map(|entry| {
        let chosen = picker.marked.contains(&picker.folder.join(&entry.on_disk));
        let mark = if chosen { "✓" } else { " " };
        let (slash, size) = if entry.is_file {
            ("", bytes(entry.bytes))
        } else {
            ("/", String::new())
        };
        let room = usize::from(rest.width).saturating_sub(3 + columns(&size));
        let name = pad(&format!("{}{slash}", sanitise(&entry.name)), room);
        ListItem::new(Line::from(vec![
            Span::raw(format!("{mark} {name} ")),
            Span::styled(size, paint.dim()),
        ]))
    });
    let mut at = ListState::default().with_selected(Some(picker.cursor - first));
    let list = List::new(rows).highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(list, rest, &mut at);
}
